"""Some bytes of a file, here or at an HTTP address: a header is read without the gigabytes behind it. Start at opened()."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import httpx

from sdx_serving.recommend.facts import BadModel

FIRST_BYTES = 1 << 20
TIMEOUT_S = 30.0


class Bytes(Protocol):
    """A file that is read in parts."""

    name: str

    @property
    def size(self) -> int: ...

    def read(self, start: int, count: int) -> bytes:
        """Exactly `count` bytes. BadModel when the file ends before."""
        ...


@dataclass(slots=True)
class LocalBytes:
    """A file on this machine."""

    name: str
    file: BinaryIO
    size: int

    def read(self, start: int, count: int) -> bytes:
        if start + count > self.size:
            raise BadModel(f"{self.name}: cut off: it has {self.size} bytes, its header asks for {start + count}")
        self.file.seek(start)
        return self.file.read(count)


@dataclass(slots=True)
class RemoteBytes:
    """A file at an address whose server gives ranges; read ahead, each range asked for once."""

    name: str
    http: httpx.Client
    size: int = 0
    fetched: int = 0
    """Bytes that came over the network."""
    _held: bytearray = field(default_factory=bytearray)
    """From the file's beginning: headers stand there."""

    def __post_init__(self) -> None:
        self._more(FIRST_BYTES)

    def read(self, start: int, count: int) -> bytes:
        while len(self._held) < start + count:
            if len(self._held) >= self.size:
                raise BadModel(f"{self.name}: cut off: it has {self.size} bytes, its header asks for {start + count}")
            # What is asked for, or as much again as is held: a long vocabulary takes few requests.
            self._more(max(start + count - len(self._held), len(self._held)))
        return bytes(self._held[start : start + count])

    def _more(self, count: int) -> None:
        begin = len(self._held)
        last = begin + count - 1 if not self.size else min(begin + count, self.size) - 1
        try:
            with self.http.stream("GET", self.name, headers={"Range": f"bytes={begin}-{last}", "Accept-Encoding": "identity"}) as answer:
                total = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.headers.get("Content-Range", ""))
                if answer.status_code != 206 or not total:
                    raise BadModel(
                        f"{self.name}: the server answered {answer.status_code} to a request for a part: download the file instead"
                    )
                body = answer.read()
        except httpx.HTTPError as error:
            raise BadModel(f"{self.name}: not reached ({error or type(error).__name__}): check the address") from error
        if not body or len(body) > count:
            raise BadModel(f"{self.name}: the server sent {len(body)} bytes where {count} were asked for: download the file instead")
        self.size = int(total[1])
        self.fetched += len(body)
        self._held += body


def is_address(model: str) -> bool:
    return model.startswith(("http://", "https://"))


@contextmanager
def opened(model: str) -> Iterator[Bytes]:
    """The file or address, open. BadModel when it is not there."""
    if is_address(model):
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as http:
            yield RemoteBytes(model, http)
        return
    path = Path(model).expanduser()
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadModel(f"{path}: {error.strerror}: give a model file or an address") from error
    with file:
        yield LocalBytes(str(path), file, path.stat().st_size)
