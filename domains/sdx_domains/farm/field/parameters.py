"""Crops and soils of the field twin as flat arrays: crop("maize"), soil("sandy_loam"). Places are plain integers, which numba takes as constants."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import numpy as np
import yaml
from numpy.typing import NDArray

Array = NDArray[np.float64]

CROP_NAMES = (
    "emergence_d", "canopy_10pct_d", "max_canopy_d", "flowering_d", "flowering_length_d", "canopy_dev_end_d", "senescence_d",
    "max_rooting_d", "yield_form_d", "maturity_d", "cc0", "ccx", "cgc_per_d", "cdc_per_d", "kcb", "ageing_pct_d", "root_min_m",
    "root_max_m", "root_start_share", "root_shape", "sx_top_per_d", "sx_bot_per_d", "p_exp_up", "p_exp_lo", "p_sto", "p_sen", "p_pol",
    "shape_exp", "shape_sto", "shape_sen", "wp_g_m2", "hi0", "hi_gain_max", "hi_up_a", "hi_down_b", "hi_ini", "hi_growth_per_d",
    "hi_linear_from_d", "hi_linear_per_d", "pollination_excess", "base_temp_c", "upper_temp_c", "cold_gdd",
)  # fmt: skip
(
    EMERGENCE, CANOPY_10PCT, MAX_CANOPY, FLOWERING, FLOWERING_LENGTH, CANOPY_DEV_END, SENESCENCE, MAX_ROOTING, YIELD_FORM, MATURITY,
    CC0, CCX, CGC, CDC, KCB, AGEING, ROOT_MIN, ROOT_MAX, ROOT_START, ROOT_SHAPE, SX_TOP, SX_BOT, P_EXP_UP, P_EXP_LO, P_STO, P_SEN, P_POL,
    SHAPE_EXP, SHAPE_STO, SHAPE_SEN, WP, HI0, HI_GAIN, HI_UP, HI_DOWN, HI_INI, HI_GROWTH, HI_LINEAR_FROM, HI_LINEAR, EXCESS, BASE_TEMP,
    UPPER_TEMP, COLD_GDD,
) = range(43)  # fmt: skip

SOIL_NAMES = ("th_wp", "th_fc", "th_s", "curve_number", "rew_mm", "ksat_mm_d")
TH_WP, TH_FC, TH_S, CURVE_NUMBER, REW, KSAT = range(6)


@cache
def _blocks(file: str) -> Mapping[str, Mapping[str, float]]:
    return yaml.safe_load((files(__package__ or "") / file).read_text(encoding="utf-8"))


def _read(file: str, name: str, names: tuple[str, ...]) -> Array:
    blocks = _blocks(file)
    if name not in blocks:
        raise KeyError(f"no {name!r} in {file}; known: {', '.join(blocks)}")
    found = np.array([float(blocks[name][key]) for key in names])
    found.setflags(write=False)
    return found


@cache
def crop(name: str = "maize") -> Array:
    """Parameters in the order of CROP_NAMES. KeyError with the known crops."""
    return _read("crops.yaml", name, CROP_NAMES)


@cache
def soil(name: str = "sandy_loam") -> Array:
    """Parameters in the order of SOIL_NAMES. KeyError with the known soils."""
    return _read("soils.yaml", name, SOIL_NAMES)
