"""What the fast loop remembers between two ticks, as places in one array: the law's part, then the safety filter's. Make one with fresh_memory."""

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.greenhouse.vectors import ACTUATORS

LIGHT_SUM, SHOT_LEFT, SINCE_SHOT, LAMPS_BURN, HELD = range(5)
"""J/cm2 since the last shot; l/m2 of a shot still to give; seconds since a shot began; 1 while lamps are let burn; from HELD on the
positions that were last commanded."""
ASKED = HELD + ACTUATORS
"""From here on the positions that the law asked last."""
CLOCK, RH_WET, DEW_WET, HEAT_VENT_S, SINCE_WIND, SINCE_RAIN, LIT_S, WATER_DAY, LAST_HOUR, SHOT_S = range(
    ASKED + ACTUATORS, ASKED + ACTUATORS + 10
)
"""Seconds since the start; of wet air; of leaves near the dew point; of heating against open vents; since wind and since rain; of light
today; l/m2 of water today; hour of the last tick; seconds of this shot."""
RUN = SHOT_S + 1
"""Seconds that lamps, fog and irrigation have been in their present state, from here on."""
RING = 10
"""Starts that are remembered, of fog and of irrigation: when, on CLOCK, and which is the oldest."""
STARTS_FOG = RUN + 3
STARTS_WATER = STARTS_FOG + RING + 1
SEEN_OPEN = STARTS_WATER + RING + 1
"""Mean opening of the vents as read back, 0..1; 0 in a roll-out, where they stand where they were told."""
MEMORY = SEEN_OPEN + 1
LONG_AGO = 1e9


@njit(cache=True)
def forget(memory: NDArray) -> None:
    """A fresh memory: everything shut and off for a long time, no wind, no rain."""
    memory[:] = 0.0
    memory[SINCE_WIND] = memory[SINCE_RAIN] = LONG_AGO
    memory[RUN : RUN + 3] = LONG_AGO
    memory[STARTS_FOG : STARTS_FOG + RING] = -LONG_AGO
    memory[STARTS_WATER : STARTS_WATER + RING] = -LONG_AGO


def fresh_memory(positions: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """(MEMORY,) of a loop that takes over now, from where the devices stand."""
    memory = np.empty(MEMORY)
    forget(memory)
    if positions is not None:
        memory[HELD : HELD + ACTUATORS] = np.clip(np.nan_to_num(positions), 0.0, 1.0)
    return memory
