"""What a sentence of a report claims, read from its words: side, lobe, zone, sizes and other figures, slices, comparison with a prior.

Reads English and Korean by reading.yaml, whoever wrote the sentence. Whether the claims hold is checks.py's affair.
"""

import re
import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from sdx_domains.contract import Language
from sdx_domains.medicine.language.words import wording

Unit = Literal["mm", "cm", "ml", "l", "pct", "hu", "count", "none"]
UNITS: dict[str, Unit] = {"mm": "mm", "cm": "cm", "ml": "ml", "cc": "ml", "l": "l", "liter": "l", "%": "pct", "hu": "hu", "개": "count"}
NEAR = 0.8
"""Likeness (Ratcliff-Obershelp, on letters, Hangul taken apart) from which an unknown word is taken for a known one misspelt."""
SHORTEST = 6
"""Letters: shorter words are too like each other to call one a typo."""
_NUMBER = r"(?<![\w.])[-−]?\d+(?:\.\d+)?"
_FIGURE = re.compile(rf"({_NUMBER})\s*(mm|cm|mL|ml|cc|L\b|liters?|%|HU|개)?", re.IGNORECASE)
_PAIR = re.compile(r"(\d+(?:\.\d+)?)\s*(?:mm|cm)?\s*[x×*]\s*(\d+(?:\.\d+)?)\s*(mm|cm)?", re.IGNORECASE)
_ID = re.compile(r"\bF\d+\b|\bSHA-?256\b|\bLung-RADS \w+\b|\bFleischner \d+\b")
_SENTENCE = re.compile(r"(?<=[.!?。])\s+|\n+")
_HEAD = re.compile(r"^\s*\d+[.)]\s+")
_WORD = re.compile(r"[A-Za-z][A-Za-z-]+|[가-힣]+")


@dataclass(frozen=True, slots=True)
class Number:
    """One figure as printed, with its unit."""

    text: str
    value: float
    decimals: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Claims:
    """Of one sentence or part of one."""

    sides: frozenset[str]
    lobes: frozenset[str]
    zones: frozenset[str]
    pairs: tuple[tuple[Number, Number], ...]
    """long x short."""
    numbers: tuple[Number, ...]
    """All others."""
    slices: tuple[tuple[int, int | None], ...]
    """(number counted from 1, of how many)."""

    @property
    def laterality(self) -> str:
        """right, left, bilateral, or "" where no side is named."""
        if "bilateral" in self.sides or {"right", "left"} <= self.sides:
            return "bilateral"
        return next(iter(self.sides), "")


@cache
def _book() -> dict[str, Any]:
    return yaml.safe_load((files(__package__ or "") / "reading.yaml").read_text(encoding="utf-8"))


@cache
def _patterns(section: str) -> dict[str, re.Pattern[str]]:
    return {name: re.compile("|".join(rows), re.IGNORECASE) for name, rows in _book()[section].items()}


@cache
def _slice() -> re.Pattern[str]:
    return re.compile(_book()["slice"], re.IGNORECASE)


@lru_cache(maxsize=4096)
def claims(text: str) -> Claims:
    """What this piece of text says of place and size."""
    text = _ID.sub(" ", text)
    slices = tuple((int(match[1]), int(match[2]) if match[2] else None) for match in _slice().finditer(text))
    rest = _slice().sub(" ", text)
    pairs = tuple((_number(match[1], match[3]), _number(match[2], match[3])) for match in _PAIR.finditer(rest))
    numbers = tuple(_number(match[1], match[2]) for match in _FIGURE.finditer(_PAIR.sub(" ", rest)))
    return Claims(_named("sides", text), _named("lobes", text), _named("zones", text), pairs, numbers, slices)


def _named(section: str, text: str) -> frozenset[str]:
    return frozenset(name for name, pattern in _patterns(section).items() if pattern.search(text))


def _number(text: str, unit: str | None) -> Number:
    text = text.replace("−", "-")
    return Number(text, float(text), len(text.partition(".")[2]), UNITS.get((unit or "").lower().rstrip("s"), "none"))


def sentences(text: str) -> tuple[str, ...]:
    """A free text's sentences; numbers of lines and headings of sections are left out."""
    found: list[str] = []
    for line in text.splitlines():
        line = _HEAD.sub("", line)
        head, colon, rest = line.partition(":")
        if colon and head.strip() in _headings():
            line = rest
        found += [part.strip() for part in _SENTENCE.split(line) if part.strip()]
    return tuple(found)


@cache
def _headings() -> frozenset[str]:
    return frozenset(name for table in wording()["headings"].values() for name in table.values())


def words_only(text: str) -> str:
    """The text without figures, ids and slices: what two reports written by one template have in common."""
    return " ".join(_WORD.findall(_ID.sub(" ", text))).lower()


def compares(text: str) -> str:
    """The words that compare with an earlier study; "" for none."""
    found = next((match for pattern in _prior() if (match := pattern.search(text))), None)
    return found.group().strip() if found else ""


@cache
def _prior() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(row, re.IGNORECASE) for row in _book()["prior"])


def misspelt(text: str, strict: bool) -> list[tuple[str, str]]:
    """(word, what it is near to or "") for words that no table knows.

    Args:
        strict: the text was made from the tables alone, so that any unknown word is wrong; else only one near to a known term.
    """
    known = _all_words()
    found: list[tuple[str, str]] = []
    for word in _WORD.findall(_ID.sub(" ", text)):
        if _known(word, known):
            continue
        near = _nearest(word)
        if strict or len(_letters(near)) >= SHORTEST:
            found.append((word, near))
    return found


def _known(word: str, known: frozenset[str]) -> bool:
    word = word.lower()
    if word in known or any(word.removesuffix(end) in known for end in ("s", "es") if word.endswith(end)):
        return True
    return any(word.endswith(end) and word[: -len(end)] in known for end in _book()["particles"])


@cache
def _nearest(word: str) -> str:
    stems = {word.lower(), *(word[: -len(end)] for end in _book()["particles"] if word.endswith(end) and len(word) > len(end) + 1)}
    scored = [
        (SequenceMatcher(None, _letters(stem), _letters(term)).ratio(), term) for stem in sorted(stems) for term in sorted(_terms(word))
    ]
    best = max(scored, default=(0.0, ""))
    return best[1] if best[0] >= NEAR else ""


def _terms(word: str) -> frozenset[str]:
    korean = "가" <= word[0] <= "힣"
    return frozenset(term for term in vocabulary("ko" if korean else "en") if ("가" <= term[0] <= "힣") == korean and len(term) > 1)


def _letters(word: str) -> str:
    """Hangul syllables taken apart, so that one wrong letter in a syllable is one wrong letter."""
    return unicodedata.normalize("NFD", word)


@cache
def _all_words() -> frozenset[str]:
    return vocabulary("ko") | vocabulary("en")


@cache
def vocabulary(language: Language) -> frozenset[str]:
    """Every word that a report of this language may hold, in small letters."""
    words = {word.lower() for row in _book()["plain"] for word in row.split()}
    for text in _strings(wording()):
        words |= {word.lower() for word in _WORD.findall(re.sub(r"\{\w+\}", " ", text))}
    return frozenset(word for word in words if (language == "ko") == ("가" <= word[0] <= "힣"))


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (str(key), *_strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [str(value)]
