"""What a job is: one long command, where it runs, and how it stands."""

import json
import os
import re
import sqlite3
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

WAITING, RUNNING, STOPPING = "queued", "running", "stopping"
DONE, FAILED, STOPPED, LOST = "done", "failed", "stopped", "lost"
UNFINISHED = (WAITING, RUNNING, STOPPING)
_DEVICE = re.compile(r"cpu|cuda:\d{1,2}")


def default_home() -> Path:
    """$SDX_JOBS, else ~/.local/share/sdx/jobs."""
    given = os.environ.get("SDX_JOBS")
    return Path(given).absolute() if given else Path.home() / ".local/share/sdx/jobs"


def checked_device(name: str) -> str:
    """ValueError for anything but cpu and cuda:N."""
    if not _DEVICE.fullmatch(name):
        raise ValueError(f"device {name!r} is unknown; write cpu, or cuda:0 for the first GPU")
    return name


def default_device() -> str:
    """The first NVIDIA GPU where there is one, told by its device file: asking torch would take seconds."""
    return "cuda:0" if Path("/dev/nvidia0").exists() else "cpu"


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the queue."""

    id: str
    """Short, for people: kind and four letters, e.g. train-k7mp."""
    kind: str
    """train, augment, tune, prompt, evaluate, export, compress, bench, ..."""
    argv: tuple[str, ...]
    """Module and arguments: run as `python -m <argv>`; the same again goes on where it ended."""
    work: str
    """The folder that it works in; absolute. Two jobs never work in one folder at the same time."""
    cwd: str
    """Where relative paths of argv begin."""
    device: str
    state: str
    """queued, running, stopping; done, failed, stopped, lost (ended unseen: power, kill -9)."""
    words: str
    """How it ended and what to do, one line."""
    code: int | None
    """Exit code; negative: the signal that ended it; None before the end and when nobody saw it."""
    turn: int
    """Place in the line: the lowest goes first."""
    tries: int
    """How often it was put in line."""
    created: float
    started: float | None
    ended: float | None
    """Seconds since 1970."""
    pid: int
    """Of the command, which leads its process group; 0 before it began."""
    mark: str
    """Which process of that id, see processes.mark()."""
    witness: int
    """Process that waits for the command and writes down its end."""
    witness_mark: str
    stop_asked: float | None
    stop_wait_s: float
    """From SIGINT to SIGTERM: time for a checkpoint."""
    signals: int
    """Signals sent to stop it so far."""
    params: dict[str, Any]
    """Of the request, where one made it."""

    @property
    def unfinished(self) -> bool:
        return self.state in UNFINISHED

    def as_json(self) -> dict[str, Any]:
        """For programs; without the process marks."""
        return {name: value for name, value in asdict(self).items() if name not in ("mark", "witness", "witness_mark", "signals")}


def from_row(row: sqlite3.Row) -> Job:
    """A row of the table as a Job."""
    held = {field.name: row[field.name] for field in fields(Job)}
    return Job(**{**held, "argv": tuple(json.loads(held["argv"])), "params": json.loads(held["params"])})
