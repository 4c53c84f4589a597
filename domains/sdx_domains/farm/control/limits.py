"""Limits of the greenhouse: limits.yaml as a closed, frozen value, and the check of a plan against the soft box. Start at limits()."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.contract import Closed
from sdx_domains.farm.greenhouse.vectors import HEAT_TEMP_C, SETPOINT_NAMES, VENT_TEMP_C
from sdx_domains.farm.plan import Plan


class Range(Closed):
    """What a plan may ask of one set-point."""

    low: float
    high: float
    source: str


class PlanLimits(Closed):
    """Of a plan as a whole; limits.yaml tells each."""

    dead_zone_min_k: float
    heat_step_k_h: float
    valid_min_s: float
    valid_max_s: float
    start_early_s: float
    start_late_s: float


class HardLimits(Closed):
    """What the safety filter and the alarms hold to; limits.yaml tells each. Shares of opening 0..1."""

    cold_c: float
    chill_c: float
    frost_c: float
    hot_c: float
    heat_alarm_c: float
    rh_wet_pct: float
    rh_wet_s: float
    dew_margin_k: float
    dew_s: float
    dry_vent: float
    dry_heat: float
    dry_cool_c: float
    drying_pa: float
    shade_least: float
    vpd_low_kpa: float
    vpd_high_kpa: float
    co2_stop_ppm: float
    co2_worker_ppm: float
    co2_evacuate_ppm: float
    co2_vent_open: float
    co2_clear_vent: float
    lamp_hot_c: float
    lamp_dark_h: float
    lit_w_m2: float
    fog_rh_pct: float
    heat_vent_open: float
    heat_vent_s: float
    wind_m_s: float
    storm_m_s: float
    wind_lee_most: float
    rain_mm_h: float
    rain_lee_most: float
    rain_wind_most: float
    weather_hold_s: float
    ec_stop_low: float
    ec_stop_high: float
    ph_stop_low: float
    ph_stop_high: float
    ec_step_h: float
    shot_most_s: float
    water_day_l_m2: float
    wc_full_pct: float
    tank_low_pct: float
    flow_wait_s: float
    vent_rate_min: float
    screen_rate_min: float
    heating_rate_min: float
    lamp_on_s: float
    lamp_off_s: float
    pump_on_s: float
    pump_off_s: float
    pump_starts_h: float
    pump_l_m2_min: float


class DataLimits(Closed):
    """When a sensor or a device is not believed."""

    stale_scans: float
    scan_s: float
    slow_scan_s: float
    jump_k_min: float
    flat_s: float
    disagree_k: float
    disagree_s: float
    readback_off: float
    stuck_s: float
    effect_s: float
    pipe_warm_k: float
    vent_cool_k: float
    leak_l_min: float
    water_lock_s: float
    clear_s: float
    sensor_clear_s: float
    forecast_temp_k: float
    forecast_solar: float
    forecast_sum: float


class Limits(Closed):
    """See limits.yaml for the meaning and the source of each."""

    soft: Mapping[str, Range]
    plan: PlanLimits
    hard: HardLimits
    data: DataLimits
    sources: Mapping[str, str]
    """Name of a limit -> where it is from."""

    def box(self) -> NDArray[np.float64]:
        """(2, SETPOINTS): lowest and highest set-points that a plan may ask for."""
        return np.array([[getattr(self.soft[name], end) for name in SETPOINT_NAMES] for end in ("low", "high")])


@cache
def limits() -> Limits:
    """The shipped limits."""
    data: dict[str, dict[str, Any]] = yaml.safe_load((files(__package__ or "") / "limits.yaml").read_text(encoding="utf-8"))
    sources = {name: row["source"] for part in data.values() for name, row in part.items()}
    values = {part: {name: row["value"] for name, row in data[part].items()} for part in ("plan", "hard", "data")}
    return Limits.model_validate({"soft": data["soft"], "sources": sources, **values})


def outside(plan: Plan, known: Limits | None = None) -> list[str]:
    """What of a plan lies outside the soft box, a sentence each with value and limit; [] when it may be held."""
    known = known or limits()
    table = plan.table()
    low, high = known.box()
    wrong = [
        f"{SETPOINT_NAMES[place]} {table[hour, place]:g} at hour {hour} is outside {low[place]:g} to {high[place]:g}"
        for hour, place in zip(*np.nonzero((table < low) | (table > high)), strict=True)
    ]
    gap = table[:, VENT_TEMP_C] - table[:, HEAT_TEMP_C]
    if gap.min() < known.plan.dead_zone_min_k:
        wrong.append(f"vent_temp_c is {gap.min():g} K above heat_temp_c; at least {known.plan.dead_zone_min_k:g} K")
    steps = np.abs(np.diff(table[:, HEAT_TEMP_C]))
    if steps.size and steps.max() > known.plan.heat_step_k_h:
        wrong.append(f"heat_temp_c changes by {steps.max():g} K in an hour; at most {known.plan.heat_step_k_h:g} K")
    return wrong


def clipped(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """A schedule (..., SETPOINTS) brought into the soft box, with vents above heating."""
    low, high = limits().box()
    inside = np.clip(table, low, high)
    inside[..., VENT_TEMP_C] = np.maximum(inside[..., VENT_TEMP_C], inside[..., HEAT_TEMP_C] + limits().plan.dead_zone_min_k)
    return inside
