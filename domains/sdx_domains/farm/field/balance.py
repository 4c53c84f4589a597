"""One field through its days, compiled: soil water in layers, canopy, transpiration, yield. The twin's equations; start at `day`.

A lean account of crop water productivity after the AquaCrop Reference Manual (Raes, Steduto, Hsiao, Fereres, FAO 2018), cited below as
RM with its section. Left out: capillary rise, aeration and salt stress, bunds, cold and heat at pollination. Water above field capacity
runs down the layers within the day. Depths in m, water in mm, time in days after planting (the day of planting is 1).
"""

import numpy as np

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.field.parameters import (
    AGEING,
    BASE_TEMP,
    CANOPY_10PCT,
    CANOPY_DEV_END,
    CC0,
    CCX,
    CDC,
    CGC,
    COLD_GDD,
    CURVE_NUMBER,
    EMERGENCE,
    EXCESS,
    FLOWERING,
    FLOWERING_LENGTH,
    HI0,
    HI_DOWN,
    HI_GAIN,
    HI_GROWTH,
    HI_INI,
    HI_LINEAR,
    HI_LINEAR_FROM,
    HI_UP,
    KCB,
    MATURITY,
    MAX_CANOPY,
    MAX_ROOTING,
    P_EXP_LO,
    P_EXP_UP,
    P_POL,
    P_SEN,
    P_STO,
    REW,
    ROOT_MAX,
    ROOT_MIN,
    ROOT_SHAPE,
    ROOT_START,
    SENESCENCE,
    SHAPE_EXP,
    SHAPE_SEN,
    SHAPE_STO,
    SX_BOT,
    SX_TOP,
    TH_FC,
    TH_S,
    TH_WP,
    UPPER_TEMP,
    WP,
    YIELD_FORM,
)  # fmt: skip

LAYER_M = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)
LAYERS = 12
"""Fine above, coarse below: evaporation and the top roots need the upper ones."""
_DZ = np.array(LAYER_M)
_BOTTOM = np.cumsum(_DZ).round(3)

TMIN_C, TMAX_C, RAIN_MM, ET0_MM = range(4)
"""Columns of a weather row."""

# Places in the state, after the LAYERS water contents
(
    CC, CC_TOP, CC_MAX, EARLY_D, CC_EARLY, ROOT_M, SINK_SHARE, TR_RATIO, SURFACE_MM, STAGE2, EVAP_M, ETP_MM, BIOMASS, F_POL, S_UP, S_DOWN,
    HI_ADJ, DEPLETION_MM, TAW_MM, IRRIGATION_MM, ET_MM, DRAIN_MM, RUNOFF_MM,
) = range(LAYERS, LAYERS + 23)  # fmt: skip
STATE = LAYERS + 23

EVAP_MIN_M, EVAP_MAX_M, KEX, CANOPY_SHELTER, KR_SHAPE, KR_RELATIVE = 0.15, 0.30, 1.1, 0.5, 4.0, 0.4
"""RM 3.9: evaporating layer, soil evaporation coefficient, shelter of dead canopy, decline factor, its extension threshold."""
EVAP_STEPS = 4
SENESCENCE_BETA = 0.12
"""RM 3.4.2: once leaves die, they go on dying until the soil is wetter by this share."""
CN_M = 0.3
"""RM 3.7: depth that sets the curve number."""


@njit(cache=True)
def start(th: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """State on the eve of planting with these water contents (LAYERS,), m3/m3."""
    state = np.zeros(STATE)
    state[:LAYERS] = th
    state[ROOT_M], state[SINK_SHARE], state[TR_RATIO] = crop[ROOT_MIN], 1.0, 1.0
    state[STAGE2], state[EVAP_M] = 1.0, EVAP_MIN_M
    return state


@njit(cache=True)
def day(state: np.ndarray, dap: int, weather: np.ndarray, irrigation_mm: float, crop: np.ndarray, soil: np.ndarray) -> None:
    """One day, in place. `weather` is (TMIN_C, TMAX_C, RAIN_MM, ET0_MM); `dap` counts from 1."""
    et0 = max(weather[ET0_MM], 0.1)
    _roots(state, dap, crop, soil)
    wetted = _infiltrate(state, weather[RAIN_MM], irrigation_mm, soil)
    dr, taw = stress_depletion(state, soil)
    _canopy(state, dap, et0, dr, taw, crop)
    evaporated, potential = _evaporate(state, dap, et0, wetted, crop, soil)
    transpired, demand = _transpire(state, dap, et0, _cold(weather, crop), crop, soil)
    state[BIOMASS] += crop[WP] * transpired / et0  # RM 3.11: g/m2, climate normalised by ET0
    dr, taw = stress_depletion(state, soil)
    _harvest_index(state, dap, et0, dr, taw, crop)
    state[ETP_MM] = potential + demand
    state[IRRIGATION_MM] += irrigation_mm
    state[ET_MM] += evaporated + transpired
    state[DEPLETION_MM], state[TAW_MM] = root_zone(state, soil)


@njit(cache=True)
def yield_t_ha(state: np.ndarray) -> float:
    """Dry yield if it were harvested now."""
    return state[BIOMASS] / 100.0 * state[HI_ADJ]


@njit(cache=True)
def root_zone(state: np.ndarray, soil: np.ndarray) -> tuple[float, float]:
    """Depletion and total available water of the rooted depth, mm (FAO-56 eq. 82 and RM 3.2). Negative: above field capacity."""
    held = 0.0
    for i in range(LAYERS):
        share = (state[ROOT_M] - _BOTTOM[i]) / _DZ[i] + 1.0
        if share <= 0.0:
            break
        held += min(share, 1.0) * _DZ[i] * state[i]
    taw = 1000.0 * state[ROOT_M] * (soil[TH_FC] - soil[TH_WP])
    return min(1000.0 * (state[ROOT_M] * soil[TH_FC] - held), taw), taw


@njit(cache=True)
def stress_depletion(state: np.ndarray, soil: np.ndarray) -> tuple[float, float]:
    """Depletion that the crop feels, and its TAW: of the root zone, or of the top layer where that is wetter (RM 3.2.3)."""
    dr, taw = root_zone(state, soil)
    top_taw = 1000.0 * _DZ[0] * (soil[TH_FC] - soil[TH_WP])
    top = 1000.0 * _DZ[0] * (soil[TH_FC] - state[0])
    if top / top_taw < dr / taw:
        return top, top_taw
    return dr, taw


@njit(cache=True)
def _threshold(p: float, et0: float) -> float:
    """RM eq. 3.2c: the share of TAW at which stress begins, for the day's evaporative demand."""
    return min(max(p + 0.04 * (5.0 - et0) * np.log10(10.0 - 9.0 * p), 0.0), 1.0)


@njit(cache=True)
def _ks(dr: float, taw: float, upper: float, lower: float, shape: float) -> float:
    """RM eq. 3.2a-b: 1 without stress above `upper`, 0 below `lower`; shape 0 is a straight line."""
    relative = min(max((dr / taw - upper) / max(lower - upper, 1e-9), 0.0), 1.0)
    if shape == 0.0:
        return 1.0 - relative
    return 1.0 - (np.exp(relative * shape) - 1.0) / (np.exp(shape) - 1.0)


@njit(cache=True)
def _root_depth(day_: float, crop: np.ndarray) -> float:
    """RM eq. 3.6a without stress, m."""
    first = round(crop[EMERGENCE] / 2.0)
    low = crop[ROOT_MIN] * crop[ROOT_START]
    share = min(max((day_ - first) / (crop[MAX_ROOTING] - first), 0.0), 1.0)
    return max(low + (crop[ROOT_MAX] - low) * share ** (1.0 / crop[ROOT_SHAPE]), crop[ROOT_MIN])


@njit(cache=True)
def _roots(state: np.ndarray, dap: int, crop: np.ndarray, soil: np.ndarray) -> None:
    """Roots deepen, less where transpiration is short or the soil below is dry (RM 3.6.2)."""
    potential = _root_depth(dap, crop)
    grown = potential - _root_depth(dap - 1, crop)
    if state[TR_RATIO] < 0.9999:
        grown *= (np.exp(-6.0 * state[TR_RATIO]) - 1.0) / (np.exp(-6.0) - 1.0)
    if grown > 0.001:
        i = min(np.searchsorted(_BOTTOM, state[ROOT_M] + grown), LAYERS - 1)
        taw = soil[TH_FC] - soil[TH_WP]
        grown *= _ks(soil[TH_FC] - state[i], taw, crop[P_STO] + (1.0 - crop[P_STO]) / 2.0, 1.0, crop[SHAPE_STO])
    state[ROOT_M] += grown
    state[SINK_SHARE] = 1.0
    if state[ROOT_M] < potential:  # RM eq. 3.10g: a shallower root system takes up more from its lower part
        mean = (crop[SX_TOP] + crop[SX_BOT]) / 2.0
        share = (2.0 * potential / state[ROOT_M] * mean - crop[SX_TOP]) / crop[SX_BOT]
        state[SINK_SHARE] = max(share * state[TR_RATIO], 1.0)


@njit(cache=True)
def _runoff(state: np.ndarray, rain: float, soil: np.ndarray) -> float:
    """RM 3.7: curve number, adjusted for the wetness of the top 0.3 m, mm."""
    if rain <= 0.0:
        return 0.0
    cn = soil[CURVE_NUMBER]
    dry = 0.507 * cn - 0.00374 * cn**2 + 0.0000867 * cn**3
    wet = 2.33 * cn - 0.0209 * cn**2 + 0.000076 * cn**3
    wetness, above = 0.0, 0.0
    for i in range(LAYERS):
        if _BOTTOM[i] > CN_M + 1e-9:
            break
        below = 1.016 * (1.0 - np.exp(-4.16 * _BOTTOM[i] / CN_M))
        wetness += (below - above) * max(state[i] - soil[TH_WP], 0.0) / (soil[TH_FC] - soil[TH_WP])
        above = below
    number = dry + (wet - dry) * min(wetness, 1.0)
    storage = 25400.0 / number - 254.0
    over = rain - 0.05 * storage
    return over * over / (rain + 0.95 * storage) if over > 0.0 else 0.0


@njit(cache=True)
def _infiltrate(state: np.ndarray, rain: float, irrigation: float, soil: np.ndarray) -> float:
    """Water enters and fills layer after layer to field capacity; what is left drains. Gives what entered, mm."""
    runoff = _runoff(state, rain, soil)
    entered = rain - runoff + irrigation
    left = entered
    for i in range(LAYERS):
        room = max(1000.0 * _DZ[i] * (soil[TH_FC] - state[i]), 0.0)
        taken = min(left, room)
        state[i] += taken / (1000.0 * _DZ[i])
        left -= taken
        if left <= 0.0:
            break
    state[RUNOFF_MM] += runoff
    state[DRAIN_MM] += left
    return entered


@njit(cache=True)
def _canopy(state: np.ndarray, dap: int, et0: float, dr: float, taw: float, crop: np.ndarray) -> None:
    """Canopy cover grows with the water stress of leaf expansion, and dies in time or early (RM 3.4)."""
    before = state[CC]
    sen_p = _threshold(crop[P_SEN], et0)
    if dap < crop[EMERGENCE]:
        return
    if dap < crop[CANOPY_DEV_END]:
        _expand(state, et0, dr, taw, crop)
        state[CC_TOP] = max(state[CC_TOP], state[CC])
    elif dap > crop[SENESCENCE]:
        state[CC] = _declined(state[CC], state[CC_TOP], crop[CDC] * (state[CC_TOP] + 2.29) / (crop[CCX] + 2.29))
    kept = sen_p * (1.0 - SENESCENCE_BETA) if state[EARLY_D] > 0.0 else sen_p
    if before > 1.25 * crop[CC0] and _ks(dr, taw, kept, 1.0, crop[SHAPE_SEN]) < 1.0:
        if state[EARLY_D] == 0.0:
            state[CC_EARLY] = before
        state[EARLY_D] += 1.0
        rate = max((1.0 - _ks(dr, taw, sen_p, 1.0, crop[SHAPE_SEN]) ** 8) * crop[CDC], 0.0001)  # RM eq. 3.4h
        died = min(_declined(before, state[CC_EARLY], rate), before)
        if dap < crop[SENESCENCE]:
            state[CC] = state[CC_TOP] = died
        else:
            state[CC] = min(state[CC], died)
    elif state[EARLY_D] > 0.0:
        state[EARLY_D] = 0.0
        if dap > crop[SENESCENCE]:
            state[CC_TOP] = max(state[CC_TOP], state[CC])
    state[CC_MAX] = max(state[CC_MAX], state[CC])


@njit(cache=True)
def _expand(state: np.ndarray, et0: float, dr: float, taw: float, crop: np.ndarray) -> None:
    """RM eq. 3.4a-c as a daily step: exponential to half of the full cover, then a decaying approach to it."""
    cc = state[CC]
    if cc < crop[CC0]:
        state[CC] = crop[CC0]
        return
    rate = crop[CGC]
    if cc > 1.25 * crop[CC0]:  # RM 3.4.2: seedlings live on their seed
        rate *= _ks(dr, taw, _threshold(crop[P_EXP_UP], et0), _threshold(crop[P_EXP_LO], et0), crop[SHAPE_EXP])
    if cc <= crop[CCX] / 2.0:
        state[CC] = min(cc * np.exp(rate), crop[CCX])
    elif cc < 0.98 * crop[CCX]:
        state[CC] = crop[CCX] - (crop[CCX] - cc) * np.exp(-rate)


@njit(cache=True)
def _declined(cc: float, top: float, rate: float) -> float:
    """RM eq. 3.4d one day on: cover that fell from `top` to `cc` at this decline coefficient."""
    if top < 0.001:
        return 0.0
    power = rate * 3.33 / (top + 2.29)
    passed = np.log(1.0 + max(1.0 - cc / top, 0.0) / 0.05)
    return max(top * (1.0 - 0.05 * (np.exp(passed + power) - 1.0)), 0.0)


@njit(cache=True)
def _sheltered(cc: float) -> float:
    """RM eq. 3.9c: cover adjusted for micro-advection between rows."""
    return 1.72 * cc - cc**2 + 0.3 * cc**3


@njit(cache=True)
def _evaporating_water(state: np.ndarray, depth: float) -> float:
    """mm in the top `depth`."""
    held = 0.0
    for i in range(LAYERS):
        share = (depth - _BOTTOM[i]) / _DZ[i] + 1.0
        if share <= 0.0:
            break
        held += min(share, 1.0) * 1000.0 * _DZ[i] * state[i]
    return held


@njit(cache=True)
def _evaporate(state: np.ndarray, dap: int, et0: float, wetted: float, crop: np.ndarray, soil: np.ndarray) -> tuple[float, float]:
    """Soil evaporation in two stages (RM 3.9), mm: actual and potential."""
    if dap == 1:
        state[STAGE2] = max(_second_stage(state, soil), 0.0)
    if wetted > 0.0:
        state[SURFACE_MM], state[STAGE2], state[EVAP_M] = min(wetted, soil[REW]), 0.0, EVAP_MIN_M
    potential = KEX * (1.0 - _sheltered(state[CC])) * et0
    top = state[CC_TOP]
    if dap > crop[SENESCENCE] and top > 0.0:
        dying = min(max((top - state[CC]) / (top / 2.0), 0.0), 1.0)
        most = KEX * et0 * (1.0 - state[CC_MAX] * CANOPY_SHELTER)
        least = max(KEX * (1.0 - _sheltered(top)) * et0, 0.0)
        potential = min(max(potential * (1.0 - top * CANOPY_SHELTER * dying), least), max(most, least))
    elif state[EARLY_D] > 0.0:
        potential = min(potential, KEX * et0 * (1.0 - state[CC_MAX] * CANOPY_SHELTER))
    first = _draw(state, min(potential, state[SURFACE_MM]), EVAP_MIN_M, soil)
    if state[SURFACE_MM] > 0.0:
        state[SURFACE_MM] = max(state[SURFACE_MM] - first, 0.0)
        if state[SURFACE_MM] < 1e-4:
            state[STAGE2] = max(_second_stage(state, soil), 0.0)
    evaporated, step = first, max(potential - first, 0.0) / EVAP_STEPS
    if step > 0.0:
        for _ in range(EVAP_STEPS):
            relative = _evaporable(state, soil)
            while state[EVAP_M] < EVAP_MAX_M and relative < KR_RELATIVE * (EVAP_MAX_M - state[EVAP_M]) / (EVAP_MAX_M - EVAP_MIN_M):
                state[EVAP_M] += 0.005
                relative = _evaporable(state, soil)
            kr = min((np.exp(KR_SHAPE * relative) - 1.0) / (np.exp(KR_SHAPE) - 1.0), 1.0)
            evaporated += _draw(state, max(kr, 0.0) * step, state[EVAP_M], soil)
    return evaporated, potential


@njit(cache=True)
def _second_stage(state: np.ndarray, soil: np.ndarray) -> float:
    """RM eq. 3.9e: relative wetness at which the second stage begins."""
    full = 1000.0 * state[EVAP_M] * soil[TH_FC] - soil[REW]
    return (_evaporating_water(state, state[EVAP_M]) - full) / (1000.0 * state[EVAP_M] * soil[TH_S] - full)


@njit(cache=True)
def _evaporable(state: np.ndarray, soil: np.ndarray) -> float:
    """RM eq. 3.9f: relative water in the evaporating layer, 0 air dry (half the wilting point) to 1 at the end of the first stage."""
    full = 1000.0 * state[EVAP_M] * soil[TH_FC] - soil[REW]
    upper = state[STAGE2] * (1000.0 * state[EVAP_M] * soil[TH_S] - full) + full
    lower = 1000.0 * state[EVAP_M] * soil[TH_WP] / 2.0
    return (_evaporating_water(state, state[EVAP_M]) - lower) / (upper - lower)


@njit(cache=True)
def _draw(state: np.ndarray, wanted: float, depth: float, soil: np.ndarray) -> float:
    """Take up to `wanted` mm out of the top `depth`, from above, down to air dry. Gives what was taken."""
    left = wanted
    for i in range(LAYERS):
        share = (depth - _BOTTOM[i]) / _DZ[i] + 1.0
        if share <= 0.0 or left <= 0.0:
            break
        taken = min(max(1000.0 * _DZ[i] * (state[i] - soil[TH_WP] / 2.0) * min(share, 1.0), 0.0), left)
        state[i] -= taken / (1000.0 * _DZ[i])
        left -= taken
    return wanted - left


@njit(cache=True)
def _cold(weather: np.ndarray, crop: np.ndarray) -> float:
    """RM 3.3.2: transpiration in cold, 0..1, from the day's growing degrees (method 3)."""
    high = min(max(weather[TMAX_C], crop[BASE_TEMP]), crop[UPPER_TEMP])
    low = min(weather[TMIN_C], crop[UPPER_TEMP])
    share = (max((high + low) / 2.0, crop[BASE_TEMP]) - crop[BASE_TEMP]) / crop[COLD_GDD]
    if share >= 1.0:
        return 1.0
    shape = -np.log((0.02 - 0.98 * 0.02) / (0.98 * 0.98))
    return 0.02 / (0.02 + 0.98 * np.exp(-shape * share)) - 0.02 * (1.0 - share)


@njit(cache=True)
def _transpire(state: np.ndarray, dap: int, et0: float, cold: float, crop: np.ndarray, soil: np.ndarray) -> tuple[float, float]:
    """RM 3.10: demand by cover and stress, met from the rooted layers, mm: actual and potential."""
    age = max(dap - crop[MAX_CANOPY] - 5.0, 0.0)
    potential = (crop[KCB] - age * crop[AGEING] / 100.0 * state[CC_MAX]) * _sheltered(state[CC]) * et0 * cold
    if state[CC] < state[CC_MAX] and state[CC] > 0.001:
        potential *= state[CC] / state[CC_MAX]  # RM eq. 3.10e: dying canopies transpire less per cover
    dr, taw = stress_depletion(state, soil)
    p = _threshold(crop[P_STO], et0)
    left = potential * _ks(dr, taw, p, 1.0, 0.0)
    wanted = left
    bottom_sx = crop[SX_BOT] * state[SINK_SHARE]
    sx_above = crop[SX_TOP]
    for i in range(LAYERS):
        share = min((state[ROOT_M] - _BOTTOM[i]) / _DZ[i] + 1.0, 1.0)
        if share <= 0.0 or left <= 0.0:
            break
        sx_below = bottom_sx + (crop[SX_TOP] - bottom_sx) * max((state[ROOT_M] - _BOTTOM[i]) / state[ROOT_M], 0.0)
        dryness = (soil[TH_FC] - state[i]) / (soil[TH_FC] - soil[TH_WP])
        ks = 1.0 if dryness <= p else _ks(dryness, 1.0, crop[P_STO], 1.0, crop[SHAPE_STO])
        sink = ks * (sx_above + sx_below) / 2.0 * share
        taken = min(1000.0 * _DZ[i] * max(min(sink, state[i] - soil[TH_WP] / 2.0), 0.0), left)
        state[i] -= taken / (1000.0 * _DZ[i])
        left -= taken
        sx_above = sx_below
    state[TR_RATIO] = min(max((wanted - left) / potential, 0.0), 1.0) if potential > 0.0 else 1.0
    return wanted - left, potential


@njit(cache=True)
def _flowered(days: float, crop: np.ndarray) -> float:
    """RM eq. 3.12f: share of flowers that opened by then."""
    pct = min(100.0 * days / crop[FLOWERING_LENGTH], 100.0)
    return max(0.00558 * pct**0.63 - 0.000969 * pct - 0.00383, 0.0) if pct > 0.0 else 0.0


@njit(cache=True)
def reference_hi(dap: int, crop: np.ndarray) -> float:
    """RM eq. 3.12a-c: harvest index without stress on that day: logistic, then linear."""
    t = dap - crop[FLOWERING] - 1.0
    if t <= 0.0:
        return 0.0
    lag = min(t, crop[HI_LINEAR_FROM])
    hi = crop[HI_INI] * crop[HI0] / (crop[HI_INI] + (crop[HI0] - crop[HI_INI]) * np.exp(-crop[HI_GROWTH] * lag))
    hi += crop[HI_LINEAR] * (t - lag)
    return 0.0 if hi <= crop[HI_INI] + 0.004 else crop[HI0] if crop[HI0] - hi < 0.004 else min(hi, crop[HI0])


@njit(cache=True)
def _harvest_index(state: np.ndarray, dap: int, et0: float, dr: float, taw: float, crop: np.ndarray) -> None:
    """Harvest index with failed pollination and stress after flowering (RM 3.12)."""
    t = dap - crop[FLOWERING] - 1.0
    if t <= 0.0:
        return
    if t <= crop[FLOWERING_LENGTH] and state[CC] >= 0.05:
        opened = 100.0 * (_flowered(t - 1.0, crop) + _flowered(t, crop)) / 2.0 / crop[FLOWERING_LENGTH]
        state[F_POL] = min(state[F_POL] + _ks(dr, taw, crop[P_POL], 1.0, 0.0) * opened * (1.0 + crop[EXCESS]), 1.0)
    up_days = crop[CANOPY_DEV_END] - crop[FLOWERING]
    if state[CC] > 0.001:
        if dap <= crop[CANOPY_DEV_END] + 1.0:
            ks = _ks(dr, taw, _threshold(crop[P_EXP_UP], et0), _threshold(crop[P_EXP_LO], et0), crop[SHAPE_EXP])
            state[S_UP] += 1.0 + (1.0 - ks) / crop[HI_UP]
        if t <= crop[YIELD_FORM]:
            ks = _ks(dr, taw, _threshold(crop[P_STO], et0), 1.0, crop[SHAPE_STO])
            state[S_DOWN] += ks**0.1 * (1.0 - (1.0 - ks) / crop[HI_DOWN])
    up = state[S_UP] / min(t, up_days)
    down = state[S_DOWN] / min(t, crop[YIELD_FORM])
    post = down * (up_days * up + crop[YIELD_FORM] - up_days) / crop[YIELD_FORM]
    best = min(reference_hi(dap, crop), state[F_POL] * crop[HI0])
    state[HI_ADJ] = min(post, 1.0 + crop[HI_GAIN]) * best


@njit(cache=True)
def stage_of(dap: int, crop: np.ndarray) -> int:
    """0 seedling, 1 vegetative, 2 flowering and yield formation, 3 ripening: as AquaCrop counts growth stages for irrigation (RM 3.8)."""
    if dap <= crop[CANOPY_10PCT]:
        return 0
    if dap <= crop[MAX_CANOPY]:
        return 1
    return 2 if dap <= crop[SENESCENCE] else 3


@njit(cache=True)
def days_of(crop: np.ndarray) -> int:
    """From planting to harvest."""
    return int(crop[MATURITY])
