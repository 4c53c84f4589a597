import json
from pathlib import Path

import pytest
import yaml

from sdx_finetune.datasets.store import Store
from sdx_finetune.measure.evaluate import LocalAnswerer, evaluate
from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row, read_rows
from sdx_finetune.run import Pipeline, main


@pytest.fixture(scope="module")
def recipe_path(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "toy.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    return path


def scorer(row: Row, answer: str) -> dict[str, bool]:
    try:
        return {"json": True, "nearest": json.loads(answer)["nearest"] == row.meta["nearest"]}
    except (ValueError, KeyError, TypeError):
        return {"json": False, "nearest": False}


def test_from_recipe_to_a_checked_file_that_answers(recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(recipe_path), "--work", str(tmp_path)]) == 0
    assert "PASS toy-F32.gguf" in capsys.readouterr().err
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert run["steps"] == 60
    assert run["held_out_loss"] < 1.5
    assert [report["faults"] for report in json.loads((tmp_path / "parity.json").read_text(encoding="utf-8"))["reports"]] == [[], []]

    answerer = LocalAnswerer(tmp_path / "gguf" / "toy-Q8_0.gguf", context=256, max_tokens=60)
    held_out = list(read_rows(sorted((tmp_path / "data").glob("eval-*.jsonl"))))[:3]
    nearest = {"type": "string", "enum": ["T1", "T2", "T3"]}
    schema = {"type": "object", "properties": {"nearest": nearest}, "required": ["nearest"], "additionalProperties": False}
    result = evaluate(held_out, answerer, scorer, tmp_path / "evaluation.json", schema_of=lambda row: schema)
    answerer.model.close()
    assert result["figures"]["json"]["mean"] == 1.0

    capsys.readouterr()
    assert main([str(recipe_path), "--work", str(tmp_path), "--stage", "card"]) == 0
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Trained for 60 steps" in card
    assert "| json | 1.0 |" in card
    assert "toy-Q8_0.gguf | yes" in card

    assert main([str(recipe_path), "--work", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "3 of 3 shards there" in said
    assert "tokenizer is there" in said
    assert "continues at step 60" in said


@pytest.mark.parametrize("stage", ["tokenizer", "train", "export", "snapshot"])
def test_a_stage_before_its_time_says_what_to_run(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    assert main([str(recipe_path), "--work", str(tmp_path), "--stage", stage]) == 2
    assert "run the stage `" in capsys.readouterr().err


def test_a_failed_parity_ends_with_an_error(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = recipe.model_dump(mode="json")
    raw["train"]["max_steps"] = 1
    raw["export"] = {"quantisations": ["F32"], "chosen": "F32"}
    raw["parity"]["max_logit_difference"] = 1e-12
    path = tmp_path / "strict.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert main([str(path), "--work", str(tmp_path / "work")]) == 2
    assert "parity failed for toy-F32.gguf" in capsys.readouterr().err


def test_a_stored_data_set_is_trained_from_and_another_version_is_not_mixed_in(
    recipe: Recipe, toy: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDX_DATASETS", str(tmp_path / "home"))
    facts = {"name": "toy", "sources": [], "licence": "", "description": "", "dropped": 0, "tokens": 0, "tokenizer": "", "languages": {}, "groups": 1}  # fmt: skip
    rows = [{"key": row.key, "messages": row.turns(), "images": [], "meta": row.meta} for row in toy]
    versions = [Store().add({"train": rows[:cut], "eval": rows[cut:]}, facts).version for cut in (150, 160)]
    said = []
    for version in versions:
        held = recipe.model_dump(mode="json") | {"data": {"dataset": f"toy@{version}"}}
        held["train"] |= {"max_steps": 2}
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(held))
        work = Pipeline(Recipe.load(path), path, tmp_path / "work")
        for stage in ("data", "tokenizer"):
            work.stage(stage)
        said.append((tmp_path / "work/tokenizer/made_from").read_text())
        if version == versions[0]:
            work.stage("train")
            assert json.loads((tmp_path / "work/run.json").read_text())["steps"] == 2
        else:
            with pytest.raises(ValueError, match="made with another recipe or other data"):
                work.stage("train")
    assert said[0] != said[1]
