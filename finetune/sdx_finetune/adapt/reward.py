"""A domain's reward, `reward(row: Row, answer: str) -> float`, as TRL's trainer asks for it."""

from collections.abc import Callable
from math import isfinite
from typing import Any

from sdx_finetune.recipe import Dotted
from sdx_finetune.rows import Row, load_function


def reward_function(dotted: Dotted) -> Callable[..., list[float]]:
    """TRL gives a batch of answers and the column `row`; one number for each comes back. ValueError names the row that has none."""
    judge = load_function(dotted)

    def reward(completions: list[list[dict[str, str]]], row: list[str], **_: Any) -> list[float]:
        return [
            _judged(judge, dotted, Row.model_validate_json(asked), said[-1]["content"])
            for said, asked in zip(completions, row, strict=True)
        ]

    return reward


def _judged(judge: Callable[[Row, str], float], dotted: Dotted, row: Row, answer: str) -> float:
    value = judge(row, answer)
    if not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"grpo.reward {dotted} gave {value!r} for row {row.key} and answer {answer[:80]!r}; it must give a finite number")
    return float(value)
