"""What a season came to, on AquaCrop's own account: score(), summarise()."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from sdx_domains.contract import Closed
from sdx_domains.farm.field.plant import FieldPlant, run_ruled
from sdx_domains.farm.field.prices import profit_usd_ha
from sdx_domains.farm.field.scenarios import FieldCase

FULL_RULES: tuple[dict[str, Any], ...] = (
    {"irrigation_method": 1, "SMT": [80] * 4},
    {"irrigation_method": 1, "SMT": [60] * 4},
    {"irrigation_method": 2, "IrrInterval": 7},
)
"""Fully irrigated in three ways of AquaCrop; the best of them is full yield."""


class FieldScore(Closed):
    kind: Literal["field"] = "field"
    case: str
    irrigation_mm: float
    """Given by the valve; a leak counts too."""
    yield_t_ha: float
    yield_pct: float
    """Of full yield in this season."""
    profit_usd_ha: float
    irrigations: int
    """Days with one."""
    days: int
    """Of the season that are over."""
    harvested: bool


@lru_cache(maxsize=256)
def _ruled(case: str, rule: tuple[tuple[str, Any], ...]) -> tuple[float, float]:
    return run_ruled(
        FieldCase.model_validate_json(case), **{key: list(value) if isinstance(value, tuple) else value for key, value in rule}
    )


def ruled(case: FieldCase, **irrigation: Any) -> tuple[float, float]:
    """As plant.run_ruled, each season once per process."""
    return _ruled(
        case.model_dump_json(), tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in irrigation.items())
    )


def full_yield(case: FieldCase) -> float:
    """t/ha, the best of the fully irrigated."""
    return max(ruled(case.model_copy(update={"fault": "none", "name": ""}), **rule)[0] for rule in FULL_RULES)


def score(case: FieldCase, plant: FieldPlant) -> FieldScore:
    """Before harvest: what it would be if it were harvested today."""
    tonnes, water = plant.field.yield_t_ha(), sum(row["meter_mm"] for row in plant.log)
    return FieldScore(
        case=case.name, irrigation_mm=round(water, 1), yield_t_ha=round(tonnes, 3), yield_pct=round(100.0 * tonnes / full_yield(case), 2),
        profit_usd_ha=round(profit_usd_ha(plant.prices, tonnes, water), 1), irrigations=sum(row["valve_mm"] > 0.0 for row in plant.log),
        days=len(plant.log),
        harvested=plant.done,
    )  # fmt: skip


def summarise(scores: Sequence[FieldScore]) -> dict[str, Any]:
    """Means over the seasons."""
    if not scores:
        return {"cases": 0}
    count = len(scores)
    return {
        "cases": count,
        "irrigation_mm": round(sum(s.irrigation_mm for s in scores) / count, 1),
        "yield_t_ha": round(sum(s.yield_t_ha for s in scores) / count, 3),
        "yield_pct": round(sum(s.yield_pct for s in scores) / count, 2),
        "yield_pct_least": min(s.yield_pct for s in scores),
        "profit_usd_ha": round(sum(s.profit_usd_ha for s in scores) / count, 1),
        "irrigations": round(sum(s.irrigations for s in scores) / count, 1),
    }
