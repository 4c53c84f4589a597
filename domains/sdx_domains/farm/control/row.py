"""All numbers of the fast loop in one value that compiled code reads: bands and rates of the law (law.yaml) and the hard limits."""

from functools import cache
from importlib.resources import files
from typing import cast

import numpy as np
import yaml

from sdx_domains.contract import Closed
from sdx_domains.farm.control.limits import HardLimits, limits


class Bands(Closed):
    """See law.yaml for the meaning and the source of each."""

    heat_band_k: float
    vent_heat_band_k: float
    vent_rh_band_pct: float
    vent_cold_k: float
    vent_cold_band_k: float
    dead_zone_min_k: float
    damp_rh_pct: float
    damp_rh_band_pct: float
    damp_heat: float
    co2_band_ppm: float
    co2_vent_low: float
    co2_vent_high: float
    co2_light_w_m2: float
    screen_band_k: float
    screen_light_w_m2: float
    screen_light_band_w_m2: float
    screen_heat_k: float
    screen_heat_band_k: float
    screen_rh_pct: float
    screen_rh_band_pct: float
    shade_band_w_m2: float
    shade_most: float
    lamp_solar_w_m2: float
    lamp_solar_back_w_m2: float
    lamp_heat_k: float
    blackout_solar_w_m2: float
    blackout_gap: float
    fog_band_kpa: float
    fog_back_kpa: float
    fog_least: float
    fog_stop_rh_pct: float
    shot_pause_min: float
    dry_wc_pct: float
    wet_wc_pct: float
    vent_rate_per_min: float
    screen_rate_per_min: float
    heating_rate_per_min: float


@cache
def bands() -> Bands:
    """The shipped ones."""
    return Bands.model_validate(yaml.safe_load((files(__package__ or "") / "law.yaml").read_text(encoding="utf-8")))


class Row(Bands, HardLimits):
    """All numbers that the loop reads. Compiled code gets them as a structured numpy scalar with these names, which is quick to pass."""


@cache
def shipped() -> Row:
    """law.yaml and limits.yaml, packed; typed as what it reads like."""
    return packed(Row(**bands().model_dump(), **limits().hard.model_dump()))


def packed(row: Row) -> Row:
    """A row as the compiled functions take it."""
    values = row.model_dump()
    kind = np.dtype([(name, np.float64) for name in values])
    return cast(Row, np.array(tuple(values.values()), dtype=kind)[()])
