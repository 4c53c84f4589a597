"""One YAML file says everything, and the splits of phantoms never meet."""

from pathlib import Path

import pytest
import yaml

from sdx_finetune.run import load_recipe
from sdx_finetune.vision.recipe import HELD_OUT_SEED, TUNING_SEED, DataOfVision, EncoderSpec, Phantoms, VisionRecipe

SHIPPED = Path(__file__).parents[3] / "finetune/recipes/medicine.yaml"


def test_the_shipped_recipe_is_one() -> None:
    recipe = load_recipe(SHIPPED)
    assert isinstance(recipe, VisionRecipe)
    assert recipe.export.max_bytes <= 20_000_000
    assert recipe.decoder().tokenizer.extra_special[-1] == "<|vision|>"
    assert recipe.data.train.seeds.stop <= recipe.data.cases.seed and recipe.data.cases.seeds.stop <= TUNING_SEED


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"train": {"count": 3, "seed": 1}, "cases": {"count": 3, "seed": 3}}, "train uses seeds up to 3, cases begins at 3"),
        ({"train": {"count": 1, "seed": TUNING_SEED}, "tune": {"count": 1, "seed": TUNING_SEED + 1}}, "training lies below"),
        ({"tune": {"count": 1, "seed": 7}}, "tuning below"),
        ({"eval_cases": {"count": 2, "seed": HELD_OUT_SEED - 1}}, "tuning below"),
        ({"tune": {"count": 1, "seed": HELD_OUT_SEED}}, "less than"),
    ],
)
def test_seeds_keep_to_their_splits(change: dict[str, dict[str, int]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        DataOfVision.model_validate(change)


@pytest.mark.parametrize("restarts", [(0.0,), (4.0,), (3.0, 2.0), (2.0, 2.0)])
def test_restarts_lie_within_the_training(restarts: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        EncoderSpec(epochs=4.0, restarts=restarts)


def test_a_span_of_seeds_is_counted() -> None:
    assert list(Phantoms(count=3, seed=10).seeds) == [10, 11, 12]


def test_a_wrong_field_is_named(tmp_path: Path) -> None:
    raw = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(raw | {"encoder": {"bocks": 3}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"encoder\.bocks"):
        load_recipe(tmp_path / "r.yaml")
