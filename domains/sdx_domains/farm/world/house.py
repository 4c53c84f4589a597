"""The simulated greenhouse as equipment: the plant's physics behind sensors and devices. Start at GreenhouseHouse.step.

Implements equipment.SimulatedHouse. The physics is greenhouse/step.py with parameters that nobody is told; its truth is in `trace`.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from math import ceil, exp
from pathlib import Path

import numpy as np

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorCommand, CommandResult
from sdx_domains.equipment import Device as BusDevice
from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.state import AIR_C, FEED_EC_NOW, FEED_PH_NOW, PIPE_C, initial
from sdx_domains.farm.greenhouse.step import CO2_KG, DRAIN_L, ELEC_KWH, FLOWS, FRUIT_KG, HEAT_KWH, WATER_L_USED, measure, step
from sdx_domains.farm.picture import ClockReading, CropReading
from sdx_domains.farm.world.actuators import Device
from sdx_domains.farm.world.climate import generate
from sdx_domains.farm.world.failures import active
from sdx_domains.farm.world.forecast import Forecaster
from sdx_domains.farm.world.prices import prices
from sdx_domains.farm.world.scenarios import FarmScenario
from sdx_domains.farm.world.sensors import SOURCE, Sensors
from sdx_domains.farm.world.site import SiteSpec, site_spec
from sdx_domains.farm.world.trace import Trace, tariffs
from sdx_domains.farm.world.weather import Weather
from sdx_domains.farm.world.weather_files import read_csv, read_epw

STEP_S = 60.0
HOUR_S, DAY_S = 3600.0, 86400.0
AHEAD_H = 72
SPARE_DAYS = 4
"""Weather and prices beyond the end, so that the last forecasts look ahead too."""
FULL_PCT = 95.0
WARM_PIPE_K, SCREENED_K = 35.0, 8.0
PAID = np.array([FRUIT_KG, HEAT_KWH, ELEC_KWH, CO2_KG, WATER_L_USED])
"""Flows in the order of trace.MONEY."""
QUANTITIES = (
    "air_temp_c", "air_rh_pct", "co2_ppm", "par_umol_m2_s", "pipe_temp_c", "leaf_temp_c", "substrate_wc_pct", "substrate_ec_ds_m",
    "substrate_ph", "drain_pct", "flow_l_min", "tank_level_pct", "out_temp_c", "out_rh_pct", "out_solar_w_m2", "wind_m_s", "wind_dir_deg",
    "rain_mm_h", "heat_kwh_m2", "elec_kwh_m2", "co2_kg_m2", "water_l_m2", "drain_l_m2",
)  # fmt: skip
"""What a sensor may measure, in the order of GreenhouseHouse._truth()."""
MEASURED = (
    v.AIR_TEMP_C,
    v.AIR_RH_PCT,
    v.AIR_CO2_PPM,
    v.PAR_UMOL,
    v.PIPE_TEMP_C,
    v.LEAF_TEMP_C,
    v.SUBSTRATE_WC_PCT,
    v.SUBSTRATE_EC,
    v.SUBSTRATE_PH,
)
OUTSIDE = (v.OUT_TEMP_C, v.OUT_RH_PCT, v.SOLAR_W_M2, v.WIND_M_S, v.WIND_DIR_DEG, v.RAIN_MM_H)
METERS = (HEAT_KWH, ELEC_KWH, CO2_KG, WATER_L_USED, DRAIN_L)


def weather_of(case: FarmScenario) -> Weather:
    """The season's weather with some days to spare. ValueError: the file is bad, or too short."""
    if not case.weather_file:
        return generate(case.site, case.first_day, case.days + SPARE_DAYS, case.weather_seed)
    path = Path(case.weather_file)
    whole = read_epw(path) if path.suffix.lower() == ".epw" else read_csv(path)
    return _from_day(whole, case.first_day, case.days, path)


def _from_day(whole: Weather, first_day: date, days: int, path: Path) -> Weather:
    """The file from the local midnight of that day and month on, else from its own start."""
    local = whole.start + timedelta(hours=whole.hours_east)
    wanted = local.replace(month=first_day.month, day=first_day.day, hour=0, minute=0, second=0)
    offset_s = max((wanted - local).total_seconds(), 0.0)
    if offset_s + days * DAY_S > whole.end_s:
        offset_s = 0.0
    if days * DAY_S > whole.end_s:
        raise ValueError(f"{path}: {whole.end_s / DAY_S:g} days of weather, {days} are wanted; take fewer days")
    first = round(offset_s / whole.step_s)
    return Weather(whole.utc(first * whole.step_s), whole.lat_deg, whole.lon_deg, whole.hours_east, whole.step_s, whole.rows[first:])


class GreenhouseHouse:
    """One season. Same case, same seed, same commands: same run."""

    def __init__(self, case: FarmScenario, seed: int = 0, site: SiteSpec | None = None) -> None:
        self.case, self.site = case, site or site_spec()
        self.weather = weather_of(case)
        self.prices = prices(case.regime, self.weather, case.weather_seed)
        self.parameters = Parameters.read(case.parameters).perturbed(np.random.default_rng([case.weather_seed, seed, 2]), case.perturbed)
        self.trace = Trace()
        self._par = self.parameters.array()
        mixed = int(np.random.SeedSequence([case.weather_seed, seed]).generate_state(1)[0])
        self._sensors = Sensors(self.site.sensors, QUANTITIES, case.failures, mixed)
        self._forecaster = Forecaster(self.weather, mixed)
        flow = self.parameters["irrigation_l_m2_s"]
        self._devices = {
            name: Device(name, spec, flow_l_m2_s=flow if spec.kind == "nutrient" else 0.0) for name, spec in self.site.devices.items()
        }
        self._stuck = [f for f in case.failures if f.kind == "device_stuck"]
        if unknown := [f.subject for f in self._stuck if f.subject not in self._devices]:
            raise ValueError(f"failure of device {unknown[0]!r}: there are {', '.join(self._devices)}")
        self._t_s = 0.0
        self._row = self.weather.at(0.0)
        self._state = initial(self.parameters, soil_temp_c=float(self._row[v.SOIL_TEMP_C]))
        self._flows, self._money = np.zeros(FLOWS), np.zeros(len(PAID))
        self._positions, self._measured = np.zeros(v.ACTUATORS), np.zeros(v.MEASURED)
        self._warm_up()
        self._first_state = self._state.copy()
        self._tank_l, self._filling = 0.8 * self.site.irrigation.tank_l, False
        self._valve, self._gives_l_m2_s = self._devices["irrigation_valve"], flow
        self._flow_l_min, self._given, self._drained = 0.0, 0.0, 0.0
        self._next_hour_s = 0.0
        self._pending: list[Reading] = []
        self._tariffs = tariffs(self.prices.rows, 1.0 / self.parameters["fruit_dry_matter"])
        self._observe(STEP_S)

    @property
    def t_s(self) -> float:
        return self._t_s

    @property
    def done(self) -> bool:
        return self._t_s >= self.case.duration_s

    @property
    def states(self) -> tuple[np.ndarray, np.ndarray]:
        """True state at the start and now: for scores, never for the agent."""
        return self._first_state, self._state

    def devices(self) -> Sequence[BusDevice]:
        return self.site.on_bus()

    def read(self) -> Sequence[Reading]:
        given, self._pending = self._pending, []
        return given

    def send(self, command: ActuatorCommand) -> CommandResult:
        device = self._devices.get(command.device)
        if device is None:
            detail = f"no device {command.device!r}; there are {', '.join(self._devices)}"
            return CommandResult(command_id=command.id, fate="rejected", detail=detail)
        if not self._powered(self._t_s):
            return CommandResult(command_id=command.id, fate="timeout", detail="no answer", opid=device.opid)
        return device.tell(command, self._t_s)

    def close(self) -> None:
        """Nothing to give back."""

    def step(self, dt_s: float) -> None:
        """Move on, a minute at a time or less."""
        pieces = max(ceil(dt_s / STEP_S - 1e-9), 1)
        for _ in range(pieces):
            self._move(dt_s / pieces)
            self._observe(dt_s / pieces)

    def _warm_up(self) -> None:
        """The house was heated and screened before the season begins, as it is cold and dark outside."""
        cold_k = max(float(self._state[AIR_C] - self._row[v.OUT_TEMP_C]), 0.0)
        self._state[PIPE_C] += min(1.5 * cold_k, WARM_PIPE_K)
        dark = self._row[v.SOLAR_W_M2] <= 0.0 and cold_k > SCREENED_K
        for place, position in ((v.HEATING, min(cold_k / 30.0, 1.0)), (v.THERMAL_SCREEN, float(dark))):
            device = self._devices[v.ACTUATOR_NAMES[place]]
            self._positions[place] = device.position = device.target = position

    def _powered(self, t_s: float) -> bool:
        return next(active(self.case.failures, "blackout", t_s), None) is None

    def _move(self, dt_s: float) -> None:
        """Devices, then physics, then money."""
        before_s, self._t_s = self._t_s, self._t_s + dt_s
        powered = self._powered(before_s)
        for failure in self._stuck:
            self._devices[failure.subject].stuck = failure.from_s <= before_s < failure.until_s
        for place, device in enumerate(self._devices.values()):
            self._positions[place] = device.advance(before_s, self._t_s, powered)
        self._row = self.weather.at(before_s + dt_s / 2.0)
        self._irrigate(before_s, dt_s)
        paid, drained = self._flows[PAID], self._flows[DRAIN_L]
        step(self._state, self._row, self._positions, self._par, dt_s, self._flows)
        self._flows[WATER_L_USED] += self._leak_l_m2_h(before_s) * dt_s / HOUR_S
        self._money += (self._flows[PAID] - paid) * self._tariffs[min(int(before_s // HOUR_S), len(self._tariffs) - 1)]
        keep = exp(-dt_s / DAY_S)
        self._given = keep * self._given + self._positions[v.IRRIGATION] * self._gives_l_m2_s * dt_s
        self._drained = keep * self._drained + self._flows[DRAIN_L] - drained

    def _leak_l_m2_h(self, t_s: float) -> float:
        return sum(failure.size for failure in active(self.case.failures, "leak", t_s))

    def _irrigate(self, t_s: float, dt_s: float) -> None:
        """Tank, flow meter, and what the mixing unit gives; an empty tank gives nothing."""
        plan, feed = self.site.irrigation, self._valve.feed
        if self._tank_l <= 0.0:
            self._positions[v.IRRIGATION] = 0.0
        l_m2_h = self._positions[v.IRRIGATION] * self._gives_l_m2_s * HOUR_S + self._leak_l_m2_h(t_s)
        self._flow_l_min = l_m2_h * plan.area_m2 / 60.0
        level = 100.0 * self._tank_l / plan.tank_l
        self._filling = level < plan.refill_below_pct or (self._filling and level < FULL_PCT)
        fill = plan.refill_l_min if self._filling and self._powered(t_s) else 0.0
        self._tank_l = min(max(self._tank_l + (fill - self._flow_l_min) * dt_s / 60.0, 0.0), plan.tank_l)
        self._state[FEED_EC_NOW] = feed.get("ec_ds_m", plan.feed_ec_ds_m)
        self._state[FEED_PH_NOW] = feed.get("ph", plan.feed_ph)

    def _observe(self, dt_s: float) -> None:
        """Keep the truth, let sensors and devices speak."""
        t_s = self._t_s
        measure(self._state, self._row, self._positions, self._par, self._measured)
        self.trace.add(t_s, self._measured, self._row, self._positions, self._flows, self._money)
        powered = self._powered(t_s)
        if t_s >= self._next_hour_s:
            self._pending += self._hourly(t_s, powered)
            self._next_hour_s += HOUR_S
        self._pending += self._sensors.read(t_s, dt_s, self._truth(), powered)
        if powered:
            self._pending += [news for device in self._devices.values() if (news := device.news(t_s)) is not None]

    def _truth(self) -> list[float]:
        """Every quantity that a sensor may ask for, in the order of QUANTITIES."""
        measured, row, flows = self._measured.tolist(), self._row.tolist(), self._flows.tolist()
        drain_pct = 100.0 * self._drained / self._given if self._given > 0.05 else 0.0
        tank_pct = 100.0 * self._tank_l / self.site.irrigation.tank_l
        inside = [measured[place] for place in MEASURED]
        return [
            *inside, drain_pct, self._flow_l_min, tank_pct, *[row[place] for place in OUTSIDE], *[flows[place] for place in METERS]
        ]  # fmt: skip

    def _hourly(self, t_s: float, powered: bool) -> list[Reading]:
        """Clock and crop; forecast and prices where there is a connection."""
        clock = ClockReading(
            t_s=t_s,
            source=SOURCE,
            utc=self.weather.utc(t_s).strftime("%Y-%m-%dT%H:%M:%SZ"),
            lat_deg=self.weather.lat_deg,
            lon_deg=self.weather.lon_deg,
            hours_east=self.weather.hours_east,
        )
        crop = CropReading(t_s=t_s, source=SOURCE, crop="tomato", planted_s=-self.case.days_planted * DAY_S, stage="fruiting")
        if not powered:
            return [clock, crop]
        wrong = sum(failure.size for failure in active(self.case.failures, "forecast_wrong", t_s))
        return [clock, crop, self._forecaster.issue(t_s, AHEAD_H, wrong), self.prices.told(t_s, AHEAD_H)]
