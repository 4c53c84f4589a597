"""A job with its progress, for the terminal and for pages: stage, share, loss, tokens/s, time left, who is before it."""

import json
from pathlib import Path
from typing import Any

from sdx_finetune.jobs import job as states
from sdx_finetune.jobs.job import Job
from sdx_finetune.jobs.queue import Queue
from sdx_finetune.progress import FILE, told

CURVE_POINTS = 200
_TAIL_BYTES = 200_000


def view(queue: Queue, job: Job, curve: bool = False) -> dict[str, Any]:
    """The record, its progress ({} before the first), and whom it waits for; with `curve` the last points of train.jsonl."""
    seen = {**job.as_json(), "progress": progress(job), "waits_for": queue.in_the_way(job), "log": str(queue.log(job.id))}
    return {**seen, "curve": _curve(Path(job.work) / "train.jsonl")} if curve else seen


def progress(job: Job) -> dict[str, Any]:
    """What the command told of this try, not of an earlier one: step, loss, tokens_per_s, left_s, ... as far as it says."""
    if job.started is None:
        return {}
    work = Path(job.work)
    try:
        at = (work / FILE).stat().st_mtime
    except OSError:
        return {}
    # A second for file systems that keep whole ones.
    return told(work) if at >= job.started - 1.0 else {}


def line(job: Job, facts: dict[str, Any]) -> str:
    """Progress in one line of words."""
    if job.state not in (states.RUNNING, states.STOPPING):
        return job.words
    parts = [str(facts["stage"])] if facts.get("stage") else []
    parts += [f"{100 * facts['done']:.1f} %"] if isinstance(facts.get("done"), float | int) else []
    parts += [f"step {facts['step']}"] if facts.get("step") is not None else []
    parts += [f"{facts['rows']} rows"] if facts.get("rows") is not None else []
    parts += [f"loss {facts['loss']:.4f}"] if isinstance(facts.get("loss"), float) else []
    parts += [f"{facts['tokens_per_s']:.0f} tokens/s"] if isinstance(facts.get("tokens_per_s"), float | int) else []
    parts += [f"{left(facts['left_s'])} left"] if isinstance(facts.get("left_s"), float | int) else []
    return ", ".join(parts) or ("stopping: waits for its checkpoint" if job.state == states.STOPPING else "begins")


def left(seconds: float) -> str:
    """45 s, 12 min, 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _curve(path: Path) -> list[dict[str, Any]]:
    """The last lines of a training's record; a torn one is passed over."""
    try:
        with path.open("rb") as file:
            start = max(0, path.stat().st_size - _TAIL_BYTES)
            file.seek(start)
            lines = file.read().split(b"\n")[1 if start else 0 : -1]
    except OSError:
        return []
    found = []
    for raw in lines[-CURVE_POINTS:]:
        try:
            found.append(json.loads(raw))
        except json.JSONDecodeError:
            continue
    return found
