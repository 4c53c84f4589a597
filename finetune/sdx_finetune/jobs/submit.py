"""Put long work in line, and see that somebody does it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdx_finetune.jobs.job import Job
from sdx_finetune.jobs.queue import STOP_WAIT_S, Queue
from sdx_finetune.jobs.worker import ensure_worker


def submit(
    kind: str, argv: Sequence[str], work: Path, device: str = "cpu", *, params: Mapping[str, Any] | None = None, cwd: Path | None = None
) -> Job:
    """Run `python -m <argv>` as a job that outlives this process; one that is in line or runs already is joined, one that ended goes on.

    argv: module and arguments, e.g. ["sdx_finetune.run", "/home/me/own.yaml", "--work", "/home/me/runs/own"]; full paths, for the
    same argv in the same `work` is the same job. device: cpu or cuda:N. Raises ValueError for another.
    """
    queue = Queue()
    job, _ = queue.add(kind, argv, work, device, cwd=cwd, params=params)
    ensure_worker(queue.home, job.device)
    return job


def stop(queue: Queue, name: str, wait_s: float = STOP_WAIT_S) -> Job:
    """Ask it to stop; a worker sees to it."""
    job = queue.ask_stop(name, wait_s)
    if job.unfinished:
        ensure_worker(queue.home, job.device)
    return job


def resume(queue: Queue, name: str) -> Job:
    """Go on with what was stopped, failed or lost."""
    job = queue.again(name)
    ensure_worker(queue.home, job.device)
    return job


def look_after(queue: Queue) -> None:
    """Mark what was lost, and start workers that should be there: after a power loss or a kill nobody else does."""
    queue.find_lost()
    for device in {job.device for job in queue.jobs() if job.unfinished}:
        ensure_worker(queue.home, device)
