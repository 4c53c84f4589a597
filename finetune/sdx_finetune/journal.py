"""Files that survive a kill: lines that are added one by one, and files that are whole or not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson


def append(path: Path, item: dict[str, Any]) -> None:
    """One JSON line at the file's end, on the disk when this returns; a line that a kill cut off is taken away first."""
    with path.open("a+b") as file:
        size = file.tell()
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.write(orjson.dumps(item) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a file of lines; a last line that a kill cut off is passed over."""
    if path.exists():
        for line in path.read_bytes().split(b"\n")[:-1]:
            yield orjson.loads(line)


def write_whole(path: Path, data: bytes) -> None:
    """The old file or the new one, whatever happens in between."""
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def making(path: Path) -> Iterator[Path]:
    """A place to write to, which becomes `path`, a file or a folder, when the block ends well. What a kill left there is taken away."""
    partial = path.with_name(f".{path.name}.partial")
    _remove(partial)
    try:
        yield partial
        for part in [partial, *partial.rglob("*")]:
            if part.is_file():
                with part.open("rb") as file:
                    os.fsync(file.fileno())
        if path.is_dir():
            _remove(path)
        partial.replace(path)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
