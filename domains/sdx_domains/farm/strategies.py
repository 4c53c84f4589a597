"""Named ways to differ from the rules' schedule (strategies.yaml), applied to it. Start at changed()."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import model_validator

from sdx_domains.contract import Closed, Language
from sdx_domains.farm.greenhouse.vectors import ELEC_EUR_KWH, OUT_RH_PCT, OUT_TEMP_C, SETPOINT_NAMES, SOLAR_W_M2

Array = NDArray[np.float64]
When = Literal["all", "day", "night", "dear", "cheap", "cold", "mild", "bright", "dusk", "dawn", "humid"]
RULES = "rules"
MIX = "+"
"""Between the names of strategies that are taken together."""
APART = {
    frozenset(pair)
    for pair in (
        ("day", "night"),
        ("day", "dawn"),
        ("night", "dusk"),
        ("night", "bright"),
        ("dawn", "bright"),
        ("dear", "cheap"),
        ("cold", "mild"),
    )
}
"""Words for hours that have none in common."""
APART_SHARE = 0.05
"""A price that differs from the coming day's mean by less is neither dear nor cheap."""
LIGHT_W_M2, BRIGHT_W_M2, HUMID_PCT = 20.0, 350.0, 92.0
DAY_H = 24


class Change(Closed):
    """What becomes of one set-point in some hours; exactly one of add, set and times."""

    when: When
    add: float | None = None
    set: float | None = None
    times: float | None = None

    @model_validator(mode="after")
    def _one(self) -> "Change":
        if sum(value is not None for value in (self.add, self.set, self.times)) != 1:
            raise ValueError("a change holds exactly one of add, set and times")
        return self

    def applied(self, column: Array) -> Array:
        if self.set is not None:
            return np.full_like(column, self.set)
        return column + self.add if self.add is not None else column * (self.times or 0.0)


class Strategy(Closed):
    en: str
    ko: str
    change: Mapping[str, Change]


class Exchange(Closed):
    """EUR per m2 and day of time out of bounds; see planner.py."""

    rh_out_eur_m2_d: float
    temp_out_eur_m2_d: float
    rh_more_eur_m2_d: float
    temp_more_eur_m2_d: float


class Book(Closed):
    """strategies.yaml."""

    hours: int
    shown: int
    step_s: float
    rounds: int
    exchange: Exchange
    strategies: Mapping[str, Strategy]


@cache
def book() -> Book:
    """The shipped strategies. ValueError (pydantic's) names what is wrong in the file."""
    found = Book.model_validate(yaml.safe_load((files(__package__ or "") / "strategies.yaml").read_text(encoding="utf-8")))
    unknown = {name for strategy in found.strategies.values() for name in strategy.change} - set(SETPOINT_NAMES)
    if unknown or RULES not in found.strategies:
        raise ValueError(f"strategies.yaml: unknown set-points {sorted(unknown)}, or no row {RULES!r}")
    return found


def words(strategy: str, language: Language = "en") -> str:
    """What a strategy, or a mix of some, is in words. KeyError for an unknown one."""
    return ", ".join(getattr(book().strategies[part], language) for part in strategy.split(MIX))


def alike(first: str, second: str) -> bool:
    """Whether two strategies change the same set-point in the same hours: a mix of them would be neither."""
    one, two = book().strategies[first].change, book().strategies[second].change
    return any(frozenset((one[name].when, two[name].when)) not in APART for name in set(one) & set(two))


def changed(base: Array, strategies: Sequence[str], weather: Array, prices: Array) -> Array:
    """The rules' schedule (H + 1, SETPOINTS) with some strategies laid over it for the first hours."""
    schedule = base.copy()
    hours = np.arange(len(base)) < book().hours
    for name in strategies:
        for setpoint, change in book().strategies[name].change.items():
            place = SETPOINT_NAMES.index(setpoint)
            mask = hours & _hours(change.when, weather, prices)
            schedule[mask, place] = change.applied(schedule[mask, place])
    return schedule


def _hours(when: When, weather: Array, prices: Array) -> NDArray[np.bool_]:
    """(H + 1,) the hours that a word stands for."""
    light = weather[:, SOLAR_W_M2] > LIGHT_W_M2
    power, outside = prices[:, ELEC_EUR_KWH], weather[:, OUT_TEMP_C]
    if when in ("dear", "cheap"):
        mean = power[:DAY_H].mean()
        return power > mean + APART_SHARE * abs(mean) if when == "dear" else power < mean - APART_SHARE * abs(mean)
    if when in ("cold", "mild"):
        mean = outside[:DAY_H].mean()
        return outside < mean if when == "cold" else outside >= mean
    if when in ("dusk", "dawn"):
        soon = np.zeros(len(light), dtype=np.bool_)
        for lead in (1, 2):
            later = np.append(light[lead:], np.repeat(light[-1], lead))
            soon |= later != light
        return soon & (light if when == "dusk" else ~light)
    plain = {
        "all": np.ones(len(light), dtype=np.bool_),
        "day": light,
        "night": ~light,
        "bright": weather[:, SOLAR_W_M2] > BRIGHT_W_M2,
        "humid": weather[:, OUT_RH_PCT] > HUMID_PCT,
    }
    return plain[when]
