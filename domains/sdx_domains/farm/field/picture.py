"""Types of the field's situation: readings of its sensors, the picture made of them, its options."""

from typing import Literal

from pydantic import Field

from sdx_domains.contract import Closed, Option, Picture, Reading
from sdx_domains.equipment import Alarm, Quality
from sdx_domains.farm import NAME

FieldStage = Literal["seedling", "vegetative", "flowering", "ripening"]
STAGES: tuple[FieldStage, ...] = ("seedling", "vegetative", "flowering", "ripening")
DAY_S = 86400.0


class SiteReading(Reading):
    """What the grower says once: which field this is. Names are those of crops.yaml, soils.yaml and weather.climates()."""

    climate: str
    crop: str
    soil: str
    planted: str
    """ISO date of plant time 0."""
    past_years: tuple[int, ...]
    """Of the climate, that may serve as experience."""
    grain_usd_t: float = Field(ge=0)
    water_usd_mm_ha: float = Field(ge=0)
    fixed_usd_ha: float = Field(ge=0)


class SoilReading(Reading):
    """One soil moisture sensor."""

    sensor: str
    depth_m: float = Field(gt=0, le=3)
    vwc_m3_m3: float | None
    """None: no number came."""


class DayReading(Reading):
    """The day that ended at t_s, from weather station, water meter and camera. None: not measured."""

    tmin_c: float | None
    tmax_c: float | None
    rain_mm: float | None
    et0_mm: float | None
    valve_mm: float
    """What the valve was told to give."""
    meter_mm: float | None
    """What the water meter counted."""
    canopy_pct: float | None
    """Ground cover, estimated from an image."""


class DailyForecastReading(Reading):
    """Daily columns of equal length; the first day begins at t_s."""

    tmin_c: tuple[float, ...]
    tmax_c: tuple[float, ...]
    rain_mm: tuple[float, ...]
    et0_mm: tuple[float, ...]


class SoilSensor(Closed):
    """One sensor as it is believed."""

    sensor: str
    depth_m: float
    vwc_m3_m3: float
    quality: Quality


class FieldForecast(Closed):
    """As DailyForecastReading; the first day is the picture's."""

    tmin_c: tuple[float, ...]
    tmax_c: tuple[float, ...]
    rain_mm: tuple[float, ...]
    et0_mm: tuple[float, ...]


class FieldPrices(Closed):
    grain_usd_t: float
    water_usd_mm_ha: float
    fixed_usd_ha: float


class FieldPicture(Picture):
    """The field this morning."""

    kind: Literal["field"] = "field"
    domain: str = NAME
    date: str
    day: int
    """Of the plant's clock, 0 = planting."""
    climate: str
    crop: str
    soil: str
    past_years: tuple[int, ...]
    days_to_harvest: int
    stage: FieldStage
    depletion_mm: float
    """Of the root zone: water missing to field capacity; negative above it."""
    taw_mm: float
    """Total available water of the root zone."""
    depletion_pct: float
    """Of TAW."""
    ready_pct: float
    """Share of TAW that the crop takes without stress at yesterday's demand."""
    root_m: float
    field_capacity_m3_m3: float
    sensors: tuple[SoilSensor, ...]
    canopy_pct: float
    et0_mm: float
    """Of yesterday; likewise below."""
    etc_mm: float
    """Crop evapotranspiration, from the water balance."""
    rain_mm: float
    rain_7d_mm: float
    irrigation_mm: float
    """Since planting, by the water meter."""
    dry_days: int
    """Since the last irrigation; since planting where there was none."""
    stress_loss_pct: float
    """Biomass lost to drought so far, against the same field never dry."""
    forecast: FieldForecast | None
    prices: FieldPrices
    alarms: tuple[Alarm, ...] = ()
    unfit: tuple[str, ...] = ()
    """Why no irrigation may be decided on these data, a sentence each; () when they are fit."""
    twin: tuple[float, ...]
    """State of the water balance, balance.py."""
    twin_wet: tuple[float, ...]
    """The same field had it never been dry: what full yield is."""

    @property
    def dap(self) -> int:
        """Today in days after planting as the balance counts, 1 = the day of planting."""
        return self.day + 1


class FieldOutcome(Closed):
    """What an irrigation leads to by harvest: means over the ensemble of weathers, followed by the best of the known rules."""

    members: int
    yield_t_ha: float
    yield_low_t_ha: float
    """Exceeded in nine weathers of ten."""
    yield_pct: float
    """Of the same field never dry."""
    later_mm: float
    """Irrigation still to come after this one."""
    season_mm: float
    """All irrigation from planting to harvest."""
    drained_mm: float
    """Lost below the roots from now on."""
    profit_usd_ha: float
    gain_usd_ha: float
    """Profit against no irrigation today."""
    value_usd_ha: float
    """What the planner ranks by: as profit, with yield short of full weighed as planner.yaml says."""
    rain_3d_mm: float
    """Expected in the next three days."""
    dryness_pct: tuple[float, ...]
    """Depletion in % of TAW, the mean of the coming days, for charts."""


class FieldOption(Option):
    """An irrigation today, on a later day, or none. `setpoints` is {"irrigation_mm": .., "day": ..}."""

    kind: Literal["field"] = "field"
    amount_mm: float = Field(ge=0)
    in_days: int = Field(ge=0)
    outcome: FieldOutcome
