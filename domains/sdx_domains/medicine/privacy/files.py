"""Files that are there whole or not at all, readable by their owner alone."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PART = ".part"
"""Ends the name of a file that is being written; what a killed process left is rubbish."""


def write_whole(target: Path, write: Callable[[BinaryIO], object]) -> None:
    """Through a temporary neighbour, on disk before it gets its name; folders are made, mode 700. OSError as open() raises it."""
    make_folder(target.parent)
    part = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}{PART}")
    try:
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    flush_folder(target.parent)


def make_folder(folder: Path) -> None:
    """Path.mkdir(mode) closes the last folder alone; here every folder that is made is closed."""
    if not folder.exists():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """New names in it are on disk after this."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
