"""What truly happened in a simulated house, every five minutes and in sums: for scores and pictures, never for the agent."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.greenhouse import vectors as v

MONEY = ("fruit", "heat", "elec", "co2", "water")
"""EUR/m2 so far: earned, then spent."""


@dataclass
class Trace:
    """Rows at `times_s`; `measured`, `weather` and `positions` hold at that moment, `flows` (greenhouse/step.py) and `money` are sums until then."""

    every_s: float = 300.0
    times_s: list[float] = field(default_factory=list)
    measured: list[NDArray[np.float64]] = field(default_factory=list)
    weather: list[NDArray[np.float64]] = field(default_factory=list)
    positions: list[NDArray[np.float64]] = field(default_factory=list)
    flows: list[NDArray[np.float64]] = field(default_factory=list)
    money: list[NDArray[np.float64]] = field(default_factory=list)

    def add(
        self, t_s: float, measured: NDArray[np.float64], weather: NDArray[np.float64], positions: NDArray[np.float64],
        flows: NDArray[np.float64], money: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Keep a row when one is due."""
        if self.times_s and t_s < self.times_s[-1] + self.every_s - 1e-6:
            return
        self.times_s.append(t_s)
        for name, row in (
            ("measured", measured), ("weather", weather), ("positions", positions), ("flows", flows), ("money", money),
        ):  # fmt: skip
            getattr(self, name).append(row.copy())

    def table(self, name: str) -> NDArray[np.float64]:
        """(T, ..) of "measured", "weather", "positions", "flows" or "money"."""
        return np.array(getattr(self, name))

    def column(self, name: str, place: int) -> NDArray[np.float64]:
        """One quantity over time, e.g. column("measured", vectors.AIR_TEMP_C)."""
        return np.array([row[place] for row in getattr(self, name)])


def tariffs(prices: NDArray[np.float64], fresh_per_dry: float) -> NDArray[np.float64]:
    """(hours, 5) in the order of MONEY, from prices (hours, PRICES): EUR per kg of dry fruit, kWh heat, kWh electricity, kg CO2, litre of water."""
    places = [v.FRUIT_EUR_KG, v.HEAT_EUR_KWH, v.ELEC_EUR_KWH, v.CO2_EUR_KG, v.WATER_EUR_M3]
    return prices[:, places] * np.array([fresh_per_dry, 1.0, 1.0, 1.0, 1e-3])
