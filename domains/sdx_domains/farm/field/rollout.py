"""Irrigation policies rolled out to harvest over an ensemble of weathers, compiled. Start at `roll_out`.

A policy is what a grower could follow without thinking: given days and amounts first, then a rule. A rule is a curve of the depletion
that is allowed over the season, an irrigation's size and the last day with one.
"""

import numpy as np

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.field.balance import DEPLETION_MM, DRAIN_MM, ETP_MM, IRRIGATION_MM, RAIN_MM, STATE, TAW_MM, day, days_of, yield_t_ha
from sdx_domains.farm.field.parameters import MATURITY

KNOT_SHARES = (0.0, 0.23, 0.38, 0.47, 0.515, 0.56, 0.64, 0.76, 0.83, 0.91)
"""Where the curve has its knots, shares of the days from planting to harvest: closest about flowering, where most is at stake."""
KNOTS = 10
AMOUNT_MM, LAST_SHARE = KNOTS, KNOTS + 1
"""Places in a rule after the KNOTS allowed depletions (shares of TAW): mm of an irrigation, last day with one as a share of the season."""
RULE = KNOTS + 2
_KNOT_SHARES = np.array(KNOT_SHARES)


@njit(cache=True)
def ruled_mm(depletion_mm: float, taw_mm: float, dap: int, rule: np.ndarray, crop: np.ndarray) -> float:
    """What the rule gives today, mm, for the depletion expected by tonight."""
    share = dap / crop[MATURITY]
    if share > rule[LAST_SHARE] or depletion_mm <= 0.0:
        return 0.0
    k = 1
    while k < KNOTS - 1 and share > _KNOT_SHARES[k]:
        k += 1
    part = min(max((share - _KNOT_SHARES[k - 1]) / (_KNOT_SHARES[k] - _KNOT_SHARES[k - 1]), 0.0), 1.0)
    allowed = rule[k - 1] + part * (rule[k] - rule[k - 1])
    return min(rule[AMOUNT_MM], depletion_mm) if depletion_mm > allowed * taw_mm else 0.0


@njit(cache=True)
def expected_depletion(state: np.ndarray, rain_mm: float) -> float:
    """Depletion by tonight: now, plus yesterday's potential evapotranspiration, minus today's rain (AquaCrop's own rule), mm."""
    return state[DEPLETION_MM] + state[ETP_MM] - rain_mm


@njit(cache=True)
def season(
    state: np.ndarray, dap: int, weather: np.ndarray, given: np.ndarray, rule: np.ndarray, crop: np.ndarray, soil: np.ndarray
) -> None:
    """From the morning of day `dap` to harvest, in place; `weather` begins with today. `given` (days,) mm come first; the rule
    follows, and fills its NaN days."""
    last = days_of(crop)
    for i in range(min(last - dap + 1, len(weather))):
        if i < len(given) and not np.isnan(given[i]):
            amount = given[i]
        else:
            amount = ruled_mm(expected_depletion(state, weather[i, RAIN_MM]), state[TAW_MM], dap + i, rule, crop)
        day(state, dap + i, weather[i], amount, crop, soil)


@njit(cache=True)
def roll_out(
    state: np.ndarray, dap: int, members: np.ndarray, given: np.ndarray, rules: np.ndarray, crop: np.ndarray, soil: np.ndarray
) -> np.ndarray:
    """Every policy over every member of the ensemble.

    Args:
        state: (STATE,) this morning. members: (M, days, 4) weather from today on. given: (K, days) amounts, NaN where the rule decides.
        rules: (R, RULE).

    Returns:
        (K, R, M, 3): yield t/ha at harvest; irrigation and drainage from now on, mm.
    """
    found = np.empty((len(given), len(rules), len(members), 3))
    mine = np.empty(STATE)
    for k in range(len(given)):
        for r in range(len(rules)):
            for m in range(len(members)):
                mine[:] = state
                season(mine, dap, members[m], given[k], rules[r], crop, soil)
                found[k, r, m, 0] = yield_t_ha(mine)
                found[k, r, m, 1] = mine[IRRIGATION_MM] - state[IRRIGATION_MM]
                found[k, r, m, 2] = mine[DRAIN_MM] - state[DRAIN_MM]
    return found


@njit(cache=True)
def dryness_pct(
    state: np.ndarray, dap: int, members: np.ndarray, given: np.ndarray, rule: np.ndarray, days: int, crop: np.ndarray, soil: np.ndarray
) -> np.ndarray:
    """(days,) depletion in % of TAW on the evenings to come under one policy, the mean of the ensemble; shorter where harvest is nearer."""
    count = min(days, days_of(crop) - dap + 1)
    found = np.zeros(count)
    mine = np.empty(STATE)
    for m in range(len(members)):
        mine[:] = state
        for i in range(count):
            season(mine, dap + i, members[m, i : i + 1], given[i : i + 1], rule, crop, soil)
            found[i] += 100.0 * mine[DEPLETION_MM] / mine[TAW_MM] / len(members)
    return found
