"""One worker per device: takes the next job, watches it, stops it in order, ends when there is nothing to do.

python -m sdx_finetune.jobs.worker HOME DEVICE      returns at once; the worker goes on in the background, without a terminal

The job's command is not the worker's child but the witness's, so a worker may be killed: the next one finds the job by process id
and start, and watches on.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from sdx_finetune.jobs import job as states
from sdx_finetune.jobs.job import Job, checked_device
from sdx_finetune.jobs.processes import signal_group
from sdx_finetune.jobs.queue import Queue

IDLE_S = 10.0
POLL_S = 0.2
TERM_S = 10.0
"""From SIGTERM to SIGKILL."""


def lock_path(home: Path, device: str) -> Path:
    return home / f"worker-{device.replace(':', '-')}.lock"


def locked(home: Path, device: str) -> IO[str] | None:
    """The device's lock, held as long as the file is open; None when a worker has it."""
    file = lock_path(home, device).open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def ensure_worker(home: Path, device: str) -> None:
    """Start a worker unless one is there. It outlives this process and its terminal."""
    lock = locked(home, device)
    if lock is None:
        return
    lock.close()
    with (home / f"worker-{device.replace(':', '-')}.log").open("ab") as log:
        subprocess.run(
            [sys.executable, "-P", "-m", "sdx_finetune.jobs.worker", str(home), device],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True, check=True,
        )  # fmt: skip


def work(queue: Queue, device: str, idle_s: float = IDLE_S) -> None:
    """Until nothing was to be done for `idle_s`."""
    since = time.monotonic()
    while time.monotonic() - since < idle_s:
        queue.find_lost()
        at_work = queue.on(device, states.RUNNING, states.STOPPING)
        for job in at_work:
            _stop_in_order(queue, job)
        if not at_work and (job := queue.next(device)):
            _start(queue, job)
            since = time.monotonic()
        elif at_work:
            since = time.monotonic()
        time.sleep(POLL_S)


def _start(queue: Queue, job: Job) -> None:
    """Hand it to a witness, and wait until it runs or has ended."""
    with queue.log(job.id).open("ab") as log:
        witness = subprocess.Popen(
            [sys.executable, "-P", "-m", "sdx_finetune.jobs.witness", str(queue.home), job.id],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
        )  # fmt: skip
    _WITNESSES[:] = [other for other in _WITNESSES if other.poll() is None]
    _WITNESSES.append(witness)
    while witness.poll() is None and _state(queue, job) == states.WAITING:
        time.sleep(0.02)
    if witness.poll() and _state(queue, job) == states.WAITING:
        queue.end(job, states.FAILED, f"it could not be started; `sdx jobs logs {job.id}` shows why", None)


_WITNESSES: list[subprocess.Popen[bytes]] = []
"""Kept until they end: a child that nobody waits for stays a zombie."""


def _state(queue: Queue, job: Job) -> str:
    try:
        return queue.job(job.id).state
    except KeyError:
        return ""


def _stop_in_order(queue: Queue, job: Job) -> None:
    """SIGINT when it is asked for, SIGTERM after the time for a checkpoint, then SIGKILL; each once."""
    if job.state != states.STOPPING or job.stop_asked is None:
        return
    elapsed = time.time() - job.stop_asked
    steps = ((signal.SIGINT, 0.0), (signal.SIGTERM, job.stop_wait_s), (signal.SIGKILL, job.stop_wait_s + TERM_S))
    due = sum(elapsed >= after for _, after in steps)
    if due > job.signals:
        queue.signalled(job, due)
        signal_group(job.pid, job.mark, steps[due - 1][0])


def main(argv: list[str]) -> int:
    home, device = Path(argv[0]), checked_device(argv[1])
    queue = Queue(home)
    lock = locked(home, device)
    if lock is None or os.fork():
        return 0
    while lock is not None:
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        work(queue, device)
        lock.close()
        # Whoever added a job before the lock was free counted on this worker.
        lock = locked(home, device) if queue.on(device, *states.UNFINISHED) else None
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
