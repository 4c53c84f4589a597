"""Scores of a season by its truth: money, climate in bounds, limits that were crossed, what safety had to change; and suites in figures.

`score` of one run, `summarise` of a suite.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import Closed
from sdx_domains.farm.control.limits import limits
from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.greenhouse.parameters import FRUIT_STAGES
from sdx_domains.farm.greenhouse.state import BUFFER_MG, FRUIT_MG
from sdx_domains.farm.greenhouse.step import CO2_KG, DRAIN_L, ELEC_KWH, FRUIT_KG, HEAT_KWH, WATER_L_USED
from sdx_domains.farm.greenhouse.twin import BUFFER_TO_FRUIT, FRUIT_KEPT, Bounds
from sdx_domains.farm.world.house import GreenhouseHouse
from sdx_domains.farm.world.plant import ControlledPlant
from sdx_domains.farm.world.scenarios import FarmScenario
from sdx_domains.farm.world.trace import MONEY, Trace

DAY_S = 86400.0
RESAMPLES = 10_000
DAMP_S = 900.0
"""A breach that ends sooner than the devices' travel is the weather's, not the controller's: storms come faster than vents shut."""
EXPECTED: Mapping[str, tuple[str, ...]] = {
    "sensor_bias": ("sensor_disagrees",),
    "sensor_dead": ("sensor_dead", "co2_sensor_dead"),
    "sensor_flat": ("sensor_flat",),
    "sensor_spikes": ("sensor_jump", "sensor_disagrees"),
    "sensor_gaps": ("sensor_stale", "sensor_dead", "co2_sensor_dead"),
    "device_stuck": ("vent_stuck", "device_stuck"),
    "leak": ("leak",),
    "blackout": ("power_cut",),
    "forecast_wrong": ("forecast_wrong",),
}
"""Alarms that tell of a failure, one of which is enough."""


class FarmScore(Closed):
    """One season. Money EUR/m2 of floor; shares 0..1 of the time."""

    kind: Literal["greenhouse"] = "greenhouse"
    case: str
    twin: str = ""
    """The same season without failures."""
    days: float
    profit_eur_m2: float
    """Fruit picked and growth gained, less heat, electricity, CO2 and water."""
    fruit_eur_m2: float
    growth_eur_m2: float
    """What growing fruit and stored carbohydrates gained, at the last price of fruit; as the twin reckons it."""
    heat_eur_m2: float
    elec_eur_m2: float
    co2_eur_m2: float
    water_eur_m2: float
    heat_kwh_m2: float
    elec_kwh_m2: float
    co2_kg_m2: float
    water_l_m2: float
    drain_l_m2: float
    fruit_kg_m2: float
    """Fresh, picked."""
    growth_kg_m2: float
    """Fresh, gained on the plants."""
    temp_in: float
    rh_in: float
    co2_in: float
    temp_mean_c: float
    temp_min_c: float
    temp_max_c: float
    rh_max_pct: float
    breaches: Mapping[str, int]
    """Times that each hard limit was crossed because of what was commanded."""
    hard_breaches: int
    weather_extremes: Mapping[str, float]
    """Hours in which the air was colder or hotter than the alarm limits, whatever was commanded."""
    edits: int
    commands: int
    edit_share: float
    orders: int
    refusals: int
    alarms: Mapping[str, int]
    """How often each kind was raised."""
    alarm_delay_s: float | None = None
    """From the first failure to the first alarm that tells of it; None: none came, or there was no failure."""
    alarm_missed: bool = False


def score(case: FarmScenario, plant: ControlledPlant) -> FarmScore:
    """Score one run. ValueError: the plant is no simulated house, or of another case."""
    house = plant.equipment
    if not isinstance(house, GreenhouseHouse) or house.case != case:
        raise ValueError(f"{case.name}: only a simulated house that ran this case can be scored by its truth")
    trace = house.trace
    money = dict(zip(MONEY, trace.money[-1].tolist(), strict=True))
    flows = trace.flows[-1]
    growth_kg = _growth_kg(house)
    growth = growth_kg[1] * float(house.prices.at(house.t_s)[v.FRUIT_EUR_KG])
    breaches = breaches_of(trace)
    edits = dict(plant.controller.edits())
    commands = edits.pop("commands", 0)
    changed = edits.pop("edited", sum(edits.values()))
    temp, rh, co2 = (trace.column("measured", place) for place in (v.AIR_TEMP_C, v.AIR_RH_PCT, v.AIR_CO2_PPM))
    bounds = Bounds()
    delay = _alarm_delay(case, plant)
    return FarmScore(
        case=case.name,
        twin=case.twin,
        days=house.t_s / DAY_S,
        profit_eur_m2=_round(money["fruit"] + growth - money["heat"] - money["elec"] - money["co2"] - money["water"]),
        fruit_eur_m2=_round(money["fruit"]),
        growth_eur_m2=_round(growth),
        heat_eur_m2=_round(money["heat"]),
        elec_eur_m2=_round(money["elec"]),
        co2_eur_m2=_round(money["co2"]),
        water_eur_m2=_round(money["water"]),
        heat_kwh_m2=_round(flows[HEAT_KWH]),
        elec_kwh_m2=_round(flows[ELEC_KWH]),
        co2_kg_m2=_round(flows[CO2_KG]),
        water_l_m2=_round(flows[WATER_L_USED]),
        drain_l_m2=_round(flows[DRAIN_L]),
        fruit_kg_m2=_round(flows[FRUIT_KG] / house.parameters["fruit_dry_matter"]),
        growth_kg_m2=_round(growth_kg[0]),
        temp_in=_inside(temp, bounds.temp_min_c, bounds.temp_max_c),
        rh_in=_inside(rh, bounds.rh_min_pct, bounds.rh_max_pct),
        co2_in=_inside(co2, bounds.co2_min_ppm, bounds.co2_max_ppm),
        temp_mean_c=_round(temp.mean()),
        temp_min_c=_round(temp.min()),
        temp_max_c=_round(temp.max()),
        rh_max_pct=_round(rh.max()),
        breaches=breaches,
        hard_breaches=sum(breaches.values()),
        weather_extremes=_extremes(trace),
        edits=changed,
        commands=commands,
        edit_share=_round(changed / commands) if commands else 0.0,
        orders=len(plant.orders),
        refusals=len(plant.refusals),
        alarms=_counted([alarm.kind for _, alarm in plant.alarms]),
        alarm_delay_s=delay,
        alarm_missed=delay is None and bool(case.failures),
    )


def _growth_kg(house: GreenhouseHouse) -> tuple[float, float]:
    """Fresh weight gained on the plants, and what of it and of the carbohydrate buffer will be sold (twin.py's reckoning), kg/m2."""
    first, last = house.states
    stages = slice(FRUIT_MG, FRUIT_MG + FRUIT_STAGES)
    dry = 1e-6 * float(last[stages].sum() - first[stages].sum())
    buffer = 1e-6 * float(last[BUFFER_MG] - first[BUFFER_MG])
    fresh = 1.0 / house.parameters["fruit_dry_matter"]
    return fresh * dry, fresh * (FRUIT_KEPT * dry + BUFFER_TO_FRUIT * buffer)


def breaches_of(trace: Trace) -> dict[str, int]:
    """Hard limits of control/limits.yaml that the truth shows crossed for longer than DAMP_S, each spell once; only those that commands can cause."""
    hard = limits().hard
    temp, co2, rh = (trace.column("measured", place) for place in (v.AIR_TEMP_C, v.AIR_CO2_PPM, v.AIR_RH_PCT))
    wind = trace.column("weather", v.WIND_M_S)
    position = trace.table("positions").T
    opening = 0.5 * (position[v.VENT_LEE] + position[v.VENT_WIND])
    heated, hot = position[v.HEATING] > 0.9, temp > hard.heat_alarm_c
    vented = (position[v.VENT_LEE] > 0.9) | (wind > hard.wind_m_s - 2.0) | (trace.column("weather", v.RAIN_MM_H) > 0.0)
    spells = {
        "co2_people": co2 > hard.co2_worker_ppm,
        "co2_dosed_above": (position[v.CO2_DOSING] > 0.02) & (co2 > hard.co2_stop_ppm + 100.0),
        "co2_dosed_open": (position[v.CO2_DOSING] > 0.02) & (opening > hard.co2_vent_open + 0.05),
        "cold_unheated": (temp < hard.chill_c) & ~heated,
        "cold_vented": (temp < hard.chill_c) & (opening > 0.05),
        "hot_heated": (temp > hard.hot_c + 1.0) & (position[v.HEATING] > 0.05),
        "hot_shut": hot & ~vented,
        "storm_open": (wind > hard.wind_m_s + 1.0) & (position[v.VENT_WIND] > 0.05),
        "lamps_hot": (temp > hard.lamp_hot_c + 1.0) & (position[v.LAMPS] > 0.0),
        "fog_humid": (rh > hard.fog_rh_pct + 5.0) & (position[v.FOG] > 0.02),
    }
    longest = max(round(DAMP_S / trace.every_s), 1)
    return {name: found for name, where in spells.items() if (found := _spells(where, longest))}


def _spells(where: NDArray[np.bool_], longest: int) -> int:
    """Runs of True of more than `longest` rows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(int)))
    return int(((edges[1::2] - edges[::2]) > longest).sum())


def _extremes(trace: Trace) -> dict[str, float]:
    hard = limits().hard
    temp = trace.column("measured", v.AIR_TEMP_C)
    hours = trace.every_s / 3600.0
    return {
        "below_chill_h": _round(float((temp < hard.chill_c).sum()) * hours),
        "above_alarm_h": _round(float((temp > hard.heat_alarm_c).sum()) * hours),
    }


def _alarm_delay(case: FarmScenario, plant: ControlledPlant) -> float | None:
    """Seconds from the first failure that somebody should be told of to the first alarm that tells it."""
    told = [
        at_s - failure.from_s
        for failure in case.failures
        for at_s, alarm in plant.alarms
        if at_s >= failure.from_s and alarm.kind in EXPECTED[failure.kind]
    ]
    return min(told, default=None)


def _inside(values: NDArray[np.float64], low: float, high: float) -> float:
    return _round(float(((values >= low) & (values <= high)).mean()))


def _round(value: float) -> float:
    return round(float(value), 4)


def _counted(kinds: Sequence[str]) -> dict[str, int]:
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def summarise(scores: Sequence[FarmScore]) -> dict[str, Any]:
    """A suite in figures: means over its cases, sums of what must not happen, and losses against each case's twin without failures."""
    if not scores:
        return {"cases": 0}
    means = ("profit_eur_m2", "fruit_eur_m2", "growth_eur_m2", "heat_eur_m2", "elec_eur_m2", "co2_eur_m2", "water_eur_m2", "temp_in", "rh_in",
             "co2_in", "fruit_kg_m2", "edit_share")  # fmt: skip
    commands = sum(score.commands for score in scores)
    summary: dict[str, Any] = {"cases": len(scores), "days": _round(float(np.mean([score.days for score in scores])))}
    summary |= {name: _round(float(np.mean([getattr(score, name) for score in scores]))) for name in means}
    summary["edit_share"] = _round(sum(score.edits for score in scores) / commands) if commands else 0.0
    summary["profit_interval"] = interval([score.profit_eur_m2 for score in scores])
    summary["hard_breaches"] = sum(score.hard_breaches for score in scores)
    summary["refusals"] = sum(score.refusals for score in scores)
    by_name = {score.case: score for score in scores}
    losses = {
        score.case: {
            "loss_eur_m2": _round(by_name[score.twin].profit_eur_m2 - score.profit_eur_m2),
            "alarm_delay_s": score.alarm_delay_s,
            "alarm_missed": score.alarm_missed,
        }
        for score in scores
        if score.twin in by_name
    }
    return summary | ({"failures": losses} if losses else {})


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % bootstrap interval (percentile) of the mean, of a fixed seed; None for fewer than two values."""
    if len(values) < 2:
        return None
    sample = np.random.default_rng(0).choice(np.array(values), (RESAMPLES, len(values)))
    low, high = np.quantile(sample.mean(axis=1), (0.025, 0.975))
    return _round(low), _round(high)
