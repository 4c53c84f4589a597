"""Does a passage say what a sentence says of it? unsupported() gives the reason why not. Words and units are in support.yaml.

A sentence is held to its passages by what turns its meaning round: figures with their units, addresses of rules, negation,
port and starboard, duty and leave; and then by the share of its content words that the passages hold.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import Field

from sdx_rag.passages import Found, Language
from sdx_rag.words import language_of, query_tokens, sentences
from sdx_serving.closed import Closed, from_yaml

_ADDRESS = re.compile(r"(?:\bRules?\s*|\bR(?=\d)|규칙\s*|제\s*)(\d+)(?:\s*조)?((?:\s*\([a-z]{1,4}\))*)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])(\d+(?:,\d{3})*(?:\.\d+)?)")
_CLAUSE = re.compile(r"[,;:]\s+|\s+(?:and|but|while|whereas)\s+|(?<=[고며면])\s")
_HANGUL = re.compile("[가-힣]{3}")
SHORTEST = 3
"""Characters of a text that says anything."""
_NEAR = 2
"""Words on either side of "port" or "starboard" that tell what is on that side."""


class Words(Closed):
    """support.yaml."""

    coverage: Mapping[Language, float]
    negation: str
    duty: str
    leave: str
    sides: Mapping[str, str]
    number_words: Mapping[str, str]
    units: Mapping[str, str] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class _Signs:
    coverage: Mapping[Language, float]
    negation: re.Pattern[str]
    duty: re.Pattern[str]
    leave: re.Pattern[str]
    sides: Mapping[str, re.Pattern[str]]
    numbers: Mapping[float, re.Pattern[str]]
    units: Mapping[str, re.Pattern[str]]


def unsupported(sentence: str, passages: Sequence[Found], translated: str = "") -> str:
    """Why the passages do not bear the sentence out, as "figure 0.1 nm"; "" where they do.

    Args:
        translated: the passages' terms in the other language, so that a Korean sentence can rest on an English passage.
    """
    base = [f"{p.title}. {' '.join(p.headings)}. {p.text}" for p in passages]
    texts = [part for text in base for part in sentences(text)]
    checks = (
        lambda: _addresses(sentence, passages),
        lambda: _figures(sentence, "\n".join(base)),
        lambda: wrong_side(sentence, texts),
        lambda: _negation(sentence, texts),
        lambda: _modals(sentence, texts),
        lambda: _coverage(sentence, " ".join([*base, translated])),
    )
    return next((reason for check in checks if (reason := check())), "")


def about(sentence: str, passage: Found, translated: str = "") -> bool:
    """The sentence is of the passage's matter, whether or not the passage bears it out."""
    return not _coverage(sentence, f"{passage.title}. {' '.join(passage.headings)}. {passage.text} {translated}")


def figures(text: str) -> set[tuple[float, str]]:
    """Numbers with their unit, "" where none follows, addresses of rules apart: "within 2 minutes" gives (2.0, "min")."""
    text = _ADDRESS.sub(" ", text)
    found = {(float(match[1].replace(",", "")), unit_after(text[match.end() :])[0]) for match in _NUMBER.finditer(text)}
    for value, pattern in _signs().numbers.items():
        found |= {(value, unit_after(text[match.end() :])[0]) for match in pattern.finditer(text)}
    return found


def sides(text: str) -> set[str]:
    return {side for side, pattern in _signs().sides.items() if pattern.search(text)}


def negated(text: str) -> bool:
    return bool(_signs().negation.search(text))


def content(text: str) -> list[str]:
    """Words that carry meaning, each once; of Hangul pairs of syllables, since words change their endings."""
    return [token for token in query_tokens(text) if not _HANGUL.match(token)]


def unit_after(text: str) -> tuple[str, str]:
    """The unit that a text begins with and what follows it: (" mm or more") gives ("mm", " or more"); ("", text) where none does."""
    found = ((name, match) for name, pattern in _signs().units.items() if (match := pattern.match(text)))
    name, match = next(found, ("", None))
    return (name, text[match.end() :]) if match else ("", text)


def _addresses(sentence: str, passages: Sequence[Found]) -> str:
    held = {_address(match) for passage in passages for match in _ADDRESS.finditer(f"{passage.address} {passage.text}")}
    for match in _ADDRESS.finditer(sentence):
        claimed = _address(match)
        if not any(one == claimed or one.startswith(f"{claimed}(") for one in held):
            return f"address {claimed}"
    return ""


def _address(match: re.Match[str]) -> str:
    return match[1] + re.sub(r"\s+", "", match[2]).lower()


def _figures(sentence: str, text: str) -> str:
    held = figures(text)
    for value, unit in sorted(figures(sentence)):
        if not any(value == other and (unit == of or not unit or not of) for other, of in held):
            return f"figure {value:g} {unit}".rstrip()
    return ""


def wrong_side(sentence: str, texts: Sequence[str]) -> str:
    """A side that no passage names; where they name both, one that goes with other words than there."""
    whole = " ".join(texts)
    for side in sorted(sides(sentence)):
        if side not in sides(whole):
            return f"side {side}"
        other = "starboard" if side == "port" else "port"
        said = set(_neighbours(sentence, side))
        if other in sides(whole) and not said & set(_neighbours(whole, side)):
            return f"side {side}"
        if _figure_on(sentence, side) & _figure_on(whole, other) - _figure_on(whole, side):
            return f"side {side}"
    return ""


def _neighbours(text: str, side: str) -> Iterator[str]:
    """Content words within _NEAR words of a side's name, in its clause."""
    for clause in _CLAUSE.split(text):
        for match in _signs().sides[side].finditer(clause):
            near = [*clause[: match.start()].split()[-_NEAR:], *clause[match.end() :].split()[:_NEAR]]
            yield from (word for word in content(" ".join(near)) if not sides(word))


def _figure_on(text: str, side: str) -> set[float]:
    """Numbers in clauses that name this side alone."""
    return {value for clause in _CLAUSE.split(text) if sides(clause) == {side} for value, _ in figures(clause)}


def _negation(sentence: str, texts: Sequence[str]) -> str:
    """A "not" that the nearest statement lacks, or has more."""
    if negated(sentence):
        return "" if negated(_nearest(sentence, texts)) else "negation"
    clauses = [clause for text in texts for clause in _CLAUSE.split(text)]
    return "negation" if negated(_nearest(sentence, clauses)) else ""


def _modals(sentence: str, texts: Sequence[str]) -> str:
    nearest, signs = _nearest(sentence, texts), _signs()
    must, may = bool(signs.duty.search(sentence)), bool(signs.leave.search(sentence))
    told_must, told_may = bool(signs.duty.search(nearest)), bool(signs.leave.search(nearest))
    return "duty" if (must and not may and told_may and not told_must) or (may and not must and told_must and not told_may) else ""


def _nearest(sentence: str, texts: Sequence[str]) -> str:
    """The text that shares most with the sentence, by the harmonic mean of both shares."""
    words = set(content(sentence))

    def alike(text: str) -> float:
        held = set(content(text))
        return 2 * len(words & held) / (len(words) + len(held)) if words or held else 0.0

    return max(texts, key=alike, default="")


def _coverage(sentence: str, text: str) -> str:
    words, held = content(sentence), set(content(text))
    share = sum(word in held for word in words) / len(words) if words else 0.0
    return "" if share >= _signs().coverage[language_of(sentence)] else f"words: {share:.2f} of them are in the passage"


@cache
def _signs() -> _Signs:
    words = from_yaml(Words, Path(__file__).parent / "support.yaml")

    def of(pattern: str) -> re.Pattern[str]:
        return re.compile(pattern, re.IGNORECASE)

    return _Signs(
        coverage=words.coverage,
        negation=of(words.negation),
        duty=of(words.duty),
        leave=of(words.leave),
        sides={side: of(pattern) for side, pattern in words.sides.items()},
        numbers={
            float(value): of(rf"(?:\b(?=[a-z])|(?<![가-힣]))(?:{pattern})(?:\b|(?=[가-힣 ]))")
            for value, pattern in words.number_words.items()
        },
        units={name: of(rf"[\s-]*(?:{pattern})(?![A-Za-z/0-9²³])") for name, pattern in words.units.items()},
    )
