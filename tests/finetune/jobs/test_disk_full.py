"""A disk that is really full: under the work, and under the queue itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.jobs.queue import Queue
from sdx_finetune.jobs.submit import resume


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Three megabytes, mounted; skipped where that is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk wants root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_job_that_fills_its_disk_says_so_and_goes_on_when_there_is_room(bench: Any, small_disk: Path) -> None:
    bench.folder = small_disk
    job = bench.begin("work", 10, "--fault", "fill", pace=0)
    failed = bench.ended(job)
    assert (failed.state, failed.code) == ("failed", 74)
    assert failed.words.startswith(f"the disk is full ({job.work}): make room, then `sdx jobs resume")
    (Path(job.work) / "large").unlink()
    (Path(job.work) / "mended").touch()
    resume(bench.queue, job.id)
    assert bench.ended(job).state == "done"
    assert bench.made(job) == list(range(10))


def test_the_end_of_a_job_is_recorded_on_the_disk_that_it_filled(small_disk: Path, monkeypatch: pytest.MonkeyPatch, bench: Any) -> None:
    monkeypatch.setenv("SDX_JOBS", str(small_disk / "jobs"))
    bench.queue, bench.folder = Queue(), small_disk
    job = bench.begin("work", 10, "--fault", "fill", pace=0)
    assert bench.ended(job).state != "done" and bench.queue.job(job.id).words.startswith("the disk is full")
    (Path(job.work) / "large").unlink()
    (Path(job.work) / "mended").touch()
    bench.queue = Queue()
    resume(bench.queue, job.id)
    assert bench.ended(job).state == "done"
    bench.end_all()
