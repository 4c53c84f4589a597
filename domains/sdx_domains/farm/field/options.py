"""What can be irrigated now: none, some today, some later, each rolled out to harvest over an ensemble of weathers. Start at `options`.

An option is followed by the best of the known rules (planner.yaml), as a grower goes on deciding after today. All options meet the same
weathers, drawn from a seed that the picture gives, so that the same picture gives the same options.
"""

from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.farm.field.balance import IRRIGATION_MM, RAIN_MM
from sdx_domains.farm.field.forecast import ensemble, past_years
from sdx_domains.farm.field.orders import setpoints
from sdx_domains.farm.field.parameters import crop, soil
from sdx_domains.farm.field.picture import FieldOption, FieldOutcome, FieldPicture
from sdx_domains.farm.field.prices import profit_usd_ha
from sdx_domains.farm.field.rollout import KNOTS, RULE, dryness_pct, roll_out
from sdx_domains.farm.field.weather import climate

Array = NDArray[np.float64]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SHOWN_DAYS = 14
LOW_SHARE = 0.1
NO_MORE = [1.0] * KNOTS + [0.0, 0.0]
"""A way to go on that is always considered besides those of planner.yaml: no more water at all."""


@dataclass(frozen=True)
class Planner:
    """planner.yaml."""

    now_mm: tuple[float, ...]
    later: tuple[tuple[int, float], ...]
    members: int
    yield_weight: float
    least_gain: float
    follow_ups: Array


@cache
def planner() -> Planner:
    found = yaml.safe_load((files(__package__ or "") / "planner.yaml").read_text(encoding="utf-8"))
    rules = np.array([*found["follow_ups"], NO_MORE], dtype=float).reshape(-1, RULE)
    later = tuple((int(days), float(mm)) for days, mm in found["later"])
    return Planner(
        tuple(map(float, found["now_mm"])),
        later,
        int(found["members"]),
        float(found["yield_weight"]),
        float(found["least_gain_usd_ha"]),
        rules,
    )


def options(picture: FieldPicture, plan: Planner | None = None) -> tuple[FieldOption, ...]:
    """None first, then today's amounts, then later ones; () where nothing may be irrigated or the season is over."""
    plan = plan or planner()
    if picture.unfit or picture.days_to_harvest <= 0:
        return ()
    actions = [(0, 0.0), *((0, mm) for mm in plan.now_mm), *((days, mm) for days, mm in plan.later if days < picture.days_to_harvest)]
    members = weathers(picture, plan.members)
    parameters, ground, twin = crop(picture.crop), soil(picture.soil), np.array(picture.twin)
    given = _given(actions)
    found = roll_out(twin, picture.dap, members, given, plan.follow_ups, parameters, ground)
    wet = np.array(picture.twin_wet)
    full = _full_yield(wet, picture.dap, members, parameters, ground)
    worth = picture.prices.grain_usd_t * plan.yield_weight * found[..., 0] - picture.prices.water_usd_mm_ha * found[..., 1]
    chosen = worth.mean(axis=2).argmax(axis=1)
    shown = [
        dryness_pct(twin, picture.dap, members, given[k], plan.follow_ups[r], SHOWN_DAYS, parameters, ground) for k, r in enumerate(chosen)
    ]
    rain = round(float(members[:, :3, RAIN_MM].sum(axis=1).mean()), 1)
    outcomes = [
        _outcome(picture, found[k, r], float(worth[k, r].mean()), float(full.mean()), actions[k][1]).model_copy(
            update={"dryness_pct": tuple(shown[k].round(1).tolist()), "rain_3d_mm": rain}
        )
        for k, r in enumerate(chosen)
    ]
    without = outcomes[0].profit_usd_ha
    return tuple(
        FieldOption(
            id=LETTERS[k],
            label=label(*action),
            setpoints=setpoints(action[1], picture.day + action[0]),
            amount_mm=action[1],
            in_days=action[0],
            outcome=outcome.model_copy(update={"gain_usd_ha": round(outcome.profit_usd_ha - without, 1)}),
        )
        for k, (action, outcome) in enumerate(zip(actions, outcomes, strict=True))
    )


def label(in_days: int, amount_mm: float) -> str:
    """ "no irrigation today", "20 mm today", "15 mm in 2 days"."""
    if amount_mm == 0.0:
        return "no irrigation today"
    return f"{amount_mm:.0f} mm " + ("today" if in_days == 0 else f"in {in_days} days")


def weathers(picture: FieldPicture, size: int) -> Array:
    """(size, days to harvest, 4): the forecast of the picture, going over into past years."""
    rng = np.random.default_rng(int(picture.id, 16))
    years = past_years(climate(picture.climate), picture.past_years, date.fromisoformat(picture.date), picture.days_to_harvest)
    said = picture.forecast
    rows = np.array([said.tmin_c, said.tmax_c, said.rain_mm, said.et0_mm]).T if said is not None else np.empty((0, 4))
    return ensemble(rows, years, size, rng)


def _given(actions: list[tuple[int, float]]) -> Array:
    """(K, days): zeros until the action, NaN after it."""
    found = np.full((len(actions), 1 + max(days for days, _ in actions)), np.nan)
    for row, (days, amount) in zip(found, actions, strict=True):
        row[:days] = 0.0
        row[days] = amount
    return found


def _full_yield(wet: Array, dap: int, members: Array, parameters: Array, ground: Array) -> Array:
    """(M,) what the field gives that is never dry."""
    never_dry = np.array([[*[0.2] * KNOTS, 50.0, 1.0]])
    return roll_out(wet, dap, members, np.empty((1, 0)), never_dry, parameters, ground)[0, 0, :, 0]


def _outcome(picture: FieldPicture, found: Array, worth: float, full: float, amount: float) -> FieldOutcome:
    """Of one option: `found` (M, 3) from roll_out, its mean worth, the mean full yield."""
    tonnes, given, drained = found.mean(axis=0)
    before = picture.twin[IRRIGATION_MM]
    return FieldOutcome(
        members=len(found), yield_t_ha=round(tonnes, 2), yield_low_t_ha=round(float(np.quantile(found[:, 0], LOW_SHARE)), 2),
        yield_pct=round(100.0 * tonnes / full, 1), later_mm=round(max(given - amount, 0.0), 1), season_mm=round(before + given, 1),
        drained_mm=round(drained, 1), profit_usd_ha=round(profit_usd_ha(picture.prices, tonnes, before + given), 1), gain_usd_ha=0.0,
        value_usd_ha=round(worth - picture.prices.fixed_usd_ha, 2), rain_3d_mm=0.0, dryness_pct=(),
    )  # fmt: skip
