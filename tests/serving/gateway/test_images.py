"""What images may come in, and where they are never fetched from."""

import asyncio
import base64
import io
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from sdx_serving.gateway.config import Limits
from sdx_serving.gateway.errors import Refused
from sdx_serving.gateway.images import ImageGate, public, resolve

LIMITS = Limits(images=2, image_mb=0.05, image_mpixels=0.1, fetch_images=True, fetch_s=1.0)
NAMES = {
    "pictures.example": ["93.184.216.34"],
    "inside.example": ["10.0.0.7"],
    "both.example": ["93.184.216.34", "127.0.0.1"],
    "meta.example": ["169.254.169.254"],
}


async def names(host: str, port: int) -> Sequence[str]:
    """A name server; numbers are numbers as the system reads them."""
    if host in NAMES:
        return NAMES[host]
    if any(letter in "ghijklmnopqrstuvwyz" for letter in host.lower()) and host != "localhost":
        raise OSError("no such name")
    return await resolve(host, port)


def png(width: int = 4, height: int = 4) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 10, 10)).save(file, "PNG")
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A tiny PNG that says it is huge."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def check(url: str, answer: Callable[[httpx.Request], httpx.Response] | None = None, limits: Limits = LIMITS) -> dict[str, Any]:
    image = {"url": url}
    transport = httpx.MockTransport(answer or (lambda _: httpx.Response(200, content=png())))
    asyncio.run(ImageGate(limits, names, transport).check([image]))
    return image


def refused(url: str, answer: Callable[[httpx.Request], httpx.Response] | None = None, limits: Limits = LIMITS) -> Refused:
    with pytest.raises(Refused) as error:
        check(url, answer, limits)
    return error.value


def test_an_image_in_the_request_passes_as_it_is() -> None:
    assert check(data_url(png()))["url"] == data_url(png())


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("data:text/html;base64,aGk=", 400),
        ("data:image/png,plain", 400),
        ("data:image/png;base64", 400),
        ("data:image/png;base64,!!!!", 400),
        (data_url(b"no image at all"), 400),
        (data_url(b"\x89PNG\r\n\x1a\n"), 400),
        (data_url(png(400, 400)), 413),
        (data_url(bomb(60_000, 60_000)), 413),
        (data_url(b"\0" * 60_000), 413),
        ("file:///etc/passwd", 400),
        ("gopher://127.0.0.1/", 400),
        ("", 400),
    ],
)
def test_what_is_no_image_or_too_large_is_refused(url: str, status: int) -> None:
    assert refused(url).status == status


def test_too_many_images_are_refused() -> None:
    with pytest.raises(Refused, match="3 images, at most 2"):
        asyncio.run(ImageGate(LIMITS).check([{"url": data_url(png())}] * 3))


def test_addresses_are_fetched_only_where_the_file_allows_it() -> None:
    assert refused("https://pictures.example/a.png", limits=Limits()).code == "image_fetch_off"


def test_a_public_image_is_fetched_from_the_address_that_was_checked() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=png())

    assert check("https://pictures.example/a.png?b=1", answer)["url"] == data_url(png())
    assert (seen[0].url.host, seen[0].headers["host"]) == ("93.184.216.34", "pictures.example")
    assert seen[0].extensions["sni_hostname"] == "pictures.example"
    assert seen[0].url.raw_path == b"/a.png?b=1"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "0", "localhost", "10.0.0.1", "172.16.3.4", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "inside.example", "both.example", "meta.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_inside_this_network_is_fetched(host: str, scheme: str) -> None:
    """Table of addresses by which a server is led to itself, its neighbours or its cloud's secrets."""

    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was asked")

    assert refused(f"{scheme}://{host}/latest/meta-data", never).code == "image_not_fetched"


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1/",
        "//127.1/x",
        "http://inside.example/",
        "http://[::1]:6379/",
        "file:///etc/passwd",
        "https://user:pass@pictures.example/",
    ],
)
def test_a_redirect_leads_no_further_in(place: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url.host))
        return httpx.Response(302, headers={"location": place})

    assert refused("http://pictures.example/", answer).code == "image_not_fetched"
    assert asked == ["93.184.216.34"]


def test_a_good_redirect_is_followed_and_an_endless_one_is_not() -> None:
    def once(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=png()) if request.url.path == "/b" else httpx.Response(302, headers={"location": "/b"})

    assert check("http://pictures.example/a", once)["url"] == data_url(png())
    assert "redirects more than" in str(refused("http://pictures.example/a", lambda _: httpx.Response(302, headers={"location": "/a"})))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda _: httpx.Response(200, content=b"\0" * 60_000), "larger"),
        (lambda _: httpx.Response(200, content=b"<html>"), "no readable"),
        (lambda _: httpx.Response(404), "HTTP 404"),
        (lambda _: httpx.Response(200, content=png(400, 400)), "400 x 400"),
    ],
)
def test_what_is_found_there_is_held_to_the_same_limits(answer: Callable[[httpx.Request], httpx.Response], says: str) -> None:
    assert says in str(refused("http://pictures.example/", answer))


def test_a_slow_server_is_not_waited_for() -> None:
    async def slow(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(5.0)
        return httpx.Response(200)

    with pytest.raises(Refused, match="within 0.2 s"):
        asyncio.run(
            ImageGate(LIMITS.model_copy(update={"fetch_s": 0.2}), names, httpx.MockTransport(slow)).check(
                [{"url": "http://pictures.example/"}]
            )
        )


def test_addresses_of_the_open_internet_are_public() -> None:
    assert all(public(address) for address in ("93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"))
