import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from sdx_ui.cli import main

pytestmark = pytest.mark.skipif(not all(find_spec(name) for name in ("torch", "gguf", "llama_cpp")), reason="the extra `train`")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sdx_domains.ship.examples import rows as made

    path = tmp_path_factory.mktemp("rows") / "ship.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made(16, 950_000_000)), encoding="utf-8")
    return path


def test_the_embedded_model_is_compressed_and_a_refusal_is_the_exit_code(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compress", "embedded", "--rows", str(rows), "--work", str(tmp_path / "work"), "--calibration-rows", "4", "--threads", "1"]
    assert main([*words, "--to", "Q4_K_M", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (row,) = result["results"]
    assert row["verdict"] == "too few rows" and not row["parity"]["faults"]
    assert row["bytes"] < 0.2 * result["base"]["bytes"]
    assert main([*words, "--to", "Q4_K_M,awq"]) == 1
    said = capsys.readouterr().out
    assert "Q4_K_M" in said and "AWQ wants a CUDA device" in said and str(tmp_path / "work" / "README.md") in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["embedded", "--to", "Q4_KM"], "no method 'Q4_KM'; did you mean Q4_K_M?"),
        (["embedded", "--to", "Q8_0", "--task", "farming"], "no task 'farming'; there are ship"),
        (["embedded", "--to", "Q8_0", "--file", "Q9"], "file: Input should be 'F32', 'F16'"),
        (["embedded", "--to", "Q8_0", "--rows", "port-watch"], "neither a file nor NAME@VERSION"),
        (["/nowhere.gguf", "--to", "Q8_0", "--rows", "{rows}"], "there is no such file"),
    ],
)
def test_wrong_words_are_named(words: list[str], said: str, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", *(word.format(rows=rows) for word in words), "--work", str(tmp_path / "work")]) == 1
    assert said in capsys.readouterr().err


def test_a_job_is_handed_over_and_ends_with_the_files(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import time

    from sdx_finetune.jobs.queue import Queue

    work = tmp_path / "work"
    words = ["compress", "embedded", "--to", "F16", "--rows", str(rows), "--work", str(work), "--threads", "1", "--calibration-rows", "4"]
    assert main([*words, "--detach", "--json"]) == 0
    name = json.loads(capsys.readouterr().out)["id"]
    assert name.startswith("compress-")
    until = time.monotonic() + 120
    while Queue().job(name).unfinished and time.monotonic() < until:
        time.sleep(0.2)
    assert Queue().job(name).state == "done", Queue().log(name).read_text()
    assert [row["method"] for row in json.loads((work / "compression.json").read_text())["results"]] == ["F16"]
