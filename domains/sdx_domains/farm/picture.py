"""Types of the greenhouse's situation: what the perceiver computes, what everyone else reads."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from sdx_domains.contract import Closed, Option, Picture, Reading
from sdx_domains.equipment import Alarm, ControlRight, Quality
from sdx_domains.farm import NAME

Stage = Literal["seedling", "vegetative", "flowering", "fruiting"]
PlanName = str


class ForecastReading(Reading):
    """A weather forecast from now on: hourly columns of equal length, the first value is for t_s."""

    solar_w_m2: tuple[float, ...]
    temp_c: tuple[float, ...]
    rh_pct: tuple[float, ...]
    wind_m_s: tuple[float, ...]
    rain_mm_h: tuple[float, ...]


class PriceReading(Reading):
    """Prices from now on, hourly, as ForecastReading."""

    heat_eur_kwh: tuple[float, ...]
    elec_eur_kwh: tuple[float, ...]
    co2_eur_kg: tuple[float, ...]
    water_eur_m3: tuple[float, ...]
    fruit_eur_kg: tuple[float, ...]


class CropReading(Reading):
    """What the grower says of the crop."""

    crop: str
    planted_s: float
    """Plant time of planting; may be negative."""
    stage: Stage


class ClockReading(Reading):
    """Which date and hour plant time t_s is, and where the house stands."""

    utc: str
    """ISO 8601, "2026-03-01T00:00:00Z"."""
    lat_deg: float = Field(ge=-90, le=90)
    lon_deg: float = Field(ge=-180, le=180)
    hours_east: float = Field(ge=-12, le=14)
    """Local time minus UTC."""


class Measured(Closed):
    """One quantity as it is believed now."""

    value: float
    quality: Quality
    age_s: float
    source: str
    """Sensor name, "median of 3", "estimate", "derived"."""


class Actuator(Closed):
    """One device as it stands."""

    device: str
    position_pct: float
    requested_pct: float | None = None
    status: int = 0
    right: ControlRight = "REMOTE"
    age_s: float = 0.0
    starts_today: int = 0
    runtime_s: float = 0.0


class Crop(Closed):
    name: str
    stage: Stage
    days_after_planting: float
    gdd_cd: float
    """Growing degree days since the perceiver began, base 10 C, plus what the grower told."""
    dli_mol_m2: float
    """Daily light integral inside, since local midnight, mol m-2."""
    dli_yesterday_mol_m2: float | None = None
    temp_24h_c: float
    """Mean air temperature of the last 24 h."""


class Forecast(Closed):
    """Hourly columns from `start_s` on, 72 h or what is known, as they were told; see ForecastReading."""

    start_s: float
    issued_s: float
    temp_off_k: float = 0.0
    """How much warmer than forecast it has been lately, and ..."""
    solar_factor: float = 1.0
    """... how much brighter: what looks ahead is set right by both."""
    solar_w_m2: tuple[float, ...]
    temp_c: tuple[float, ...]
    rh_pct: tuple[float, ...]
    wind_m_s: tuple[float, ...]
    rain_mm_h: tuple[float, ...]


class Prices(Closed):
    """Hourly columns from `start_s` on."""

    start_s: float
    heat_eur_kwh: tuple[float, ...]
    elec_eur_kwh: tuple[float, ...]
    co2_eur_kg: tuple[float, ...]
    water_eur_m3: tuple[float, ...]
    fruit_eur_kg: tuple[float, ...]


class Counters(Closed):
    """Used and earned since the perceiver began, per square metre."""

    heat_kwh_m2: float = 0.0
    elec_kwh_m2: float = 0.0
    co2_kg_m2: float = 0.0
    water_l_m2: float = 0.0
    drain_l_m2: float = 0.0


class FarmPicture(Picture):
    """The greenhouse now. `measured` holds every quantity that is known, by its name with unit."""

    kind: Literal["greenhouse"] = "greenhouse"
    domain: str = NAME
    house: str = "house"
    lat_deg: float | None = None
    lon_deg: float | None = None
    utc: str
    hour: float = Field(ge=0, lt=24)
    """Local time of day."""
    daylight: bool
    measured: Mapping[str, Measured]
    """air_temp_c, air_rh_pct, co2_ppm, vpd_kpa, dew_point_c, pipe_temp_c, leaf_temp_c, par_umol_m2_s, substrate_wc_pct,
    substrate_ec_ds_m, substrate_ph, drain_pct, flow_l_min, tank_level_pct, out_temp_c, out_rh_pct, out_solar_w_m2,
    wind_m_s, wind_dir_deg, rain_mm_h; one that cannot be known is absent."""
    actuators: tuple[Actuator, ...]
    crop: Crop
    forecast: Forecast | None = None
    prices: Prices | None = None
    counters: Counters = Counters()
    alarms: tuple[Alarm, ...] = ()
    twin: tuple[float, ...] = ()
    """State of the fast twin that fits the measurements, greenhouse/state.py; () when it cannot be known: only rules hold."""

    def value(self, quantity: str) -> float | None:
        """The believed value; None when it is not known or bad."""
        found = self.measured.get(quantity)
        return found.value if found is not None and found.quality != "bad" else None


class Outcome(Closed):
    """What a plan leads to in the twin over `hours`, against the forecast."""

    hours: int
    profit_eur_m2: float
    """Value of fruit and crop gained, minus heat, electricity, CO2 and water."""
    gain_eur_m2: float
    """Profit against the rules' plan."""
    heat_kwh_m2: float
    elec_kwh_m2: float
    co2_kg_m2: float
    water_l_m2: float
    fruit_kg_m2: float
    """Fresh weight gained."""
    temp_min_c: float
    temp_mean_c: float
    temp_max_c: float
    rh_max_pct: float
    rh_out_share: float
    """Share of the time outside the bounds of humidity, 0..1."""
    temp_out_share: float
    rh_more_d: float = 0.0
    """Days of time outside the bounds of humidity beyond those under the rules' plan, over all hours or over the plan's own, whichever is
    more: what is put off is not made good. Likewise of temperature."""
    temp_more_d: float = 0.0
    co2_mean_ppm: float
    """In light."""
    air_temp_c: tuple[float, ...]
    """Hourly, for charts; likewise below."""
    air_rh_pct: tuple[float, ...]
    co2_ppm: tuple[float, ...]


class FarmOption(Option):
    """One plan, rolled out. `setpoints` is Plan.setpoints()."""

    kind: Literal["greenhouse"] = "greenhouse"
    strategy: str
    """Name of a row of strategies.yaml: "rules", "warm_day", "cool_night"."""
    valid_for_s: float
    outcome: Outcome
