"""Sizes that a sentence speaks of, and the one that a question asks about: excluded() where they do not meet.

"A nodule smaller than 6 mm needs no follow-up" says nothing of one of 12 mm, however many words both share.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from sdx_rag.support import unit_after

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_FIGURE = re.compile(rf"(?<![\w.]){_NUMBER}(?P<others>(?:,\s+{_NUMBER})*)(?:\s*(?P<to>to|-|–|~|～|에서|and|or|또는)\s*{_NUMBER})?")
_BEFORE: Mapping[str, re.Pattern[str]] = {
    "<=": re.compile(r"(?:\bup to|\bat most|\bwithin|\bn(?:o|ot) (?:more|larger|greater|longer|higher) than|\bmaximum(?: of)?)\s*$", re.IGNORECASE),
    ">=": re.compile(r"(?:\bat least|\bn(?:o|ot) less than|\bminimum(?: of)?|\bfrom)\s*$", re.IGNORECASE),
    "<": re.compile(r"(?:\b(?:smaller|less|lower|fewer|shorter|younger|thinner|narrower) than|\bbelow|\bunder)\s*$", re.IGNORECASE),
    ">": re.compile(r"(?:\b(?:larger|bigger|more|greater|longer|higher|older|thicker|wider) than|\babove|\bover|\bexceed(?:s|ing)?|\bbeyond)\s*$", re.IGNORECASE),
}  # fmt: skip
"""In the order in which they are tried: "not more than" holds "more than"."""
_AFTER: Mapping[str, re.Pattern[str]] = {
    "<=": re.compile(r"\s*(?:or (?:less|smaller|below|under|shorter|younger|fewer)\b|이하|이내|까지)", re.IGNORECASE),
    ">=": re.compile(
        r"\s*(?:or (?:more|larger|longer|above|over|older|greater|higher)\b|and (?:over|above|more)\b|이상|부터)", re.IGNORECASE
    ),
    "<": re.compile(r"\s*(?:미만|보다 (?:작|짧|낮|적|얇))"),
    ">": re.compile(r"\s*(?:초과|[를을]? ?넘|보다 (?:크|큰|길|긴|높|많|두꺼))"),
}
_IN_MM: Mapping[str, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "km": 1e6}


@dataclass(frozen=True, slots=True)
class Span:
    """From `low` to `high` in `unit`; a bare figure has both alike."""

    low: float
    high: float
    unit: str
    open: bool = False
    """The bound itself is outside: "below 6 mm"."""

    @property
    def bare(self) -> bool:
        return self.low == self.high

    def holds(self, value: float) -> bool:
        return self.low < value < self.high if self.open else self.low <= value <= self.high


def excluded(question: str, text: str) -> bool:
    """The question names a size with its unit, the text limits sizes of that unit, and none of its sizes is the asked one.

    A question that itself gives a limit ("vessels below 50 m") asks for no size.
    """
    said = spans(text)
    return any(_excluded(one, [span for span in said if span.unit == one.unit]) for one in spans(question) if one.bare)


def _excluded(asked: Span, said: Sequence[Span]) -> bool:
    return any(not span.bare for span in said) and not any(span.holds(asked.low) for span in said)


def spans(text: str) -> list[Span]:
    """Of every figure that has a unit; lengths in mm, other units as they are."""
    return [span for match in _FIGURE.finditer(text) for span in _spans(text, match)]


def _spans(text: str, match: re.Match[str]) -> list[Span]:
    unit, after = unit_after(text[match.end() :])
    if not unit:
        return []
    before = text[: match.start()]
    scale, unit = (_IN_MM[unit], "mm") if unit in _IN_MM else (1.0, unit)
    values = [float(number.replace(",", "")) * scale for number in re.findall(_NUMBER, match[0])]
    to = match["to"] and (match["to"] not in ("and", "or", "또는") or before.rstrip().lower().endswith("between"))
    if to and not match["others"] and values[0] < values[1]:
        return [Span(values[0], values[1], unit)]
    *listed, last = values
    return [*(Span(value, value, unit) for value in listed), _limited(last, unit, before if not listed else "", after)]


def _limited(value: float, unit: str, before: str, after: str) -> Span:
    """By the words before or after it."""
    signs = [sign for sign, pattern in _BEFORE.items() if pattern.search(before)]
    signs += [sign for sign, pattern in _AFTER.items() if pattern.match(after)]
    if not signs:
        return Span(value, value, unit)
    return Span(-inf, value, unit, signs[0] == "<") if signs[0].startswith("<") else Span(value, inf, unit, signs[0] == ">")
