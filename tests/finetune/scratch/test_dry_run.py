"""The dry run measures, says what would fit, and a starting recipe is a recipe."""

from pathlib import Path

import pytest
import yaml

from sdx_finetune.recipe import Recipe
from sdx_finetune.scratch.dry_run import dry_run, starting_recipe


def written(recipe: Recipe, folder: Path, **train: object) -> Path:
    held = recipe.model_dump(mode="json")
    held["train"] |= train
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(held))
    return path


def test_a_recipe_that_fits_is_measured(recipe: Recipe, tmp_path: Path) -> None:
    verdict = dry_run(written(recipe, tmp_path))
    assert verdict.fits and verdict.measured is not None and "tokens/s" in verdict.advice
    assert verdict.measured.tokens_per_s > 0 and verdict.measured.peak_mb > 50 and verdict.measured.length == recipe.train.max_length


def test_what_does_not_fit_is_halved_until_it_does(recipe: Recipe, tmp_path: Path) -> None:
    limit_mb = 1900.0  # a batch of 2**16 is over it by its numbers alone, of 2**14 well under it on every machine
    path = written(recipe, tmp_path, batch_tokens=2**16, max_length=128)
    said: list[str] = []
    verdict = dry_run(path, limit_mb, said.append)
    assert not verdict.fits and verdict.measured is not None and len(said) > 1, said
    assert verdict.measured.peak_mb < limit_mb, "the child's own memory, not that of the program which started it"
    fitting = verdict.measured.batch_tokens
    assert f"train.batch_tokens: {fitting} and train.accumulate: {2**16 // fitting}" in verdict.advice


def test_nothing_fits_into_too_little(recipe: Recipe, tmp_path: Path) -> None:
    verdict = dry_run(written(recipe, tmp_path, batch_tokens=256, max_length=128), 300.0)
    assert not verdict.fits and verdict.measured is None and "more memory" in verdict.advice


def test_a_starting_recipe_is_valid_and_holds_the_longest_row() -> None:
    text = starting_recipe("own", "own@abc", 500, 700, 30.0)
    recipe = Recipe.model_validate(yaml.safe_load(text))
    assert recipe.train.max_length == 704 and recipe.data.dataset == "own@abc" and recipe.train.max_minutes == 30.0


@pytest.mark.parametrize(("change", "message"), [({"batch_tokens": 1}, "train.batch_tokens"), ({"max_lenght": 3}, "train.max_lenght")])
def test_a_wrong_recipe_is_told_before_anything_runs(change: dict[str, object], message: str, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        dry_run(written(recipe, tmp_path, **change))
