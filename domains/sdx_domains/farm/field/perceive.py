"""Readings of a field to its picture: a daily water balance, corrected by the soil sensors. Start at FieldPerceiver.take.

The balance (balance.py) is carried from day to day with measured weather and water; each good sensor pulls its layer towards what it
says, as far as its noise and the model's own error warrant (Kalman, one layer at a time). Nothing that arrives raises: bad input is a fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import Fault, Reading
from sdx_domains.equipment import Alarm
from sdx_domains.farm.field import balance
from sdx_domains.farm.field.balance import BIOMASS, CC, DEPLETION_MM, ET_MM, LAYER_M, LAYERS, ROOT_M, TAW_MM
from sdx_domains.farm.field.forecast import past_years
from sdx_domains.farm.field.parameters import CANOPY_DEV_END, EMERGENCE, MATURITY, P_STO, TH_FC, TH_S, TH_WP, crop, soil
from sdx_domains.farm.field.picture import (
    DAY_S,
    STAGES,
    DailyForecastReading,
    DayReading,
    FieldForecast,
    FieldPicture,
    FieldPrices,
    SiteReading,
    SoilReading,
    SoilSensor,
)  # fmt: skip
from sdx_domains.farm.field.weather import climate

Array = NDArray[np.float64]

SENSOR_SD, START_SD, MODEL_SD = 0.008, 0.01, 0.003
"""m3/m3: of a sensor with its calibration, of the first guess, and what the balance adds in a day."""
CANOPY_GAIN = 0.1
SUSPECT_M3_M3 = 0.06
"""A sensor that is so far from the balance, when the others agree with it, is not believed."""
MAX_SENSORS = 32
LATE_S = 6 * 3600.0
"""A day whose report has not come by then is bridged with the forecast."""
LEAK_MM, LEAK_SHARE, LEAK_HOLD_DAYS = 1.0, 0.15, 2
"""More through the meter than through the valve, by so much and this share, is a leak; irrigation rests so long for somebody to look."""
MAX_AGE_DAYS = 3
"""Without a weather report for longer, or without any good soil sensor for longer, nothing is irrigated."""
RANGES = {"tmin_c": (-50.0, 50.0), "tmax_c": (-40.0, 60.0), "rain_mm": (0.0, 400.0), "et0_mm": (0.0, 15.0)}
_BOTTOM = np.cumsum(LAYER_M)


@dataclass
class _Season:
    """What is known since planting."""

    site: SiteReading
    planted: date
    crop: Array
    soil: Array
    twin: Array
    wet: Array
    variance: Array = field(default_factory=lambda: np.full(LAYERS, START_SD**2))
    day: int = 0
    """The morning that the balance stands at."""
    rain_mm: list[float] = field(default_factory=list)
    et0_mm: float = 0.0
    etc_mm: float = 0.0
    metered_mm: float = 0.0
    dry_days: int = 0
    canopy: float | None = None
    station_day: int = 0
    probe_day: int = 0
    leak_day: int | None = None
    no_flow: bool = False


class FieldPerceiver:
    """One field, one season; a second SiteReading with another planting date begins a new one."""

    def __init__(self) -> None:
        self._season: _Season | None = None
        self._sensors: dict[str, SoilSensor] = {}
        self._heard: dict[str, int] = {}
        """Day on which a sensor last moved the balance."""
        self._forecast: DailyForecastReading | None = None
        self._faults: list[Fault] = []

    def take(self, readings: Sequence[Reading], now_s: float) -> FieldPicture:
        self._faults = []
        ordered = sorted(readings, key=lambda r: r.t_s)
        for kind in (SiteReading, DayReading, SoilReading, DailyForecastReading):
            for reading in ordered:
                if isinstance(reading, kind):
                    self._fold(reading, now_s)
        season = self._season
        if season is None:
            return self._blank(now_s)
        while season.day < min((now_s - LATE_S) // DAY_S, season.crop[MATURITY]):
            self._note(now_s, "no_day_report", f"no weather report for day {season.day}; the forecast stands in")
            self._carry(season, None)
        return self._picture(season, now_s)

    def _fold(self, reading: Reading, now_s: float) -> None:
        if not isfinite(reading.t_s) or reading.t_s > now_s + 60.0:
            self._note(now_s, "time", f"{type(reading).__name__} of {reading.source} is stamped {reading.t_s} s, now is {now_s:.0f} s")
        elif isinstance(reading, SiteReading):
            self._begin(reading, now_s)
        elif self._season is None:
            self._note(now_s, "no_site", f"{type(reading).__name__} before the field is known")
        elif isinstance(reading, DayReading):
            self._day(self._season, reading, now_s)
        elif isinstance(reading, SoilReading):
            self._probe(self._season, reading, now_s)
        elif isinstance(reading, DailyForecastReading):
            self._take_forecast(reading, now_s)

    def _begin(self, site: SiteReading, now_s: float) -> None:
        if self._season is not None and self._season.site.planted == site.planted:
            return
        try:
            parameters, ground, planted = crop(site.crop), soil(site.soil), date.fromisoformat(site.planted)
            past_years(climate(site.climate), site.past_years, planted, int(parameters[MATURITY]))
        except (KeyError, ValueError) as error:
            self._note(now_s, "site", f"the field is not usable: {error}")
            return
        full = np.full(LAYERS, ground[TH_FC])
        self._season = _Season(site, planted, parameters, ground, balance.start(full, parameters), balance.start(full, parameters))
        self._sensors, self._heard, self._forecast = {}, {}, None

    def _day(self, season: _Season, reading: DayReading, now_s: float) -> None:
        day = round(reading.t_s / DAY_S) - 1
        if season.day >= season.crop[MATURITY]:
            return
        if day != season.day:
            if day > season.day:
                for missed in range(season.day, day):
                    self._note(now_s, "no_day_report", f"no weather report for day {missed}; the forecast stands in")
                    self._carry(season, None)
            else:
                self._note(now_s, "late_day_report", f"the report of day {day} came after the balance had passed it")
                return
        self._carry(season, reading)

    def _carry(self, season: _Season, reading: DayReading | None) -> None:
        """The balance over one day, with what was measured or else was expected."""
        row = self._weather(season, reading)
        valve = reading.valve_mm if reading and isfinite(reading.valve_mm) and 0.0 <= reading.valve_mm <= 200.0 else 0.0
        metered = self._metered(season, reading, valve)
        before = season.twin[ET_MM]
        balance.day(season.twin, season.day + 1, row, metered, season.crop, season.soil)
        season.wet[:LAYERS] = season.soil[TH_FC]
        balance.day(season.wet, season.day + 1, row, 0.0, season.crop, season.soil)
        season.day += 1
        season.variance = np.minimum(season.variance + MODEL_SD**2, START_SD**2 * 4)
        season.rain_mm.append(float(row[balance.RAIN_MM]))
        season.et0_mm, season.etc_mm = float(row[balance.ET0_MM]), float(season.twin[ET_MM] - before)
        season.metered_mm += metered
        season.dry_days = 0 if metered > 2.0 else season.dry_days + 1
        cover = reading.canopy_pct if reading else None
        if cover is not None and 0.0 <= cover <= 100.0:
            season.canopy = cover / 100.0
            if season.crop[EMERGENCE] < season.day < season.crop[CANOPY_DEV_END] and season.twin[CC] > 0.05:
                season.twin[CC] += CANOPY_GAIN * (season.canopy - season.twin[CC])

    def _weather(self, season: _Season, reading: DayReading | None) -> Array:
        """(4,) as measured; what is missing or impossible comes from the last forecast, else from past years."""
        expected = self._expected(season)
        row = expected.copy()
        for i, (name, (low, high)) in enumerate(RANGES.items()):
            value = getattr(reading, name) if reading is not None else None
            if value is not None and low <= value <= high:
                row[i] = value
            elif reading is not None:
                self._note(reading.t_s, "weather", f"{name} is {value}, outside {low:g} to {high:g}; {expected[i]:.1f} is taken")
        if reading is not None and reading.rain_mm is not None and reading.et0_mm is not None:
            season.station_day = season.day + 1
        row[0] = min(row[0], row[1])
        return row

    def _expected(self, season: _Season) -> Array:
        said = self._forecast
        ahead = season.day - round(said.t_s / DAY_S) if said is not None else -1
        if said is not None and 0 <= ahead < len(said.rain_mm):
            return np.array([said.tmin_c[ahead], said.tmax_c[ahead], said.rain_mm[ahead], said.et0_mm[ahead]])
        site = season.site
        years = past_years(climate(site.climate), site.past_years, season.planted + timedelta(days=season.day), 1)
        return years[:, 0].mean(axis=0)

    def _metered(self, season: _Season, reading: DayReading | None, valve: float) -> float:
        """Water that came onto the field, mm; a leak or a shut main is remembered."""
        meter = reading.meter_mm if reading is not None else None
        season.no_flow = meter is not None and valve > 2.0 and meter < 0.5 * valve
        if meter is None or not 0.0 <= meter <= 200.0:
            return valve
        if meter - valve > max(LEAK_MM, LEAK_SHARE * valve):
            season.leak_day = season.day if season.leak_day is None else season.leak_day
        elif valve < 0.1:
            season.leak_day = None
        return meter

    def _probe(self, season: _Season, reading: SoilReading, now_s: float) -> None:
        i = min(int(np.searchsorted(_BOTTOM, reading.depth_m)), LAYERS - 1)
        value, believed = reading.vwc_m3_m3, float(season.twin[i])
        if reading.sensor not in self._sensors and len(self._sensors) >= MAX_SENSORS:
            self._note(now_s, "soil_sensor", f"more than {MAX_SENSORS} sensors; {reading.sensor[:40]!r} is not used")
            return
        if value is None or not season.soil[TH_WP] / 2.0 - 0.02 <= value <= season.soil[TH_S] + 0.02:
            quality = "bad"
        else:
            quality = "suspect" if abs(value - believed) > SUSPECT_M3_M3 and self._others_agree(reading) else "good"
        kept = believed if value is None or not isfinite(value) else value
        self._sensors[reading.sensor] = SoilSensor(
            sensor=reading.sensor, depth_m=reading.depth_m, vwc_m3_m3=round(kept, 4), quality=quality
        )
        if quality != "good" or value is None:
            self._note(now_s, "soil_sensor", f"{reading.sensor} says {value}, the balance {believed:.3f} m3/m3; it is not used")
            return
        season.probe_day = season.day
        if self._heard.get(reading.sensor) == season.day:
            return  # the errors of a sensor's calibration do not average out over a day
        self._heard[reading.sensor] = season.day
        gain = season.variance[i] / (season.variance[i] + SENSOR_SD**2)
        pull = gain * (value - believed)
        season.variance[i] *= 1.0 - gain
        low, high = season.soil[TH_WP] / 2.0, season.soil[TH_FC]
        season.twin[i] = min(max(believed + pull, low), high)
        if i + 1 < LAYERS and not self._probed(i + 1):  # a layer without a sensor follows the one above by half
            season.twin[i + 1] = min(max(season.twin[i + 1] + 0.5 * pull, low), high)

    def _probed(self, layer: int) -> bool:
        return any(min(int(np.searchsorted(_BOTTOM, s.depth_m)), LAYERS - 1) == layer for s in self._sensors.values())

    def _others_agree(self, reading: SoilReading) -> bool:
        others = [sensor.quality == "good" for name, sensor in self._sensors.items() if name != reading.sensor]
        return sum(others) > len(others) / 2.0

    def _take_forecast(self, reading: DailyForecastReading, now_s: float) -> None:
        columns = np.array([reading.tmin_c, reading.tmax_c, reading.rain_mm, reading.et0_mm][: 4 if _equal(reading) else 0])
        low, high = np.array(list(RANGES.values())).T
        if columns.size == 0 or (low > columns.T).any() or not (high >= columns.T).all():
            self._note(now_s, "forecast", "the forecast is empty, uneven or no weather; it is not used")
            return
        self._forecast = reading

    def _note(self, t_s: float, kind: str, detail: str) -> None:
        self._faults.append(Fault(t_s=t_s, kind=kind, detail=detail))

    def _picture(self, season: _Season, now_s: float) -> FieldPicture:
        site, twin = season.site, season.twin
        depletion, taw = balance.root_zone(twin, season.soil)
        twin[DEPLETION_MM], twin[TAW_MM] = depletion, taw
        ready = float(np.clip(season.crop[P_STO] + 0.04 * (5.0 - season.et0_mm) * np.log10(10.0 - 9.0 * season.crop[P_STO]), 0.1, 0.95))
        stage = STAGES[balance.stage_of(season.day + 1, season.crop)]
        unfit, alarms = self._unfit(season), self._alarms(season, now_s)
        wet = float(season.wet[BIOMASS])
        share = depletion / taw
        level = "dry" if share > ready else "wet" if share <= 0.0 else "fit"
        return FieldPicture(
            t_s=now_s, salience=f"{stage} {level} {' '.join(sorted(alarm.kind for alarm in alarms))}".strip(), faults=tuple(self._faults),
            date=(season.planted + timedelta(days=season.day)).isoformat(), day=season.day, climate=site.climate, crop=site.crop,
            soil=site.soil, past_years=site.past_years, days_to_harvest=max(int(season.crop[MATURITY]) - season.day, 0), stage=stage,
            depletion_mm=round(depletion, 1), taw_mm=round(taw, 1), depletion_pct=round(100.0 * share, 1), ready_pct=round(100.0 * ready, 1),
            root_m=round(float(twin[ROOT_M]), 2), field_capacity_m3_m3=float(season.soil[TH_FC]),
            sensors=tuple(sorted(self._sensors.values(), key=lambda s: s.depth_m)), canopy_pct=round(100.0 * float(twin[CC]), 1),
            et0_mm=round(season.et0_mm, 1), etc_mm=round(season.etc_mm, 1), rain_mm=round(season.rain_mm[-1] if season.rain_mm else 0.0, 1),
            rain_7d_mm=round(sum(season.rain_mm[-7:]), 1), irrigation_mm=round(season.metered_mm, 1), dry_days=season.dry_days,
            stress_loss_pct=round(100.0 * (1.0 - float(twin[BIOMASS]) / wet), 2) if wet > 0.0 else 0.0,
            forecast=self._from_today(season.day), prices=FieldPrices(
                grain_usd_t=site.grain_usd_t, water_usd_mm_ha=site.water_usd_mm_ha, fixed_usd_ha=site.fixed_usd_ha
            ), alarms=alarms, unfit=unfit, twin=tuple(twin.tolist()), twin_wet=tuple(season.wet.tolist()),
        )  # fmt: skip

    def _from_today(self, day: int) -> FieldForecast | None:
        """What is left of the last forecast."""
        said = self._forecast
        skip = day - round(said.t_s / DAY_S) if said is not None else 0
        if said is None or not 0 <= skip < len(said.rain_mm):
            return None
        return FieldForecast(tmin_c=said.tmin_c[skip:], tmax_c=said.tmax_c[skip:], rain_mm=said.rain_mm[skip:], et0_mm=said.et0_mm[skip:])

    def _unfit(self, season: _Season) -> tuple[str, ...]:
        found = []
        blind = min(season.day - season.station_day, season.day - season.probe_day)
        if blind > MAX_AGE_DAYS:
            found.append(f"neither the weather nor the soil has been measured for {blind} days")
        if season.leak_day is not None and season.day - season.leak_day <= LEAK_HOLD_DAYS:
            found.append(f"water flows past the shut valve since day {season.leak_day}; irrigation rests until somebody has looked")
        return tuple(found)

    def _alarms(self, season: _Season, now_s: float) -> tuple[Alarm, ...]:
        found = []
        if season.leak_day is not None:
            detail = f"the meter counts more than the valve was told since day {season.leak_day}; {season.metered_mm:.0f} mm in all"
            found.append(Alarm(kind="leak", severity="critical", since_s=(season.leak_day + 1) * DAY_S, detail=detail))
        if season.no_flow:
            found.append(
                Alarm(
                    kind="no_flow", severity="critical", since_s=now_s, detail="the meter counts less than half of what the valve was told"
                )
            )
        for sensor in self._sensors.values():
            if sensor.quality != "good":
                detail = f"{sensor.sensor} gives no usable value (last {sensor.vwc_m3_m3:.3f} m3/m3); the balance goes on without it"
                found.append(Alarm(kind="soil_sensor", severity="warning", since_s=now_s, detail=detail))
        if season.day - season.station_day > 1:
            detail = f"no weather report for {season.day - season.station_day} days; the forecast stands in"
            found.append(Alarm(kind="weather_station", severity="warning", since_s=season.station_day * DAY_S, detail=detail))
        return tuple(found)

    def _blank(self, now_s: float) -> FieldPicture:
        """No field is known: nothing may be irrigated."""
        return FieldPicture(
            t_s=now_s, faults=tuple(self._faults), date="", day=max(int(now_s // DAY_S), 0) if isfinite(now_s) else 0, climate="", crop="",
            soil="", past_years=(), days_to_harvest=0, stage="seedling", depletion_mm=0.0, taw_mm=0.0, depletion_pct=0.0, ready_pct=0.0,
            root_m=0.0, field_capacity_m3_m3=0.0, sensors=(), canopy_pct=0.0, et0_mm=0.0, etc_mm=0.0, rain_mm=0.0, rain_7d_mm=0.0,
            irrigation_mm=0.0, dry_days=0, stress_loss_pct=0.0, forecast=None,
            prices=FieldPrices(grain_usd_t=0.0, water_usd_mm_ha=0.0, fixed_usd_ha=0.0), unfit=("the field is not known yet",), twin=(), twin_wet=(),
        )  # fmt: skip


def _equal(reading: DailyForecastReading) -> bool:
    return len({len(reading.tmin_c), len(reading.tmax_c), len(reading.rain_mm), len(reading.et0_mm)}) == 1
