"""What if it rains tonight? The question is read (English, Korean), the present plan and the changed course are rolled out in the twin.

Start at simulate(). What a question may change is data: what_if.yaml. The simulated figures ({if_temp_min}, {base_heat}, ...) go into the
prompt of a model that answers, and into the text of answered(), which needs none.
"""

import random
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.contract import Language
from sdx_domains.farm.figures import DAY_H, NIGHT_FROM_H, NIGHT_TO_H, Figure, fill, printed, rounded, shown
from sdx_domains.farm.greenhouse import vectors
from sdx_domains.farm.picture import FarmOption, FarmPicture
from sdx_domains.farm.plan import MAX_HOURS, Plan

Array = NDArray[np.float64]
_FLAGS = re.IGNORECASE | re.ASCII
REMEMBERED = 64
"""So many pictures' last simulations are kept, so that the words of an answer can be filled in and held to them."""
LITTLE_EUR_M2, LITTLE_K, LITTLE_PCT = 0.005, 0.3, 2.0
COLD_C, CHILL_C, HOT_C, HUMID_PCT = 12.0, 10.0, 32.0, 92.0
"""Beyond, when the present plan is not, the answer warns; working ranges of GC-1 and GC-7."""
WEATHER = {
    "out_temp": vectors.OUT_TEMP_C,
    "out_rh": vectors.OUT_RH_PCT,
    "solar": vectors.SOLAR_W_M2,
    "wind": vectors.WIND_M_S,
    "rain": vectors.RAIN_MM_H,
}
PRICES = {"elec_price": vectors.ELEC_EUR_KWH, "heat_price": vectors.HEAT_EUR_KWH}
TOLD: Mapping[str, tuple[str, str]] = {
    "temp_min": ("temp", "inside"), "temp_mean": ("temp", "inside"), "temp_max": ("temp", "inside"), "rh_peak": ("share", "rh"),
    "heat": ("energy", "heat"), "elec": ("energy", "elec"), "profit": ("money", "money"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assumed:
    """What a question asks to be changed."""

    name: str
    number: float | None
    window: str
    """ "tonight", "tomorrow", "day", or "" where the question names no time."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of it."""

    assumed: Assumed
    figures: Mapping[str, Figure]


_last: "OrderedDict[str, Simulated]" = OrderedDict()


@cache
def book() -> dict[str, Any]:
    return yaml.safe_load((files(__package__ or "") / "what_if.yaml").read_text(encoding="utf-8"))


@cache
def _entry(name: str) -> dict[str, Any]:
    return next(entry for entry in book()["entries"] if entry["name"] == name)


def assumed_by(text: str, language: Language) -> Assumed | None:
    """What a question wants changed; None when it is no "what if" or nothing that can be simulated.

    Raises ValueError, in the question's language, for a number beyond what is simulated.
    """
    entries = book()["entries"]
    if not re.search(book()["asked"][language], text, _FLAGS):
        return None
    for entry in entries:
        if not re.search(entry[language]["ask"], text, _FLAGS):
            continue
        number = _number(text, language, entry["number"]) if "number" in entry else None
        if number is None and "number" in entry:
            continue
        windows = book()["windows"].items()
        window = next((name for name, ask in windows if re.search(ask[language], text, _FLAGS)), "")
        return Assumed(entry["name"], number, window)
    return None


def asked(language: Language, rng: random.Random) -> str:
    """Something that a person might ask."""
    say = rng.choice(book()["entries"])["say"]
    return rng.choice(say[language]).format(n=rng.choice(say.get("n", [""])))


def simulate(picture: FarmPicture, text: str, language: Language, plans: Sequence[FarmOption] = ()) -> Simulated | None:
    """Roll the present plan and the changed course out; None when nothing is asked that can be simulated, or the twin is not known.

    `plans`: those of the picture where they are at hand; the best of them is the present one.

    Raises ValueError as assumed_by().
    """
    assumed = assumed_by(text, language)
    if assumed is None or not picture.twin or picture.forecast is None or picture.prices is None:
        return None
    last = _last.get(picture.id)
    if last is None or last.assumed != assumed:
        _last[picture.id] = Simulated(assumed, _figures(picture, assumed, plans))
        while len(_last) > REMEMBERED:
            _last.popitem(last=False)
    return _last[picture.id]


def remembered(picture: FarmPicture) -> Mapping[str, Figure]:
    """Figures of the last simulation for this picture; {} where there was none."""
    last = _last.get(picture.id)
    return last.figures if last is not None else {}


def lines(found: Simulated) -> list[str]:
    """What was simulated, as lines of a prompt: figures by name."""
    told = " ".join(f"{name} {printed(figure.value, figure.kind)}" for name, figure in found.figures.items())
    number = "" if found.assumed.number is None else f" {found.assumed.number:g}"
    return [f"simulated what if {found.assumed.name}{number}{' ' + found.assumed.window if found.assumed.window else ''}: {told}"]


def form(found: Simulated, language: Language) -> str:
    """The answer with figures by name."""
    texts, figures = book()["texts"], found.figures
    window = texts["windows"][language].get(found.assumed.window, "")
    told = (part[how][language] for part in texts["parts"] if (how := "other" if _differs(figures, part["of"]) else "same") in part)
    text: str = texts["answer"][language].replace("{parts}", ", ".join(told))
    text = text.replace("{what}", _what(found.assumed, language)).replace("{window}", window)
    changes = (("temp_min", LITTLE_K), ("temp_max", LITTLE_K), ("rh_peak", LITTLE_PCT), ("profit", LITTLE_EUR_M2))
    if all(abs(figures[f"if_{name}"].value - figures[f"base_{name}"].value) < least for name, least in changes):
        text += texts["little"][language]
    low, high, humid = (
        tuple(figures[f"{course}_{name}"].value for course in ("if", "base")) for name in ("temp_min", "temp_max", "rh_peak")
    )
    if low[0] < COLD_C <= low[1]:
        text += texts["chill" if low[0] < CHILL_C else "cold"][language]
    text += texts["hot"][language] if high[0] > HOT_C >= high[1] else ""
    return text + (texts["humid"][language] if humid[0] > HUMID_PCT >= humid[1] else "")


def answered(picture: FarmPicture, text: str, language: Language) -> str | None:
    """The answer in words, figures filled in; None when the question is no "what if". Never raises."""
    try:
        if assumed_by(text, language) is None:
            return None
        found = simulate(picture, text, language)
    except ValueError as error:
        return str(error)
    return book()["texts"]["no_twin"][language] if found is None else fill(form(found, language), picture, None, language, found.figures)


def _what(assumed: Assumed, language: Language) -> str:
    entry = _entry(assumed.name)
    number = "" if assumed.number is None else shown(Figure(assumed.number, entry["number"]["unit"], ""), language)
    return entry[language]["told"].replace("{n}", number)


def _differs(figures: Mapping[str, Figure], names: Sequence[str]) -> bool:
    return any(rounded(figures[f"if_{name}"]) != rounded(figures[f"base_{name}"]) for name in names)


def _number(text: str, language: Language, number: Mapping[str, Any]) -> float | None:
    """The question's number, by its unit, else a bare one; `usual` where it names none. ValueError when it is out of range."""
    words = book()["number_words"][language]
    spelt = "|".join(sorted(words, key=len, reverse=True))
    digits = rf"(?<![\d.])(?P<n>\d+(?:\.\d+)?|(?<![A-Za-z가-힣])(?:{spelt})(?=\s))"
    bare = re.sub(r"CO2", "CO", text, flags=_FLAGS)
    found = re.search(digits + book()["units"][number["unit"]][language], bare, _FLAGS) or re.search(r"(?P<n>\d+(?:\.\d+)?)", bare)
    if found is None:
        return number.get("usual")
    said = found.group("n").lower()
    value = float(words[said]) if said in words else float(said)
    low, high = number["range"]
    if not low <= value <= high:
        values = {"n": value, "low": low, "high": high}
        told = {name: shown(Figure(value, number["unit"], ""), language) for name, value in values.items()}
        raise ValueError(book()["texts"]["refused"][language].format(**told))
    return value


def _figures(picture: FarmPicture, assumed: Assumed, plans: Sequence[FarmOption]) -> dict[str, Figure]:
    """Both courses in the twin, and what each comes to."""
    from dataclasses import replace

    from sdx_domains.farm import options  # the compiled twin loads when it is first asked
    from sdx_domains.farm.control.limits import clipped, limits
    from sdx_domains.farm.control.row import Row, bands, packed
    from sdx_domains.farm.control.rules import rule_schedule
    from sdx_domains.farm.greenhouse import step
    from sdx_domains.farm.planner import best

    hours = int(book()["hours"])
    ahead = options.ahead_of(picture)
    ahead = replace(ahead, weather=ahead.weather[: hours + 1], prices=ahead.prices[: hours + 1], rules=ahead.rules[: hours + 1])
    plan = Plan.of_setpoints(best(plans or options.shown_options(picture)).setpoints).table()[:MAX_HOURS]
    present = ahead.rules.copy()
    present[: len(plan)] = plan
    mask = _hours(picture, assumed, hours)
    weather, prices = ahead.weather.copy(), ahead.prices.copy()
    _changed(weather, WEATHER, assumed, mask)
    _changed(prices, PRICES, assumed, mask)
    other = rule_schedule(weather, prices, picture.hour, hours)
    other[: len(plan)] = plan
    _changed(other, {name: place for place, name in enumerate(vectors.SETPOINT_NAMES)}, assumed, mask)
    unheld = _entry(assumed.name).get("unheld")
    row = None if unheld is None else packed(Row(**bands().model_dump(), **limits().hard.model_copy(update=unheld).model_dump()))
    other = clipped(other) if unheld is None else other
    changed = replace(ahead, weather=weather, prices=prices)
    courses = {"base": options.simulated(ahead, [present]), "if": options.simulated(changed, [other], row=row)}
    found: dict[str, Figure] = {"if_hours": Figure(float(hours), "hours", "time")}
    for course, rolled in courses.items():
        values = {
            "temp_min": rolled.temp_min_c, "temp_mean": rolled.temp_mean_c, "temp_max": rolled.temp_max_c, "rh_peak": rolled.rh_max_pct,
            "heat": rolled.flows[:, step.HEAT_KWH], "elec": rolled.flows[:, step.ELEC_KWH], "profit": rolled.profit_eur_m2,
        }  # fmt: skip
        found |= {f"{course}_{name}": Figure(float(column[0]), *TOLD[name]) for name, column in values.items()}
    found["if_gain"] = Figure(found["if_profit"].value - found["base_profit"].value, "gain", "money")
    if assumed.number is not None:
        found["if_change"] = Figure(assumed.number, _entry(assumed.name)["number"]["unit"], "change")
    return found


def _hours(picture: FarmPicture, assumed: Assumed, hours: int) -> NDArray[np.bool_]:
    """(hours + 1,) the hours in which something is changed."""
    ahead = np.arange(hours + 1.0)
    clock = (picture.hour + ahead) % DAY_H
    night = (clock >= NIGHT_FROM_H) | (clock < NIGHT_TO_H)
    end_of_night = NIGHT_TO_H - picture.hour + (0.0 if picture.hour < NIGHT_TO_H else DAY_H)
    masks = {
        "tonight": night & (ahead <= end_of_night),
        "tomorrow": (picture.hour + ahead >= DAY_H) & (picture.hour + ahead < 2 * DAY_H),
        "day": ~night,
        "first": ahead < (assumed.number or 1.0),
        "day_ahead": ahead < DAY_H,
        "plan": ahead < DAY_H,
        "all": ahead >= 0.0,
    }
    return masks[assumed.window or _entry(assumed.name)["when"]]


def _changed(table: Array, places: Mapping[str, int], assumed: Assumed, mask: NDArray[np.bool_]) -> None:
    """Lay the entry's changes over the columns that they name."""
    for name, change in _entry(assumed.name)["changes"].items():
        if name not in places:
            continue
        (how, told), *_ = change.items()
        number = assumed.number or 0.0
        named = {"n": number, "-n": -number}
        value = named[told] if told in named else float(told)
        column = table[:, places[name]]
        column[mask] = value if how == "set" else column[mask] + value if how == "add" else column[mask] * value
