"""Puts one error of a kind into a good report: spoil(). Data: trial.yaml."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import yaml

from sdx_domains.contract import Language
from sdx_domains.medicine.assure.random_studies import Study, study
from sdx_domains.medicine.labels import label
from sdx_domains.medicine.language.render import sentence_of
from sdx_domains.medicine.language.words import wording
from sdx_domains.medicine.picture import Statement
from sdx_domains.medicine.report import ImpressionLine, Report, Section, Sentence

ErrorKind = Literal["omission", "insertion", "side", "zone", "size", "unit", "contradiction", "typo", "slice", "prior"]
KINDS: tuple[ErrorKind, ...] = ("omission", "insertion", "side", "zone", "size", "unit", "contradiction", "typo", "slice", "prior")
LEAST_MM, LEAST_SHARE = 2.0, 0.2
"""A size error changes a figure by at least so much: less is a difference between readers (Revel 2004: 1.7 mm)."""
_SLICE = re.compile(r"(?<=slice )\d+|(?<=영상 )\d+")
_SIZE = re.compile(
    r"(?<![\w./])\d+\.\d+(?= x)|(?<=x )\d+\.\d+|(?<=about )\d+(?= mL)|(?<=약 )\d+(?= mL)|(?<=ratio )\d\.\d+|(?<=심흉비 )\d\.\d+"
)
_TERM = re.compile(r"[a-z]{6,}|[가-힣]{3,}")


@cache
def _book() -> dict[str, Any]:
    return yaml.safe_load((files(__package__ or "") / "trial.yaml").read_text(encoding="utf-8"))


def spoil(of: Study, report: Report, kind: ErrorKind, rng: np.random.Generator) -> Report | None:
    """The report with one error; None where the report has no place for this kind."""
    if kind in _REPORTS:
        return _REPORTS[kind](of, report, rng)
    if kind == "prior" and of.picture.prior is not None:
        return None
    places = _places(report)
    for place in rng.permutation(len(places)):
        changed = _TEXTS[kind](places[place], report.language, rng)
        if changed is not None and changed != places[place]:
            return _with_text(report, int(place), changed)
    return None


def _places(report: Report) -> list[str]:
    """Texts that tell findings: sentences, then lines of the impression."""
    told = [each.text for each in report.sentences() if each.finding_ids and each.labels]
    return told + [line.text for line in report.impression if line.finding_ids]


def _with_text(report: Report, place: int, text: str) -> Report:
    left, sections = place, list[Section]()
    for section in report.sections:
        sentences = list[Sentence]()
        for each in section.sentences:
            told = bool(each.finding_ids and each.labels)
            sentences.append(each.model_copy(update={"text": text}) if told and left == 0 else each)
            left -= told
        sections.append(section.model_copy(update={"sentences": tuple(sentences)}))
    lines = list[ImpressionLine]()
    for line in report.impression:
        lines.append(line.model_copy(update={"text": text}) if line.finding_ids and left == 0 else line)
        left -= bool(line.finding_ids)
    return report.model_copy(update={"sections": tuple(sections), "impression": tuple(lines)})


def _swapped(kind: str) -> Callable[[str, Language, np.random.Generator], str | None]:
    def change(text: str, language: Language, rng: np.random.Generator) -> str | None:
        fitting = [(old, new) for old, new in _book()[kind][language] if old in text]
        if not fitting:
            return None
        old, new = fitting[int(rng.integers(len(fitting)))]
        return text.replace(old, new, 1)

    return change


def _resized(text: str, language: Language, rng: np.random.Generator) -> str | None:
    found = list(_SIZE.finditer(text))
    if not found:
        return None
    match = found[int(rng.integers(len(found)))]
    value, decimals = float(match.group()), len(match.group().partition(".")[2])
    step = LEAST_SHARE * value if value < 1.0 else max(LEAST_MM, LEAST_SHARE * value)
    changed = value + step * float(rng.uniform(1.0, 3.0)) * (1 if value <= step * 3.0 or rng.random() < 0.5 else -1)
    return f"{text[: match.start()]}{changed:.{decimals}f}{text[match.end() :]}"


def _moved(text: str, language: Language, rng: np.random.Generator) -> str | None:
    match = _SLICE.search(text)
    if match is None:
        return None
    number = int(match.group()) + int(rng.integers(9, 25))
    return f"{text[: match.start()]}{number}{text[match.end() :]}"


def _misspelt(text: str, language: Language, rng: np.random.Generator) -> str | None:
    words = list(_TERM.finditer(text))
    if not words:
        return None
    word = words[int(rng.integers(len(words)))]
    at = int(rng.integers(1, len(word.group()) - 1))
    wrong = _wrong_syllable(word.group(), at) if language == "ko" else _wrong_letters(word.group(), at, rng)
    return text[: word.start()] + wrong + text[word.end() :]


def _wrong_letters(word: str, at: int, rng: np.random.Generator) -> str:
    """One letter left out, doubled or changed places with the next."""
    kinds = (word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:], word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return kinds[int(rng.integers(3))]


def _wrong_syllable(word: str, at: int) -> str:
    """The syllable's vowel taken for its neighbour on the keyboard."""
    parts = list(unicodedata.normalize("NFD", word[at]))
    parts[1] = chr(0x1161 + (ord(parts[1]) - 0x1161 + 4) % 21)
    return word[:at] + unicodedata.normalize("NFC", "".join(parts)) + word[at + 1 :]


def _compared(text: str, language: Language, rng: np.random.Generator) -> str:
    phrases = _book()["prior"][language]
    return f"{text} {phrases[int(rng.integers(len(phrases)))]}"


def _omit(of: Study, report: Report, rng: np.random.Generator) -> Report | None:
    """A sentence left out; half of the time its line of the impression too, where it stands alone there."""
    told = [each for each in report.sentences() if each.finding_ids and each.labels]
    if not told:
        return None
    gone = told[int(rng.integers(len(told)))]
    sections = tuple(each.model_copy(update={"sentences": tuple(s for s in each.sentences if s != gone)}) for each in report.sections)
    both = rng.random() < 0.5
    lines = tuple(line for line in report.impression if not (both and line.finding_ids == gone.finding_ids))
    return report.model_copy(update={"sections": sections, "impression": lines})


def _insert(of: Study, report: Report, rng: np.random.Generator) -> Report | None:
    """A sentence about something that is not stated, as the renderer would have worded it; with no finding named or a made-up one."""
    stated = {each.finding.label for each in of.statements if each.present != "no"}
    others = (each.finding for _ in range(50) for each in study(int(rng.integers(1 << 30))).statements)
    strange = next((each for each in others if each.label not in stated), None)
    if strange is None:
        return None
    sentence = sentence_of(of.picture, Statement(finding=strange, present="yes"), report.language)
    ids = ("F99",) if rng.random() < 0.5 else ()
    return _added(report, sentence.model_copy(update={"finding_ids": ids}), label(strange.label).region)


def _contradict(of: Study, report: Report, rng: np.random.Generator) -> Report | None:
    """Something stated is denied too, or denied instead."""
    told = [each for each in report.sentences() if each.finding_ids and each.labels]
    if not told:
        return None
    one = told[int(rng.integers(len(told)))]
    words, key = wording(), one.labels[0]
    name = words["negative"][report.language].get(key) or words["things"][key]["ko" if report.language == "ko" else "one"]
    form = words[report.language]["negative"][0]
    denial = form.format(list=name, List=name, list_nun=name)
    if rng.random() < 0.5:
        places = [each.text for each in told]
        return _with_text(report, places.index(one.text), denial)
    return _added(report, Sentence(text=denial, labels=(key,)), label(key).region)


def _added(report: Report, sentence: Sentence, region: str) -> Report:
    sections = tuple(
        each.model_copy(update={"sentences": (*each.sentences, sentence)}) if each.region == region else each for each in report.sections
    )
    return report.model_copy(update={"sections": sections})


_TEXTS: Mapping[str, Callable[[str, Language, np.random.Generator], str | None]] = {
    "side": _swapped("side"),
    "zone": _swapped("zone"),
    "unit": _swapped("unit"),
    "size": _resized,
    "slice": _moved,
    "typo": _misspelt,
    "prior": _compared,
}
_REPORTS: Mapping[str, Callable[[Study, Report, np.random.Generator], Report | None]] = {
    "omission": _omit,
    "insertion": _insert,
    "contradiction": _contradict,
}
