"""One writer at a time, among all processes: held() waits, and says for whom. The lock is the operating system's: it ends with its process."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_S = 0.05


class Busy(RuntimeError):
    """Another is writing; the message says which process and since when."""


@contextmanager
def held(path: Path, wait_s: float, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """The file's lock, after at most `wait_s` seconds. Raises Busy, and OSError where the file cannot be made."""
    with path.open("a+", encoding="utf-8") as file:
        _take(file.fileno(), path, wait_s, say)
        file.truncate(0)
        file.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


def _take(descriptor: int, path: Path, wait_s: float, say: Callable[[str], None]) -> None:
    until, told = time.monotonic() + wait_s, False
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        who = path.read_text(encoding="utf-8") or "another process"
        if time.monotonic() >= until:
            raise Busy(f"{path.parent} is being written by {who}: wait until it is done (waited {wait_s:g} s)")
        if not told:
            say(f"waiting for {who}, which is writing {path.parent}")
            told = True
        time.sleep(_LOOK_S)
