"""sdx rag at the command line: as a user types it, with good files and broken ones."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sdx_ui.cli import main

pytest.importorskip("tantivy")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`sdx rag ...` on a library of its own, searched by words: exit code, standard output, standard error."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "rag.yaml").write_text("embed: {model: none}\n", encoding="utf-8")
    monkeypatch.setenv("SDX_RAG", str(home))

    def run(command: str, *words: str, domain: str = "own") -> tuple[int, str, str]:
        code = main(["rag", command, *words, "--domain", domain])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "orders.md").write_text(
        "# Standing orders\n\n4.1 The officer calls the master when the CPA is under 1.2 NM.\n", encoding="utf-8"
    )
    (folder / "당직.txt").write_text("제1조 당직 항해사는 시정이 3해리 아래이면 선장을 부른다.\n", encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"no PDF")
    return folder


def test_documents_are_added_listed_found_and_removed(run: Run, folder: Path) -> None:
    code, out, _ = run("add", str(folder))
    assert code == 0 and "2 indexed, 1 could not be read" in out and "broken.pdf: " in out
    code, out, _ = run("list")
    assert code == 0 and "orders.md  'Standing orders', 1 passages" in out and "NOT READ  broken.pdf: " in out
    code, out, _ = run("search", "when to call the master", "--scores")
    assert code == 0 and out.startswith("Standing orders, 4.1  (orders.md") and "BM25" in out
    code, out, _ = run("search", "선장을 부르는 시정", "--language", "ko")
    assert code == 0 and "3해리" in out and "NM" not in out
    assert run("rm", "orders.md")[0] == 0
    assert (folder / "orders.md").exists(), "the file stays"
    code, out, _ = run("search", "CPA")
    assert code == 1 and "nothing fits" in out


def test_everything_as_json(run: Run, folder: Path) -> None:
    report = json.loads(run("add", str(folder), "--json")[1])
    assert sorted(report["indexed"]) == ["orders.md", "당직.txt"] and report["failed"][0][0] == "broken.pdf"
    listed = json.loads(run("list", "--json")[1])
    assert [one["name"] for one in listed["documents"]] == ["orders.md", "당직.txt"] and listed["sources"][0]["path"] == str(folder)
    found = json.loads(run("search", "master", "--json")[1])
    assert found[0]["citation"] == "Standing orders, 4.1"
    asked = json.loads(run("ask", "When does the officer call the master?", "--json")[1])
    assert asked["in_documents"] and "1.2 NM" in asked["sentences"][0]["text"]


def test_strict_makes_a_broken_file_a_failure(run: Run, folder: Path) -> None:
    assert run("add", str(folder), "--strict")[0] == 1
    (folder / "broken.pdf").unlink()
    assert run("sync", "--strict")[0] == 0


def test_a_path_that_is_not_there_is_told_and_nothing_is_indexed(run: Run, folder: Path, tmp_path: Path) -> None:
    code, _, err = run("add", str(folder), str(tmp_path / "none.md"))
    assert code == 1 and "none.md" in err and "nothing was indexed" in err
    assert "no documents of your own" in run("list")[1]


def test_what_is_not_in_the_documents_is_said_with_the_nearest_passages(run: Run, folder: Path) -> None:
    run("add", str(folder))
    code, out, _ = run("ask", "What does the galley serve on Sundays?")
    assert code == 1 and out.startswith("This is not in the documents.")


def test_an_answer_names_whose_document_it_is(run: Run, folder: Path) -> None:
    run("add", str(folder))
    code, out, _ = run("ask", "When does the officer call the master?")
    assert code == 0 and "[Standing orders, 4.1] (a document, not a rule)" in " ".join(out.split())


def test_sync_follows_the_folder(run: Run, folder: Path) -> None:
    run("add", str(folder))
    assert "2 unchanged" in run("sync")[1]
    (folder / "orders.md").unlink()
    (folder / "new.csv").write_text("buoy,light\nA1,green flashing\n", encoding="utf-8")
    out = run("sync")[1]
    assert "1 indexed" in out and "1 removed" in out
    assert run("search", "green flashing buoy")[0] == 0 and run("search", "CPA")[0] == 1


def test_unknown_names_and_wrong_libraries_are_told(run: Run) -> None:
    code, _, err = run("rm", "nothing.md")
    assert code == 1 and "nothing.md" in err
    code, _, err = run("list", domain="../x")
    assert code == 1 and "'../x'" in err


def test_the_shipped_rules_answer_without_a_document_of_ones_own(run: Run) -> None:
    code, out, err = run("ask", "Who gives way when two power-driven vessels cross?", domain="ship")
    assert code == 0 and "R15" in out and "indexing the shipped knowledge of ship" in err
    code, out, err = run("search", "횡단하는 상태의 피항선", domain="ship")
    assert code == 0 and "R15" in out and "indexing" not in err, "indexed once"
    assert "no documents of your own" in run("list", domain="ship")[1]
    assert "builtin/colreg.yaml" in run("list", "--all", domain="ship")[1]
    code, out, _ = run("reindex", domain="ship")
    assert code == 0 and "passages indexed" in out


def test_own_questions_measure_the_own_library(run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", str(folder))
    questions = [
        {
            "id": "1",
            "domain": "own",
            "language": "en",
            "question": "When is the master called?",
            "answers": ["1.2 NM"],
            "addresses": ["4.1"],
        },
        {"id": "2", "domain": "own", "language": "en", "question": "Which wine goes with fish?", "answerable": False, "kind": "elsewhere"},
    ]
    gold = tmp_path / "gold.jsonl"
    gold.write_text("\n".join(map(json.dumps, questions)), encoding="utf-8")
    assert main(["rag", "eval", "--gold", str(gold), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["questions"] == 2 and {row["side"] for row in told["retrieval"]} == {"lexical"}
    assert main(["rag", "eval", "--gold", str(gold), "--missed"]) == 0
    assert "| side | domain |" in capsys.readouterr().out


def test_the_gold_questions_are_not_learnt_from(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    from sdx_rag.gold import shipped

    assert main(["rag", "eval", "--fit", str(shipped()[0])]) == 1
    assert "is of the gold set" in capsys.readouterr().err


def test_a_watching_sync_sees_a_new_file(folder: Path, tmp_path: Path, run: Run) -> None:
    run("add", str(folder))
    with (tmp_path / "out").open("w") as out:
        watching = subprocess.Popen(
            [sys.executable, "-m", "sdx_ui.cli", "rag", "sync", "--watch", "--domain", "own"], stdout=out, env=os.environ
        )
    try:
        ends, number = time.monotonic() + 60.0, 0
        while "indexed" not in (tmp_path / "out").read_text(encoding="utf-8"):
            assert watching.poll() is None and time.monotonic() < ends
            number += 1  # a file a second: the first may come before it watches
            (folder / f"new{number}.txt").write_text(f"The kettle number {number} is blue.\n", encoding="utf-8")
            time.sleep(1.0)
    finally:
        watching.terminate()
        watching.wait(20)
    assert run("search", "blue kettle")[0] == 0


def test_when_nothing_could_be_read_it_failed(run: Run, folder: Path) -> None:
    code, out, _ = run("add", str(folder / "broken.pdf"))
    assert code == 1 and "broken.pdf: " in out


def test_the_benchmark_of_the_gold_questions_writes_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sdx_rag import gold

    lines = [line for line in (gold.HERE / "ship.jsonl").read_text(encoding="utf-8").splitlines() if line.strip()]
    (tmp_path / "ship.jsonl").write_text("\n".join([*lines[:3], *lines[-1:]]), encoding="utf-8")
    (tmp_path / "rag.yaml").write_text("embed: {model: none}\n", encoding="utf-8")
    monkeypatch.setattr(gold, "HERE", tmp_path)
    monkeypatch.setenv("SDX_RAG", str(tmp_path))
    assert main(["bench", "rag", "--gold", "--out", str(tmp_path / "out")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert told["gold"]["retrieval"][0]["recall_5"]["of"] == 3
    assert "| lexical | all | all (3) |" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def test_the_benchmark_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "rag", "--lexical", "--chunks", "200", "--out", str(tmp_path / "out")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lexical"]["chunks"] == 200 and "gold" not in told
    assert json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8")) == told
    assert "| tantivy, search p95 ms |" in (tmp_path / "out/README.md").read_text(encoding="utf-8")
