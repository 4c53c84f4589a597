import pytest

from sdx_finetune.recipe import Recipe
from sdx_finetune.scratch.schedule import progress, rate


def test_the_nearest_limit_decides(recipe: Recipe) -> None:
    spec = recipe.train.model_copy(update={"max_minutes": 10.0, "max_steps": 100, "max_epochs": 2})
    assert progress(spec, elapsed_s=300, step=10, steps_per_epoch=1000) == 0.5
    assert progress(spec, elapsed_s=30, step=80, steps_per_epoch=1000) == 0.8
    assert progress(spec, elapsed_s=30, step=18, steps_per_epoch=10) == 0.9
    assert progress(spec, elapsed_s=9000, step=18, steps_per_epoch=10) == 1.0


def test_the_rate_rises_then_falls_to_its_last_share(recipe: Recipe) -> None:
    spec = recipe.train.model_copy(update={"warmup": 0.1, "final_lr": 0.02})
    rates = [rate(spec, share / 100) for share in range(101)]
    assert rates[10] == pytest.approx(1.0)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.02)
    assert min(rates) > 0
