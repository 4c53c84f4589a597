"""Does everything that a text tells stand in the picture? unsupported_numbers() names what does not, a sentence each.

Reads English and Korean. A number has a kind (its unit) and often a subject (the nearest word that says what it is of); it fits if a
figure of figures.py of that kind and subject, or a forecast for the hour that is named beside it, prints as that number or rounds to
it. Statements of state and direction ("the vents are shut", "power is dear now") are held to figures too. What words mean is data:
knowledge/claims.yaml.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.farm.figures import HOURLY, Figure, Hourly, at_hour, clock, holds, known, rounded, wording
from sdx_domains.farm.picture import FarmOption, FarmPicture

WINDOWS_H = (24.0,)
"""Spans that may be named without being a figure: figures are told over them."""
SAID_AFTER = ("clock", "price", "kelvin")
"""Kinds whose subject may follow in the same part of the sentence: "1.2 K above the dew point", "03:00에 가장 싸다"."""
EPSILON = 1e-6
_NUMBER = re.compile(r"[-−–+]?(?<![\d.])\d+(?:\.\d+)?")
_CLOCK = re.compile(r"(?<!\d)(\d{1,2}):(\d{2})(?!\d)")
_NAMES = re.compile(r"[Cc][Oo]2|H2O|m2|m3|cm2|\b(?:GC|CR|IR|EQ|FI)-\d+\b|\b[A-Z]\d+(?=안|\b)|24-h\b")
"""Digits in them are no numbers: formulas, units, addresses of passages, ids of options."""
_SENTENCE = re.compile(r"(?<=[.!?。;])\s+|\n+")
_RANGE = re.compile(r"\s*(?:-|–|~|to|up to|and|or|에서|부터)\s*[-−+]?\d")
_AFTER = 24
"""Characters after a number's unit in which a word may still say what it is of ("6.2 °C outside", "2.8 kWh/m² of heat")."""


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    kind: str
    value: float
    decimals: int
    subject: str
    hour: int | None
    """A full hour that the same part of the sentence names."""


@cache
def _book() -> dict[str, Any]:
    return yaml.safe_load((files(__package__ or "") / "knowledge/claims.yaml").read_text(encoding="utf-8"))


@cache
def _patterns(section: str, kind: str = "") -> tuple[tuple[str, re.Pattern[str]], ...]:
    rows = _book()[section].get(kind, {}) if kind else _book()[section]
    return tuple((name, re.compile(pattern, re.ASCII | (re.IGNORECASE if section == "subjects" else 0))) for name, pattern in rows.items())


def unsupported_numbers(
    text: str, picture: FarmPicture, options: Sequence[FarmOption], more: Mapping[str, Figure] | None = None
) -> list[str]:
    """One sentence for every number and every statement in `text` that the picture, the options and `more` figures do not hold.

    A number may be rounded further than it is printed, never otherwise. Pass only the chosen option to hold the text to it.
    """
    sets = [known(picture, option, more) for option in options] or [known(picture, None, more)]
    return unsupported(text, sets, lambda name: at_hour(picture, name))


def unsupported(text: str, sets: Sequence[Mapping[str, Figure]], hourly: Hourly = lambda name: None) -> list[str]:
    """As unsupported_numbers(), against any sets of figures; `hourly`: name with "@hour" -> its figure, None where there is none."""
    wrong: list[str] = []
    for sentence in _SENTENCE.split(text):
        wrong += _wrong_claims(sentence, sets)
        wrong += [complaint for said in _numbers(sentence) if (complaint := _complaint(said, sets, hourly))]
    return wrong


def numbers_in(text: str) -> int:
    """How many numbers a text tells."""
    return sum(len(_numbers(sentence)) for sentence in _SENTENCE.split(text))


def _wrong_claims(sentence: str, sets: Sequence[Mapping[str, Figure]]) -> list[str]:
    wrong: list[str] = []
    for claim in _book()["claims"]:
        if re.search(claim["text"], sentence, re.ASCII | re.IGNORECASE) and not any(holds(claim["all"], figures) for figures in sets):
            held = [f"{name} is {_printed(sets[0][name]) if name in sets[0] else 'not known'}" for name in claim["all"]]
            wrong.append(f"{claim['says']!r} is said, but {', '.join(held)}")
    return wrong


def _numbers(sentence: str) -> list[_Said]:
    """Every number of the sentence with its meaning; kind "" when that cannot be told."""
    bare = _NAMES.sub(lambda match: re.sub(r"\d", "_", match.group()), sentence)
    clocks = list(_CLOCK.finditer(bare))
    bare = _CLOCK.sub(lambda match: "_" * len(match.group()), bare)
    found, ends = [], {}
    for match in sorted([*clocks, *_NUMBER.finditer(bare)], key=lambda match: match.start()):
        said, end = _said(match, bare, sentence, ends, clocks)
        found.append(said)
        ends[said.kind] = end
    return found


def _said(match: re.Match[str], bare: str, sentence: str, ends: Mapping[str, int], clocks: Sequence[re.Match[str]]) -> tuple[_Said, int]:
    """One number and where its unit ends. A subject is sought from the last number of the same kind on."""
    if match.re is _CLOCK:
        subject = _subject("clock", sentence[ends.get("clock", 0) : match.start()], sentence[match.end() :])
        return _Said(match.group(), "clock", int(match[1]) + int(match[2]) / 60.0, 2, subject, None), match.end()
    number, before = match.group().replace("−", "-").replace("–", "-"), bare[: match.start()]
    if number[0] in "-+" and before and not before[-1].isspace() and before[-1] not in "(:=~":
        number = number[1:]  # a dash that joins ("18-20") is no sign
    kind, rest = _kind(before, bare[match.end() :])
    end = len(bare) - len(rest)
    near = [mark for mark in clocks if not re.search(r"[,;(]", bare[min(mark.end(), end) : max(mark.start(), match.start())])]
    hour = int(near[0][1]) % 24 if near and near[0][2] == "00" else None
    subject = _subject(kind, sentence[ends.get(kind, 0) : match.start()], sentence[end:])
    return _Said(match.group(), kind, float(number), len(number.partition(".")[2]), subject, hour), end


def _kind(before: str, after: str) -> tuple[str, str]:
    """What a number is by the unit after it, or the name before it; and what follows the unit. In a range the last number has the unit."""
    for kind, pattern in _patterns("before"):
        if pattern.search(before):
            return kind, after
    for kind, pattern in _patterns("units"):
        if match := pattern.match(after):
            return kind, after[match.end() :]
    if match := _RANGE.match(after):
        following = _NUMBER.search(after, match.end() - 1)
        return _kind("", after[following.end() :]) if following else ("", after)
    return "", after


def _subject(kind: str, before: str, rest: str) -> str:
    """The word that says what a number is of: one right after its unit, else the nearest before it; "" for none."""
    if not kind or kind not in _book()["subjects"]:
        return ""
    close = re.split(r"[,;.()]|\d", rest[:_AFTER])[0]
    for name, pattern in _patterns("subjects", kind):
        if re.match(rf"\s*(?:of|in|is|the|\s)*(?:{pattern.pattern})", close, re.IGNORECASE | re.ASCII):
            return name
    places = [(match.end(), name) for name, pattern in _patterns("subjects", kind) for match in pattern.finditer(before)]
    later = [(found.start(), name) for name, pattern in _patterns("subjects", kind) if (found := pattern.search(close))]
    if kind in SAID_AFTER and later and (kind == "kelvin" or not places):
        return min(later)[1]
    return max(places)[1] if places else ""


def _complaint(said: _Said, sets: Sequence[Mapping[str, Figure]], hourly: Hourly) -> str:
    """ "" if the number is a figure, else one sentence that says what is."""
    if said.kind == "":
        return f"{said.text} has no unit or name that says what it is"
    if said.kind == "clock" and not said.subject and said.value.is_integer():
        return ""  # an hour that is only named; what is said of it is held to that hour
    if said.kind == "hours" and said.value in WINDOWS_H:
        return ""
    figures = [figure for found in sets for figure in found.values() if _of_kind(figure.kind, said.kind)]
    if said.subject:
        abouts = _book()["also"].get(said.subject, [said.subject])
        figures = [figure for figure in figures if figure.about in (*abouts, "change")]
    if said.hour is not None:
        then = [hourly(f"{name}@{said.hour:02d}") for name, (_, _, kind, _) in HOURLY.items() if kind == said.kind]
        figures = [figure for figure in then if figure is not None and said.subject in ("", figure.about)] or figures
    if any(_fits(said, figure) for figure in figures):
        return ""
    near = ", ".join(dict.fromkeys(_printed(figure) for figure in sorted(figures, key=lambda figure: abs(figure.value - said.value))[:3]))
    of = f" of {said.subject}" if said.subject else ""
    return f"{said.text} ({said.kind}{of}) is not a figure of the picture; nearest: {near or 'none'}"


def _of_kind(figure: str, said: str) -> bool:
    return figure == said or {figure, said} == {"money", "gain"} or (figure == "kelvin" and said == "temp")


def _fits(said: _Said, figure: Figure) -> bool:
    """As printed, or rounded further: 19.64 may be told as 19.6 or 20, not as 19.7."""
    if figure.kind == "clock":
        return abs((said.value - figure.value + 12.0) % 24.0 - 12.0) <= 0.5 / 60.0 + EPSILON
    value = said.value if said.text[0] in "-+−–" or figure.kind != "gain" else abs(said.value) * (1 if figure.value >= 0 else -1)
    decimals = min(said.decimals, wording()["units"][figure.kind]["decimals"])
    half = 0.5 * 10.0**-decimals
    return said.decimals <= wording()["units"][figure.kind]["decimals"] and abs(value - figure.value) <= half + EPSILON


def _printed(figure: Figure) -> str:
    return clock(figure.value) if figure.kind == "clock" else f"{rounded(figure):g}"
