"""From a recipe to proved files; a wrong recipe is told with file, field and value."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_finetune.adapt.pipeline import ADAPT_STAGES
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.outcomes import Outcome
from sdx_finetune.recipe import Recipe
from sdx_finetune.run import load_recipe, main

Make = Callable[..., AdaptRecipe]


def written(recipe: AdaptRecipe, folder: Path, **change: Any) -> Path:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_unset=True) | change), encoding="utf-8")
    return path


def test_from_recipe_to_proved_files(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = {"quantisations": ["Q8_0"], "chosen": "Q8_0", "adapter": True}
    path, work = written(make(export=export, train={"max_steps": 8}), tmp_path), tmp_path / "work"
    assert main([str(path), "--work", str(work)]) == Outcome.DONE
    said = capsys.readouterr().err
    assert all(f"stage {stage} done" in said for stage in ADAPT_STAGES)
    assert {file.name for file in (work / "gguf").iterdir()} == {"toy-Q8_0.gguf", "toy-lora.gguf"}
    parity = json.loads((work / "parity.json").read_text(encoding="utf-8"))["reports"]
    assert [(report["file"], report["faults"]) for report in parity] == [("toy-Q8_0.gguf", []), ("toy-lora.gguf", [])]
    assert json.loads((work / "evaluation.json").read_text(encoding="utf-8"))["rows"] == 40
    card = (work / "README.md").read_text(encoding="utf-8")
    for words in ("supervised fine-tuning on answers", "LoRA adapter of rank 16", "toy@", "| toy-lora.gguf | yes |", "before training"):
        assert words in card
    assert (work / "report.html").exists()

    assert main([str(path), "--work", str(work)]) == Outcome.DONE
    again = capsys.readouterr().err
    for words in (
        "trained already",
        "merge: model there already",
        "export: toy-Q8_0.gguf there already",
        "parity: parity.json there already",
    ):
        assert words in again


@pytest.mark.parametrize("stage", ["merge", "export", "parity"])
def test_a_stage_before_its_time_says_what_to_run(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str) -> None:
    assert main([str(written(make(), tmp_path)), "--work", str(tmp_path / "work"), "--stage", stage]) == Outcome.WRONG_INPUT
    assert "run the stage" in capsys.readouterr().err


def test_a_stage_of_the_other_kind_is_refused(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(written(make(), tmp_path)), "--work", str(tmp_path / "work"), "--stage", "tokenizer"]) == Outcome.WRONG_INPUT
    assert "stage 'tokenizer' does not belong to" in capsys.readouterr().err


def test_method_tells_the_two_kinds_of_recipe_apart(make: Make, recipe: Recipe, tmp_path: Path) -> None:
    assert isinstance(load_recipe(written(make(), tmp_path)), AdaptRecipe)
    path = tmp_path / "scratch.yaml"
    for raw in (recipe.model_dump(mode="json"), recipe.model_dump(mode="json", exclude={"method"})):
        path.write_text(yaml.safe_dump(raw), encoding="utf-8")
        assert isinstance(load_recipe(path), Recipe)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "sfx"}, "method: Input should be 'sft', 'dpo' or 'grpo' (given: 'sfx')"),
        ({"data": {"dataset": "toy"}}, "data.dataset:"),
        ({"trian": {}}, "trian: Extra inputs are not permitted"),
        ({"method": "grpo"}, "grpo (with its reward) goes with method"),
        ({"weights": "full", "lora": {"rank": 4}}, 'lora is given, but weights is "full"'),
        ({"weights": "dora", "export": {"adapter": True}}, "export.adapter goes with weights lora and qlora, not 'dora'"),
        ({"method": "dpo", "train": {"max_steps": 1, "packing": True}}, "train.packing goes with method"),
        (
            {"method": "grpo", "grpo": {"reward": "a:b", "answers": 8}, "train": {"max_steps": 1, "batch_rows": 6}},
            "is 6 answers a step, no multiple of grpo.answers 8",
        ),
    ],
)
def test_a_wrong_recipe_is_told_with_file_field_and_value(make: Make, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = written(make(), tmp_path, **change)
    with pytest.raises(ValueError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: ") and words in str(caught.value)


def test_a_file_that_is_no_mapping(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")
    with pytest.raises(ValueError, match="a recipe is a mapping of fields"):
        load_recipe(path)
