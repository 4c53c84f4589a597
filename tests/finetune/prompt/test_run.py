"""A run as a process: killed, stopped, without money, without a server, with bad input; and the service's fields."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from teacher_server import TASK, Teacher, knows, rows, same, serving

from sdx_finetune.outcomes import Outcome
from sdx_finetune.progress import told
from sdx_finetune.prompt.run import improve, main
from sdx_finetune.prompt.service_fields import FewShotRequest, answer, write_spec
from sdx_finetune.prompt.spec import PromptSpec
from sdx_serving.client import EngineUnavailable


def written(folder: Path, teacher: Teacher | None, count: int = 40, **more: Any) -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(count)), encoding="utf-8")
    model = {"model": teacher.url if teacher else "http://127.0.0.1:9/v1", "concurrency": 2}
    held = {"name": "berths", "task": TASK, "rows": "rows.jsonl", "model": model, "metric": "exact"} | more
    (folder / "spec.yaml").write_text(yaml.safe_dump(held), encoding="utf-8")
    return folder / "spec.yaml"


def started(spec: Path, work: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sdx_finetune.prompt.run", str(spec), "--work", str(work)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"PYTHONWARNINGS": ""})


def until(condition: Any, process: "subprocess.Popen[str]") -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)


def results(work: Path) -> dict[str, Any]:
    found = json.loads((work / "prompt.json").read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if name not in ("machine", "commit")}


@pytest.mark.parametrize(("optimiser", "shares"), [("random_search", (0.3, 0.85)), ("mipro", (0.6,))])
def test_kill_9_loses_what_is_in_flight_and_nothing_is_paid_twice(tmp_path: Path, optimiser: str, shares: tuple[float, ...]) -> None:
    search = {"optimiser": optimiser, "candidates": 3}
    with serving(knows) as teacher:
        spec = written(tmp_path, teacher, search=search)
        improve(PromptSpec.load(spec), tmp_path / "whole", print)
        uninterrupted, whole = len(teacher.asked), results(tmp_path / "whole")
        teacher.asked.clear()
        teacher.delay_s = 0.02
        for share in shares:
            process = started(spec, tmp_path / "work")
            until(lambda wanted=share * uninterrupted: len(teacher.asked) > wanted, process)
            process.kill()
            process.communicate()
        teacher.delay_s = 0.0
        assert main([str(spec), "--work", str(tmp_path / "work")]) == Outcome.DONE
        paid = len(teacher.asked)
    assert results(tmp_path / "work") == whole
    assert uninterrupted <= paid <= uninterrupted + 2 * len(shares), "at most what was in flight at each kill"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_soon_and_the_same_command_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    with serving(knows, delay_s=0.02) as teacher:
        spec = written(tmp_path, teacher, search={"optimiser": "random_search", "candidates": 6})
        process = started(spec, tmp_path / "work")
        until(lambda: len(teacher.asked) > 30, process)
        process.send_signal(number)
        said = process.communicate(timeout=20)[0]
        assert process.returncode == Outcome.STOPPED, said
        assert "the same command goes on" in said
        kept = (tmp_path / "work/calls.jsonl").read_bytes().count(b"\n")
        assert len(teacher.asked) - 2 <= kept <= len(teacher.asked)
        teacher.delay_s = 0.0
        assert main([str(spec), "--work", str(tmp_path / "work")]) == Outcome.DONE
        asked = len(teacher.asked)
        assert main([str(spec), "--work", str(tmp_path / "work")]) == Outcome.DONE
        assert len(teacher.asked) == asked, "what is done is not done again"
    assert told(tmp_path / "work")["done"] == 1.0


def test_spent_calls_end_the_search_with_the_best_so_far(tmp_path: Path) -> None:
    with serving(knows) as teacher:
        spec = PromptSpec.load(written(tmp_path, teacher, max_calls=100, search={"optimiser": "random_search", "candidates": 30}))
        found = improve(spec, tmp_path / "work", print)
        assert len(teacher.asked) == found["calls"] <= 100
        assert any("max_calls 100 ended the search early" in note for note in found["notes"])
        assert found["improved"], "labelled demos were scored before the end"
        more = improve(spec.model_copy(update={"max_calls": 150}), tmp_path / "work", print)
        assert len(teacher.asked) == more["calls"] <= 150


def test_a_server_that_goes_away_ends_the_run_and_does_not_count_as_bad_answers(tmp_path: Path) -> None:
    with serving(knows) as teacher:
        spec = PromptSpec.load(written(tmp_path, teacher, search={"optimiser": "random_search"}))

        def gone(line: str) -> None:
            if line.startswith("candidate 2"):
                teacher.refuse = 401

        with pytest.raises(Exception, match="401"):
            improve(spec, tmp_path / "work", gone)
        assert not (tmp_path / "work/prompt.json").exists()
        teacher.refuse = 0
        assert improve(spec, tmp_path / "work", print)["improved"]


def test_nobody_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdx_finetune.prompt.calls.WAITS_S", (0.01,))
    with pytest.raises(EngineUnavailable, match="nothing answers at http://127.0.0.1:9/v1"):
        improve(PromptSpec.load(written(tmp_path, None)), tmp_path / "work", print)


def test_few_rows_are_cross_validated_and_very_few_are_not_measured(tmp_path: Path) -> None:
    with serving(knows) as teacher:
        found = improve(PromptSpec.load(written(tmp_path, teacher, count=14)), tmp_path / "some", print)
        assert found["measured_on"] == "cross-validation" and found["test_rows"] == 14
        assert found["improved"] and found["n_demos"] and any("rough interval" in note for note in found["notes"])
        teacher.asked.clear()
        few = improve(PromptSpec.load(written(tmp_path, teacher, count=2)), tmp_path / "few", print)
        assert few["verdict"].startswith("not measured: 2 rows (2 different) are too few")
        assert few["n_demos"] == 2 and few["base_score"] is None and not few["improved"] and not teacher.asked


def test_eight_rows_never_make_an_improvement(tmp_path: Path) -> None:
    with serving(knows) as teacher:
        found = improve(PromptSpec.load(written(tmp_path, teacher, count=8)), tmp_path / "work", print)
    assert "8 rows are too few to tell" in found["verdict"] and found["n_demos"] == 0
    assert found["difference"] > 0.5, "it is shown all the same"


def bad_metric(row: Any, given: str) -> Any:
    return {"exact": given == row.messages[-1].content}


def number_metric(row: Any, given: str) -> float:
    return 5.0 if given == row.messages[-1].content else 1.0


def test_a_domains_own_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    name = f"{Path(__file__).stem}:number_metric"
    with serving(knows) as teacher:
        found = improve(PromptSpec.load(written(tmp_path, teacher, metric=name)), tmp_path / "own", print)
        assert found["base_score"] == 1.0 and found["final_score"] > 3.0 and found["metric"] == name
        wrong = PromptSpec.load(written(tmp_path, teacher, metric=name.replace("number_", "bad_"), search={"optimiser": "mipro"}))
        with pytest.raises(ValueError, match=re.escape("it must give a number")):
            improve(wrong, tmp_path / "bad", print)
        assert len(teacher.asked) - found["calls"] < 10, "it ends with the first bad value, and not after a search that means nothing"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"searhc": {}}, "searhc"),
        ({"test": 0.7, "validation": 0.3}, "leave no rows to take demos from"),
        ({"rows": "none.jsonl"}, "no file"),
        ({"rows": "gone@abc"}, "no data set 'gone'"),
        ({"task": ""}, "task: say in a sentence"),
        ({"metric": "bert"}, "metric"),
        ({"search": {"max_demos": 2, "max_bootstrapped": 3}}, "search.max_bootstrapped 3"),
        ({"max_calls": 30}, "max_calls 30 leaves nothing to search with"),
        ({"language": "ko", "rows": "mixed.jsonl"}, "holds 1 rows of language ko"),
        ({"rows": "systems.jsonl"}, "2 different system turns"),
        ({"rows": "long.jsonl"}, "user + assistant + user + assistant"),
        ({"rows": "bad.jsonl"}, "holds no good row"),
        ({"model": {"model": "http://127.0.0.1:9/v1", "api_key_env": "NO_SUCH_KEY"}}, "NO_SUCH_KEY is not set"),
        ({"model": {"model": "gone.gguf"}}, "gone.gguf"),
    ],
)
def test_wrong_input_is_told(
    tmp_path: Path, change: dict[str, Any], word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDX_DATASETS", str(tmp_path / "store"))
    turns = [{"role": "user", "content": "which berth"}, {"role": "assistant", "content": "seven"}]
    chats: dict[str, list[Any]] = {
        "mixed": [{"messages": turns, "meta": {"language": "ko"}}, {"messages": [*turns[:1], turns[1] | {"content": "no"}], "meta": {"language": "en"}}],
        "systems": [{"messages": [{"role": "system", "content": text}, *turns]} for text in ("Be brief.", "Be long.")],
        "long": [{"messages": turns + turns}, {"messages": turns}],
        "bad": [{"messages": turns[:1]}],
    }  # fmt: skip
    for name, chat in chats.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chat), encoding="utf-8")
    spec = written(tmp_path, None, **change)
    code = main([str(spec), "--work", str(tmp_path / "work")])
    said = capsys.readouterr().err
    assert word in said and code in (Outcome.WRONG_INPUT, Outcome.FAILED), said
    assert "Traceback" not in said


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    with serving(same) as teacher:
        improve(PromptSpec.load(written(tmp_path, teacher)), tmp_path / "work", print)
        with pytest.raises(ValueError, match="holds a run of another spec"):
            improve(PromptSpec.load(written(tmp_path, teacher, seed=1)), tmp_path / "work", print)


def test_the_few_shot_services_fields(tmp_path: Path) -> None:
    pairs = [{"query": row["prompt"], "response": row["completion"]} for row in rows(30)]
    with serving(knows) as teacher:
        body = {
            "llm_url": teacher.url.removesuffix("/v1"),
            "examples": pairs,
            "model": "m-1",
            "metric": "bert_score",
            "rounds": 1,
            "sync": True,
        }
        request = FewShotRequest.model_validate(body)
        spec = write_spec(request, tmp_path / "job")
        assert PromptSpec.load(spec).search.optimiser == "mipro"
        assert main([str(spec), "--work", str(tmp_path / "job/work")]) == Outcome.DONE
        assert {asked["model"] for asked in teacher.asked} == {"m-1"}
    got = answer(request, tmp_path / "job/work")
    assert set(got) >= {"system_prompt", "instruction", "demos", "n_examples", "n_demos", "base_score", "final_score"}
    assert got["metric"] == "chrf" and "bert_score" in got["notes"][0]
    assert got["n_examples"] == 30 and got["n_demos"] == len(got["demos"]) > 0 and got["final_score"] > got["base_score"]
    quick = FewShotRequest.model_validate({"llm_url": "http://127.0.0.1:9/v1", "examples": pairs[:2]})
    assert PromptSpec.load(write_spec(quick, tmp_path / "quick")).search.optimiser == "bootstrap"


@pytest.mark.parametrize(
    "change",
    [{"llm_url": "file:///etc/passwd"}, {"examples": [{"query": "a", "response": "b"}]}, {"metric": "jaccard"}, {"rounds": -1}, {"model": "a#b"}],
)  # fmt: skip
def test_the_services_wrong_fields(change: dict[str, Any]) -> None:
    body = {"llm_url": "http://127.0.0.1:9/v1", "examples": [{"query": "a", "response": "b"}, {"query": "c", "response": "d"}]}
    with pytest.raises(ValueError, match=next(iter(change))):
        FewShotRequest.model_validate(body | change)
