"""The queue alone: steps, order, many writers, names. No worker runs here."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sdx_finetune.jobs.job import checked_device
from sdx_finetune.jobs.queue import Queue


def add(queue: Queue, name: str, device: str = "cpu", kind: str = "bench") -> str:
    return queue.add(kind, ["child_job", name], queue.home.parent / name, device)[0].id


def test_jobs_wait_for_those_on_their_device_and_in_their_folder(queue: Queue) -> None:
    first, second, other = add(queue, "a"), add(queue, "b"), add(queue, "c", "cuda:0")
    same_folder = queue.add("export", ["child_job", "export"], queue.home.parent / "a", "cuda:0")[0].id
    assert queue.in_the_way(queue.job(first)) == []
    assert queue.in_the_way(queue.job(second)) == [first]
    assert queue.in_the_way(queue.job(other)) == []
    assert queue.in_the_way(queue.job(same_folder)) == [first, other]
    assert [job.id if (job := queue.next(device)) else None for device in ("cpu", "cuda:0")] == [first, other]
    queue.ask_stop(other)
    assert queue.next("cuda:0") is None
    assert queue.in_the_way(queue.job(same_folder)) == [first]


def test_the_same_command_in_the_same_folder_is_the_same_job(queue: Queue) -> None:
    first, new = queue.add("bench", ["child_job", "x"], Path("/tmp/x"))
    again, new_again = queue.add("bench", ["child_job", "x"], Path("/tmp/x"))
    assert (new, new_again, again.id) == (True, False, first.id)
    assert queue.add("bench", ["child_job", "y"], Path("/tmp/x"))[0].id != first.id
    queue.ask_stop(first.id)
    later, queued_again = queue.add("bench", ["child_job", "x"], Path("/tmp/x"))
    assert (later.id, later.tries, later.state, queued_again) == (first.id, 2, "queued", True)
    assert [job.id for job in queue.jobs()][-1] == first.id, "it goes to the end of the line"


def test_a_stopped_job_waits_again_and_an_ended_one_is_not_stopped(queue: Queue) -> None:
    name = add(queue, "a")
    assert queue.ask_stop(name).state == "stopped"
    with pytest.raises(ValueError, match="is stopped already"):
        queue.ask_stop(name)
    assert queue.again(name).state == "queued"
    with pytest.raises(ValueError, match="is queued; only what was stopped"):
        queue.again(name)
    assert queue.end(queue.job(name), "done", "done", 0)
    with pytest.raises(ValueError, match="is done; only what was stopped"):
        queue.again(name)


def test_an_older_try_cannot_end_a_newer_one(queue: Queue) -> None:
    name = add(queue, "a")
    before = queue.job(name)
    queue.ask_stop(name)
    queue.again(name)
    assert not queue.end(before, "failed", "late word", 1)
    assert queue.job(name).state == "queued"


def test_a_job_is_begun_once(queue: Queue) -> None:
    name = add(queue, "a")
    assert queue.begin(name, (os.getpid(), "x"), (os.getpid(), "x"))
    assert not queue.begin(name, (1, "y"), (1, "y"))
    assert queue.job(name).pid == os.getpid()
    with pytest.raises(ValueError, match="is running; `sdx jobs stop"):
        queue.remove(name)


def test_names_are_found_by_their_end_and_a_wrong_one_says_what_there_is(queue: Queue) -> None:
    name = add(queue, "a")
    assert queue.job(name.split("-")[1]).id == name
    with pytest.raises(KeyError, match=f"no job 'zz' in .*there are: {name}"):
        queue.job("zz")
    with pytest.raises(KeyError, match="no job"):
        queue.job(name[-2:])
    with sqlite3.connect(queue.home / "queue.sqlite") as db:
        for kind in ("tune", "train"):
            db.execute("INSERT INTO jobs (id, kind, argv, work, cwd, device, state, turn, created) VALUES (?,?,'[]',?,'/','cpu','done',9,0)", (f"{kind}-0000", kind, kind))  # fmt: skip
    db.close()
    with pytest.raises(KeyError, match="may be .*-0000 or .*-0000: write the whole id"):
        queue.job("0000")


def test_keys_in_the_environment_are_for_the_owner_alone_and_go_with_the_job(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "secret")
    name = add(queue, "a")
    kept = queue.home / "started" / f"{name}.json"
    assert kept.stat().st_mode & 0o777 == 0o600 and queue.home.stat().st_mode & 0o777 == 0o700
    assert queue.setting(name)[1]["TEACHER_KEY"] == "secret"
    assert b"secret" not in (queue.home / "queue.sqlite").read_bytes()
    queue.ask_stop(name)
    assert not kept.exists()


def test_twenty_writers_at_once_lose_nothing(queue: Queue) -> None:
    code = (
        "import sys; from pathlib import Path; from sdx_finetune.jobs.queue import Queue\n"
        "for n in range(5): Queue().add('bench', ['child_job', sys.argv[1], str(n)], Path('/tmp/never'))\n"
        "print(Queue().add('bench', ['child_job', 'common'], Path('/tmp/never'))[1])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(n)], stdout=subprocess.PIPE, text=True) for n in range(20)]
    said = [writer.communicate()[0].strip() for writer in writers]
    assert sorted(said) == ["False"] * 19 + ["True"], "one of them put the common job in line"
    jobs = queue.jobs()
    assert len(jobs) == 101
    assert sorted(job.turn for job in jobs) == list(range(1, 102))


def test_a_first_use_by_many_at_once_makes_one_queue(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from sdx_finetune.jobs.queue import Queue; Queue(Path({str(tmp_path / 'fresh')!r}))"
    makers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(8)]
    assert [maker.wait() for maker in makers] == [0] * 8


def test_a_queue_of_a_newer_edition_is_left_alone(queue: Queue) -> None:
    with sqlite3.connect(queue.home / "queue.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ValueError, match="newer edition .schema 99"):
        Queue(queue.home)


def test_killed_writers_leave_a_whole_queue(queue: Queue) -> None:
    code = (
        "import itertools, sys; from pathlib import Path; from sdx_finetune.jobs.queue import Queue\n"
        "for n in itertools.count():\n"
        "    job, _ = Queue().add('bench', ['child_job', sys.argv[1], str(n)], Path('/tmp/never')); print(job.id, flush=True)"
    )
    told: list[str] = []
    for kill in range(6):
        with subprocess.Popen([sys.executable, "-c", code, str(kill)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            told += [writer.stdout.readline().strip() for _ in range(kill + 1)]
            writer.kill()
    there = {job.id for job in queue.jobs()}
    assert set(told) <= there, "what was said to be in line is in line"
    with sqlite3.connect(queue.home / "queue.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:0; rm -rf /", "CPU", ""])
def test_an_unknown_device_is_refused(queue: Queue, device: str) -> None:
    with pytest.raises(ValueError, match="write cpu, or cuda:0"):
        checked_device(device)
    with pytest.raises(ValueError, match="write cpu, or cuda:0"):
        queue.add("bench", ["child_job"], Path("/tmp/never"), device)
    assert queue.jobs() == []


def test_a_record_for_programs_holds_no_process_marks(queue: Queue) -> None:
    record = json.loads(json.dumps(queue.job(add(queue, "a")).as_json()))
    assert record["state"] == "queued" and "mark" not in record and record["argv"] == ["child_job", "a"]
