"""sdx data from a file to two splits, and what it says on the way."""

import json
from pathlib import Path

import pytest

from sdx_ui import cli


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SDX_DATASETS", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    rows = [{"prompt": f"What is number {n}?", "completion": f"It is {n * n}.", "meta": {"day": n // 4}} for n in range(40)]
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + '\n{"prompt": "no answer"}\n')
    return file


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_from_a_file_to_two_splits(own: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "import", "numbers", str(own), "--licence", "CC0-1.0"]) == 0
    out = said(capsys)
    assert "41 records read, 40 kept (97.6%)" in out and "left out  own.jsonl:41: fields of no known layout" in out
    assert cli.main(["data", "split", "numbers", "--eval", "0.2", "--by", "day"]) == 0
    assert "train 32, eval 8; 10 groups" in said(capsys)
    assert cli.main(["data", "check", "numbers"]) == 0
    assert "splits: train 32, eval 8" in said(capsys)
    assert cli.main(["data", "show", "numbers", "--rows", "1"]) == 0
    out = said(capsys)
    assert "Licence: CC0-1.0" in out and "Split from numbers@" in out and '"completion"' not in out and "What is number" in out
    assert len(list(home.glob("numbers/*/card.json"))) == 2


def test_check_fails_for_a_file_that_would_lose_rows(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "check", str(own), "--json", "--tokenizer", "none"]) == 1
    report = json.loads(said(capsys))
    assert (report["read"], report["kept"]) == (41, 40)
    assert report["faults"][0]["place"] == "own.jsonl:41" and report["faults"][0]["fix"]


def test_rows_over_the_length_are_told(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "check", str(own), "--max-length", "16", "--json"]) == 1
    report = json.loads(said(capsys))
    assert report["too_long"] == 40 and sum(report["lengths"].values()) == 40 and report["tokens"] > 40 * 16


def test_preview_marks_what_is_learnt(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "preview", str(own)]) == 0
    out = said(capsys)
    assert "own.jsonl:1: " in out and "[<|im_end|>]" in out and "[I]" in out.replace("[It]", "[I]") and "[W" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "import", "Bad Name", "OWN"], "cannot name a data set"),
        (["data", "import", "x", "OWN", "--map", "answer"], "is not TARGET=COLUMN"),
        (["data", "check", "nowhere.jsonl"], "does not exist"),
        (["data", "show", "nothing"], "no data set 'nothing'"),
        (["data", "check", "OWN", "--embeddings", "http://127.0.0.1:9"], "cannot be reached"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], message: str, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(own) if word == "OWN" else word for word in arguments]) == 1
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err
