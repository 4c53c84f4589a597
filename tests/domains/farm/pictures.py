"""Realistic houses and plans for tests, drawn from a seed: house(), plans(). Loaded by conftest.py; fixtures `house`, `plans`, `moments`."""

import math
import random
from typing import Any

from sdx_domains.equipment import Alarm
from sdx_domains.farm.picture import Actuator, Crop, FarmOption, FarmPicture, Forecast, Measured, Outcome, Prices
from sdx_domains.farm.plan import Knot, Plan

T_S = 864_000.0
HOURS = 72
STANDARD = {
    "heat_temp_c": 18.5, "vent_temp_c": 24.0, "rh_max_pct": 85.0, "co2_ppm": 800.0, "lamp_pct": 0.0, "screen_out_temp_c": 8.0, "shade_w_m2": 900.0,
    "fog_vpd_kpa": 1.4, "shot_j_cm2": 100.0, "shot_l_m2": 0.25, "feed_ec_ds_m": 3.0, "feed_ph": 5.8,
}  # fmt: skip
STRATEGIES: dict[str, dict[str, float]] = {
    "rules": {},
    "warm_day": {"heat_temp_c": 20.0, "vent_temp_c": 26.0},
    "cool_night": {"heat_temp_c": 16.0},
    "dry": {"rh_max_pct": 80.0},
    "lamps_cheap": {"lamp_pct": 100.0},
    "rich_co2": {"co2_ppm": 1000.0},
    "tight_screen+dry": {"screen_out_temp_c": 12.0, "rh_max_pct": 82.0},
    "short_shots": {"shot_j_cm2": 80.0},
}


def vapour_kpa(temp_c: float) -> float:
    return 0.6108 * math.exp(17.27 * temp_c / (temp_c + 237.3))


def measured(values: dict[str, float | None]) -> dict[str, Measured]:
    return {name: Measured(value=value, quality="good", age_s=30.0, source=name) for name, value in values.items() if value is not None}


def house(hour: float = 14.5, unknown: tuple[str, ...] = (), **changes: Any) -> FarmPicture:
    """A greenhouse on a spring afternoon, or at another hour; `changes` are measured quantities, or fields of the picture."""
    light = max(0.0, math.sin(math.pi * (hour - 6.0) / 12.0))
    climate = {
        "air_temp_c": 21.4, "air_rh_pct": 74.0, "co2_ppm": 640.0, "pipe_temp_c": 41.2, "leaf_temp_c": 20.9, "par_umol_m2_s": 900.0 * light,
        "substrate_wc_pct": 62.0, "substrate_ec_ds_m": 3.4, "substrate_ph": 5.9, "drain_pct": 24.0, "tank_level_pct": 80.0,
        "out_temp_c": 6.2, "out_rh_pct": 81.0, "out_solar_w_m2": 520.0 * light, "wind_m_s": 4.1, "wind_dir_deg": 250.0, "rain_mm_h": 0.0,
    }  # fmt: skip
    climate |= {name: changes.pop(name) for name in list(changes) if name in climate}
    vapour = vapour_kpa(climate["air_temp_c"]) * climate["air_rh_pct"] / 100.0
    log = math.log(vapour / 0.6108)
    derived = {"vpd_kpa": vapour_kpa(climate["air_temp_c"]) - vapour, "dew_point_c": 237.3 * log / (17.27 - log)}
    positions = {"heating_valve": 35.0, "vent_lee": 0.0, "vent_wind": 0.0, "thermal_screen": 0.0, "blackout_screen": 0.0, "lamps": 0.0}
    positions |= {"co2_valve": 60.0, "fog": 0.0, "irrigation_valve": 0.0} | changes.pop("positions", {})
    fields: dict[str, Any] = {
        "t_s": T_S, "utc": "2026-03-11T13:30:00Z", "hour": hour, "daylight": light > 0.0,
        "measured": measured({k: v for k, v in (climate | derived).items() if k not in unknown}),
        "actuators": tuple(Actuator(device=device, position_pct=value) for device, value in positions.items()),
        "crop": Crop(name="tomato", stage="fruiting", days_after_planting=60.3, gdd_cd=560.0, dli_mol_m2=9.2, dli_yesterday_mol_m2=14.1, temp_24h_c=19.1),
        "forecast": forecast(hour, changes.pop("low_c", 1.8), changes.pop("high_c", 9.4), changes.pop("sun_w_m2", 520.0), changes.pop("rain_mm", 0.2)),
        "prices": prices(hour, changes.pop("elec_shift_h", 0)),
    }  # fmt: skip
    return FarmPicture(**(fields | changes))


def forecast(hour: float, low_c: float, high_c: float, sun_w_m2: float, rain_mm: float) -> Forecast:
    at = [math.floor(hour) + i for i in range(HOURS + 1)]
    day = [max(0.0, math.sin(math.pi * (h % 24 - 6) / 12)) for h in at]
    wave = [(1.0 - math.cos(2 * math.pi * (h % 24 - 4) / 24)) / 2 for h in at]
    return Forecast(
        start_s=T_S - (hour % 1) * 3600.0, issued_s=T_S - 1800.0,
        solar_w_m2=tuple(round(sun_w_m2 * x, 1) for x in day), temp_c=tuple(round(low_c + (high_c - low_c) * x, 2) for x in wave),
        rh_pct=tuple(round(90.0 - 25.0 * x, 1) for x in wave), wind_m_s=tuple(round(3.0 + 4.0 * x, 2) for x in wave),
        rain_mm_h=tuple(rain_mm if h % 24 in (1, 2, 3) else 0.0 for h in at),
    )  # fmt: skip


def prices(hour: float, shift_h: int) -> Prices:
    at = [(math.floor(hour) + i + shift_h) % 24 for i in range(HOURS + 1)]
    elec = tuple(round(0.2 + 0.12 * math.sin(math.pi * (h - 13) / 12), 4) for h in at)
    size = len(at)
    return Prices(
        start_s=T_S - (hour % 1) * 3600.0, heat_eur_kwh=(0.09,) * size, elec_eur_kwh=elec, co2_eur_kg=(0.3,) * size,
        water_eur_m3=(1.2,) * size, fruit_eur_kg=(1.6,) * size,
    )  # fmt: skip


def option(picture: FarmPicture, place: int, strategy: str, rng: random.Random) -> FarmOption:
    """A plan with made-up yet consistent results: what counts here is that texts tell them, not how they came about."""
    knots = [Knot(**(STANDARD | STRATEGIES[strategy] | {"heat_temp_c": STANDARD["heat_temp_c"] + STRATEGIES[strategy].get("heat_temp_c", 18.5) - 18.5 + 0.2 * i * (place == 1)})) for i in range(6)]  # fmt: skip
    mean = round(rng.uniform(17.0, 21.0), 3)
    gain = 0.0 if strategy == "rules" else round(rng.uniform(-0.3, 0.4), 4)
    profit = 0.9 + gain
    outcome = Outcome(
        hours=HOURS, profit_eur_m2=profit, gain_eur_m2=gain, heat_kwh_m2=round(rng.uniform(0.5, 6), 4), elec_kwh_m2=round(rng.uniform(0, 3), 4),
        co2_kg_m2=round(rng.uniform(0, 0.2), 4), water_l_m2=round(rng.uniform(2, 9), 4), fruit_kg_m2=round(rng.uniform(0.3, 0.9), 4),
        temp_min_c=mean - 2.1, temp_mean_c=mean, temp_max_c=mean + 4.3, rh_max_pct=round(rng.uniform(80, 95), 2),
        rh_out_share=round(rng.uniform(0, 0.4), 4), temp_out_share=round(rng.uniform(0, 0.05), 4), co2_mean_ppm=round(rng.uniform(450, 900), 1),
        air_temp_c=(mean,) * HOURS, air_rh_pct=(80.0,) * HOURS, co2_ppm=(600.0,) * HOURS,
    )  # fmt: skip
    return FarmOption(
        id="ABCDEFGH"[place], label=strategy.replace("_", " "), strategy=strategy, valid_for_s=28_800.0, outcome=outcome,
        setpoints=Plan(start_s=picture.t_s, knots=tuple(knots)).setpoints(),
    )  # fmt: skip


def plans(picture: FarmPicture, seed: int = 0) -> tuple[FarmOption, ...]:
    """Eight plans, the rules' first."""
    rng = random.Random(seed)
    return tuple(option(picture, place, strategy, rng) for place, strategy in enumerate(STRATEGIES))


def moment(seed: int) -> tuple[FarmPicture, tuple[FarmOption, ...]]:
    """A random house of any season and hour, with its plans; now and then without some sensors, forecast or prices."""
    rng = random.Random(seed)
    low = rng.uniform(-8, 22)
    changes: dict[str, Any] = {
        "hour": rng.uniform(0, 23.99), "air_temp_c": rng.uniform(11, 33), "air_rh_pct": rng.uniform(45, 97), "co2_ppm": rng.uniform(330, 1100),
        "out_temp_c": rng.uniform(-6, 32), "wind_m_s": rng.uniform(0, 14), "substrate_wc_pct": rng.uniform(35, 75),
        "substrate_ec_ds_m": rng.uniform(2.0, 6.0), "low_c": low, "high_c": low + rng.uniform(3, 14), "sun_w_m2": rng.uniform(60, 900),
        "rain_mm": rng.choice([0.0, 0.3, 2.5]), "elec_shift_h": rng.randrange(24),
        "positions": {"vent_lee": rng.choice([0.0, 12.0, 64.0, 100.0]), "heating_valve": rng.choice([0.0, 44.0, 100.0]), "lamps": rng.choice([0.0, 100.0]),
                      "thermal_screen": rng.choice([0.0, 50.0, 100.0]), "fog": rng.choice([0.0, 100.0]), "irrigation_valve": rng.choice([0.0, 100.0])},
    }  # fmt: skip
    if rng.random() < 0.1:
        changes["forecast"] = None
    if rng.random() < 0.1:
        changes["prices"] = None
    if rng.random() < 0.2:
        changes["alarms"] = (
            Alarm(kind="vent_stuck", severity="warning", since_s=T_S - 300.0, detail="vent_lee stands at 12 % and was told 40 %"),
        )
    unknown = tuple(
        rng.sample(["air_rh_pct", "co2_ppm", "wind_m_s", "out_solar_w_m2", "vpd_kpa", "substrate_ec_ds_m"], rng.choice([0, 0, 0, 1, 2]))
    )
    picture = house(unknown=unknown, **changes)
    return picture, plans(picture, seed)
