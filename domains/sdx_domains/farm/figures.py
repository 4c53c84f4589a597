"""Figures by name: a text says "{air_temp}", and code puts the picture's number there, with its unit. Start at known() and fill().

So a small model need not copy digits and cannot mistake a unit. A name stands for a measured value, a forecast or price, an
actuator's position, the chosen plan's set-points and outcome, or what a simulated "what if" gave. "{out_temp@18}" is the forecast
for the next 18:00. Digits that a text holds besides are faithful.py's to judge, by the same figures.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import isfinite
from typing import Any

import yaml

from sdx_domains.contract import Language, language_of
from sdx_domains.farm.picture import FarmOption, FarmPicture
from sdx_domains.farm.plan import Plan

NAME = re.compile(r"\{(?P<name>[a-z][a-z0-9_]*(?:@\d{1,2})?)\}")
_UNFINISHED = re.compile(r"\{[\w@]*$")
DAY_H, NIGHT_FROM_H, NIGHT_TO_H = 24.0, 18.0, 8.0
"""Tonight is from 18:00 to 8:00, by the local clock."""
MJ_PER_W_H = 0.0036

MEASURED: Mapping[str, tuple[str, str, str]] = {
    "air_temp": ("air_temp_c", "temp", "inside"),
    "rh": ("air_rh_pct", "share", "rh"),
    "co2": ("co2_ppm", "ppm", "co2"),
    "vpd": ("vpd_kpa", "kpa", "vpd"),
    "dew_point": ("dew_point_c", "temp", "dew"),
    "pipe_temp": ("pipe_temp_c", "temp", "pipe"),
    "leaf_temp": ("leaf_temp_c", "temp", "leaf"),
    "par": ("par_umol_m2_s", "par", "light"),
    "substrate_wc": ("substrate_wc_pct", "share", "substrate"),
    "substrate_ec": ("substrate_ec_ds_m", "ec", "substrate"),
    "substrate_ph": ("substrate_ph", "ph", "substrate"),
    "drain": ("drain_pct", "share", "drain"),
    "tank": ("tank_level_pct", "share", "tank"),
    "out_temp": ("out_temp_c", "temp", "outside"),
    "out_rh": ("out_rh_pct", "share", "out_rh"),
    "solar": ("out_solar_w_m2", "power", "light"),
    "wind": ("wind_m_s", "speed", "wind"),
    "rain": ("rain_mm_h", "rate", "rain"),
}
"""Name -> (key of picture.measured, kind, what it is said of)."""
DEVICES: Mapping[str, tuple[str, ...]] = {
    "vents": ("vent_lee", "vent_wind"),
    "vent_lee": ("vent_lee",),
    "vent_wind": ("vent_wind",),
    "heating": ("heating_valve",),
    "co2_valve": ("co2_valve",),
    "screen": ("thermal_screen",),
    "blackout": ("blackout_screen",),
    "lamps": ("lamps",),
    "fogging": ("fog",),
    "watering": ("irrigation_valve",),
}
"""Name -> the devices whose greatest position it tells."""
SET_POINTS: Mapping[str, tuple[str, str, str]] = {
    "heat": ("heat_temp_c", "temp", "inside"),
    "vent": ("vent_temp_c", "temp", "inside"),
    "rh": ("rh_max_pct", "share", "rh"),
    "co2": ("co2_ppm", "ppm", "co2"),
    "lamp": ("lamp_pct", "share", "lamps"),
    "screen": ("screen_out_temp_c", "temp", "outside"),
    "shade": ("shade_w_m2", "power", "light"),
    "fog": ("fog_vpd_kpa", "kpa", "vpd"),
    "shot_l": ("shot_l_m2", "volume", "water"),
    "shot_j": ("shot_j_cm2", "light_sum", "light"),
    "feed_ec": ("feed_ec_ds_m", "ec", "feed"),
    "feed_ph": ("feed_ph", "ph", "feed"),
}
"""Stem -> (field of a knot, kind, what it is said of): "{heat_plan}" is the set-point over the plan's hours, "{heat_set}" the one for now,
"{heat_min}" and "{heat_max}" its bounds."""
OUTCOME: Mapping[str, tuple[str, str, str]] = {
    "gain": ("gain_eur_m2", "gain", "money"),
    "profit": ("profit_eur_m2", "money", "money"),
    "heat": ("heat_kwh_m2", "energy", "heat"),
    "elec": ("elec_kwh_m2", "energy", "elec"),
    "co2_use": ("co2_kg_m2", "mass", "co2"),
    "water": ("water_l_m2", "volume", "water"),
    "fruit": ("fruit_kg_m2", "mass", "fruit"),
    "temp_min": ("temp_min_c", "temp", "inside"),
    "temp_mean": ("temp_mean_c", "temp", "inside"),
    "temp_max": ("temp_max_c", "temp", "inside"),
    "rh_peak": ("rh_max_pct", "share", "rh"),
    "co2_mean": ("co2_mean_ppm", "ppm", "co2"),
    "hours": ("hours", "hours", "time"),
}
SHARES_OUT = {"rh_out": "rh_out_share", "temp_out": "temp_out_share"}
COUNTERS: Mapping[str, tuple[str, str, str]] = {
    "heat_used": ("heat_kwh_m2", "energy", "heat"),
    "elec_used": ("elec_kwh_m2", "energy", "elec"),
    "co2_used": ("co2_kg_m2", "mass", "co2"),
    "water_used": ("water_l_m2", "volume", "water"),
    "drain_used": ("drain_l_m2", "volume", "drain"),
}
HOURLY: Mapping[str, tuple[str, str, str, str]] = {
    "out_temp": ("forecast", "temp_c", "temp", "outside"),
    "out_rh": ("forecast", "rh_pct", "share", "out_rh"),
    "solar": ("forecast", "solar_w_m2", "power", "light"),
    "wind": ("forecast", "wind_m_s", "speed", "wind"),
    "rain": ("forecast", "rain_mm_h", "rate", "rain"),
    "elec": ("prices", "elec_eur_kwh", "price", "elec"),
    "gas": ("prices", "heat_eur_kwh", "price", "heat"),
}
"""Name before "@hour" -> (forecast or prices, column, kind, what it is said of)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that may be told."""

    value: float
    kind: str
    """Row of units in knowledge/wording.yaml: how it is printed."""
    about: str
    """What it is said of: "inside", "outside", "rh", "vents"."""
    high: float | None = None
    """Of a span: its other end."""


Hourly = Callable[[str], Figure | None]


@cache
def wording() -> dict[str, Any]:
    """knowledge/wording.yaml."""
    return yaml.safe_load((files(__package__ or "") / "knowledge/wording.yaml").read_text(encoding="utf-8"))


def shown(figure: Figure, language: Language) -> str:
    """The figure as printed, with its unit: "18.4 °C", "72 %", "+0.42 EUR/m²", "03:00"."""
    if figure.kind == "clock":
        return clock(figure.value)
    span = figure.high is not None and rounded(figure) != rounded(Figure(figure.high, figure.kind, ""))
    ends = [figure.value, figure.high] if span and figure.high is not None else [figure.value]
    unit = wording()["units"][figure.kind]
    return wording()[language]["span"].join(printed(value, figure.kind) for value in ends) + unit[language]


def printed(value: float, kind: str) -> str:
    """A number with the decimals of its kind, without the unit; zero has no sign."""
    unit = wording()["units"][kind]
    number = f"{value:{'+' if unit.get('signed') else ''}.{unit['decimals']}f}"
    return number.lstrip("+-") if float(number) == 0 else number


def rounded(figure: Figure) -> float:
    """The value as printed: what a text may say and what conditions are judged by."""
    return round(figure.value, wording()["units"][figure.kind]["decimals"]) if figure.kind != "clock" else figure.value


def clock(hour: float) -> str:
    """Local time of day: 14.5 -> "14:30"."""
    minutes = round(hour * 60.0) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def known(picture: FarmPicture, option: FarmOption | None = None, more: Mapping[str, Figure] | None = None) -> dict[str, Figure]:
    """Every figure that may be told now, by name; `more`: those of a simulated what-if. What is unknown or not finite is absent."""
    found = {
        **dict(_now(picture)),
        **dict(_ahead(picture)),
        **dict(_costs(picture)),
        **dict(plan_figures(option) if option else ()),
        **(more or {}),
    }
    return {name: figure for name, figure in found.items() if isfinite(figure.value)}


def holds(bounds: Mapping[str, Mapping[str, Any]], figures: Mapping[str, Figure]) -> bool:
    """Whether every figure named lies above, below, at_most or at_least its bound, as printed; what is unknown does not.

    A bound is a number, or a share of another figure: ["elec_mean", 1.25].
    """
    return all(name in figures and _within(rounded(figures[name]), tests, figures) for name, tests in bounds.items())


def _within(value: float, tests: Mapping[str, Any], figures: Mapping[str, Figure]) -> bool:
    for name, told in tests.items():
        if isinstance(told, list):
            other, share = told
            if other not in figures:
                return False
            bound = share * rounded(figures[other])
        else:
            bound = told
        if not {"above": value > bound, "below": value < bound, "at_most": value <= bound, "at_least": value >= bound}[name]:
            return False
    return True


def ahead(picture: FarmPicture, name: str) -> list[tuple[float, float]]:
    """A column of HOURLY from now on: (hours since the local midnight before now, value), as 26.0 for 2:00 tomorrow; [] if unknown."""
    source, column, _, _ = HOURLY[name]
    table = getattr(picture, source)
    if table is None:
        return []
    first = picture.hour + (table.start_s - picture.t_s) / 3600.0
    return [(first + i, value) for i, value in enumerate(getattr(table, column)) if first + i > picture.hour - 1.0]


def fill(
    text: str,
    picture: FarmPicture,
    option: FarmOption | None = None,
    language: Language | None = None,
    more: Mapping[str, Figure] | None = None,
) -> str:
    """The text with every name replaced by its figure, in `language`, else the text's own.

    Raises ValueError that names the first name which is no figure, or is not known now, and those that are.
    """
    return fill_from(text, known(picture, option, more), language or language_of(text), lambda name: at_hour(picture, name))


def fill_from(text: str, figures: Mapping[str, Figure], language: Language, hourly: Hourly = lambda name: None) -> str:
    """As fill(), from any figures; `hourly`: name with "@hour" -> its figure, None where there is none."""

    def value(match: re.Match[str]) -> str:
        name = match.group("name")
        figure = figures.get(name) or (hourly(name) if "@" in name else None)
        if figure is None:
            raise ValueError(f"{{{name}}} names no figure that is known now; there are {', '.join(sorted(figures))}")
        return shown(figure, language)

    filled = NAME.sub(value, text)
    if "{" in filled or "}" in filled:
        raise ValueError(f"a figure's name is not closed or not a word in {filled[:120]!r}")
    return filled


def fill_so_far(text: str, picture: FarmPicture, language: Language | None = None, more: Mapping[str, Figure] | None = None) -> str:
    """fill() for a text that is still growing: a name that has only begun is held back."""
    return fill(_UNFINISHED.sub("", text), picture, None, language, more)


def at_hour(picture: FarmPicture, name: str) -> Figure | None:
    """The figure of a name like "out_temp@18": forecast or price at the next 18:00; None where there is none."""
    stem, _, hour = name.partition("@")
    if stem not in HOURLY or not hour.isdigit() or int(hour) >= DAY_H:
        return None
    _, _, kind, about = HOURLY[stem]
    value = next((value for at, value in ahead(picture, stem) if at >= picture.hour - 0.5 and round(at) % 24 == int(hour)), None)
    return None if value is None else Figure(value, kind, about)


def _now(picture: FarmPicture) -> Iterator[tuple[str, Figure]]:
    yield "time", Figure(picture.hour, "clock", "time")
    for name, (key, kind, about) in MEASURED.items():
        if (value := picture.value(key)) is not None:
            yield name, Figure(value, kind, about)
    air, dew, out = (picture.value(key) for key in ("air_temp_c", "dew_point_c", "out_temp_c"))
    if air is not None and dew is not None:
        yield "dew_gap", Figure(air - dew, "kelvin", "dew")
    if air is not None and out is not None:
        yield "out_gap", Figure(air - out, "kelvin", "outside")
    positions = {actuator.device: actuator.position_pct for actuator in picture.actuators}
    for name, devices in DEVICES.items():
        if any(device in positions for device in devices):
            yield name, Figure(max(positions.get(device, 0.0) for device in devices), "share", name)
    crop = picture.crop
    yield "dli", Figure(crop.dli_mol_m2, "dli", "light")
    if crop.dli_yesterday_mol_m2 is not None:
        yield "dli_yesterday", Figure(crop.dli_yesterday_mol_m2, "dli", "light")
    yield "gdd", Figure(crop.gdd_cd, "degree_days", "crop")
    yield "age", Figure(crop.days_after_planting, "days", "crop")
    yield "temp_day", Figure(crop.temp_24h_c, "temp", "inside")
    for name, (key, kind, about) in COUNTERS.items():
        yield name, Figure(getattr(picture.counters, key), kind, about)


def _ahead(picture: FarmPicture) -> Iterator[tuple[str, Figure]]:
    temps = ahead(picture, "out_temp")
    if not temps:
        return
    now, night_end = picture.hour, NIGHT_TO_H if picture.hour < NIGHT_TO_H else DAY_H + NIGHT_TO_H
    night = [(at, value) for at, value in temps if (at >= NIGHT_FROM_H or now < NIGHT_TO_H) and at <= night_end]
    day = [(at, value) for at, value in temps if at <= now + DAY_H]
    for name, hours, pick in (
        ("tonight_low", night, min),
        ("today_high", [pair for pair in temps if pair[0] < DAY_H], max),
        ("tomorrow_high", _tomorrow(temps), max),
        ("tomorrow_low", _tomorrow(temps), min),
        ("low_ahead", day, min),
        ("high_ahead", day, max),
    ):
        if hours:
            yield name, Figure(pick(value for _, value in hours), "temp", "outside")
    if night:
        yield "tonight_low_at", Figure(min(night, key=lambda pair: pair[1])[0], "clock", "coldest")
    solar, rain, wind = (ahead(picture, name) for name in ("solar", "rain", "wind"))
    yield "solar_ahead", Figure(_sum(solar, now + DAY_H) * MJ_PER_W_H, "light_day", "light")
    if len(_tomorrow(solar)) == DAY_H:
        yield "solar_tomorrow", Figure(sum(value for _, value in _tomorrow(solar)) * MJ_PER_W_H, "light_day", "light")
    yield "rain_ahead", Figure(_sum(rain, now + DAY_H), "rain", "rain")
    yield "rain_tonight", Figure(sum(value for at, value in rain if night and night[0][0] <= at <= night_end), "rain", "rain")
    yield "wind_max", Figure(max((value for at, value in wind if at <= now + DAY_H), default=float("nan")), "speed", "wind")
    if (first := next((at for at, value in rain if value >= 0.1 and at <= now + DAY_H), None)) is not None:
        yield "rain_at", Figure(max(first, now), "clock", "rain")


def _costs(picture: FarmPicture) -> Iterator[tuple[str, Figure]]:
    if picture.prices is None or not picture.prices.elec_eur_kwh:
        return
    elec = [(at, value) for at, value in ahead(picture, "elec") if at <= picture.hour + DAY_H]
    if elec:
        values = [value for _, value in elec]
        yield "elec_now", Figure(values[0], "price", "elec")
        yield "elec_low", Figure(min(values), "price", "cheapest")
        yield "elec_high", Figure(max(values), "price", "dearest")
        yield "elec_mean", Figure(sum(values) / len(values), "price", "elec")
        yield "elec_low_at", Figure(min(elec, key=lambda pair: pair[1])[0], "clock", "cheapest")
        yield "elec_high_at", Figure(max(elec, key=lambda pair: pair[1])[0], "clock", "dearest")
    prices = picture.prices
    for name, column, kind, about in (
        ("heat_price", prices.heat_eur_kwh, "price", "heat"),
        ("co2_price", prices.co2_eur_kg, "price_kg", "co2"),
        ("fruit_price", prices.fruit_eur_kg, "price_kg", "fruit"),
        ("water_price", prices.water_eur_m3, "price_m3", "water"),
    ):
        if column:
            yield name, Figure(column[0], kind, about)


def plan_figures(option: FarmOption) -> Iterator[tuple[str, Figure]]:
    """Of a plan: what it leads to and its set-points."""
    for name, (key, kind, about) in OUTCOME.items():
        yield name, Figure(getattr(option.outcome, key), kind, about)
    for name, key in SHARES_OUT.items():
        yield name, Figure(100.0 * getattr(option.outcome, key), "share", "out")
    knots = Plan.of_setpoints(option.setpoints).knots
    for stem, (field, kind, about) in SET_POINTS.items():
        values = [getattr(knot, field) for knot in knots]
        for part, value in (("set", values[0]), ("min", min(values)), ("max", max(values))):
            yield f"{stem}_{part}", Figure(value, kind, about)
        yield f"{stem}_plan", Figure(min(values), kind, about, max(values))
    yield "plan_hours", Figure(float(len(knots)), "hours", "time")


def _sum(column: Sequence[tuple[float, float]], until: float) -> float:
    return sum(value for at, value in column if at < until)


def _tomorrow(column: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(at, value) for at, value in column if DAY_H <= at < 2 * DAY_H]
