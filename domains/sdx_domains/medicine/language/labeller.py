"""Reads a free chest CT report, English or Korean, into labels: each yes, uncertain or no. Start at label().

A sentence is cut into clauses; a clause says of every finding named in it whether it is there, doubtful or denied. All words are data:
labeller.yaml. A finding that is never named is "no"; where a report says both, "yes" wins over "uncertain" over "no".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Language, language_of
from sdx_domains.medicine.findings import Presence
from sdx_domains.medicine.labels import labels

NEAR_BEFORE, NEAR_AFTER = 70, 60
"""Characters around a mention that `unless_near` looks at."""
QUESTIONED = 40
"""Characters before a question mark that it may doubt, back to a bracket or comma at most."""
_STRENGTH: dict[Presence, int] = {"no": 0, "uncertain": 1, "yes": 2}
_SENTENCE = re.compile(r"(?<=[.!。])\s+(?=\S)|(?<=\D\.)(?=[A-Z가-힣])|\n+|(?<=\))\.\s*|\s*•\s*")
_NUMBERED = re.compile(r"^\s*(?:[-*–•>]+|\(?\d{1,2}[.)](?!\d))\s*")
_DECIMAL = re.compile(r"(?<=\d)[.,](?=\d)")


@dataclass(frozen=True, slots=True)
class Mention:
    """One finding named in a text."""

    label: str
    presence: Presence
    words: str
    """As they stand in the clause."""
    sentence: str


@dataclass(frozen=True, slots=True)
class _Rule:
    label: str
    find: re.Pattern[str]
    needs: re.Pattern[str] | None
    needs_sentence: re.Pattern[str] | None
    unless: re.Pattern[str] | None
    unless_sentence: re.Pattern[str] | None
    unless_near: re.Pattern[str] | None
    organ: bool
    take_out: bool


@dataclass(frozen=True, slots=True)
class _Clause:
    text: str
    denied: tuple[tuple[int, int], ...]
    """Spans in which a mention that ends there is denied."""
    doubtful: tuple[tuple[int, int], ...]


def label(text: str, language: Language | None = None) -> dict[str, Presence]:
    """Every label of labels.yaml -> what the report says of it. Language None: each sentence by its own letters."""
    found: dict[str, Presence] = {kind.key: "no" for kind in labels()}
    for mention in mentions(text, language):
        if _STRENGTH[mention.presence] > _STRENGTH[found[mention.label]]:
            found[mention.label] = mention.presence
    return found


def mentions(text: str, language: Language | None = None) -> tuple[Mention, ...]:
    """Every finding that the report names, in the order of its sentences."""
    found: list[Mention] = []
    for line in _shown(text):
        before = ""
        for sentence in _SENTENCE.split(line):
            if sentence and sentence.strip():
                found += _read(sentence, before, language or language_of(sentence))
                before = sentence
    return tuple(found)


def _shown(text: str) -> Iterator[str]:
    """The report's lines without parts such as indication and technique, and without the regions' headings."""
    skip, keep = _joined("skip_heading"), _joined("keep_heading")
    heads = re.compile(
        rf"(?:(?<=^)|(?<=\n)|(?<=[.!?]\s))\s*(?:(?P<skip>{skip})|(?P<keep>{keep}))(?:[_ ]?(?:EN|KO))?\s*[:：]", re.IGNORECASE
    )
    marks = list(heads.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    parts = [text[: marks[0].start()] if marks else text]
    parts += [text[mark.end() : end] for mark, end in zip(marks, ends, strict=True) if mark["keep"]] if marks else []
    heading = re.compile(rf"^\s*(?:{_joined('heading')})\s*[:：]\s*(?=\S)", re.IGNORECASE)
    for part in parts:
        for line in part.split("\n"):
            yield heading.sub("", _NUMBERED.sub("", line))


def _read(sentence: str, before: str, language: Language) -> Iterator[Mention]:
    """The mentions of one sentence."""
    clean = re.sub(r"\s+", " ", _DECIMAL.sub("·", sentence)).strip(" .。")
    clauses = _korean(clean) if language == "ko" else _english(clean)
    rules = (*_rules("ko"), *_rules("en")) if language == "ko" else _rules("en")
    for clause in clauses:
        met: set[tuple[str, int]] = set()
        for rule in rules:
            for start, end in _found(rule, clause.text, clean, before):
                if (rule.label, end) in met:
                    continue
                met.add((rule.label, end))
                yield Mention(rule.label, _presence(clause, start, end), clause.text[start:end], sentence.strip())


def _found(rule: _Rule, clause: str, sentence: str, before: str) -> Iterator[tuple[int, int]]:
    """Where the rule finds its label in a clause, its conditions met."""
    text = _blanked(clause) if rule.take_out else clause
    if (rule.needs and not rule.needs.search(text)) or (rule.unless and rule.unless.search(text)):
        return
    if (rule.needs_sentence and not rule.needs_sentence.search(sentence)) or (
        rule.unless_sentence and rule.unless_sentence.search(sentence)
    ):
        return
    for match in rule.find.finditer(text):
        near = text[max(0, match.start() - NEAR_BEFORE) : match.end() + NEAR_AFTER]
        if rule.unless_near is not None and any(_meets(part, match, text) for part in rule.unless_near.finditer(near)):
            continue
        if not (rule.organ and _elsewhere(match.span(), clause, sentence, before)):
            yield match.span()


def _meets(part: re.Match[str], match: re.Match[str], text: str) -> bool:
    """Whether an exception found near a mention covers a part of it or touches it."""
    shift = max(0, match.start() - NEAR_BEFORE)
    return part.start() + shift <= match.end() and part.end() + shift >= match.start()


def _elsewhere(span: tuple[int, int], clause: str, sentence: str, before: str) -> bool:
    """Whether a mention is of another organ than the lung: by the nearest in its clause, else by its sentence, else by the one before."""
    lung, other = _pattern("{lung}"), _pattern("{other_organ}")
    near, far = (_distance(pattern, span, clause) for pattern in (lung, other))
    if near is not None or far is not None:
        return near is None or (far is not None and far < near)
    for text in (sentence, before):
        if lung.search(text):
            return False
        if other.search(text):
            return True
    return False


def _distance(pattern: re.Pattern[str], span: tuple[int, int], text: str) -> int | None:
    """Characters from the mention to the nearest match; None without one."""
    start, end = span
    return min((max(match.start() - end, start - match.end(), 0) for match in pattern.finditer(text)), default=None)


def _presence(clause: _Clause, start: int, end: int) -> Presence:
    if any(first < end and start < last for first, last in clause.denied):
        return "no"
    return "uncertain" if any(first < end and start < last for first, last in clause.doubtful) else "yes"


# English


def _english(sentence: str) -> Iterator[_Clause]:
    book = _book()["en"]
    text = sentence
    for pattern in book["blank"]:
        text = _pattern(pattern).sub(" ", text)
    for pattern, words in book["rewrite"]:
        text = _pattern(pattern).sub(words, text)
    for piece in _pattern(book["strong"]).split(text):
        head, *exceptions = _pattern(book["except"]).split(piece)
        yield from (_judged(clause) for clause in _clauses(head))
        for exception in exceptions:
            said, _, rest = exception.partition(",")
            yield _Clause(said, (), ())
            yield from (_judged(clause) for clause in _clauses(rest))


def _clauses(piece: str) -> Iterator[str]:
    """Cuts at a comma or "and" where what stands before it is a whole statement and what follows begins another."""
    book = _book()["en"]
    predicate, opens = _pattern(book["predicate"]), _pattern(book["opens"])
    start = 0
    for cut in _pattern(book["weak"]).finditer(piece):
        before, after = piece[start : cut.start()], piece[cut.end() :]
        first = "," in cut.group() and "and" in cut.group() and "," not in before  # one item before ", and": not the last of a list
        if (before.strip() and opens.search(after)) or (predicate.search(after) and (first or predicate.search(before))):
            yield before
            start = cut.end()
    yield piece[start:]


def _judged(clause: str) -> _Clause:
    """What the clause denies and doubts."""
    book = _book()["en"]
    whole = (0, len(clause) + 1)
    denied: list[tuple[int, int]] = [whole] if _pattern(book["denied_all"]).search(clause) else []
    short = _pattern(book["short"])
    for match in _pattern(book["denied_after"]).finditer(clause):
        comma = clause.find(",", match.end())
        brief = short.match(match.group()) and comma >= 0 and " or " not in clause[comma:]
        end = comma if brief else len(clause) + 1
        denied.append((match.start(), end))
    doubtful: list[tuple[int, int]] = [whole] if _pattern(book["doubt_all"]).search(clause) else []
    doubtful += [(match.end(), len(clause) + 1) for match in _pattern(book["doubt_after"]).finditer(clause)]
    for mark in _pattern(book["doubt_mark"]).finditer(clause):
        said = clause[: mark.start()]
        doubtful.append((max(said.rfind("("), said.rfind(","), mark.start() - QUESTIONED, 0), mark.start() + 1))
    return _Clause(clause, tuple(denied), tuple(doubtful))


# Korean


def _korean(sentence: str) -> Iterator[_Clause]:
    book = _book()["ko"]
    text = sentence
    for pattern in book["blank"]:
        text = _pattern(pattern).sub(" ", text)
    for pattern, words in book["rewrite"]:
        text = _pattern(pattern).sub(words, text)
    start = 0
    for match in _pattern(book["ends"]).finditer(text):
        clause = text[start : match.end()]
        whole = ((0, len(clause) + 1),)
        yield _Clause(clause, whole if match["no"] else (), whole if match["maybe"] else ())
        start = match.end()
    rest = text[start:]
    if rest.strip():
        yield _Clause(rest, (), ((0, len(rest) + 1),) if "?" in rest else ())


# the rules


@cache
def _book() -> dict[str, Any]:
    return yaml.safe_load((files(__package__ or "") / "labeller.yaml").read_text(encoding="utf-8"))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compiled without case, with the names of `words` filled in. ASCII: a Korean particle right after a Latin word ends the word."""
    for name, words in _book()["words"].items():
        text = text.replace(f"{{{name}}}", f"(?:{words})")
    return re.compile(text.strip(), re.IGNORECASE | re.ASCII)


@cache
def _rules(language: Language) -> tuple[_Rule, ...]:
    """KeyError for a label that labels.yaml does not know."""
    known = {kind.key for kind in labels()}
    rows = [(key, row) for key, several in _book()[f"{language}_labels"].items() for row in several]
    if unknown := {key for key, _ in rows} - known:
        raise KeyError(f"labeller.yaml has rules for {', '.join(sorted(unknown))}, which labels.yaml does not know")
    fields = ("needs", "needs_sentence", "unless", "unless_sentence", "unless_near")

    def rule(key: str, row: dict[str, Any]) -> _Rule:
        optional = {name: _pattern(row[name]) if name in row else None for name in fields}
        return _Rule(key, _pattern(row["find"]), organ=row.get("organ", False), take_out=row.get("take_out", False), **optional)

    return tuple(rule(key, row) for key, row in rows)


@cache
def _joined(name: str) -> str:
    return "|".join(str(_book()[language][name]) for language in ("en", "ko"))


def _blanked(clause: str) -> str:
    """The clause without names that hold a vessel's word and are none; same length."""
    return _pattern("{no_vessel}").sub(lambda match: " " * len(match.group()), clause)
