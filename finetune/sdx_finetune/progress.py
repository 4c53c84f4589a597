"""progress.json in a work folder: how far long work is, for pages and `sdx jobs`. Never torn, never fatal."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = "progress.json"
Say = Callable[[str], None]
"""Takes one line for the person who waits."""


def tell(work: Path, stage: str, done: float, **facts: Any) -> None:
    """Replace the record. `done`: share of the stage, 0..1; facts: e.g. step, loss, tokens_per_s, left_s.

    A full disk must not end the work over its progress: it will say so itself at its next checkpoint.
    """
    record = {"stage": stage, "done": round(min(1.0, max(0.0, done)), 4), "at": round(time.time(), 3), **facts}
    partial = work / f".{FILE}.partial"
    try:
        partial.write_text(json.dumps(record), encoding="utf-8")
        partial.replace(work / FILE)
    except OSError:
        partial.unlink(missing_ok=True)


def told(work: Path) -> dict[str, Any]:
    """The last record, {} before the first."""
    try:
        return json.loads((work / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
