"""What a running bundle leaves on the disk, outside of its folder: lock, run.json, logs. Start at locked() and told().

A lock that the kernel holds tells whether it runs: no process id can be mistaken for another's.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from sdx_serving.deploy.manifest import BundleError

_LOCK_S = 1.0
"""Whoever asks for the status holds the lock for an instant."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a bundle is doing here."""

    id: str
    running: bool
    healthy: bool
    url: str
    """For clients."""
    engine_url: str = ""
    pid: int | None = None
    engine_pid: int | None = None
    restarts: int = 0
    """How often the engine died and was started again."""
    since: str = ""
    log: str = ""


def state_folder(release: str) -> Path:
    """For logs and state of one release: in $SDX_DEPLOYED, else ~/.local/state/sdx/deployed."""
    given = os.environ.get("SDX_DEPLOYED")
    return (Path(given) if given else Path.home() / ".local/state/sdx/deployed") / release


@contextmanager
def locked(state: Path, release: str, held: int | None = None) -> Iterator[IO[bytes]]:
    """The lock, kept by the kernel until the last process that has it ends. `held` is one that was handed over."""
    state.mkdir(parents=True, exist_ok=True)
    with open(held, "ab") if held is not None else (state / "lock").open("ab") as lock:
        ends = time.monotonic() + _LOCK_S
        while not _take(lock):
            if time.monotonic() > ends:
                raise BundleError(f"{release} is running already ({state / 'run.json'} tells by whom)")
            time.sleep(0.02)
        (state / "run.json").unlink(missing_ok=True)
        yield lock


def is_held(state: Path) -> bool:
    """Whether it runs, or is about to."""
    try:
        with (state / "lock").open("rb") as lock:
            return not _take(lock)
    except FileNotFoundError:
        return False


def _take(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def tell(state: Path, now: Status) -> None:
    """run.json, written anew only when something changed."""
    text = json.dumps(asdict(now), indent=1)
    path = state / "run.json"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    partial = path.with_name(".run.json.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def told(state: Path) -> Status | None:
    """What the running bundle last told; None before its first word."""
    try:
        return Status(**json.loads((state / "run.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
