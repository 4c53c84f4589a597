"""A finding in words: thing, place, size, measures, with Korean particles.

The tables are wording.yaml; render.py makes sentences of them.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Language, digest
from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.labels import label as label_of

PARTICLES = {"i": ("이", "가"), "eun": ("은", "는"), "eul": ("을", "를")}
"""Korean particles: after a final consonant, after a vowel."""
_FIRST, _LAST, _FINALS = ord("가"), ord("힣"), 28


@cache
def wording() -> dict[str, Any]:
    """wording.yaml."""
    return yaml.safe_load((files(__package__ or "") / "wording.yaml").read_text(encoding="utf-8"))


def pick(forms: Sequence[str], *of: object) -> str:
    """One of the forms, always the same one for the same content."""
    return forms[int(digest([str(part) for part in of]), 16) % len(forms)]


def with_particle(word: str, kind: str) -> str:
    """The word with the particle that its last syllable asks for; after a digit or a Latin letter the vowel form."""
    last = next((letter for letter in reversed(word) if letter.isalnum()), "가")
    consonant = _FIRST <= ord(last) <= _LAST and (ord(last) - _FIRST) % _FINALS != 0
    return word + PARTICLES[kind][0 if consonant else 1]


def thing(finding: Finding, language: Language) -> str:
    """What it is, without a place: "solid lung nodule", "5 lung nodules", "다발성 폐결절"."""
    words = wording()["things"][finding.label]
    name = words["ko"] if language == "ko" else words["one"]
    adjectives = " ".join(_adjectives(finding, language))
    if finding.count > 1 and "many" in words:
        name = f"{name} {finding.count}개" if language == "ko" else words["many"]
        adjectives = adjectives if language == "ko" else f"{finding.count} {adjectives}".strip()
    return f"{adjectives} {name}".strip()


def uncounted(finding: Finding) -> str:
    """English, without the number: after "possible" nobody counts."""
    return thing(finding, "en").removeprefix(f"{finding.count} ") if counted(finding) else thing(finding, "en")


def counted(finding: Finding) -> bool:
    """Whether the words speak of several."""
    return finding.count > 1 and "many" in wording()["things"][finding.label]


def with_article(finding: Finding, words: str) -> str:
    """English: "a solid lung nodule"; several and what is not counted go without."""
    if counted(finding) or not wording()["things"][finding.label].get("a"):
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def place(finding: Finding, language: Language) -> str:
    """Where it is, without a preposition: "right upper lobe", "both lungs, lower zones", "우상엽", "양폐 하폐야"; "" for what has no side."""
    words, kind = wording()["places"][language], label_of(finding.label)
    if not kind.sided:
        return ""
    if not kind.zoned:
        return words["sides"].get(finding.laterality, "")
    parts = [words["lobes"].get(_lobe(finding)) or words["lungs"].get(finding.laterality, ""), _zone(finding, language)]
    return (" " if language == "ko" else ", ").join(part for part in parts if part)


def located(finding: Finding, language: Language) -> str:
    """The place with the word that joins it to a sentence: " in the right upper lobe", " on both sides", "우상엽에 "; "" without a place."""
    where = place(finding, language)
    if not where:
        return ""
    if language == "ko":
        diffuse = wording()["places"]["ko"]["diffuse"]
        return f"{where.removesuffix(diffuse).strip()}에 {diffuse}으로 " if where.endswith(diffuse) else f"{where}에 "
    return f" {where}" if not label_of(finding.label).zoned else f" in {'' if where.startswith('both') else 'the '}{where}"


def size_mm(finding: Finding) -> dict[str, str]:
    """{"long", "short"} as printed, millimetres with one decimal; {} without a size."""
    return {} if finding.size is None else {"long": f"{finding.size.long_mm:.1f}", "short": f"{finding.size.short_mm:.1f}"}


def measures(finding: Finding, language: Language) -> list[str]:
    """What else was measured, in words; left out is what wording.yaml does not know for its label, and what is nothing as it would be written.

    The encoder sees a finding where code measures none of it: "0.0 mm thick" would deny what the sentence states.
    """
    known = {name: row for name, row in wording()["measures"].items() if finding.label in row["of"]}
    told = [(known[name], f"{value:.{known[name]['decimals']}f}") for name, value in finding.measure.items() if name in known]
    return [row[language].format(value=text) for row, text in told if float(text) != 0]


def _adjectives(finding: Finding, language: Language) -> list[str]:
    table = dict(wording()["descriptors"][language])
    if finding.label not in wording()["amounts"]:
        table |= wording()["sized"].get(language, {})
    only = wording()["descriptors_of"]
    return [table[name] for name in table if name in finding.descriptors and finding.label in only.get(name, (finding.label,))]


def _lobe(finding: Finding) -> str:
    """ "n/a" for what lies in both lungs: one lobe would name one side."""
    return "n/a" if finding.laterality == "bilateral" else finding.lobe


def _zone(finding: Finding, language: Language) -> str:
    words = wording()["places"][language]
    if finding.zone == "diffuse":
        return words["diffuse"]
    if finding.zone == "n/a" or wording()["zone_of"].get(_lobe(finding)) == finding.zone:
        return ""
    name = words["zones"][finding.zone]
    return f"{name}s" if language == "en" and finding.laterality == "bilateral" else name
