"""The strong rules: set-points from the hour, the light, the forecast and the prices, without a model or a search. Start at rule_plan.

They hold whenever no valid plan does, and they are what a plan must beat. Figures: rules.yaml, tuned by tune.py on tuning scenarios.
"""

from functools import cache
from importlib.resources import files

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.contract import Closed
from sdx_domains.farm.ahead import prices_ahead, weather_ahead
from sdx_domains.farm.control.limits import clipped
from sdx_domains.farm.greenhouse.vectors import (
    CO2_EUR_KG,
    CO2_PPM_SET,
    ELEC_EUR_KWH,
    FEED_EC,
    FEED_PH,
    FOG_VPD_KPA,
    FRUIT_EUR_KG,
    HEAT_TEMP_C,
    LAMP_PCT,
    RH_MAX_PCT,
    SCREEN_OUT_TEMP_C,
    SETPOINTS,
    SHADE_W_M2,
    SHOT_J_CM2,
    SHOT_L_M2,
    SOLAR_W_M2,
    VENT_TEMP_C,
)
from sdx_domains.farm.picture import FarmPicture
from sdx_domains.farm.plan import MAX_HOURS, Knot, Plan

Array = NDArray[np.float64]
LIGHT_W_M2 = 10.0
"""Radiation that makes it day."""
MEAN_MJ, DARK_MJ, BRIGHT_MJ = 10.0, 4.0, 20.0
"""Daily radiation, MJ/m2, to which the figures of rules.yaml belong."""
MJ_PER_W_H = 3600.0 / 1e6


class Rules(Closed):
    """See rules.yaml."""

    day_c: float
    day_per_mj_k: float
    day_most_k: float
    night_c: float
    dead_zone_k: float
    rh_day_pct: float
    rh_night_pct: float
    co2_ppm: float
    co2_dim_ppm: float
    dim_w_m2: float
    co2_dear: float
    co2_lean_ppm: float
    lamp_pct: float
    lamp_price: float
    lamp_solar_w_m2: float
    lamp_sum_mj: float
    lamp_from_h: float
    lamp_to_h: float
    screen_day_c: float
    screen_night_c: float
    shade_w_m2: float
    fog_vpd_kpa: float
    shot_j_cm2: float
    shot_l_m2: float
    ec_bright_ds_m: float
    ec_dark_ds_m: float
    feed_ph: float


@cache
def shipped_rules() -> Rules:
    """rules.yaml."""
    return Rules.model_validate(yaml.safe_load((files(__package__ or "") / "rules.yaml").read_text(encoding="utf-8")))


def coming_mj(solar: Array) -> Array:
    """Radiation of the 24 h from each hour on, MJ/m2; where the row ends its last day stands for the missing hours."""
    last = solar[-24:]
    longer = np.concatenate([solar, np.tile(last, 24 // len(last) + 1)[:24]])
    sums = np.concatenate([[0.0], np.cumsum(longer)])
    return (sums[24 : 24 + len(solar)] - sums[: len(solar)]) * MJ_PER_W_H


def rule_schedule(weather: Array, prices: Array, start_hour: float, hours: int | None = None, rules: Rules | None = None) -> Array:
    """Set-points for each hour from now on, (hours + 1, SETPOINTS), inside the soft box.

    Args:
        weather: (>= hours + 1, WEATHER), hourly, the first row for now; the radiation of later rows is looked at too.
        prices: (>= hours + 1, PRICES).
        start_hour: local time of day of the first row.
        hours: None for all rows but the first.
    """
    rules = rules or shipped_rules()
    count = (len(weather) - 1 if hours is None else hours) + 1
    mj = coming_mj(weather[:, SOLAR_W_M2])[:count]
    solar, prices = weather[:count, SOLAR_W_M2], prices[:count]
    clock = np.mod(start_hour + np.arange(count, dtype=np.float64), 24.0)
    lamps = _lamps(rules, clock, solar, mj, prices)
    day = (solar > LIGHT_W_M2) | (lamps > 0.0)
    table = np.empty((count, SETPOINTS))
    warm = np.clip(rules.day_per_mj_k * (mj - MEAN_MJ), -rules.day_most_k, rules.day_most_k)
    table[:, HEAT_TEMP_C] = np.where(day, rules.day_c + warm, rules.night_c)
    table[:, VENT_TEMP_C] = table[:, HEAT_TEMP_C] + rules.dead_zone_k
    table[:, RH_MAX_PCT] = np.where(day, rules.rh_day_pct, rules.rh_night_pct)
    bright = np.where(solar < rules.dim_w_m2, rules.co2_dim_ppm, rules.co2_ppm)
    dear = prices[:, CO2_EUR_KG] > rules.co2_dear * prices[:, FRUIT_EUR_KG]
    table[:, CO2_PPM_SET] = np.where(dear, np.minimum(bright, rules.co2_lean_ppm), bright)
    table[:, LAMP_PCT] = lamps
    table[:, SCREEN_OUT_TEMP_C] = np.where(day, rules.screen_day_c, rules.screen_night_c)
    table[:, SHADE_W_M2], table[:, FOG_VPD_KPA] = rules.shade_w_m2, rules.fog_vpd_kpa
    table[:, SHOT_J_CM2], table[:, SHOT_L_M2] = rules.shot_j_cm2, rules.shot_l_m2
    table[:, FEED_EC] = np.interp(mj, [DARK_MJ, BRIGHT_MJ], [rules.ec_dark_ds_m, rules.ec_bright_ds_m])
    table[:, FEED_PH] = rules.feed_ph
    return clipped(table)


def _lamps(rules: Rules, clock: Array, solar: Array, mj: Array, prices: Array) -> Array:
    """Lamps where light is short and electricity cheap against fruit, in their window."""
    pays = prices[:, ELEC_EUR_KWH] < rules.lamp_price * prices[:, FRUIT_EUR_KG]
    short = (solar < rules.lamp_solar_w_m2) & (mj < rules.lamp_sum_mj)
    window = (clock >= rules.lamp_from_h) & (clock < rules.lamp_to_h)
    return np.where(pays & short & window, rules.lamp_pct, 0.0)


def rule_plan(picture: FarmPicture, hours: int = MAX_HOURS, rules: Rules | None = None) -> Plan:
    """The rules' plan from now on; without a forecast what is measured now stands for all hours."""
    table = rule_schedule(weather_ahead(picture, 30), prices_ahead(picture, 30), picture.hour, hours - 1, rules)
    return Plan(start_s=picture.t_s, knots=tuple(Knot.of_row(row) for row in table))
