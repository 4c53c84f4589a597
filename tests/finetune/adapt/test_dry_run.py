"""The dry run takes real steps on the longest rows and says what would fit; a starting recipe is one that runs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sdx_finetune.adapt.dry_run import changed, dry_run, starting_recipe
from sdx_finetune.adapt.recipe import AdaptRecipe

Make = Callable[..., AdaptRecipe]


def written(recipe: AdaptRecipe, folder: Path) -> Path:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_unset=True)))
    return path


def test_a_recipe_that_fits_is_measured(make: Make, tmp_path: Path) -> None:
    verdict = dry_run(written(make(), tmp_path))
    assert verdict.fits and not verdict.changes and verdict.measured is not None
    assert verdict.measured.batch_rows == 8 and 60 < verdict.measured.length < 90 and verdict.measured.step_s > 0
    assert "12 steps take at most" in verdict.advice


def test_wrong_rows_are_told_as_such(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no row is left within train.max_length 16"):
        dry_run(written(make(train={"max_length": 16}), tmp_path))


@pytest.mark.slow
def test_what_does_not_fit_is_halved_until_it_does(make: Make, tmp_path: Path) -> None:
    said: list[str] = []
    verdict = dry_run(written(make(train={"batch_rows": 8192}), tmp_path), 4500.0, said.append)
    assert not verdict.fits and verdict.measured is not None and len(said) > 1
    rows = verdict.measured.batch_rows
    assert verdict.changes["train.batch_rows"] == rows and verdict.changes["train.accumulate"] == 8192 // rows
    assert f"train.batch_rows: {rows}, train.accumulate: {8192 // rows}" in verdict.advice


def test_changes_are_dotted_fields(make: Make) -> None:
    recipe = changed(make(), {"train.batch_rows": 2, "lora.rank": 4})
    assert (recipe.train.batch_rows, recipe.lora.rank, recipe.train.max_steps) == (2, 4, 12)


@pytest.mark.parametrize(("pairs", "method"), [(False, "sft"), (True, "dpo")])
def test_a_starting_recipe_goes_with_its_rows(pairs: bool, method: str) -> None:
    text = starting_recipe("port_watch", "port_watch@abc123", "embedded", 700, pairs, "a:b")
    recipe = AdaptRecipe.model_validate(yaml.safe_load(text))
    assert (recipe.method, recipe.weights, recipe.name) == (method, "lora", "port-watch")
    assert recipe.train.max_length == 736 and recipe.evaluate.scorer == "a:b"
