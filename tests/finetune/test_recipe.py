import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_finetune.augment.spec import AugmentSpec
from sdx_finetune.recipe import Recipe
from sdx_finetune.run import load_recipe

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, recipe: Recipe, change: dict[str, Any]) -> Path:
    """The recipe as YAML with some fields changed; keys are dotted."""
    raw = copy.deepcopy(recipe.model_dump(mode="json"))
    for dotted, value in change.items():
        *parents, last = dotted.split(".")
        place = raw
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "finetune/recipes").glob("*.yaml")), ids=lambda path: path.name)
def test_every_recipe_of_the_project_is_valid(path: Path) -> None:
    assert load_recipe(path).name


@pytest.mark.parametrize("path", sorted((ROOT / "finetune/recipes/augment").glob("*.yaml")), ids=lambda path: path.name)
def test_every_augmentation_of_the_project_is_valid(path: Path) -> None:
    assert AugmentSpec.load(path).rows


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train.lerning_rate": 1}, r"train\.lerning_rate: Extra inputs"),
        ({"model.heads": 3, "model.kv_heads": 2}, "heads 3 is no multiple of kv_heads 2"),
        ({"model.hidden": 100}, "hidden 100 must be a multiple of 32"),
        ({"train.max_steps": None}, "the learning-rate schedule needs an end"),
        ({"train.max_length": 2048, "train.batch_tokens": 4096}, "beyond model.context 256"),
        ({"train.batch_tokens": 100}, "holds no row of max_length 160"),
        ({"export.chosen": "Q4_K_M"}, "chosen Q4_K_M is not among"),
        ({"data.generator": "no function"}, r"data\.generator"),
        ({"data.eval_seed": 1002}, "train and eval share seeds"),
    ],
)
def test_a_wrong_recipe_is_refused_with_field_and_value(tmp_path: Path, recipe: Recipe, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Recipe.load(write(tmp_path / "recipe.yaml", recipe, change))


def test_neighbouring_seed_ranges_are_allowed_when_they_do_not_touch(tmp_path: Path, recipe: Recipe) -> None:
    shards = -(-recipe.data.train_rows // recipe.data.shard_rows)
    first_free = recipe.data.train_seed + shards * recipe.data.shard_seeds
    assert Recipe.load(write(tmp_path / "recipe.yaml", recipe, {"data.eval_seed": first_free})).data.eval_seed == first_free
    with pytest.raises(ValueError, match="share seeds"):
        Recipe.load(write(tmp_path / "recipe.yaml", recipe, {"data.eval_seed": first_free - 1}))


def test_the_id_follows_the_content(recipe: Recipe) -> None:
    assert recipe.id == Recipe.model_validate(recipe.model_dump()).id
    assert recipe.id != recipe.model_copy(update={"name": "other"}).id
