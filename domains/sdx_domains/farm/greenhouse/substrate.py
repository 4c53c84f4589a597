"""Water, salt and acidity of the substrate: irrigation, uptake and drain. Start at `water`.

One stirred slab, after Sonneveld and Voogt 2009.
"""

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.greenhouse import parameters as p
from sdx_domains.farm.greenhouse.state import FEED_EC_NOW, FEED_PH_NOW, SLAB_EC, SLAB_PH, WATER_L


@njit(cache=True)
def water(state: NDArray[np.float64], given_l: float, taken_l: float, par: NDArray[np.float64]) -> float:
    """Gives and takes water, l/m2; returns the drain, l/m2.

    A part of each gift runs past the slab (channels): the share rises from `slab_drain` at 10 points below capacity to all at capacity.
    Salt and acid are stirred at once; water is taken up at `uptake_share` of the slab's EC, nitrate uptake raises the pH.
    """
    holds = par[p.SLAB_L_M2] * par[p.SLAB_CAPACITY]
    near = min(1.0, max(0.0, (state[WATER_L] - holds) / (0.1 * par[p.SLAB_L_M2]) + 1.0))
    drain = given_l * near * (par[p.SLAB_DRAIN] + (1.0 - par[p.SLAB_DRAIN]) * near**4)
    before = state[WATER_L]
    mixed = before + given_l
    if mixed > 0.0:
        share = given_l / mixed
        salt = state[SLAB_EC] + share * (state[FEED_EC_NOW] - state[SLAB_EC])
        acid = state[SLAB_PH] + share * (state[FEED_PH_NOW] - state[SLAB_PH])
        taken = min(taken_l, max(0.0, mixed - drain))
        left = mixed - drain - taken
        over = max(0.0, left - holds)
        drain += over
        # Salt leaves with the drain as it is; the plant takes up a part of what stands about its roots
        uptake_ec = par[p.UPTAKE_SHARE] * salt
        left_with_salt = mixed - drain - taken
        if left_with_salt > 1e-6:
            salt = (salt * (mixed - drain) - uptake_ec * taken) / left_with_salt
            acid += par[p.PH_PER_L] * taken / left_with_salt
        state[WATER_L] = max(0.0, left_with_salt)
        state[SLAB_EC] = min(20.0, max(0.0, salt))
        state[SLAB_PH] = min(9.0, max(3.0, acid))
    return drain
