"""Ingest that is killed, raced, given broken files and a full disk."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import broken_files
import hashed_server
import pytest

from sdx_rag.catalogue import Catalogue
from sdx_rag.library import Library
from sdx_rag.lock import Busy
from sdx_rag.settings import RagSettings

chromadb = pytest.importorskip("chromadb")
_ADD = """
import sys
from pathlib import Path
from sdx_rag.library import Library
from sdx_rag.settings import RagSettings
import chromadb
with Library.open("ship", RagSettings.model_validate_json(sys.argv[1]), write=True) as library:
    print("begun", flush=True)
    report = library.add(Path(sys.argv[2]), lambda line: print(line, flush=True), float(sys.argv[3]))
    print("indexed", len(report.indexed), flush=True)
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with hashed_server.serving() as (_, url):
        yield url


def of(home: Path, url: str) -> RagSettings:
    return RagSettings.model_validate({"home": home, "embed": {"model": "hashed", "url": url}})


def adding(settings: RagSettings, folder: Path, wait_s: float = 30) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _ADD, settings.model_dump_json(), str(folder), str(wait_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def manuals(folder: Path, count: int, version: int = 0) -> None:
    """Each of five passages that name the file and the version, so that a mixture of versions shows."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        parts = [f"# Part {part}\n\nManual m{number:04} v{version} part {part} tells of the pump.\n\n" for part in range(5)]
        (folder / f"m{number:04}.md").write_text("".join(parts))


def whole(library: Library) -> int:
    """Every document that is listed has all passages of one version, on both sides; nothing else is found. How many are listed."""
    listed = library.documents()
    for one in random.Random(0).sample(listed, min(12, len(listed))):
        for side in ("lexical", "dense"):
            texts = [found.text for found in library.search("manual pump part", count=50, documents=[one.name], side=side)]
            assert len(texts) == 5 and len({text.split()[2] for text in texts}) == 1, (one.name, side, texts)
    assert all(one.chunks == 5 for one in listed)
    everything = library.search("pump", count=20_000, side="lexical")
    assert len(everything) == 5 * len(listed)
    return len(listed)


def killed_somewhere(tmp_path: Path, url: str, kills: int, count: int, seed: int = 11) -> None:
    chance = random.Random(seed)
    folder, settings = tmp_path / "docs", of(tmp_path / "home", url)
    manuals(folder, count)
    whole_run = adding(of(tmp_path / "other", url), folder)
    assert whole_run.stdout and whole_run.stdout.readline() == "begun\n"
    began = time.monotonic()
    whole_run.communicate(timeout=120)
    span = time.monotonic() - began
    for kill in range(kills):
        if kill and kill % 3 == 0:
            manuals(folder, count, kill)
        process = adding(settings, folder)
        assert process.stdout and process.stdout.readline() == "begun\n"
        time.sleep(chance.uniform(0.0, span))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with Library.open("ship", settings) as library:
            whole(library)
    with Library.open("ship", settings, write=True) as library:
        library.add(folder)
        assert whole(library) == count
        catalogue = Catalogue(library.folder / "catalogue.sqlite")
        assert catalogue.unsettled() == [] and catalogue.lacking(["en"]) == 0
        live = catalogue.live_ids()
        catalogue.close()
    client = chromadb.PersistentClient(str(settings.folder("ship") / "chroma"))
    (collection,) = client.list_collections()
    assert {int(id) for id in collection.get(include=[])["ids"]} == live
    client.close()


def test_kill_9_leaves_each_document_whole_and_the_next_run_goes_on(tmp_path: Path, url: str) -> None:
    killed_somewhere(tmp_path, url, kills=2, count=150)


@pytest.mark.slow
def test_kill_9_at_ten_moments(tmp_path: Path, url: str) -> None:
    killed_somewhere(tmp_path, url, kills=10, count=600, seed=5)


def test_the_second_writer_waits_and_says_for_whom(tmp_path: Path, url: str) -> None:
    from sdx_rag.lock import held

    settings = of(tmp_path / "home", url)
    manuals(tmp_path / "docs", 3)
    with Library.open("ship", settings, write=True) as library:
        with held(library.folder / "lock", 0):
            waiting = adding(settings, tmp_path / "docs", 60)
            assert waiting.stdout and waiting.stdout.readline() == "begun\n"
            assert f"waiting for process {os.getpid()} since" in waiting.stdout.readline()
            told = adding(settings, tmp_path / "docs", 0.2)
            _, error = told.communicate(timeout=60)
            assert told.returncode == 1 and f"is being written by process {os.getpid()} since" in error
            with pytest.raises(Busy):
                library.sync(wait_s=0)
        out, error = waiting.communicate(timeout=60)
        assert "indexed 3" in out, error
        assert whole(library) == 3
        manuals(tmp_path / "docs", 4, 1)
        library.sync()
        assert whole(library) == 4


def test_two_writers_at_once_both_end_well(tmp_path: Path, url: str) -> None:
    settings = of(tmp_path / "home", url)
    for name in ("a", "b"):
        manuals(tmp_path / name, 40)
        for path in (tmp_path / name).iterdir():
            path.rename(path.with_name(f"{name}-{path.name}"))
    runs = [adding(settings, tmp_path / name, 60) for name in ("a", "b")]
    for run in runs:
        out, error = run.communicate(timeout=120)
        assert "indexed 40" in out, error
    with Library.open("ship", settings) as library:
        assert whole(library) == 80


def test_broken_files_are_named_and_the_others_indexed(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    expected = broken_files.write_broken(folder)
    good = 200
    broken_files.write_good(folder, good)
    assert len(expected) >= 20
    with Library.open("ship", of(tmp_path / "home", url), write=True) as library:
        report = library.add(folder)
        assert len(report.indexed) == good
        reasons = dict(report.failed)
        assert set(reasons) == set(expected)
        assert not [(name, reasons[name]) for name, part in expected.items() if part not in reasons[name]]
        again = library.sync()
        assert (again.indexed, len(again.unchanged), dict(again.failed)) == ((), good, reasons)
        assert [failure.name for failure in library.failures()] == sorted(expected)


def test_a_broken_file_is_tried_again_when_it_changes(tmp_path: Path, url: str) -> None:
    path = tmp_path / "docs/plan.txt"
    path.parent.mkdir()
    path.write_bytes(b"")
    with Library.open("ship", of(tmp_path / "home", url), write=True) as library:
        assert library.add(path.parent).failed[0][0] == "plan.txt"
        path.write_text("The plan is to sail.")
        assert library.sync().indexed == ("plan.txt",) and library.failures() == []
        path.write_bytes(b"")
        report = library.sync()
        assert report.failed and library.documents() == [] and library.search("plan") == []
        path.unlink()
        library.sync()
        assert library.failures() == []


def test_a_change_within_the_clock_s_grain_is_seen(tmp_path: Path, url: str) -> None:
    path = tmp_path / "docs/a.txt"
    path.parent.mkdir()
    path.write_text("pump 1")
    with Library.open("ship", of(tmp_path / "home", url), write=True) as library:
        library.add(path)
        about = path.stat()
        path.write_text("pump 2")
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
        assert library.sync().indexed == ("a.txt",)


def test_progress_tells_files_rate_and_time_left(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdx_rag.ingest._TELL_S", 0.0)
    manuals(tmp_path / "docs", 3)
    said: list[str] = []
    with Library.open("ship", of(tmp_path / "home", url), write=True) as library:
        library.add(tmp_path / "docs", said.append)
    assert said[-1].startswith("3 of 3 files, 15 passages, ") and said[-1].endswith("/s, about 0 s left")


def test_no_room_on_the_disk_is_told_and_what_was_there_stays(tmp_path: Path, url: str) -> None:
    settings = of(tmp_path / "home", url)
    manuals(tmp_path / "docs", 3)
    with Library.open("ship", settings, write=True) as library:
        library.add(tmp_path / "docs")
    manuals(tmp_path / "docs", 300, 1)
    most = max(path.stat().st_size for path in (tmp_path / "home").rglob("*") if path.is_file())
    command = [sys.executable, "-c", _ADD, settings.model_dump_json(), str(tmp_path / "docs"), "5"]
    full = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )  # fmt: skip
    assert full.returncode == 1 and "Error: " in full.stderr.splitlines()[-1], full.stderr
    with Library.open("ship", settings, write=True) as library:
        whole(library)
        library.sync()
        assert whole(library) == 300


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="this folder cannot be written or does not exist: '.*nowhere'"):
        Catalogue(tmp_path / "nowhere/catalogue.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, url: str) -> None:
    (tmp_path / "home/rag/ship").mkdir(parents=True)
    (tmp_path / "home/rag/ship").chmod(0o555)
    with pytest.raises(PermissionError, match="this folder cannot be written"):
        Library.open("ship", of(tmp_path / "home", url))
