"""Every way of searching finds the improvement that is there, says so when there is none, and never sends a test row before its time."""

import json
from pathlib import Path
from typing import Any

import pytest
from teacher_server import TASK, Teacher, berth, knows, proposing, rows, same, serving, ship

from sdx_finetune.prompt.examples import read_examples
from sdx_finetune.prompt.run import improve
from sdx_finetune.prompt.spec import PromptSpec

SEARCHES = ("labeled", "bootstrap", "random_search", "mipro")


def spec_of(folder: Path, teacher: Teacher, count: int = 60, **more: Any) -> PromptSpec:
    given = folder / "rows.jsonl"
    given.write_text("".join(json.dumps(row) + "\n" for row in rows(count)), encoding="utf-8")
    base: dict[str, Any] = {"name": "berths", "task": TASK, "rows": str(given), "model": {"model": teacher.url}, "metric": "exact"}
    return PromptSpec.model_validate(base | more)


def quiet(line: str) -> None: ...


@pytest.mark.parametrize("optimiser", SEARCHES)
def test_what_helps_is_found_and_measured_on_rows_apart(tmp_path: Path, optimiser: str) -> None:
    with serving(proposing("Answer shortly.", "Answer shortly. MAGIC")) as teacher:
        spec = spec_of(tmp_path, teacher, search={"optimiser": optimiser, "candidates": 4})
        found = improve(spec, tmp_path / "work", quiet)
        asked = teacher.prompts()
    assert found["improved"], found["verdict"]
    assert found["verdict"].startswith("improved by +0.")
    assert found["difference_interval"][0] > 0.0
    assert found["base_score"] == 0.0 and found["final_score"] > 0.6
    assert found["calls"] == len(asked) == len({json.dumps(messages) for messages in asked}), "nothing is asked twice"
    tested = queries(found["rows"]["test"], spec)
    first = min(number for number, messages in enumerate(asked) if messages[-1]["content"] in tested)
    assert len(asked) - first == 2 * len(tested), "test rows are asked at the end, once for each prompt"
    assert not any(query in message["content"] for messages in asked for message in messages[:-1] for query in tested)
    assert not any(query in messages[-1]["content"] for messages in asked[:first] for query in tested)


@pytest.mark.parametrize("optimiser", SEARCHES)
def test_where_nothing_helps_the_base_prompt_is_kept(tmp_path: Path, optimiser: str) -> None:
    with serving(proposing("Answer shortly.", "Be brief.", told=same)) as teacher:
        spec = spec_of(tmp_path, teacher, search={"optimiser": optimiser, "candidates": 3}, metric="token_f1")
        found = improve(spec, tmp_path / "work", quiet)
    assert found["verdict"].startswith("no improvement seen: keep the base prompt")
    assert not found["improved"]
    assert found["messages"] == [{"role": "system", "content": TASK}]
    assert found["final_score"] == found["base_score"] > 0.0


def test_a_gain_that_may_be_chance_is_none(tmp_path: Path) -> None:
    """Better on the validation rows, on the test rows too little to tell."""

    def slightly(messages: list[dict[str, str]]) -> str:
        name = messages[-1]["content"].split()[1]
        return knows(messages) if berth(name) % 11 == 0 else same(messages)

    with serving(slightly) as teacher:
        spec = spec_of(tmp_path, teacher, search={"optimiser": "labeled"})
        found = improve(spec, tmp_path / "work", quiet)
    assert found["verdict"].startswith("no improvement seen: keep the base prompt; the difference is +0."), found["verdict"]
    assert found["n_demos"] == 0 and found["proposed"]["demos"]
    assert found["difference_interval"][0] <= 0.0 < found["difference"]


def test_what_is_measured_is_what_is_served(tmp_path: Path) -> None:
    with serving(knows) as teacher:
        found = improve(spec_of(tmp_path, teacher), tmp_path / "work", quiet)
        asked = teacher.prompts()
    assert [turn["role"] for turn in found["messages"]] == ["system"] + ["user", "assistant"] * found["n_demos"]
    served = [messages for messages in asked if messages[:-1] == found["messages"]]
    assert len(served) >= len(found["rows"]["test"])
    assert all(messages[-1]["role"] == "user" and messages[-1]["content"].startswith("ship ") for messages in served)


def test_an_instruction_that_holds_an_answer_is_refused(tmp_path: Path) -> None:
    leaks = [f"Answer shortly. MAGIC For example berth {berth(ship(n))} for {ship(n)}." for n in range(60)]
    with serving(proposing(*leaks)) as teacher:
        spec = spec_of(tmp_path, teacher, search={"optimiser": "mipro", "candidates": 3, "max_demos": 1, "trials": 2})
        found = improve(spec, tmp_path / "work", quiet)
        asked = teacher.prompts()
    assert len(found["refused"]) >= 1 and all("holds the answer" in reason for reason in found["refused"])
    assert not any("MAGIC" in messages[0]["content"] for messages in asked), "it was never tried"


def test_an_instruction_that_helps_is_kept_and_one_that_does_not_is_left_out(tmp_path: Path) -> None:
    """Here demos alone do not help."""

    def told(messages: list[dict[str, str]]) -> str:
        return knows([messages[0], messages[-1]])

    with serving(proposing("Be exact.", "Say it. MAGIC", "Be kind.", told=told)) as teacher:
        spec = spec_of(tmp_path, teacher, search={"optimiser": "mipro", "candidates": 3, "trials": 6})
        assert "MAGIC" in improve(spec, tmp_path / "helps", quiet)["instruction"]
    with serving(proposing("Be exact.", "Say it.", "Be kind.")) as teacher:
        spec = spec_of(tmp_path, teacher, search={"optimiser": "mipro", "candidates": 3, "trials": 6})
        found = improve(spec, tmp_path / "does-not", quiet)
    assert found["instruction"] == TASK and found["improved"] and found["n_demos"]


def test_a_model_that_proposes_no_instruction_leaves_demos(tmp_path: Path) -> None:
    with serving(proposing(*[""] * 9)) as teacher:
        spec = spec_of(tmp_path, teacher, search={"optimiser": "mipro", "candidates": 3, "trials": 3})
        found = improve(spec, tmp_path / "work", quiet)
    assert found["improved"] and found["n_demos"]
    assert any("the model proposed none" in reason for reason in found["refused"])


def test_sampled_tries_bring_demos_that_greedy_ones_do_not(tmp_path: Path) -> None:
    """Only at temperature 1, and only every third time, the model gets it right: rounds find those answers, each asked for anew."""
    with serving(same) as teacher:
        tries: dict[str, int] = {}

        def sometimes(messages: list[dict[str, str]]) -> str:
            name = messages[-1]["content"].split()[1]
            if len(teacher.asked) and teacher.asked[-1]["temperature"] == 0:
                return "no idea at all"
            tries[name] = tries.get(name, 0) + 1
            return f"berth {berth(name)} for {name}" if tries[name] == 2 else "no idea at all"

        teacher.answer = sometimes
        spec = spec_of(
            tmp_path,
            teacher,
            search={"optimiser": "bootstrap", "rounds": 4, "max_demos": 2},
            model={"model": teacher.url, "concurrency": 1},
        )
        improve(spec, tmp_path / "work", quiet)
        sampled = [body for body in teacher.asked if body["temperature"] == 1.0]
    assert len(sampled) == 4, "two rows, the second sample of each is right"
    assert len({json.dumps(body["messages"]) for body in sampled}) == 2


def queries(keys: list[str], spec: PromptSpec) -> set[str]:
    return {example.query for example in read_examples(spec).examples if example.row.key in keys}
