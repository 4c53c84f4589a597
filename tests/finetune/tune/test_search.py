import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.recipe import Recipe
from sdx_finetune.tune.search import search
from sdx_finetune.tune.spec import StudySpec, check_fields, field_at, with_values

GOOD, HOPELESS = 0.005, 1e-7
STUDY: dict[str, Any] = {
    "name": "toy", "recipe": "toy.yaml", "trials": 2, "startup_trials": 1, "seed": 2,
    "search": {"train.learning_rate": {"choices": [GOOD, HOPELESS]}, "model.layers": {"low": 1, "high": 2}},
    "fixed": {"train.checkpoint_minutes": 0.001, "train.max_steps": 400},
}  # fmt: skip


Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path, recipe: Recipe) -> Written:
    """Writes the study, changed as asked, beside the toy recipe."""

    def write(**changes: Any) -> Path:
        (tmp_path / "toy.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
        (tmp_path / "study.yaml").write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False))
        return tmp_path / "study.yaml"

    return write


@pytest.mark.parametrize(
    ("part", "wanted", "said"),
    [
        ("search", {"train.learning_rat": {"low": 0.1, "high": 1}}, "has no field 'learning_rat'; did you mean 'learning_rate'"),
        ("search", {"train.learning_rate": {"low": -0.1, "high": 1}}, r"search.train.learning_rate: -0.1 is no value .*greater than 0"),
        ("search", {"train.seed.more": {"low": 1, "high": 2}}, "train.seed has no fields of its own"),
        ("search", {"train.optimiser": {"choices": ["adamw", "sgd"]}}, "'sgd' is no value"),
        ("search", {"train.seed": {"low": 5, "high": 2}}, "low 5 must be less than high 2"),
        ("search", {"train.seed": {"low": 1, "high": 2, "choices": [3]}}, "either low and high, or choices"),
        ("search", {"train.learning_rate": {"low": 0, "high": 1, "log": True}}, "log goes with low above 0"),
        ("fixed", {"train.max_steps": 0}, "fixed.train.max_steps: 0 is no value"),
        ("objective", "chrf", "has no stage `evaluate`"),
        ("recipes", "x", "recipes: Extra inputs"),
    ],
)
def test_a_wrong_study_is_told_with_field_and_value(part: str, wanted: object, said: str, written: Written, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        search(written(**{part: wanted}), tmp_path / "work")


def test_fields_of_both_kinds_of_recipes_are_found() -> None:
    assert field_at(Recipe, "model.layers")[1] and not field_at(Recipe, "train.learning_rate")[1]
    assert field_at(AdaptRecipe, "lora.rank")[1] and not field_at(AdaptRecipe, "train.max_epochs")[1]
    raw = {"name": "a", "train": {"max_steps": 3}}
    assert with_values(raw, {"train.seed": 1, "lora.rank": 8}) == {"name": "a", "train": {"max_steps": 3, "seed": 1}, "lora": {"rank": 8}}
    assert raw == {"name": "a", "train": {"max_steps": 3}}


def test_the_shipped_study_fits_its_recipe() -> None:
    path = Path(__file__).parents[3] / "finetune/recipes/tune/embedded-rate.yaml"
    spec = StudySpec.load(path)
    check_fields(spec, Recipe.load(spec.recipe))


def test_values_that_do_not_go_together_cost_no_training(written: Written, tmp_path: Path) -> None:
    study = written(search={"model.heads": {"choices": [2, 3]}, "model.kv_heads": {"choices": [4]}}, fixed={}, trials=9)
    with pytest.raises(
        ValueError, match="3 trials failed one after the other, the last: model: Value error, heads . is no multiple of kv_heads 4"
    ):
        search(study, tmp_path / "work")
    trials = json.loads((tmp_path / "work" / "trials.json").read_text())["trials"]
    assert [one["state"] for one in trials] == ["fail"] * 3 and not (tmp_path / "work" / "best.yaml").exists()
    with pytest.raises(ValueError, match="holds a study with another search, fixed, seed: take another --work"):
        search(written(seed=3), tmp_path / "work")


def until(true: Callable[[], bool], process: subprocess.Popen[str], limit_s: float = 400.0) -> None:
    end = time.monotonic() + limit_s
    while not true():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hopeless_trial_is_ended_and_a_killed_one_goes_on(written: Written, recipe: Recipe, tmp_path: Path) -> None:
    work = tmp_path / "work"
    command = [sys.executable, "-m", "sdx_ui.cli", "finetune", "tune", str(written()), "--work", str(work), "--json"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: (work / "trials/000/checkpoint.pt").exists(), first)
    first.kill()
    first.communicate()
    last = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert "trial 0 goes on" in last.stderr
    assert "training continues at step" in (work / "trials/000/log").read_text()
    result = json.loads(last.stdout)
    ended = {(one["values"]["train.learning_rate"], one["state"]) for one in result["trials"]}
    assert ended == {(GOOD, "complete"), (HOPELESS, "pruned")}
    best = Recipe.load(work / "best.yaml")
    assert best.train.learning_rate == GOOD and best.train.max_steps == recipe.train.max_steps
    assert best.model.layers == result["best"]["values"]["model.layers"]
