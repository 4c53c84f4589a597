"""The fast loop as one compiled step: the control law, then the safety filter. The twin and the real controller both call `hold`.

row, memory = shipped(), fresh_memory()
hold(measured, setpoints, weather, no_faults(), hour, dt_s, memory, row, positions, edits)
"""

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.control.law import control
from sdx_domains.farm.control.memory import ASKED
from sdx_domains.farm.control.row import Row
from sdx_domains.farm.control.safety import FAULTS, RULES, filtered, note_weather
from sdx_domains.farm.greenhouse.vectors import ACTUATORS


def no_faults() -> NDArray[np.float64]:
    """(FAULTS,) of a house in order."""
    return np.zeros(FAULTS)


def no_edits() -> NDArray[np.float64]:
    """(RULES,) to be filled by hold()."""
    return np.zeros(len(RULES))


@njit(cache=True)
def hold(
    measured: NDArray, setpoints: NDArray, weather: NDArray, faults: NDArray, hour: float, dt_s: float,
    memory: NDArray, row: Row, positions: NDArray, edits: NDArray,
) -> None:  # fmt: skip
    """Fill `positions` (ACTUATORS, 0..1) for the next `dt_s` seconds, and flag the safety rules that changed what the law asked.

    See law.control and safety.filtered for the arguments. Allocates nothing.
    """
    asked = memory[ASKED : ASKED + ACTUATORS]
    note_weather(weather, dt_s, memory, row)
    control(measured, setpoints, weather, dt_s, memory, row, asked)
    filtered(asked, measured, weather, faults, hour, dt_s, memory, row, positions, edits)
