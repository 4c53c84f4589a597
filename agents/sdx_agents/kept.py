"""Finished cases of a long run, one line each in a file: the same run goes on from them, however it ended."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Kept:
    """`head` says which run it is: suite, model, commit. `lines` are those of earlier starts.

    Raises:
        ValueError: the file holds another run.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self._path = path
        self.lines: list[str] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        whole, own = path.read_bytes() if path.exists() else b"", json.dumps(head).encode()
        end = whole.rfind(b"\n") + 1
        if end == 0 and own.startswith(whole):  # new, or cut off as it was begun
            path.write_bytes(own + b"\n")
            return
        first, *rest = whole.split(b"\n")
        if first != own:
            found = first[:300].decode(errors="replace")
            raise ValueError(f"{path} holds another run ({found}), this one is {own.decode()}; give another file, or remove it")
        if end < len(whole):
            os.truncate(path, end)  # a kill cut the last line off: the next one may not be written behind it
        self.lines = [line.decode() for line in rest[:-1]]

    def add(self, line: str) -> None:
        """One more case, on disk when this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
