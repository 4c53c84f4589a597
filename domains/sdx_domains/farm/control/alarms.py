"""Alarms: what a person should know now, from the picture, the commands and the order. Start at Watch.look; thresholds: limits.yaml.

An alarm is raised at the look that shows its cause and stands for a while after the cause is gone (limits.data.clear_s).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, isnan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import Order
from sdx_domains.equipment import Alarm
from sdx_domains.farm.control.detect import PageHinkley
from sdx_domains.farm.control.limits import Limits, limits
from sdx_domains.farm.control.safety import FAULT_CO2, FAULT_LAMP, FAULT_WATER, FAULTS
from sdx_domains.farm.picture import Actuator, FarmPicture

Severity = Literal["info", "warning", "critical"]
NOT_SENSED = ("derived", "estimate")
SLOW = ("substrate", "drain", "tank", "feed", "heat_kwh", "elec_kwh", "co2_kg", "water_l")
"""Beginnings of the names of what is measured every few minutes."""
FAULT_ALARMS: Mapping[str, tuple[str, Severity]] = {
    "sensor_apart": ("sensor_disagrees", "warning"),
    "sensors_disagree": ("sensor_disagrees", "warning"),
    "sensor_not_ready": ("sensor_dead", "warning"),
    "absurd_value": ("sensor_absurd", "warning"),
    "sensor_flat": ("sensor_flat", "warning"),
    "sensor_jump": ("sensor_jump", "warning"),
    "actuator_fault": ("device_fault", "critical"),
    "clock_jump": ("clock_jump", "info"),
}
"""Kinds of the picture's faults that a person should know, and what they are called here."""
MOVED = 0.005
FIRST_BEAT_S = 60.0
BEAT_FADE_S = 600.0


@dataclass(slots=True)
class _Standing:
    alarm: Alarm
    seen_s: float


@dataclass(slots=True)
class _Told:
    """What a device was last told, and when its read-back last moved towards it."""

    position: float
    since_s: float
    moved_s: float
    seen: float


class Watch:
    """Holds the alarms of one house."""

    def __init__(self, known: Limits | None = None) -> None:
        self._limits = known or limits()
        self._hard, self._data = self._limits.hard, self._limits.data
        self._standing: dict[tuple[str, str], _Standing] = {}
        self._since: dict[str, float] = {}
        self._told: dict[str, _Told] = {}
        self._had: set[str] = set()
        self._beat_s = FIRST_BEAT_S
        self._now_s = self._last_s = 0.0
        self._had_model = False
        self._leak_s: float | None = None
        self._drift = {
            "temp": PageHinkley(self._data.forecast_temp_k, self._data.forecast_sum),
            "solar": PageHinkley(self._data.forecast_solar, self._data.forecast_sum / 4.0),
        }

    def alarms(self) -> tuple[Alarm, ...]:
        """Those that stand now, gravest first."""
        rank = {"critical": 0, "warning": 1, "info": 2}
        return tuple(
            sorted((standing.alarm for standing in self._standing.values()), key=lambda alarm: (rank[alarm.severity], alarm.since_s))
        )

    def say(self, kind: str, severity: Severity, detail: str, subject: str = "") -> None:
        """This is so now."""
        key = (kind, subject)
        found = self._standing.get(key)
        if found is None:
            self._standing[key] = _Standing(Alarm(kind=kind, severity=severity, since_s=self._now_s, detail=detail), self._now_s)
        else:
            found.seen_s = self._now_s
            if found.alarm.severity != severity:
                found.alarm = found.alarm.model_copy(update={"severity": severity, "detail": detail})

    def told(self, device: str, position: float) -> None:
        """The device was sent to this position, 0..1."""
        last = self._told.get(device)
        if last is None or abs(last.position - position) > MOVED:
            self._told[device] = _Told(position, self._now_s, self._now_s, last.seen if last else float("nan"))

    def look(self, picture: FarmPicture, now_s: float) -> NDArray[np.float64]:
        """Take in the picture; returns what the safety filter must heed, safety.FAULTS flags."""
        self._last_s, self._now_s = self._now_s or now_s, now_s
        flags = np.zeros(FAULTS)
        devices = {actuator.device: actuator for actuator in picture.actuators}
        self._sensors(picture)
        self._climate(picture, flags)
        self._devices(picture, devices, flags)
        self._water(picture, devices, flags)
        self._forecast(picture)
        for key, standing in tuple(self._standing.items()):
            if now_s - standing.seen_s > (self._data.sensor_clear_s if key[0].startswith("sensor") else self._data.clear_s):
                del self._standing[key]
        return flags

    def order(self, order: Order | None, invalid: str) -> None:
        """How the order stands: `invalid` says why it is not followed, "" where it is."""
        if order is None:
            self.say("plan_missing", "warning" if self._had_model else "info", "no plan was given: the rules hold")
        elif invalid:
            self.say("plan_expired" if order.expired(self._now_s) else "plan_invalid", "warning", f"{invalid}: the rules hold")
        elif order.source == "model":
            self._had_model = True
        elif order.source == "fallback" and self._had_model:
            self.say("model_silent", "warning", "the plan in force is the fallback's: no plan of the agent was taken")

    def _lasting(self, name: str, so: bool) -> float:
        """For how long `so` has been true, seconds; -1 when it is not."""
        if not so:
            self._since.pop(name, None)
            return -1.0
        return self._now_s - self._since.setdefault(name, self._now_s)

    def _sensors(self, picture: FarmPicture) -> None:
        """Silence of all: no power. Silence or faults of one."""
        ages = [found.age_s for found in picture.measured.values() if found.source not in NOT_SENSED]
        newest = min(ages, default=0.0)
        if newest > 1.5 * self._beat_s + 4.0:
            self.say("power_cut", "critical", f"no sensor has spoken for {newest:.0f} s")
        else:
            self._beat_s = max(newest, self._beat_s * exp(-(self._now_s - self._last_s) / BEAT_FADE_S))
        for quantity, found in picture.measured.items():
            if found.source in NOT_SENSED:
                if found.source == "estimate" and quantity in self._had:
                    self._dead(quantity, "no sensor tells; the twin's estimate stands in")
                continue
            self._had.add(quantity)
            if found.quality == "bad":
                self._dead(quantity, f"{found.source} gives no valid number")
            elif found.age_s > self._data.stale_scans * self._data.scan_s and (
                not quantity.startswith(SLOW) or found.age_s > self._data.stale_scans * self._data.slow_scan_s
            ):
                self.say("sensor_stale", "warning", f"{quantity} of {found.source} is {found.age_s:.0f} s old", quantity)
        for fault in picture.faults:
            if fault.kind in FAULT_ALARMS and self._now_s - fault.t_s <= max(2.0 * (self._now_s - self._last_s), self._data.scan_s):
                kind, severity = FAULT_ALARMS[fault.kind]
                self.say(kind, severity, fault.detail, fault.detail.partition(" ")[0])

    def _dead(self, quantity: str, detail: str) -> None:
        if quantity == "co2_ppm":
            self.say("co2_sensor_dead", "warning", f"{detail}: no dosing", quantity)
        else:
            self.say("sensor_dead", "critical" if quantity == "air_temp_c" else "warning", f"{quantity}: {detail}", quantity)

    def _climate(self, picture: FarmPicture, flags: NDArray[np.float64]) -> None:
        hard = self._hard
        temp, humid, vpd, co2 = (picture.value(name) for name in ("air_temp_c", "air_rh_pct", "vpd_kpa", "co2_ppm"))
        if temp is not None and temp < hard.chill_c:
            if temp < hard.frost_c:
                self.say("frost", "critical", f"air at {temp:.1f} C, limit {hard.frost_c:g}")
            else:
                self.say("chilling", "critical", f"air at {temp:.1f} C, limit {hard.chill_c:g}")
        if temp is not None and temp > hard.heat_alarm_c:
            self.say("heat", "critical", f"air at {temp:.1f} C, limit {hard.heat_alarm_c:g}")
        if self._lasting("humid", humid is not None and humid > hard.rh_wet_pct) > hard.rh_wet_s:
            self.say("humid", "warning", f"humidity above {hard.rh_wet_pct:g} % for more than {hard.rh_wet_s / 60:.0f} min")
        if self._lasting("vpd", vpd is not None and not hard.vpd_low_kpa <= vpd <= hard.vpd_high_kpa) > self._data.effect_s:
            self.say("vpd", "info", f"vapour pressure deficit {vpd:.2f} kPa, limits {hard.vpd_low_kpa:g} to {hard.vpd_high_kpa:g}")
        if co2 is None:
            flags[FAULT_CO2] = 1.0
        elif co2 >= hard.co2_evacuate_ppm:
            self.say("co2_evacuate", "critical", f"CO2 at {co2:.0f} ppm, {hard.co2_evacuate_ppm:g} is the 15-min limit: leave the house")
        elif co2 >= hard.co2_worker_ppm:
            self.say("co2_people", "critical", f"CO2 at {co2:.0f} ppm, {hard.co2_worker_ppm:g} is the 8-h limit for people")
        elif co2 > hard.co2_stop_ppm:
            self.say("co2_high", "warning", f"CO2 at {co2:.0f} ppm, dosing stops at {hard.co2_stop_ppm:g}")

    def _devices(self, picture: FarmPicture, devices: Mapping[str, Actuator], flags: NDArray[np.float64]) -> None:
        for name, actuator in devices.items():
            if actuator.right != "REMOTE":
                self.say("manual", "info", f"{name} is in {actuator.right}: a person has it", name)
            elif name != "irrigation_valve":
                self._stuck(name, actuator.position_pct / 100.0)
        for kind, subject in self._standing:
            if subject in ("lamps", "blackout_screen") and kind in ("device_fault", "device_stuck"):
                flags[FAULT_LAMP] = 1.0
            if subject == "co2_valve" and kind in ("device_fault", "device_stuck"):
                flags[FAULT_CO2] = 1.0
        self._effects(picture, devices)

    def astray(self) -> set[str]:
        """Devices that stand elsewhere than they were told, longest time to move over: worth telling again."""
        return {subject for kind, subject in self._standing if kind in ("vent_stuck", "device_stuck")}

    def _stuck(self, name: str, seen: float) -> None:
        told = self._told.get(name)
        if told is None:
            return
        if isnan(told.seen):
            told.seen = seen
        if abs(seen - told.seen) > MOVED:
            told.seen, told.moved_s = seen, self._now_s
        since = max(told.moved_s, told.since_s)
        if abs(seen - told.position) > self._data.readback_off and self._now_s - since > self._data.stuck_s:
            kind = "vent_stuck" if name.startswith("vent") else "device_stuck"
            self.say(
                kind, "critical", f"{name} stands at {seen:.0%}, told {told.position:.0%} {self._now_s - told.since_s:.0f} s ago", name
            )

    def _effects(self, picture: FarmPicture, devices: Mapping[str, Actuator]) -> None:
        """A heating valve without warm pipes, open vents that do not cool, CO2 that does not come or does not stop."""
        at = {name: actuator.position_pct / 100.0 for name, actuator in devices.items()}
        air, pipe, outside, solar = (picture.value(name) for name in ("air_temp_c", "pipe_temp_c", "out_temp_c", "out_solar_w_m2"))
        cold_pipe = air is not None and pipe is not None and pipe < air + self._data.pipe_warm_k
        if self._lasting("heating", cold_pipe and at.get("heating_valve", 0.0) > 0.5) > self._data.effect_s:
            self.say("heating_no_effect", "critical", f"heating valve half open, pipes at {pipe:.1f} C")
        wide = min(at.get("vent_lee", 0.0), at.get("vent_wind", 0.0)) > 0.5
        hot = air is not None and outside is not None and solar is not None and air > outside + self._data.vent_cool_k
        if self._lasting("vents", wide and hot) > self._data.effect_s:
            self.say("vent_no_effect", "critical", f"vents wide open, air at {air:.1f} C, outside {outside:.1f} C")
        co2 = picture.value("co2_ppm")
        starved = co2 is not None and co2 < 380.0 and at.get("co2_valve", 0.0) > 0.5
        if self._lasting("co2", starved) > self._data.effect_s:
            self.say("co2_no_effect", "warning", f"CO2 at {co2:.0f} ppm although it is dosed")

    def _water(self, picture: FarmPicture, devices: Mapping[str, Actuator], flags: NDArray[np.float64]) -> None:
        """Leak, no flow, empty tank: no water; after a while the crop's thirst weighs more than a leak behind a shut valve."""
        flow, tank, valve = picture.value("flow_l_min"), picture.value("tank_level_pct"), devices.get("irrigation_valve")
        if tank is not None and tank < self._hard.tank_low_pct:
            self.say("tank_low", "critical", f"tank at {tank:.0f} %, the pump is locked below {self._hard.tank_low_pct:g} %")
            flags[FAULT_WATER] = 1.0
        if flow is None or valve is None:
            return
        is_open = valve.position_pct > 0.0
        shut_s, open_s = self._lasting("valve_shut", not is_open), self._lasting("valve_open", is_open)
        runs = flow > self._data.leak_l_min
        fresh = picture.measured["flow_l_min"].age_s < max(shut_s, open_s)
        if runs and fresh and shut_s > self._hard.flow_wait_s:
            self.say("leak", "critical", f"{flow:.1f} l/min flow while the irrigation valve is shut")
            self._leak_s = self._leak_s if self._leak_s is not None else self._now_s
        elif not is_open and not runs:
            self._leak_s = None
        if not runs and fresh and open_s > self._hard.flow_wait_s:
            self.say("no_flow", "critical", f"irrigation valve open, {flow:.1f} l/min flow")
            flags[FAULT_WATER] = 1.0
        if self._leak_s is not None and self._now_s - self._leak_s < self._data.water_lock_s:
            flags[FAULT_WATER] = 1.0

    def _forecast(self, picture: FarmPicture) -> None:
        """What the forecast said of now against what is measured."""
        ahead, hours = picture.forecast, (self._now_s - self._last_s) / 3600.0
        if ahead is None:
            return
        place = (self._now_s - ahead.start_s) / 3600.0
        errors = {
            "temp": _off(picture.value("out_temp_c"), ahead.temp_c, place),
            "solar": _off(picture.value("out_solar_w_m2"), ahead.solar_w_m2, place) / 500.0,
        }
        for name, drift in self._drift.items():
            if drift.found(errors[name], hours):
                self.say("forecast_wrong", "warning", f"the forecast of {name} has been off for hours, now by {errors[name]:.1f}", name)


def _off(measured: float | None, column: tuple[float, ...], place: float) -> float:
    """Measured minus forecast; NaN where one is missing."""
    if measured is None or not 0.0 <= place <= len(column) - 1:
        return float("nan")
    low = min(int(place), len(column) - 2) if len(column) > 1 else 0
    high = min(low + 1, len(column) - 1)
    return measured - (column[low] + (place - low) * (column[high] - column[low]))
