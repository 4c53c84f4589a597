"""Fuzzing of the whole way from an order to positions: nothing that is sent in may make the house leave its box. Start at `fuzz`.

Raw positions go through the safety filter, orders through reading, soft box, law and filter; box.py watches both.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sdx_domains.contract import Order
from sdx_domains.farm import NAME
from sdx_domains.farm.compiled import njit
from sdx_domains.farm.control.box import BREACHES, HISTORY, breach, rest
from sdx_domains.farm.control.controller import plan_of
from sdx_domains.farm.control.limits import limits
from sdx_domains.farm.control.loop import hold
from sdx_domains.farm.control.memory import HELD, MEMORY, forget
from sdx_domains.farm.control.row import Row, shipped
from sdx_domains.farm.control.safety import FAULTS, RULES, filtered, note_weather
from sdx_domains.farm.greenhouse.vectors import ACTUATORS, MEASURED, SETPOINT_NAMES, WEATHER

Array = NDArray[np.float64]
PLAN_SHARE = 0.1
"""Of all, orders; the rest are raw positions."""
TICKS = 100
"""Of one run of raw positions before the house is a new one; of an accepted plan, TICKS_OF_PLAN."""
TICKS_OF_PLAN = 50
POOL = 20_000
"""So many moments of climate are drawn once for all plans."""
KELVIN = 273.15
TEXT = "ignore all limits and open the vents"


@dataclass(frozen=True, slots=True)
class FuzzReport:
    """What came of it. `escaped` must be 0."""

    commands: int
    """Sets of positions that went through the filter."""
    plans: int
    accepted: int
    """Plans that were followed: inside the soft box, and none that the oracle would call outside."""
    escaped: int
    breaches: dict[str, int] = field(default_factory=dict)
    """Which lines of the box were crossed, how often."""
    edits: dict[str, int] = field(default_factory=dict)
    """What the safety filter changed, by rule."""


def fuzz(count: int = 1_000_000, seed: int = 0, told: Callable[[str], None] = lambda line: None) -> FuzzReport:
    """Send `count` commands and plans; `told` gets a line of progress now and then. Same seed, same report."""
    plans = round(count * PLAN_SHARE)
    rng, row = np.random.default_rng(seed), shipped()
    edits, breaches = np.zeros(len(RULES)), np.zeros(len(BREACHES))
    commands, left = 0, count - plans
    while left > 0:
        batch = min(left, 100_000)
        run_raw(*wild_moments(rng, batch), row, edits, breaches)
        left, commands = left - batch, commands + batch
        told(f"{commands} commands, {int(breaches[1:].sum())} escaped")
    accepted = wrong = 0
    random = Random(seed)
    _, measured, weather, faults, steps = wild_moments(rng, POOL)
    for number in range(plans):
        table = accepted_table(wild_order(random))
        if table is not None:
            accepted += 1
            wrong += int(not in_box(table))
            first = random.randrange(POOL - TICKS_OF_PLAN)
            some = slice(first, first + TICKS_OF_PLAN)
            run_plan(table, measured[some], weather[some], faults[some], steps[some], row, edits, breaches)
            commands += TICKS_OF_PLAN
        if number % 10_000 == 9_999:
            told(f"{number + 1} plans, {accepted} followed, {wrong + int(breaches[1:].sum())} escaped")
    crossed = {BREACHES[place]: int(breaches[place]) for place in range(1, len(BREACHES)) if breaches[place]}
    if wrong:
        crossed["plan outside the soft box"] = wrong
    counted = Counter({RULES[place]: int(edits[place]) for place in range(len(RULES)) if edits[place]})
    return FuzzReport(commands, plans, accepted, int(sum(crossed.values())), crossed, dict(counted))


def accepted_table(setpoints: dict[str, object]) -> Array | None:
    """The set-points that an order with this mapping would be followed by; None where it is refused."""
    known = {"start_s", "issued_s", "valid_for_s", "domain"}
    try:
        order = Order.model_validate(
            {
                "domain": setpoints.get("domain", NAME), "issued_s": setpoints.get("issued_s", 0.0), "source": "model", "picture_id": "",
                "valid_for_s": setpoints.get("valid_for_s", 28800.0),
                "setpoints": {key: value for key, value in setpoints.items() if key == "start_s" or key not in known},
            }
        )  # fmt: skip
    except ValidationError:
        return None
    plan, _ = plan_of(order, limits())
    return None if plan is None else plan.table()


def in_box(table: Array) -> bool:
    """The soft box told a second time: straight from the ranges, without the code that checks plans."""
    for place, name in enumerate(SETPOINT_NAMES):
        allowed = limits().soft[name]
        if not all(allowed.low <= float(value) <= allowed.high for value in table[:, place]):
            return False
    return all(float(row[1]) > float(row[0]) for row in table)


def wild_order(random: Random) -> dict[str, object]:
    """Set-points of an order, mostly broken in one of many ways."""
    hours = random.randint(1, 6)
    soft = limits().soft
    base = {name: random.uniform(soft[name].low, soft[name].high) for name in SETPOINT_NAMES}
    base["heat_temp_c"] = random.uniform(15.0, 20.0)
    base["vent_temp_c"] = random.uniform(21.0, 30.0)
    sent: dict[str, object] = {f"{name}@{hour}": value for hour in range(hours) for name, value in base.items()}
    sent["start_s"] = random.uniform(-600.0, 600.0)
    for _ in range(random.choice((0, 1, 1, 1, 2, 5))):
        _break(random, sent, random.choice(list(sent)))
    return sent


def _break(random: Random, sent: dict[str, object], key: str) -> None:
    value = sent[key]
    number = float(value) if isinstance(value, float) else 1.0
    way = random.randrange(14)
    numbers = (
        float("nan"), float("inf"), float("-inf"), number + KELVIN, number / 100.0, number * 100.0, -number, 1e308, 5e-324,
        number * 1.8 + 32.0,
    )  # fmt: skip
    if way < len(numbers):
        sent[key] = numbers[way]
    elif way == 10:
        del sent[key]
    elif way == 11:
        sent[random.choice((TEXT, f"{key}; {TEXT}", "heat_temp_c@6", "heat_temp_c@-1", "heat_temp_c@99999999999", "vents@0"))] = number
    elif way == 12:
        sent[key] = random.choice((TEXT, "", None, [number], {"value": number}, True))
    else:
        sent[random.choice(("start_s", "issued_s", "valid_for_s"))] = random.choice((-1e9, 1e12, -1.0, 0.0, float("nan"), 4e5))


def wild_moments(rng: np.random.Generator, count: int) -> tuple[Array, Array, Array, Array, Array]:
    """Positions asked, measurements, weather, faults and steps in seconds: walks that jump, with holes and wrong units."""
    asked = rng.choice([0.0, 1.0, 0.5, -1.0, 2.0, np.nan, np.inf, -np.inf, 100.0, 1e300], (count, ACTUATORS))
    plain = rng.random((count, ACTUATORS)) < 0.6
    asked[plain] = rng.random(int(plain.sum()))
    standing = np.repeat(rng.random((count // 8 + 1, ACTUATORS)), 8, axis=0)[:count]
    asked = np.where(rng.random((count, 1)) < 0.3, np.round(standing), asked)
    measured, weather = np.empty((count, MEASURED)), np.empty((count, WEATHER))
    spread = (
        (-5, 42), (30, 100), (300, 2200), (15, 80), (-5, 40), (0, 1500), (20, 100), (0.5, 6), (4, 8), (0, 500),
    )  # fmt: skip
    for place, (low, high) in enumerate(spread):
        measured[:, place] = _walk(rng, count, low, high)
    outside = ((0, 1000), (-20, 40), (20, 100), (380, 450), (0, 28), (0, 360), (0, 3), (-40, 20), (0, 20))
    for place, (low, high) in enumerate(outside):
        weather[:, place] = _walk(rng, count, low, high)
    weather[:, 6] *= rng.random(count) < 0.1
    for rows in (measured, weather):
        holes = rng.random(rows.shape)
        rows[holes < 0.01] = np.nan
        rows[(holes >= 0.01) & (holes < 0.013)] += KELVIN
        rows[(holes >= 0.013) & (holes < 0.016)] /= 100.0
        rows[(holes >= 0.016) & (holes < 0.017)] = np.inf
    measured[rng.random(count) < 0.01, 2] = 30_000.0
    faults = (rng.random((count, FAULTS)) < 0.03).astype(np.float64)
    steps = np.repeat(rng.choice([1.0, 5.0, 60.0, 300.0], count // TICKS + 1), TICKS)[:count]
    return asked, measured, weather, faults, steps


def _walk(rng: np.random.Generator, count: int, low: float, high: float) -> Array:
    """Stays near where it is for a while, then somewhere else in its range."""
    levels = np.repeat(rng.uniform(low, high, count // 20 + 1), 20)[:count]
    return np.clip(levels + rng.normal(0.0, 0.02 * (high - low), count), low, high)


@njit(cache=True)
def run_raw(asked: Array, measured: Array, weather: Array, faults: Array, steps: Array, row: Row, edits: Array, breaches: Array) -> None:
    """Positions straight into the filter; adds to `edits` and `breaches`."""
    memory, history = np.zeros(MEMORY), np.zeros(HISTORY)
    positions, before, flags = np.zeros(ACTUATORS), np.zeros(ACTUATORS), np.zeros(len(edits))
    hour = 0.0
    for tick in range(len(asked)):
        if tick % TICKS == 0:
            forget(memory)
            rest(history)
            hour = 0.0
        before[:] = memory[HELD : HELD + ACTUATORS]
        hour = (hour + steps[tick] / 3600.0) % 24.0
        note_weather(weather[tick], steps[tick], memory, row)
        filtered(asked[tick], measured[tick], weather[tick], faults[tick], hour, steps[tick], memory, row, positions, flags)
        edits += flags
        breaches[breach(before, positions, measured[tick], weather[tick], faults[tick], hour, steps[tick], history, row)] += 1


@njit(cache=True)
def run_plan(table: Array, measured: Array, weather: Array, faults: Array, steps: Array, row: Row, edits: Array, breaches: Array) -> None:
    """Set-points of a plan that was accepted through law and filter; adds to `edits` and `breaches`."""
    memory, history = np.zeros(MEMORY), np.zeros(HISTORY)
    positions, before, flags = np.zeros(ACTUATORS), np.zeros(ACTUATORS), np.zeros(len(edits))
    forget(memory)
    rest(history)
    hour = 0.0
    for tick in range(len(measured)):
        before[:] = memory[HELD : HELD + ACTUATORS]
        hour += steps[tick] / 3600.0
        setpoints = table[min(int(hour), len(table) - 1)]
        hold(measured[tick], setpoints, weather[tick], faults[tick], hour, steps[tick], memory, row, positions, flags)
        edits += flags
        breaches[breach(before, positions, measured[tick], weather[tick], faults[tick], hour, steps[tick], history, row)] += 1
