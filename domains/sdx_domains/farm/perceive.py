"""Readings in, greenhouse picture out: the one place where facts are computed. Start reading at GreenhousePerceiver.take."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from operator import attrgetter

import numpy as np

from sdx_domains.contract import Fault, Reading
from sdx_domains.equipment import ActuatorReading, SensorReading
from sdx_domains.farm import NAME
from sdx_domains.farm.beliefs import Beliefs
from sdx_domains.farm.control.alarms import Watch
from sdx_domains.farm.crop_record import CropRecord
from sdx_domains.farm.devices import Devices
from sdx_domains.farm.estimate import Estimate
from sdx_domains.farm.greenhouse.psychrometrics import dew_point_c, vpd_kpa
from sdx_domains.farm.outlook import Outlook
from sdx_domains.farm.picture import ClockReading, Counters, CropReading, FarmPicture, ForecastReading, Measured, PriceReading
from sdx_domains.farm.world.solar import clear_sky_w_m2, cos_zenith

CLOCK_JUMP_S = 5.0
"""The clock of take() set back by more than this: every remembered time is moved with it."""
FUTURE_S = 60.0
"""A reading stamped further ahead of the clock is dropped."""
FAULT_SHOWN_S = 900.0
"""A fault stays in the pictures this long, so that slow readers see it too."""
FAULTS_SHOWN = 40
CLOSE_S = 90.0
"""Looks that follow each other this closely see every shot of water begin and end."""


NOW = np.zeros(1)
_time = attrgetter("t_s")


class NotEnoughData(ValueError):
    """Date and place were never told: there is no picture to give."""


class GreenhousePerceiver:
    """Implements contract.Perceiver for the greenhouse. Deterministic.

    Args:
        site: date and place, where the equipment does not tell them.
        follow: keep a twin fitted to the measurements, and alarms. Without it only the rules can hold: what a controller needs, which has
            alarms of its own.
    """

    def __init__(self, site: ClockReading | None = None, follow: bool = True) -> None:
        self._site = site
        self._beliefs = Beliefs()
        self._devices = Devices()
        self._crop = CropRecord()
        self._outlook = Outlook()
        self._estimate = Estimate() if follow else None
        self._alarms = Watch() if follow else None
        self._now_s: float | None = None
        self._faults: list[Fault] = []

    def take(self, readings: Sequence[Reading], now_s: float) -> FarmPicture:
        """Fold in the readings, in the order of their times, and return the picture at now_s.

        Raises:
            NotEnoughData: no ClockReading was ever seen and no site was given.
            ValueError: now_s is not a finite number.
        """
        if not isfinite(now_s):
            raise ValueError(f"now_s must be a finite time in seconds, got {now_s!r}")
        before = self._follow_clock(now_s)
        for reading in sorted(self._stamped(readings, now_s), key=_time):
            self._fold(reading)
        if self._site is None:
            raise NotEnoughData("the date and place are not known: feed a ClockReading with utc, lat_deg, lon_deg, hours_east")
        return self._picture(self._site, now_s, before)

    def _report(self, t_s: float, kind: str, detail: str) -> None:
        """Remember a fault for a while; the same kind about the same thing only in its newest form."""
        when = min(t_s, self._now_s or t_s) if isfinite(t_s) else (self._now_s or 0.0)
        subject = detail.split(" ", 1)[0]
        self._faults = [f for f in self._faults if f.kind != kind or f.detail.split(" ", 1)[0] != subject]
        self._faults.append(Fault.model_construct(t_s=when, kind=kind, detail=detail))
        del self._faults[:-FAULTS_SHOWN]

    def _follow_clock(self, now_s: float) -> float:
        """The time of the picture before this one, on the clock as it is now."""
        before, self._now_s = self._now_s if self._now_s is not None else now_s, now_s
        if now_s < before - CLOCK_JUMP_S:
            back = now_s - before
            for part in (self._beliefs, self._devices, self._crop, self._outlook):
                part.shift(back)
            self._faults = [f.model_copy(update={"t_s": f.t_s + back}) for f in self._faults]
            self._report(now_s, "clock_jump", f"clock set back by {-back:.1f} s; remembered times moved with it")
            before = now_s
        self._faults = [f for f in self._faults if now_s - f.t_s <= FAULT_SHOWN_S]
        return before

    def _stamped(self, readings: Sequence[Reading], now_s: float) -> Iterator[Reading]:
        """Those with a usable time; the others become faults."""
        latest = now_s + FUTURE_S
        for reading in readings:
            if reading.t_s <= latest and reading.t_s > float("-inf"):
                yield reading
            elif isfinite(reading.t_s):
                self._report(now_s, "future_stamp", f"{_subject(reading)} stamped {reading.t_s - now_s:.1f} s ahead of the clock; dropped")
            else:
                self._report(now_s, "bad_stamp", f"{_subject(reading)} has time {reading.t_s!r}; dropped")

    def _fold(self, reading: Reading) -> None:
        if isinstance(reading, SensorReading):
            self._beliefs.fold(reading, self._report)
        elif isinstance(reading, ActuatorReading):
            self._devices.fold(reading, self._report)
        elif isinstance(reading, ForecastReading):
            self._outlook.fold_forecast(reading, self._report)
        elif isinstance(reading, PriceReading):
            self._outlook.fold_prices(reading, self._report)
        elif isinstance(reading, CropReading):
            self._crop.fold(reading, self._report)
        elif isinstance(reading, ClockReading):
            self._fold_clock(reading)
        else:
            self._report(reading.t_s, "unknown_reading", f"{type(reading).__name__} is not a greenhouse reading; dropped")

    def _fold_clock(self, reading: ClockReading) -> None:
        try:
            utc_at(reading, reading.t_s)
            self._site = reading
        except (ValueError, OverflowError) as error:
            self._report(reading.t_s, "bad_clock", f"clock {reading.utc!r} is no date: {error}; kept the last one")

    def _picture(self, site: ClockReading, now_s: float, before_s: float) -> FarmPicture:
        utc = utc_at(site, now_s)
        local = utc + timedelta(hours=site.hours_east)
        height = cos_zenith(utc, NOW, site.lat_deg, site.lon_deg)
        measured = self._beliefs.at(now_s, self._report)
        self._devices.pass_time(before_s, now_s, local.toordinal())
        self._outlook.learn(measured, now_s)
        if self._estimate is not None:
            positions, clear = self._devices.mean_positions(now_s), float(clear_sky_w_m2(height)[0])
            self._estimate.follow(measured, positions, self._crop.told, now_s, clear)
            self._estimate.fill(measured)
        _derive(measured)
        picture = FarmPicture.model_construct(
            t_s=now_s,
            domain=NAME,
            salience=self._outlook.salience(now_s, measured, self._devices.troubles()),
            faults=tuple(self._faults),
            lat_deg=site.lat_deg,
            lon_deg=site.lon_deg,
            utc=utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            hour=round(local.hour + local.minute / 60.0 + local.second / 3600.0, 4) % 24.0,
            daylight=bool(height[0] > 0.0),
            measured=measured,
            actuators=self._devices.at(now_s),
            crop=self._crop.at(measured, before_s, now_s, local.toordinal()),
            forecast=self._outlook.forecast,
            prices=self._outlook.prices,
            counters=self._estimate.counters() if self._estimate is not None else Counters(),
            twin=self._estimate.state() if self._estimate is not None else (),
        )
        return picture if self._alarms is None else _with_alarms(picture, self._alarms, now_s - before_s)


def _with_alarms(picture: FarmPicture, watch: Watch, since_s: float) -> FarmPicture:
    """What a person should know stands in the picture; what is critical is worth a new decision.

    A leak is flow behind a shut valve: between looks that are far apart a valve opens and shuts unseen, so there the flow tells nothing.
    """
    seen = {name: found for name, found in picture.measured.items() if name != "flow_l_min" or since_s <= CLOSE_S}
    watch.look(picture.model_copy(update={"measured": seen}), picture.t_s)
    alarms = watch.alarms()
    grave = sorted({alarm.kind for alarm in alarms if alarm.severity == "critical"})
    return picture.model_copy(update={"alarms": alarms, "salience": f"{picture.salience}|{','.join(grave)}"})


def utc_at(site: ClockReading, t_s: float) -> datetime:
    """Date and time at plant time t_s. ValueError when the site's clock is no date."""
    stamp = datetime.fromisoformat(site.utc)
    stamp = stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp.astimezone(UTC)
    return stamp + timedelta(seconds=t_s - site.t_s)


def _derive(measured: dict[str, Measured]) -> None:
    """Vapour pressure deficit and dew point, from temperature and humidity."""
    temp, rh = measured.get("air_temp_c"), measured.get("air_rh_pct")
    if temp is None or rh is None or "bad" in (temp.quality, rh.quality):
        return
    quality = "suspect" if "suspect" in (temp.quality, rh.quality) else "good"
    age = max(temp.age_s, rh.age_s)
    for name, value in (("vpd_kpa", vpd_kpa(temp.value, rh.value)), ("dew_point_c", dew_point_c(temp.value, rh.value))):
        measured[name] = Measured.model_construct(value=round(value, 4), quality=quality, age_s=age, source="derived")


def _subject(reading: Reading) -> str:
    return str(getattr(reading, "sensor", None) or getattr(reading, "device", None) or type(reading).__name__)
