from pathlib import Path

import pytest
import yaml

from sdx_serving.bench.plan import Impairment, Plan, cells
from sdx_serving.bench.task import Question, Turn

GIVEN = {
    "models": [{"name": "toy", "files": [{"compression": "F32", "path": "toy-F32.gguf"}, {"compression": "Q8_0", "path": "/m/toy.gguf"}]}],
    "runtimes": ["llama.cpp", "onnx"],
    "ways": [{"way": "in-process"}, {"way": "http", "concurrency": 4}],
    "prompts": "rows.jsonl",
}


def write(folder: Path, **changed: object) -> Path:
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({**GIVEN, **changed}), encoding="utf-8")
    return path


def question(text: str) -> Question:
    return Question(messages=(Turn(role="user", content=text),))


def test_paths_are_beside_the_plan_file(tmp_path: Path) -> None:
    plan = Plan.load(write(tmp_path))
    assert [file.path for file in plan.models[0].files] == [tmp_path / "toy-F32.gguf", Path("/m/toy.gguf")]
    assert plan.prompts == str(tmp_path / "rows.jsonl")
    assert Plan.load(write(tmp_path, prompts="ship")).prompts == "ship"
    told = plan.text(tmp_path)
    assert str(tmp_path / "toy") not in told
    (tmp_path / "again.yaml").write_text(told, encoding="utf-8")
    assert Plan.load(tmp_path / "again.yaml") == plan


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reqests": 3}, "reqests: Extra inputs are not permitted (given: 3)"),
        ({"ways": [{"way": "in-process", "concurrency": 4}]}, "in-process asks one at a time; concurrency 4 needs the way http"),
        ({"ways": [{"way": "http-impaired"}]}, "that way needs one"),
        ({"ways": [{"way": "http", "impairment": {"round_trip_ms": 5}}]}, "impairment belongs to the way http-impaired"),
        ({"ways": [{"way": "http"}, {"way": "http"}]}, "ways: 'http x1' is listed twice"),
        ({"runtimes": []}, "runtimes"),
        ({"minutes": 0}, "minutes: Input should be greater than 0 (given: 0)"),
        ({"models": [{"name": "m", "files": [{"compression": "A", "path": "a"}] * 2}]}, "m: compression 'A' is listed twice"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError) as error:
        Plan.load(write(tmp_path, **changed))
    assert said in str(error.value)
    assert str(tmp_path / "plan.yaml") in str(error.value)


def test_everything_is_measured_with_everything(tmp_path: Path) -> None:
    plan = Plan.load(write(tmp_path))
    found = list(cells(plan, {}, lambda runtime, way: "1", "load"))
    assert len(found) == len({cell.key for cell in found}) == 2 * 2 * 2


def test_a_cell_is_the_same_wherever_its_file_lies_and_another_with_other_weights(tmp_path: Path) -> None:
    path = tmp_path / "toy-F32.gguf"
    here, there = Plan.load(write(tmp_path)), Plan.load(write(tmp_path)).beside(Path("/elsewhere"))
    keys = [next(cells(plan, {file.path: "aa" for file in plan.models[0].files}, lambda *_: "1", "x")).key for plan in (here, there)]
    assert keys[0] == keys[1]
    for hashes, version, load in (({path: "bb"}, "1", "x"), ({path: "aa"}, "2", "x"), ({path: "aa"}, "1", "y")):
        assert next(cells(here, hashes, lambda *_, told=version: told, load)).key != keys[0]


def test_more_rounds_are_the_same_load_and_other_questions_are_not(tmp_path: Path) -> None:
    plan = Plan.load(write(tmp_path, requests=1, rounds=1))
    asked = [question("a"), question("b")]
    assert plan.load_id(asked) == plan.model_copy(update={"rounds": 2, "minutes": 1.0}).load_id(asked)
    assert plan.load_id(asked) != plan.load_id(asked[::-1])
    assert plan.load_id(asked) != plan.model_copy(update={"output_tokens": 7}).load_id(asked)


def test_an_impairment_is_told_in_words() -> None:
    assert str(Impairment(round_trip_ms=40, loss_percent=1, rate_mbit=10)) == "round trip +40 ms, loss 1 %, 10 Mbit/s"
