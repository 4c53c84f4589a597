"""One picture of a season: climate with its bounds, devices, money."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.greenhouse.twin import Bounds
from sdx_domains.farm.world.house import GreenhouseHouse
from sdx_domains.farm.world.plant import ControlledPlant
from sdx_domains.farm.world.trace import MONEY

DAY_S = 86400.0
INSIDE, OUTSIDE, BAND, FAILURE = "#1f4e79", "#8c8c8c", "#dbe9d8", "#c44e52"
DEVICES = ((v.HEATING, "heating", "#c44e52"), (v.VENT_LEE, "vents, lee", "#4c72b0"), (v.THERMAL_SCREEN, "screen", "#937860"),
           (v.CO2_DOSING, "CO2", "#55a868"), (v.LAMPS, "lamps", "#ccb974"))  # fmt: skip


def draw(plant: ControlledPlant, path: Path, title: str = "") -> Path:
    """Draw a run of a simulated house, written as the suffix of `path` says (.png, .svg, .pdf). TypeError: no simulated house."""
    house = plant.equipment
    if not isinstance(house, GreenhouseHouse):
        raise TypeError("only a simulated house keeps what is drawn")
    trace = house.trace
    days = np.array(trace.times_s) / DAY_S
    figure = Figure(figsize=(11.0, 9.0), layout="constrained")
    axes = figure.subplots(5, 1, sharex=True)
    bounds = Bounds()
    _climate(axes[0], days, trace.column("measured", v.AIR_TEMP_C), (bounds.temp_min_c, bounds.temp_max_c), "air, C")
    axes[0].plot(days, trace.column("weather", v.OUT_TEMP_C), color=OUTSIDE, linewidth=0.7, label="outside")
    axes[0].legend(fontsize=7, loc="upper left")
    _climate(axes[1], days, trace.column("measured", v.AIR_RH_PCT), (bounds.rh_min_pct, bounds.rh_max_pct), "humidity, %")
    _climate(axes[2], days, trace.column("measured", v.AIR_CO2_PPM), (bounds.co2_min_ppm, bounds.co2_max_ppm), "CO2, ppm")
    positions = trace.table("positions")
    for place, name, colour in DEVICES:
        axes[3].plot(days, 100.0 * positions[:, place], color=colour, linewidth=0.7, label=name)
    axes[3].set_ylabel("devices, %")
    axes[3].legend(fontsize=7, loc="upper left", ncol=len(DEVICES))
    money = trace.table("money")
    for place, name in enumerate(MONEY):
        axes[4].plot(days, money[:, place], linewidth=1.0, label=name)
    axes[4].set_ylabel("sum, EUR/m2")
    axes[4].legend(fontsize=7, loc="upper left", ncol=len(MONEY))
    axes[4].set_xlabel("days")
    for failure in house.case.failures:
        for axis in axes:
            axis.axvspan(failure.from_s / DAY_S, min(failure.until_s / DAY_S, days[-1]), color=FAILURE, alpha=0.08)
    axes[0].set_title(title or house.case.name)
    figure.savefig(path, dpi=120)
    return path


def _climate(axis: Any, days: np.ndarray, values: np.ndarray, band: tuple[float, float], label: str) -> None:
    axis.axhspan(*band, color=BAND)
    axis.plot(days, values, color=INSIDE, linewidth=0.8, label="inside")
    axis.set_ylabel(label)
