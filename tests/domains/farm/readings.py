"""What a house in order says, as readings, for tests of the perceiver and of what comes after it."""

from collections.abc import Mapping, Sequence

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorReading, SensorReading
from sdx_domains.farm.greenhouse.vectors import ACTUATOR_NAMES
from sdx_domains.farm.perceive import GreenhousePerceiver
from sdx_domains.farm.picture import ClockReading, CropReading, FarmPicture, ForecastReading, PriceReading

USUAL = {
    "air_temp_c": 20.0, "air_rh_pct": 75.0, "co2_ppm": 600.0, "par_umol_m2_s": 200.0, "pipe_temp_c": 40.0, "leaf_temp_c": 19.5,
    "substrate_wc_pct": 60.0, "substrate_ec_ds_m": 3.0, "substrate_ph": 5.8, "out_temp_c": 8.0, "out_rh_pct": 80.0,
    "out_solar_w_m2": 150.0, "wind_m_s": 3.0, "wind_dir_deg": 200.0, "rain_mm_h": 0.0,
}  # fmt: skip
HOURS = 72


def sensed(t_s: float, quantity: str, value: float | None, sensor: str = "", status: int = 0) -> SensorReading:
    return SensorReading(t_s=t_s, source="test", sensor=sensor or f"{quantity}_1", quantity=quantity, value=value, status=status)


def house(t_s: float, values: Mapping[str, float] = USUAL, position_pct: float = 0.0) -> list[Reading]:
    """Every sensor and every device once, three of air temperature. The air is never quite still: a flat line is a fault."""
    stir = 0.01 * (t_s // 60.0 % 3.0)
    found: list[Reading] = [sensed(t_s, quantity, value + stir) for quantity, value in values.items()]
    if "air_temp_c" in values:
        found += [sensed(t_s, "air_temp_c", values["air_temp_c"] + off + stir, f"air_temp_c_{i}") for i, off in ((2, 0.1), (3, -0.1))]
    return [*found, *(ActuatorReading(t_s=t_s, source="test", device=name, position_pct=position_pct) for name in ACTUATOR_NAMES)]


def clock(t_s: float = 0.0, utc: str = "2026-03-01T09:00:00Z") -> ClockReading:
    return ClockReading(t_s=t_s, source="test", utc=utc, lat_deg=52.0, lon_deg=5.0, hours_east=1)


def forecast(start_s: float = 0.0, /, **columns: float | Sequence[float]) -> ForecastReading:
    """Hourly from start_s; a number stands for a column of it. Sun by day unless told otherwise."""
    hours = [(10 + start_s / 3600.0 + i) % 24 for i in range(HOURS)]
    sun = [max(0.0, 300.0 * (1.0 - ((hour - 13.0) / 5.0) ** 2)) for hour in hours]
    usual = {"solar_w_m2": sun, "temp_c": 8.0, "rh_pct": 80.0, "wind_m_s": 3.0, "rain_mm_h": 0.0}
    return ForecastReading.model_validate({"t_s": start_s, "source": "test", **_columns({**usual, **columns})})


def prices(start_s: float = 0.0, /, **columns: float | Sequence[float]) -> PriceReading:
    usual = {"heat_eur_kwh": 0.06, "elec_eur_kwh": 0.16, "co2_eur_kg": 0.2, "water_eur_m3": 1.0, "fruit_eur_kg": 1.6}
    return PriceReading.model_validate({"t_s": start_s, "source": "test", **_columns({**usual, **columns})})


def crop(days: float = 80.0) -> CropReading:
    return CropReading(t_s=0.0, source="test", crop="tomato", planted_s=-days * 86400.0, stage="fruiting")


def picture_of(hours: float = 1.0, **ahead: float | Sequence[float]) -> FarmPicture:
    """The picture of a house that has been watched for some hours; `ahead`: columns of the forecast and of the prices."""
    weather = {name: column for name, column in ahead.items() if name in ForecastReading.model_fields}
    money = {name: column for name, column in ahead.items() if name in PriceReading.model_fields}
    perceiver = GreenhousePerceiver()
    picture = perceiver.take([clock(), crop(), forecast(**weather), prices(**money), *house(0.0)], 0.0)
    for i in range(1, round(hours * 12) + 1):
        picture = perceiver.take(house(300.0 * i), 300.0 * i)
    return picture


def _columns(given: Mapping[str, float | Sequence[float]]) -> dict[str, tuple[float, ...]]:
    return {name: (float(column),) * HOURS if isinstance(column, int | float) else tuple(column) for name, column in given.items()}
