"""A queue in a folder of its own, and what one does with it; what a test left running is ended."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sdx_finetune.jobs.job import Job
from sdx_finetune.jobs.processes import alive, signal_group
from sdx_finetune.jobs.queue import Queue
from sdx_finetune.jobs.submit import submit
from sdx_finetune.jobs.worker import lock_path, locked
from sdx_finetune.journal import whole_lines

HERE = Path(__file__).parent


class Bench:
    """Jobs of child_job.py in a queue."""

    def __init__(self, queue: Queue, folder: Path) -> None:
        self.queue, self.folder = queue, folder

    def begin(self, name: str, steps: int, *more: str, device: str = "cpu", pace: float = 0.02) -> Job:
        work = self.folder / name
        return submit("bench", ["child_job", str(work), str(steps), "--pace", str(pace), *more], work, device)

    def made(self, job: Job) -> list[int]:
        return [entry["step"] for entry in whole_lines(Path(job.work) / "lines.jsonl")]

    def running(self, job: Job, lines: int = 2) -> Job:
        """Wait until it has made some."""
        self.until(lambda: len(self.made(job)) >= lines)
        return self.queue.job(job.id)

    def ended(self, job: Job, timeout_s: float = 60.0) -> Job:
        self.until(lambda: not self.queue.job(job.id).unfinished, timeout_s)
        return self.queue.job(job.id)

    @staticmethod
    def until(true: Callable[[], object], timeout_s: float = 30.0) -> None:
        """Wait for something; AssertionError when it does not come."""
        ends = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < ends, "it did not come"
            time.sleep(0.02)

    def worker_pid(self, device: str = "cpu") -> int:
        """Of the worker that holds the device; 0 when there is none."""
        free = locked(self.queue.home, device)
        if free is not None:
            free.close()
            return 0
        self.until(lambda: lock_path(self.queue.home, device).read_text())
        return int(lock_path(self.queue.home, device).read_text())

    def kill_worker(self, device: str = "cpu") -> None:
        if pid := self.worker_pid(device):
            os.kill(pid, signal.SIGKILL)
            self.until(lambda: self.worker_pid(device) == 0)

    def end_all(self) -> None:
        for device in ("cpu", "cuda:0", "cuda:1"):
            self.kill_worker(device)
        for job in self.queue.jobs():
            signal_group(job.pid, job.mark, signal.SIGKILL)
            if alive(job.witness, job.witness_mark):
                with suppress(ProcessLookupError):
                    os.kill(job.witness, signal.SIGKILL)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("SDX_JOBS", str(tmp_path / "jobs"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parent)]))
    return Queue()


@pytest.fixture
def bench(queue: Queue, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(queue, tmp_path)
    yield made
    made.end_all()
