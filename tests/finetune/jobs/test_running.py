"""Jobs as real processes: run, stop, go on, and be killed at any moment."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.jobs.processes import alive
from sdx_finetune.jobs.submit import look_after, resume, stop
from sdx_finetune.jobs.view import line, progress, view


def test_a_job_runs_alone_in_its_folder_and_tells_how_far_it_is(bench: Any) -> None:
    job = bench.begin("work", 40)
    running = bench.running(job, 3)
    facts = progress(running)
    assert facts["step"] >= 1 and "tokens/s, 1 s left" in line(running, facts)
    assert alive(running.pid, running.mark) and running.pid != os.getpid()
    assert os.getsid(running.pid) == running.pid, "it has no terminal of ours"
    done = bench.ended(job)
    assert (done.state, done.code, done.words) == ("done", 0, "done")
    assert bench.made(job) == list(range(40))
    log = bench.queue.log(job.id).read_text()
    assert f"try 1: python -m child_job {job.work} 40" in log and "made all" in log
    assert list((bench.queue.home / "started").iterdir()) == []


def test_one_job_per_device_in_order_and_two_devices_at_once(bench: Any) -> None:
    jobs = [bench.begin(name, 10) for name in "abc"]
    other = bench.begin("d", 10, device="cuda:0")
    spans = [(done.started, done.ended) for done in map(bench.ended, jobs)]
    assert spans == sorted(spans)
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans)), spans
    beside = bench.ended(other)
    assert beside.started < spans[2][0], "another device does not wait"


@pytest.mark.parametrize(("device", "seen"), [("cpu", "''"), ("cuda:1", "'1'")])
def test_a_job_sees_its_own_device_alone(bench: Any, device: str, seen: str) -> None:
    job = bench.begin("work", 1, device=device)
    bench.ended(job)
    assert f"on devices {seen}" in bench.queue.log(job.id).read_text()


def test_a_stop_leaves_a_checkpoint_and_resume_goes_on_from_it(bench: Any) -> None:
    job = bench.begin("work", 60)
    bench.running(job, 5)
    stop(bench.queue, job.id)
    stopped = bench.ended(job)
    assert (stopped.state, stopped.code) == ("stopped", 130)
    assert f"`sdx jobs resume {job.id}` goes on" in stopped.words
    assert (Path(job.work) / "checkpoint.json").exists()
    there = len(bench.made(job))
    assert 5 <= there < 60
    resume(bench.queue, job.id)
    done = bench.ended(job)
    assert (done.state, done.tries) == ("done", 2)
    assert bench.made(job) == list(range(60))
    assert f"begins at {there}" in bench.queue.log(job.id).read_text()


def test_a_stop_that_is_not_heard_becomes_one_by_force(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sdx_finetune.jobs import worker

    job = bench.begin("work", 5000, "--fault", "deaf")
    running = bench.running(job)
    bench.kill_worker()
    monkeypatch.setattr(worker, "TERM_S", 0.5)
    bench.queue.ask_stop(job.id, wait_s=0.5)
    signals = []
    while alive(running.pid, running.mark):  # the worker's own step, in this process, so that it need not wait ten seconds
        worker._stop_in_order(bench.queue, bench.queue.job(job.id))
        signals.append(bench.queue.job(job.id).signals)
        time.sleep(0.05)
    assert sorted(set(signals)) == [1, 2, 3]
    stopped = bench.ended(job)
    assert stopped.state == "stopped" and "by force" in stopped.words and stopped.code == -9


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("disk", 74, "the disk is full"),
        ("memory", 77, "memory ran out: take less (`sdx finetune check RECIPE`"),
        ("input", 2, "wrong input: train.max_steps: must be at least 1"),
        ("kernel", -9, "most often by the system because memory ran out"),
    ],
)
def test_an_end_is_told_in_words_and_the_job_goes_on_when_it_is_mended(bench: Any, fault: str, code: int, words: str) -> None:
    job = bench.begin("work", 6, "--fault", fault, pace=0)
    failed = bench.ended(job)
    assert (failed.state, failed.code) == ("failed", code)
    assert words in failed.words and f"sdx jobs resume {job.id}" in failed.words
    (Path(job.work) / "mended").touch()
    resume(bench.queue, job.id)
    assert bench.ended(job).state == "done"
    assert bench.made(job) == list(range(6))


def test_a_command_that_cannot_begin_has_failed_and_the_next_one_runs(bench: Any, tmp_path: Path) -> None:
    from sdx_finetune.jobs.submit import submit

    missing = submit("bench", ["no_such_module"], tmp_path / "a")
    nowhere = submit("bench", ["child_job", str(tmp_path / "b"), "2"], tmp_path / "b", cwd=tmp_path / "gone")
    job = bench.begin("c", 3)
    assert bench.ended(job).state == "done"
    assert "No module named no_such_module" in bench.queue.log(missing.id).read_text()
    assert (bench.queue.job(missing.id).state, bench.queue.job(missing.id).code) == ("failed", 1)
    assert bench.queue.job(nowhere.id).state == "failed" and "could not be started" in bench.queue.job(nowhere.id).words


def test_the_next_worker_watches_a_job_whose_worker_was_killed(bench: Any) -> None:
    job, after = bench.begin("work", 60), bench.begin("after", 2)
    before = bench.running(job)
    first = bench.worker_pid()
    bench.kill_worker()
    look_after(bench.queue)
    assert bench.worker_pid() not in (0, first)
    assert bench.queue.job(job.id).pid == before.pid and alive(before.pid, before.mark), "the command was not touched"
    done = bench.ended(job)
    assert (done.state, done.tries, done.code) == ("done", 1, 0)
    assert bench.made(job) == list(range(60))
    assert bench.ended(after).started >= done.ended


def test_a_job_of_a_killed_worker_is_stopped_by_the_next(bench: Any) -> None:
    job = bench.begin("work", 2000)
    bench.running(job)
    bench.kill_worker()
    stop(bench.queue, job.id)
    assert bench.ended(job).state == "stopped"


def test_a_job_whose_witness_was_killed_too_stays_in_sight_and_is_lost_at_its_end(bench: Any) -> None:
    job = bench.begin("work", 40)
    running = bench.running(job)
    os.kill(running.witness, signal.SIGKILL)
    bench.kill_worker()
    look_after(bench.queue)
    assert bench.queue.job(job.id).state == "running"
    lost = bench.ended(job)
    assert (lost.state, lost.code) == ("lost", None)
    assert bench.made(job) == list(range(40)), "it went on alone to its end"
    resume(bench.queue, job.id)
    assert bench.ended(job).state == "done"


def test_after_a_power_loss_running_jobs_are_lost_and_waiting_ones_run(bench: Any) -> None:
    job, waiting = bench.begin("work", 60), bench.begin("waiting", 3)
    running = bench.running(job)
    bench.kill_worker()
    os.kill(running.witness, signal.SIGKILL)
    os.killpg(running.pid, signal.SIGKILL)
    bench.until(lambda: not alive(running.pid, running.mark))
    look_after(bench.queue)
    lost = bench.ended(job)
    assert lost.state == "lost" and "power loss" in lost.words
    assert bench.ended(waiting).state == "done"
    resume(bench.queue, job.id)
    assert bench.ended(job).state == "done"
    assert bench.made(job) == list(range(60))


def test_another_process_with_the_id_of_a_lost_one_is_not_taken_for_it(bench: Any) -> None:
    name = bench.queue.add("bench", ["child_job"], bench.folder / "x")[0].id
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as stranger:
        bench.queue.begin(name, (stranger.pid, "boot:1"), (stranger.pid, "boot:1"))
        bench.queue.ask_stop(name)
        look_after(bench.queue)
        assert bench.queue.job(name).state == "stopped"
        assert stranger.poll() is None, "a stranger was signalled"
        stranger.kill()


def test_ten_kills_at_random_moments_lose_nothing(bench: Any) -> None:
    draw = random.Random(3)
    job = bench.begin("work", 400, pace=0.01)
    for _ in range(10):
        now = bench.running(job, 0)
        time.sleep(draw.uniform(0.0, 0.5))
        now = bench.queue.job(job.id)
        which = draw.choice(["worker", "witness", "command"])
        if which == "worker":
            bench.kill_worker()
        elif now.pid and now.state == "running":
            os.kill(now.witness if which == "witness" else now.pid, signal.SIGKILL) if alive(now.pid, now.mark) else None
        look_after(bench.queue)
        if not bench.queue.job(job.id).unfinished and bench.queue.job(job.id).state != "done":
            resume(bench.queue, job.id)
    while bench.ended(job).state != "done":
        resume(bench.queue, job.id)
    assert bench.made(job) == list(range(400))


def test_two_submitters_at_once_get_the_same_job_and_it_runs_once(bench: Any, tmp_path: Path) -> None:
    work = str(tmp_path / "work")
    code = f"from pathlib import Path; from sdx_finetune.jobs.submit import submit; print(submit('bench', ['child_job', {work!r}, '20'], Path({work!r})).id)"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    names = {each.communicate()[0].strip() for each in both}
    assert len(names) == 1
    job = bench.queue.job(names.pop())
    assert bench.ended(job).state == "done"
    assert bench.made(job) == list(range(20))
    assert bench.queue.log(job.id).read_text().count("begins at") == 1


def test_a_worker_ends_when_idle_and_another_comes_for_the_next_job(bench: Any, tmp_path: Path) -> None:
    from sdx_finetune.jobs.worker import work

    job = bench.queue.add("bench", ["child_job", str(tmp_path / "w"), "3"], tmp_path / "w")[0]
    began = time.monotonic()
    work(bench.queue, "cpu", idle_s=0.5)
    assert bench.queue.job(job.id).state == "done" and time.monotonic() - began < 20
    assert bench.worker_pid() == 0
    assert bench.ended(bench.begin("after", 2)).state == "done"


def test_what_a_command_leaves_behind_is_ended_with_it(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "leaver.py").write_text(
        "import subprocess, sys, pathlib\n"
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(left.pid))\n"
    )
    from sdx_finetune.jobs.processes import mark
    from sdx_finetune.jobs.submit import submit

    os.environ["PYTHONPATH"] += os.pathsep + str(tmp_path)
    job = submit("bench", ["leaver", str(tmp_path / "pid")], tmp_path / "work")
    assert bench.ended(job).state == "done"
    assert mark(int((tmp_path / "pid").read_text())) == ""


def test_progress_of_an_earlier_try_is_not_shown(bench: Any) -> None:
    job = bench.begin("work", 5, pace=0)
    bench.ended(job)
    before = Path(job.work) / "progress.json"
    os.utime(before, (1, 1))
    assert progress(bench.queue.job(job.id)) == {}
    assert view(bench.queue, bench.queue.job(job.id), curve=True)["curve"] == []
