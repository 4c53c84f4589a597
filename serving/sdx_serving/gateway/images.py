"""Images in requests: how many, how large; by http(s) only where allowed, and then never from inside this network.

An address is fetched as a stranger could: its name is resolved once, every address it resolves to must be public, the connection goes
to the address that was checked (a second answer of the name server cannot lead it elsewhere), and each redirect is checked anew.
"""

import asyncio
import base64
import binascii
import io
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx

from sdx_serving.gateway.config import Limits
from sdx_serving.gateway.errors import Refused

_REDIRECTS = 3
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address inside an IPv6 one
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Addresses of a name, as the system sees it; "127.1" and "0x7f000001" are addresses for it too."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def public(address: str) -> bool:
    """Is this an address of the open internet? Addresses wrapped in IPv6 are judged by what is inside."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inside = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inside = ipaddress.IPv4Address(ip.packed[-4:])
        if inside is not None:
            return public(str(inside))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class ImageGate:
    """Checks a request's images and puts fetched ones in their place.

    Args:
        find: resolves names; a test gives its own.
        transport: of the connection; a test gives its own.
    """

    def __init__(self, limits: Limits, find: Resolve = resolve, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.limits, self._find = limits, find
        self._transport = transport

    async def check(self, images: Sequence[dict[str, Any]]) -> None:
        """Refused (400, 413) on the first that may not go on. `images` are the request's own `image_url` objects."""
        if len(images) > self.limits.images:
            raise Refused(
                400, f"{len(images)} images, at most {self.limits.images} are taken in one request", "too_many_images", "image_url"
            )
        for image in images:
            url: str = image["url"]
            if url.startswith("data:"):
                await asyncio.to_thread(self._measure, self._decoded(url))
            elif not url.lower().startswith(("http://", "https://")):
                raise Refused(400, f"image_url: {url[:20]!r} ... is no data: URL; send the image itself", "invalid_image", "image_url")
            elif not self.limits.fetch_images:
                raise Refused(400, "image_url: this gateway fetches no images; send it as a data: URL", "image_fetch_off", "image_url")
            else:
                image["url"] = await self._fetched(url)

    def _decoded(self, url: str) -> bytes:
        head, comma, text = url.partition(",")
        if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
            raise Refused(
                400, "image_url: a data: URL must begin with data:image/png;base64, (or jpeg, webp, gif)", "invalid_image", "image_url"
            )
        if len(text) * 0.75 > self.limits.image_mb * 1e6 + 3:
            raise self._large(f"{len(text) * 0.75 / 1e6:.1f} MB")
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused(400, f"image_url: the base64 is broken ({error})", "invalid_image", "image_url") from error

    def _measure(self, content: bytes) -> str:
        """Its MIME type. Only the head is read: what decodes to gigabytes is refused by its stated size."""
        from PIL import Image

        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                width, height = image.size
                kind = str(image.format)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise self._large(str(error)) from error
        except Exception as error:  # Pillow raises many kinds on broken files
            raise Refused(400, f"image_url: this is no readable {', '.join(_FORMATS)} image", "invalid_image", "image_url") from error
        if width * height > self.limits.image_mpixels * 1e6:
            raise self._large(f"{width} x {height} pixels")
        return f"image/{kind.lower()}"

    def _large(self, found: str) -> Refused:
        most = f"at most {self.limits.image_mb:g} MB and {self.limits.image_mpixels:g} million pixels"
        return Refused(413, f"image_url: {found}; {most} are taken: make it smaller", "image_too_large", "image_url")

    async def _fetched(self, url: str) -> str:
        try:
            async with asyncio.timeout(self.limits.fetch_s):
                content = await self._get(url)
        except TimeoutError as error:
            raise _unfetched(f"it did not come within {self.limits.fetch_s:g} s") from error
        kind = await asyncio.to_thread(self._measure, content)
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"

    async def _get(self, url: str) -> bytes:
        async with httpx.AsyncClient(transport=self._transport, trust_env=False, follow_redirects=False) as http:
            for _ in range(_REDIRECTS + 1):
                try:
                    where = httpx.URL(url)
                    request = await self._pinned(http, where)
                    response = await http.send(request, stream=True)
                    try:
                        if not response.is_redirect:
                            return await self._body(response)
                        url = str(where.join(response.headers.get("location", "")))
                    finally:
                        await response.aclose()
                except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                    raise _unfetched("nothing was found there") from error
        raise _unfetched(f"it redirects more than {_REDIRECTS} times")

    async def _pinned(self, http: httpx.AsyncClient, url: httpx.URL) -> httpx.Request:
        """A request to the address that was checked, under the name that was asked for."""
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise _unfetched("only plain http:// and https:// addresses are fetched")
        try:
            found = await self._find(url.host, url.port or (443 if url.scheme == "https" else 80))
        except OSError as error:
            raise _unfetched("nothing was found there") from error
        if not found or not all(public(address) for address in found):
            raise _unfetched("it leads into a private network")
        # The name stays for TLS: its certificate is checked against it.
        return http.build_request("GET", url.copy_with(host=found[0]), headers={"host": url.netloc.decode(), "accept": "image/*"},
                                  extensions={"sni_hostname": url.host})  # fmt: skip

    async def _body(self, response: httpx.Response) -> bytes:
        if response.status_code != 200:
            raise _unfetched(f"the server there answered HTTP {response.status_code}")
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > self.limits.image_mb * 1e6:
                raise self._large("it is larger")
        return bytes(content)


def _unfetched(why: str) -> Refused:
    return Refused(400, f"image_url: the image was not fetched: {why}", "image_not_fetched", "image_url")
