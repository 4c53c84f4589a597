"""The knowledge of farm and medicine: whole in both languages, with equal figures, and limits that agree wherever they are repeated."""

import re
from collections import Counter
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
import yaml

BOOKS = {
    "farm": ("climate", "irrigation", "crops", "equipment"),
    "medicine": ("reporting", "nodules", "findings", "follow_up", "safety"),
}
PREFIXES = {
    "climate": "GC",
    "irrigation": "IR",
    "crops": "CR",
    "equipment": "EQ",
    "reporting": "RP",
    "nodules": "ND",
    "findings": "FD",
    "follow_up": "FU",
    "safety": "SF",
}
SYMBOLS = (
    "mL/min/1.73 m2|µmol/m2/s|mol/m2|mL/m2|MJ/m2|W/m2|J/cm2|L/m2|m3/m3|mg/L|dS/m|mS/cm|s/m|m/s|mJ/cm2"
    "|mGy cm|mGy|mSv|kPa|ppm|baud|mm3|m3|mm|cm|ms|HU|°C|%|[Km](?![a-zA-Z0-9/])"
)
WORDS = {
    "en": {
        "hour": "hours?|h",
        "minute": "minutes?|min",
        "second": "seconds?|s",
        "day": "days?",
        "week": "weeks?",
        "month": "months?",
        "pack-year": "pack-years?",
        "year": "years?",
    },
    "ko": {
        "hour": "시간",
        "minute": "분",
        "second": "초(?!과)",
        "day": "일",
        "week": "주",
        "month": "개월",
        "pack-year": "갑년",
        "year": "년|세",
    },
}
DATES = {
    "en": r"(?:(?P<day>\d{1,2}) )?(?:(?P<month>January) )?(?P<year>20[12]\d)\b",
    "ko": r"\b(?P<year>20[12]\d)(?!\d)년?(?: (?P<month>\d{1,2})월)?(?: (?P<day>\d{1,2})일)?",
}
MONTHS = {"January": "1"}
NUMBER = r"(?<![\w./])(?<!\w-)-?\d+(?:\.\d+)?"
JOINED = re.compile(r"\s*(?:to|to below|and|or|or above|~|,|과|와)\s*")


def passages(domain: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(file, address, entry) of every passage of a domain."""
    return [(name, address, entry) for name in BOOKS[domain] for address, entry in _read(domain, name)["rules"].items()]


@cache
def _read(domain: str, name: str) -> Any:
    return yaml.safe_load((files(f"sdx_domains.{domain}") / f"knowledge/{name}.yaml").read_text(encoding="utf-8"))


def figures(text: str, language: str) -> set[tuple[str, str]]:
    """Every number with its unit, every date; in "6 to 8 mm" and "6~8 mm" both numbers are mm."""
    dates = {
        tuple(MONTHS.get(part or "", part or "") for part in match.group("year", "month", "day"))
        for match in re.finditer(DATES[language], text)
    }
    named = "|".join(
        f"(?P<{name.replace('-', '_')}>(?:{pattern}){r'(?![a-z])' if language == 'en' else ''})"
        for name, pattern in WORDS[language].items()
    )
    text = re.sub(DATES[language], "", text)
    found = list(re.finditer(rf"({NUMBER})\s?(?:(?P<symbol>{SYMBOLS})|{named})?", text))
    read: list[tuple[str, str]] = []
    for at in reversed(range(len(found))):
        match = found[at]
        unit = match["symbol"] or match.lastgroup or ""
        if not unit and read and JOINED.fullmatch(text[match.end(1) : found[at + 1].start()]):
            unit = read[-1][1]
        read.append((match[1], unit))
    return {*read, *(("-".join(date), "date") for date in dates)}


ALL = [pytest.param(domain, *passage, id=passage[1]) for domain in BOOKS for passage in passages(domain)]


@pytest.mark.parametrize(("text", "language", "expected"), [
    ("6 to 8 mm, then 12 months", "en", {("6", "mm"), ("8", "mm"), ("12", "month")}),
    ("6~8 mm, 12개월 뒤", "ko", {("6", "mm"), ("8", "mm"), ("12", "month")}),
    ("fat of -110 to -80 HU, see IR-2, ET0 and 0.3 dS/m per h", "en", {("-110", "HU"), ("-80", "HU"), ("0.3", "dS/m")}),
    ("약 -110~-80 HU인 지방은 1시간", "ko", {("-110", "HU"), ("-80", "HU"), ("1", "hour")}),
])  # fmt: skip
def test_figures_are_read_with_their_units(text: str, language: str, expected: set[tuple[str, str]]) -> None:
    assert figures(text, language) == expected


@pytest.mark.parametrize("domain", BOOKS)
def test_addresses_are_unique_in_a_domain_and_numbered_without_gaps(domain: str) -> None:
    assert [count for count in Counter(address for _, address, _ in passages(domain)).values() if count > 1] == []
    for name in BOOKS[domain]:
        assert [address for file, address, _ in passages(domain) if file == name] == [
            f"{PREFIXES[name]}-{number}" for number in range(1, len(_read(domain, name)["rules"]) + 1)
        ]


@pytest.mark.parametrize("domain", BOOKS)
def test_every_file_says_what_it_is_and_whose_statement(domain: str) -> None:
    for name in BOOKS[domain]:
        book = _read(domain, name)
        assert set(book) == {"title", "source", "rules"} and re.search(r"\d{4}|paraphrased", book["source"]), name


@pytest.mark.parametrize(("domain", "file", "address", "entry"), ALL)
def test_passages_are_whole_short_and_in_both_languages(domain: str, file: str, address: str, entry: dict[str, Any]) -> None:
    assert set(entry) in ({"en", "ko"}, {"source", "en", "ko"}), (domain, file)
    for language in ("en", "ko"):
        wording = entry[language]
        assert set(wording) == {"title", "text"} and wording["text"].endswith(".")
        assert len(wording["text"].split()) <= 100 and len(wording["text"]) <= 600
        assert "  " not in wording["text"] and wording["text"] == wording["text"].strip()
    assert not re.search("[가-힣]", entry["en"]["title"] + entry["en"]["text"])
    assert len(re.findall("[가-힣]", entry["ko"]["text"])) > 0.3 * len(entry["ko"]["text"])
    assert re.search("[가-힣]", entry["ko"]["title"])


@pytest.mark.parametrize(("domain", "file", "address", "entry"), ALL)
def test_both_languages_say_the_same_figures(domain: str, file: str, address: str, entry: dict[str, Any]) -> None:
    en, ko = (set.union(*(figures(entry[language][part], language) for part in ("title", "text"))) for language in ("en", "ko"))
    assert en == ko, f"{domain}/{file} {address}: only EN {sorted(en - ko)}, only KO {sorted(ko - en)}"


@pytest.mark.parametrize(("domain", "file", "address", "entry"), ALL)
def test_both_languages_have_the_same_number_of_sentences(domain: str, file: str, address: str, entry: dict[str, Any]) -> None:
    en, ko = (len(re.findall(r"[.](?:\s|$)", entry[language]["text"])) for language in ("en", "ko"))
    assert abs(en - ko) <= 1 and 2 <= en <= 6, f"{domain}/{file} {address}: {en} sentences EN, {ko} KO"


@pytest.mark.parametrize("domain", BOOKS)
def test_every_glossary_entry_has_a_term_of_the_knowledge(domain: str) -> None:
    wordings = [entry[language] for _, _, entry in passages(domain) for language in ("en", "ko")]
    text = " ".join(f"{wording['title']} {wording['text']}" for wording in wordings).lower()
    unused = [entry for entry in _read(domain, "glossary") if not any(term.lower() in text for term in entry["en"] + entry["ko"])]
    assert not unused


@pytest.mark.parametrize("domain", BOOKS)
def test_a_glossary_term_stands_once_in_its_language(domain: str) -> None:
    for language in ("en", "ko"):
        terms = Counter(term.lower() for entry in _read(domain, "glossary") for term in entry[language])
        assert [term for term, count in terms.items() if count > 1] == []
    assert len(_read(domain, "glossary")) >= 150


def test_a_limit_of_the_farm_is_the_same_wherever_it_is_repeated() -> None:
    book = {address: figures(entry["en"]["text"], "en") for _, address, entry in passages("farm")}
    repeated = {
        ("1600", "ppm"): ("GC-12", "EQ-11"),
        ("20", "%"): ("GC-12", "EQ-11", "EQ-13"),
        ("85", "%"): ("GC-27", "EQ-13"),
        ("1.0", "dS/m"): ("IR-2", "EQ-12"),
        ("5.0", "dS/m"): ("IR-2", "EQ-12"),
        ("4.0", "dS/m"): ("IR-2", "CR-3"),
        ("0.3", "kPa"): ("GC-6", "CR-10"),
        ("30", "%"): ("GC-29", "EQ-13"),
        ("15", "minute"): ("GC-29", "EQ-13"),
        ("17", "mol/m2"): ("CR-12", "CR-13"),
    }
    assert not [(limit, address) for limit, addresses in repeated.items() for address in addresses if limit not in book[address]]


def test_incidental_and_screening_rules_keep_their_own_growth() -> None:
    book = {address: figures(entry["en"]["text"], "en") for _, address, entry in passages("medicine")}
    assert ("2", "mm") in book["ND-14"] and ("1.5", "mm") in book["ND-17"]
    assert all(("35", "year") in book[address] for address in ("ND-3", "FU-1", "FU-2"))
