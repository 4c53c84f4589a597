"""A field simulated by AquaCrop, a day per step, seen through noisy sensors: contract.Plant. Start at FieldPlant.

AquaCrop (Apache-2.0) is loaded when the first field is made. Its daily mode is used: irrigation method 5, one step at a time.
"""

import sys
import warnings
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import Order, Reading
from sdx_domains.farm.field.forecast import DAYS, issued, past_years
from sdx_domains.farm.field.orders import irrigation_of
from sdx_domains.farm.field.parameters import MATURITY, crop
from sdx_domains.farm.field.picture import DAY_S, DailyForecastReading, DayReading, SiteReading, SoilReading
from sdx_domains.farm.field.prices import prices
from sdx_domains.farm.field.scenarios import FieldCase
from sdx_domains.farm.field.weather import climate

SENSOR_DEPTHS_M = (0.05, 0.15, 0.35, 0.55, 0.75, 1.05, 1.35)
SENSOR_NOISE, SENSOR_BIAS = 0.006, 0.004
"""m3/m3, sd: of a daily mean, and of a sensor's calibration, which stays. Capacitance sensors calibrated for the soil do as well."""
RAIN_NOISE, ET0_NOISE, TEMP_NOISE_K, CANOPY_NOISE, METER_NOISE = 0.05, 0.05, 0.3, 0.03, 0.02
"""sd: of the gauge and of ET0 as shares, of temperature, of the canopy estimate (of ground), of the meter as a share."""
LEAK_MM_D, LEAK_DAY, SENSOR_FAULT_DAY = 3.0, 40, 30
MAX_MM_D = 25.0
"""That AquaCrop's irrigation gives on a day."""
_SOILS = {"sandy_loam": "SandyLoam", "loam": "Loam", "clay_loam": "ClayLoam"}
_CROPS = {"maize": "Maize"}


class AquaCropField:
    """The bare model of one season, a day at a time; knows no sensors. ValueError when the climate lacks the season."""

    def __init__(self, case: FieldCase) -> None:
        self.first = date.fromisoformat(case.first_day)
        self.days = int(crop(case.crop)[MATURITY])
        self.weather = climate(case.climate).rows(self.first, self.days)
        self.model = _model(case, self.first, self.weather)
        self.day = 0

    @property
    def done(self) -> bool:
        return bool(self.model._clock_struct.model_is_finished)

    @property
    def now(self) -> Any:
        """AquaCrop's own state."""
        return self.model._init_cond

    def step(self, irrigation_mm: float) -> None:
        self.model._param_struct.IrrMngt.depth = irrigation_mm
        self.model.run_model(num_steps=1, initialize_model=False)
        self.day += 1

    def water_content(self, depth_m: float) -> float:
        """m3/m3 at that depth."""
        profile = self.model._param_struct.Soil.Profile
        return float(self.now.th[min(int(np.searchsorted(profile.dzsum, depth_m)), len(profile.dz) - 1)])

    def yield_t_ha(self) -> float:
        """At harvest; before it, if it were harvested today."""
        if not self.done:
            return float(self.now.DryYield)
        return float(self.model._outputs.final_stats["Dry yield (tonne/ha)"].iloc[0])


def _model(case: FieldCase, first: date, weather: NDArray[np.float64], **irrigation: Any) -> Any:
    """AquaCrop, initialised. `irrigation`: of its own management, in place of daily amounts."""
    import pandas as pd

    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning):  # of pandas and numpy inside aquacrop
            warnings.simplefilter("ignore", kind)
        # not from the package itself: that gives nothing when "-m" is among the arguments of the program
        path = list(sys.path)
        from aquacrop.core import AquaCropModel
        from aquacrop.entities.crop import Crop
        from aquacrop.entities.inititalWaterContent import InitialWaterContent
        from aquacrop.entities.irrigationManagement import IrrigationManagement
        from aquacrop.entities.soil import Soil

        sys.path[:] = path  # it adds "." and "..", where anything may lie

        weather = np.vstack([weather, weather[-1:]])  # it wants the day after the last one too
        days = pd.date_range(first.isoformat(), periods=len(weather), name="Date")
        columns = ["MinTemp", "MaxTemp", "Precipitation", "ReferenceET"]
        frame = pd.DataFrame(weather, columns=columns).assign(Date=days)[[*columns, "Date"]]
        model = AquaCropModel(
            f"{first:%Y/%m/%d}", f"{first + timedelta(days=len(weather) - 1):%Y/%m/%d}", frame, Soil(_SOILS[case.soil]),
            Crop(_CROPS[case.crop], planting_date=f"{first:%m/%d}"), InitialWaterContent(value=["FC"]),
            irrigation_management=IrrigationManagement(**(irrigation or {"irrigation_method": 5, "MaxIrr": 1e3})),
        )  # fmt: skip
        model._initialize()
    return model


def run_ruled(case: FieldCase, **irrigation: Any) -> tuple[float, float]:
    """A whole season under one of AquaCrop's own irrigation rules: (yield t/ha, irrigation mm). See aquacrop.IrrigationManagement."""
    field = AquaCropField(case)
    model = _model(case, field.first, field.weather, **irrigation)
    model.run_model(till_termination=True, initialize_model=False)
    found = model.get_simulation_results().iloc[0]
    return float(found["Dry yield (tonne/ha)"]), float(found["Seasonal irrigation (mm)"])


class FieldPlant:
    """One season: t_s 0 is the morning of planting; apply() an order, step() by whole days, done at harvest.

    Args:
        seed: of sensor noise and of the errors of the forecasts.
    """

    def __init__(self, case: FieldCase, seed: int = 0) -> None:
        self.case = case
        self.field = AquaCropField(case)
        self.prices = prices()
        self.log: list[dict[str, float]] = []
        """A row per day that is over: what is drawn and scored."""
        self._rng = np.random.default_rng((seed, case.year))
        self._bias = self._rng.normal(0.0, SENSOR_BIAS, len(SENSOR_DEPTHS_M))
        self._past = past_years(climate(case.climate), case.past_years, self.field.first, self.field.days)
        self._orders: dict[int, float] = {}
        self._read_day = -1

    @property
    def t_s(self) -> float:
        return self.field.day * DAY_S

    @property
    def done(self) -> bool:
        return self.field.done

    def apply(self, order: Order) -> None:
        """The newest order replaces what earlier ones planned for days to come. One that is no irrigation plans nothing."""
        found = irrigation_of(order.setpoints)
        self._orders = {found[1]: found[0]} if found is not None else {}

    def step(self, dt_s: float) -> None:
        """Whole days. ValueError for a part of one."""
        days = dt_s / DAY_S
        if days != round(days):
            raise ValueError(f"a field steps by whole days of {DAY_S:.0f} s, got {dt_s} s")
        for _ in range(round(days)):
            if not self.done:
                self._day()

    def _day(self) -> None:
        day = self.field.day
        valve = min(max(self._orders.pop(day, 0.0), 0.0), MAX_MM_D)
        leak = LEAK_MM_D if self.case.fault == "leak" and day >= LEAK_DAY else 0.0
        self.field.step(valve + leak)
        now = self.field.now
        tmin, tmax, rain, et0 = self.field.weather[day]
        self.log.append({
            "day": day, "rain_mm": rain, "et0_mm": et0, "tmin_c": tmin, "tmax_c": tmax, "valve_mm": valve, "meter_mm": valve + leak,
            "canopy": float(now.canopy_cover), "depletion_pct": 100.0 * float(now.depletion) / max(float(now.taw), 1.0),
        })  # fmt: skip

    def readings(self) -> Sequence[Reading]:
        """Once per day: site on the first, yesterday, the soil this morning, the forecast of this morning."""
        day = self.field.day
        if day == self._read_day or self.done:
            return ()
        self._read_day = day
        first = [self._site()] if day == 0 else []
        return [*first, *self._yesterday(), *self._soil(), self._forecast()]

    def _site(self) -> SiteReading:
        case, known = self.case, self.prices
        return SiteReading(
            t_s=self.t_s, source="grower", climate=case.climate, crop=case.crop, soil=case.soil, planted=case.first_day,
            past_years=case.past_years, grain_usd_t=known.grain_usd_t, water_usd_mm_ha=known.water_usd_mm_ha,
            fixed_usd_ha=known.fixed_usd_ha,
        )  # fmt: skip

    def _yesterday(self) -> list[DayReading]:
        if not self.log:
            return []
        last, rng = self.log[-1], self._rng
        temps = rng.normal(0.0, TEMP_NOISE_K, 2)
        noise = 1.0 + rng.normal(0.0, (RAIN_NOISE, ET0_NOISE, METER_NOISE))
        cover = float(np.clip(last["canopy"] + rng.normal(0.0, CANOPY_NOISE), 0.0, 1.0))
        dead = self.case.fault == "dead_station" and last["day"] >= SENSOR_FAULT_DAY
        low, high = sorted((last["tmin_c"] + temps[0], last["tmax_c"] + temps[1]))
        return [DayReading(
            t_s=self.t_s, source="station",
            tmin_c=None if dead else round(low, 1), tmax_c=None if dead else round(high, 1),
            rain_mm=None if dead else round(max(last["rain_mm"] * noise[0], 0.0), 1),
            et0_mm=None if dead else round(max(last["et0_mm"] * noise[1], 0.0), 2),
            valve_mm=round(last["valve_mm"], 2), meter_mm=round(max(last["meter_mm"] * noise[2], 0.0), 2), canopy_pct=round(100.0 * cover, 1),
        )]  # fmt: skip

    def _soil(self) -> list[SoilReading]:
        found = []
        for i, depth in enumerate(SENSOR_DEPTHS_M):
            vwc = self.field.water_content(depth) + self._bias[i] + float(self._rng.normal(0.0, SENSOR_NOISE))
            faulty = i == 2 and self.field.day >= SENSOR_FAULT_DAY
            if faulty and self.case.fault == "dry_sensor":
                vwc = 0.02
            found.append(
                SoilReading(
                    t_s=self.t_s,
                    source="probe",
                    sensor=f"soil_{round(100 * depth):03d}_cm",
                    depth_m=depth,
                    vwc_m3_m3=None if faulty and self.case.fault == "dead_sensor" else round(vwc, 4),
                )
            )
        return found

    def _forecast(self) -> DailyForecastReading:
        day = self.field.day
        days = min(DAYS, self.field.days - day)
        said = issued(self.field.weather[day : day + days], self._past[:, day : day + days], self._rng).round(2)
        low, high = np.sort(said[:, :2], axis=1).T
        return DailyForecastReading(
            t_s=self.t_s, source="forecast", tmin_c=tuple(low.tolist()), tmax_c=tuple(high.tolist()),
            rain_mm=tuple(said[:, 2].tolist()), et0_mm=tuple(np.maximum(said[:, 3], 0.0).tolist()),
        )  # fmt: skip
