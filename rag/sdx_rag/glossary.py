"""Terms of a domain in both languages, so that a Korean question finds an English rule. Start at Glossary.read()."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from sdx_rag import words
from sdx_rag.passages import Language
from sdx_serving.closed import Closed

SYNONYM = 0.2
TRANSLATION = 0.5
"""Weights in expanded(): of 0.1 to 0.5 and 0.3 to 0.8 the best for both languages on the development questions."""

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_KEPT = re.compile(r"제?\s?(?P<article>\d+)\s?조|(?:[a-z][a-z0-9]*|\d+(?:[.,]\d+)*)(?:[./-][a-z0-9]+)*(?:\([a-z0-9]+\))*%?")


Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Entry(Closed):
    """One meaning: the ways to say it in each language, the usual one first."""

    en: tuple[Term, ...] = Field(min_length=1)
    ko: tuple[Term, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Match:
    """A term in a query."""

    begin: int
    end: int
    """Characters of the normalised query."""
    language: Language
    entries: tuple[Entry, ...]


class Glossary:
    """Finds the longest terms of a query: "give way vessels" and "give-way vessel" alike, "피항선은" and "피항선의" alike."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._english: dict[str, dict[tuple[str, ...], tuple[Entry, ...]]] = {}
        self._korean: dict[str, tuple[Entry, ...]] = {}
        for entry in entries:
            for term in entry.en:
                stems = tuple(stem for _, stem in _stems(words.normalised(term)))
                if stems:
                    known = self._english.setdefault(stems[0], {})
                    known[stems] = (*known.get(stems, ()), entry)
            for term in entry.ko:
                key = "".join(words.normalised(term).split())
                self._korean[key] = (*self._korean.get(key, ()), entry)
        self._pattern = re.compile("|".join(map(_anchored, sorted(self._korean, key=len, reverse=True))) or r"(?!)")

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Self:
        """From YAML files, each a list of {en: [...], ko: [...]}. ValueError names the file, the entry (from 1) and what is wrong with it."""
        return cls(entry for path in paths for entry in _read(path))

    def translated(self, query: str) -> str:
        """The query's terms in the other language, in their order; what a Korean query says in Latin letters and figures stays among them.

        "" where no term is known.
        """
        text, language = words.normalised(query), words.language_of(query)
        matches = [match for match in self.matches(query) if match.language == language]
        if not matches:
            return ""
        said = [(match.begin, entry.en[0] if language == "ko" else entry.ko[0]) for match in matches for entry in match.entries]
        kept = _kept(text, matches) if language == "ko" else ()
        return " ".join(dict.fromkeys(term for _, term in sorted((*said, *kept), key=lambda part: part[0])))

    def expanded(self, query: str) -> dict[str, float]:
        """What the lexical index is asked for: the query's tokens, and those of every other way to say its terms, in both languages.

        With a weight each: those of words.query_weights for the query's own, SYNONYM and TRANSLATION times them for the others. A translation
        that weighs more brings passages of the other language before those of the query's own.
        """
        found = words.query_weights(query)
        for match in self.matches(query):
            for entry in match.entries:
                same, other = (entry.en, entry.ko) if match.language == "en" else (entry.ko, entry.en)
                for terms, weight in ((same, SYNONYM), (other, TRANSLATION)):
                    for token, own in (pair for term in terms for pair in words.query_weights(term).items()):
                        found[token] = max(weight * own, found.get(token, 0.0))
        return found

    def matches(self, query: str) -> list[Match]:
        """Terms of either language, by their place."""
        text = words.normalised(query)
        return sorted((*self._in_english(text), *self._in_korean(text)), key=lambda match: match.begin)

    def _in_english(self, text: str) -> Iterator[Match]:
        found = _stems(text)
        stems = tuple(stem for _, stem in found)
        at = 0
        while at < len(found):
            known = self._english.get(stems[at], {})
            term = max((term for term in known if stems[at : at + len(term)] == term), key=len, default=())
            if term:
                yield Match(found[at][0].start(), found[at + len(term) - 1][0].end(), "en", known[term])
            at += len(term) or 1

    def _in_korean(self, text: str) -> Iterator[Match]:
        for match in self._pattern.finditer(text):
            yield Match(match.start(), match.end(), "ko", self._korean["".join(match[0].split())])


def _stems(text: str) -> list[tuple[re.Match[str], str]]:
    return [(match, words.stem(match[0].removesuffix("'s"))) for match in _WORD.finditer(text)]


def _read(path: Path) -> Iterator[Entry]:
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
        yield from TypeAdapter(tuple[Entry, ...]).validate_python(listed)
    except ValidationError as error:
        lines = [f"{_entry(item['loc'])}: {item['msg']} (given: {item['input']!r:.120})" for item in error.errors()]
        raise ValueError(f"{path}: " + "; ".join(lines)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML: {error}") from error


def _entry(place: tuple[int | str, ...]) -> str:
    match place:
        case (int(at), *rest):
            return ".".join(["entry " + str(at + 1), *map(str, rest)])
        case _:
            return "must be a list of {en: [...], ko: [...]}"


def _anchored(term: str) -> str:
    r"""A Korean term as a pattern, spaces free. The shorter it is, the more must show that it is not a part of another word.

    Three syllables and more: anywhere ("폐결절추적검사"); two: at the start of a word or at its end, but for a particle; one: a word alone. Latin
    letters ("CT 유도") never inside another Latin word.
    """
    spelled = r"\s?".join(map(re.escape, term))
    if term[0].isascii():
        spelled = rf"(?<![a-z0-9]){spelled}"
    if term[-1].isascii():
        spelled = rf"{spelled}(?![a-z0-9])"
    if len(term) > 2:
        return spelled
    particles = "|".join(map(re.escape, words.lists()["particles"]))
    end = rf"(?=(?:{particles})?(?![가-힣]))"
    return rf"(?<![가-힣]){spelled}{end}" if len(term) == 1 else rf"(?:(?<![가-힣]){spelled}|{spelled}{end})"


def _kept(text: str, matches: list[Match]) -> Iterator[tuple[int, str]]:
    """Latin words, figures and addresses between the matched terms, with their places; an article as it is called in English."""
    for found in _KEPT.finditer(text):
        if not any(match.begin < found.end() and found.start() < match.end for match in matches):
            yield found.start(), f"rule {found['article']}" if found["article"] else found[0]
