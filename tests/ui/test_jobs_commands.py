"""sdx jobs and sdx finetune run in real processes: listing, following, leaving, stopping, removing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdx_finetune.jobs.job import Job
from sdx_finetune.jobs.processes import signal_group
from sdx_finetune.jobs.queue import Queue
from sdx_finetune.jobs.submit import submit
from sdx_ui import cli

SLOW = """
import pathlib, sys, time
from sdx_finetune.progress import tell
for step in range(int(sys.argv[2])):
    print("step", step)
    tell(pathlib.Path(sys.argv[1]), "train", step / int(sys.argv[2]), step=step, loss=0.5, tokens_per_s=10.0, left_s=3.0)
    time.sleep(0.05)
print("error: the teacher is gone" if len(sys.argv) > 3 else "made all")
sys.exit(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
"""


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setenv("SDX_JOBS", str(tmp_path / "jobs"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "slow_job.py").write_text(SLOW)
    made = Queue()
    yield made
    for job in made.jobs():
        if job.unfinished:
            made.ask_stop(job.id)
            signal_group(job.pid, job.mark, signal.SIGKILL)


def begin(queue: Queue, name: str, steps: int, *more: str, kind: str = "train") -> Job:
    work = queue.home.parent / name
    return submit(kind, ["slow_job", str(work), str(steps), *more], work)


def until_running(queue: Queue, job: Job) -> Job:
    ends = time.monotonic() + 30.0
    while not (Path(job.work) / "progress.json").exists():
        assert time.monotonic() < ends, queue.job(job.id)
        time.sleep(0.02)
    return queue.job(job.id)


def sdx(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "sdx_ui.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_list_shows_progress_and_who_waits(queue: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = begin(queue, "a", 400), begin(queue, "b", 1, kind="compress")
    until_running(queue, first)
    assert cli.main(["jobs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [job["id"] for job in listed] == [first.id, second.id]
    assert listed[0]["progress"]["stage"] == "train" and listed[1]["waits_for"] == [first.id]
    assert cli.main(["jobs"]) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert first.id in table and f"waits for {first.id}" in table and "tokens/s" in table
    assert cli.main(["finetune", "list", "--json"]) == 0
    assert [job["id"] for job in json.loads(capsys.readouterr().out)] == [first.id], "compressing is no fine-tuning"
    assert cli.main(["jobs", "list", "--kind", "compress", "--json"]) == 0
    assert [job["id"] for job in json.loads(capsys.readouterr().out)] == [second.id]
    assert cli.main(["finetune", "status", second.id]) == 1
    assert "is no fine-tuning work" in capsys.readouterr().err
    assert cli.main(["finetune", "status", first.id.split("-")[1]]) == 0
    assert "loss 0.5000, 10 tokens/s, 3 s left" in capsys.readouterr().out


def test_a_job_is_followed_to_its_end_with_its_exit_code(queue: Queue) -> None:
    job = begin(queue, "a", 10, "3")
    with sdx("jobs", "logs", job.id, "-f") as following:
        out = following.communicate(timeout=60)[0]
    assert following.returncode == 3
    assert "step 0\n" in out and "step 9\n" in out
    assert f"{job.id}: failed with exit code 3: the teacher is gone; `sdx jobs logs {job.id}` shows all" in out


def test_ctrl_c_leaves_a_followed_job_running_and_says_how_to_stop_it(queue: Queue) -> None:
    job = begin(queue, "a", 400)
    with sdx("jobs", "logs", job.id, "-f") as following:
        until_running(queue, job)
        time.sleep(1.5)
        following.send_signal(signal.SIGINT)
        out = following.communicate(timeout=60)[0]
    assert following.returncode == 130
    assert f"{job.id} goes on without this terminal" in out and f"sdx jobs stop {job.id}" in out
    assert queue.job(job.id).state == "running"


def test_a_job_goes_on_when_its_terminal_is_gone(queue: Queue) -> None:
    code = (
        "import sys, pathlib; from sdx_ui.commands.detach import follow, joined\n"
        f"follow(*joined('train', ['slow_job', {str(queue.home.parent / 'a')!r}, '60'], pathlib.Path({str(queue.home.parent / 'a')!r}), 'cpu'))"
    )
    master, slave = os.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as terminal:
        os.close(slave)
        ends = time.monotonic() + 30
        while not queue.jobs() and time.monotonic() < ends:
            time.sleep(0.05)
        job = until_running(queue, queue.jobs()[0])
        os.close(master)
        os.killpg(terminal.pid, signal.SIGKILL)
    while (job := queue.job(job.id)).unfinished and time.monotonic() < ends:
        time.sleep(0.05)
    assert (job.state, job.tries) == ("done", 1)


def test_the_same_recipe_joins_the_job_that_runs_already(queue: Queue, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text("name: x\n")
    running = begin(queue, "a", 400)
    words = ["finetune", "run", str(recipe), "--work", str(tmp_path / "w"), "--device", "cpu", "--detach", "--json"]
    assert cli.main(words) == 0
    first = json.loads(capsys.readouterr().out)
    with sdx(*words[:-2]) as second:  # follows, while the job waits
        time.sleep(2.0)
        second.send_signal(signal.SIGINT)
        out = second.communicate(timeout=60)[0]
    assert f"{first['id']} is queued already; following it" in out
    assert [job.id for job in queue.jobs()] == [running.id, first["id"]]
    assert cli.main([*words[:-2], "--here"]) == 1
    assert f"{first['id']} is queued in {tmp_path / 'w'}" in capsys.readouterr().err
    assert cli.main(["jobs", "stop", running.id]) == 0
    while queue.job(first["id"]).unfinished:
        time.sleep(0.05)
    failed = queue.job(first["id"])
    assert (failed.state, failed.code) == ("failed", 2) and "wrong input:" in failed.words and "data" in failed.words


def test_stop_resume_and_rm_say_what_they_did(queue: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    job, waiting = begin(queue, "a", 4000), begin(queue, "b", 4000)
    until_running(queue, job)
    assert cli.main(["jobs", "stop", waiting.id]) == 0
    assert "taken out of the queue before it began" in capsys.readouterr().out
    assert cli.main(["jobs", "rm", job.id]) == 1
    assert f"is running; `sdx jobs stop {job.id}` first" in capsys.readouterr().err
    assert cli.main(["jobs", "stop", job.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "stopped"
    assert cli.main(["jobs", "resume", job.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tries"] == 2
    assert cli.main(["jobs", "stop", job.id]) == 0
    assert cli.main(["jobs", "rm", job.id]) == 0
    assert Path(job.work).exists() and not queue.log(job.id).exists()
    assert cli.main(["jobs", "status", job.id]) == 1
    assert "no job" in capsys.readouterr().err


def test_files_are_removed_only_when_asked_for_and_only_a_jobs_own(
    queue: Queue, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, above = begin(queue, "a", 1), begin(queue, "a/b", 1)
    for each in (job, above):
        while queue.job(each.id).unfinished:
            time.sleep(0.05)
    assert cli.main(["jobs", "rm", job.id, "--files", "--yes"]) == 1
    assert f"{above.id} worked in" in capsys.readouterr().err
    queue.remove(above.id)
    monkeypatch.chdir(job.work)
    assert cli.main(["jobs", "rm", job.id, "--files", "--yes"]) == 1
    assert "more than a job's folder" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    with sdx("jobs", "rm", job.id, "--files") as asking:  # standard input is empty: nobody says yes
        asking.communicate(timeout=30)
    assert asking.returncode != 0 and Path(job.work).exists()
    assert cli.main(["jobs", "rm", job.id, "--files", "--yes"]) == 0
    assert not Path(job.work).exists()


def test_listing_loads_nothing_heavy(queue: Queue) -> None:
    code = "import sys; from sdx_ui.cli import main; main(['jobs', 'list']); print([m for m in sys.modules if m in "
    code += "('numpy','torch','fastapi','transformers','yaml')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
