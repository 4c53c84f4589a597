"""Takes out of free text, English or Korean, what says who somebody is. Start at scrub().

What a rule cannot see: a name without a title, label or "^" before or after it, that no header names.
Pass the header's words (identity.words_of) where there is one; where nothing may slip through, use vocabulary.py.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import yaml

SEPARATOR = r"[\s,^_.\-]*"
_NEVER_ALONE = frozenset(("CT", "MR", "PA", "AP", "II", "JR", "SR", "MD", "HU", "MM", "CM", "ML"))
"""Two letters of a name that mean something else in every report."""
_MONTH = "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
_M, _D = "(?:1[0-2]|0?[1-9])", "(?:3[01]|[12][0-9]|0?[1-9])"
_MAIL = re.compile(r"[\w.+'’\-]+@[\w'’\-]+(?:\.[\w\-]+)+")
_WORD = r"(?:\[name\]|[A-Z][A-Za-z'’\-]+|[A-Z]\.?(?=[\s,]))"
_UNIT = r"(?!\s?(?:mm|cm|ml|mL|HU|cc|kg|mg|mSv|mGy|kV|mA|%))"


def scrub(text: str, known: Collection[str] = ()) -> str:
    """The text with a word in brackets for each thing that identifies: [name], [id], [date], [phone], [e-mail], [place], [uid].

    Args:
        known: words of identity.words_of(), looked for in any writing: order of names, separators, capitals.
    """
    text = _MAIL.sub("[e-mail]", text)
    if known and (pattern := _known(frozenset(known))) is not None:
        text = pattern.sub("[name]", text)
    for pattern, put in _rules():
        text = pattern.sub(put, text)
    return text


@cache
def table() -> Mapping[str, Any]:
    return yaml.safe_load((files("sdx_domains.medicine.privacy") / "phi.yaml").read_text(encoding="utf-8"))


@cache
def _rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    """In the order in which they run: what is longer and surer first."""
    return tuple((re.compile(pattern), put) for pattern, put in (*_numbers(), *_dates(), *_contacts(), *_labelled(), *_names()))


def _numbers() -> Iterable[tuple[str, str]]:
    yield r"[A-Za-z가-힣'’\-]+\^[A-Za-z가-힣'’^\-]+(?:=[^\s,;]+)*", "[name]"
    # Resident and foreigner registration number, also masked: yymmdd, then 1-8 and six digits or stars
    yield r"(?<!\d)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\s?[\-–~]?\s?[0-9][0-9*xX●]{6}(?!\d)", "[id]"
    yield r"(?<![\d.])(?!2\.25\.)(?!1\.2\.840\.10008\.)[0-2](?:\.\d+){5,}", "[uid]"


def _dates() -> Iterable[tuple[str, str]]:
    yield rf"(?<!\d)(?:19|20)\d{{2}}\s?년\s?(?:{_M}\s?월)(?:\s?{_D}\s?일)?", "[date]"
    yield rf"(?<!\d){_M}\s?월\s?{_D}\s?일", "[date]"
    yield rf"(?<![\d.])(?:19|20)\d{{2}}\s?([\-./])\s?{_M}\s?\1\s?{_D}\.?(?![\d])", "[date]"
    yield rf"(?<![\d.])['’]?\d{{2}}([\-./]){_M}\1{_D}(?!\.?\d){_UNIT}", "[date]"
    yield rf"(?<![\d.]){_D}([\-./]){_D}\1(?:19|20)?\d{{2}}(?!\.?\d){_UNIT}", "[date]"
    yield r"(?<!\d)(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{6}(?:\.\d+)?)?(?!\d)", "[date]"
    month = rf"(?:{_MONTH}|{_MONTH.upper()})"
    yield rf"\b{_D}(?:st|nd|rd|th)?[\s\-]{month}\.?(?:[\s,\-]+(?:19|20)?\d{{2}})?\b{_UNIT}", "[date]"
    yield rf"\b{month}\.?\s{_D}(?:st|nd|rd|th)?(?:,?\s(?:19|20)\d{{2}})?\b{_UNIT}", "[date]"
    yield rf"\b{month}\.?,?[\s\-](?:19|20)\d{{2}}\b", "[date]"
    # 45 CFR 164.514(b)(2)(i)(C): ages over 89 are one group
    yield r"(?<!\d)(?:9\d|1[0-2]\d)(?=(?:[\s\-]?(?:years?|yrs?|y)[\s\-/]?(?:old|o)?\b|\s?세))", "90+"


def _contacts() -> Iterable[tuple[str, str]]:
    yield r"\+\d{1,3}[\s.\-]?(?:\(?\d{1,4}\)?[\s.\-]?){1,3}\d{3,4}(?!\d)", "[phone]"
    yield r"(?<![\d.\-])\(?0(?:1[016789]|2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50\d)\)?[\s.\-]{0,2}\d{3,4}[\s.\-]?\d{4}(?![\d])", "[phone]"
    yield rf"(?<![\d.\-])1(?:5(?:22|33|44|66|77|88|99)|6(?:00|44|61|66|70|88|99)|8(?:00|11|33|55|77|99))-\d{{4}}(?!\d){_UNIT}", "[phone]"
    yield r"(?<![\d.\-])\(?\d{3}\)?[\s.\-]\d{3}[\s.\-]\d{4}(?!\d)", "[phone]"
    yield r"(?<![A-Za-z0-9])[MSRODGPT](?:\d{8}|\d{3}[A-Z]\d{4})(?![A-Za-z0-9])", "[id]"  # passport
    yield r"(?<!\d)\d{2}-\d{2}-\d{6}-\d{2}(?!\d)", "[id]"  # driving licence
    yield r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)", "[id]"  # US social security
    not_place = "|".join(table()["not_places"])
    yield (
        rf"(?<![가-힣])(?!(?:{not_place})\s?(?:병원|의원|의료원))[가-힣A-Za-z]{{2,12}}?(?:대학교|대)?\s?(?:병원|의료원)(?![가-힣]*\s?감염)",
        "[place]",
    )
    yield (
        (
            r"(?:[가-힣]{1,4}(?:특별자치시|특별자치도|특별시|광역시|도|시)\s?)?[가-힣]{1,4}(?:시|군|구)\s+(?:[가-힣]{1,5}(?:읍|면|동)\s?)?"
            r"[가-힣0-9]{1,10}(?:로|길|동|읍|면|리)\s?\d+(?:-\d+)?(?:번지|호|번길\s?\d*)?"
        ),
        "[place]",
    )
    yield r"\b\d{1,5}\s(?:[A-Z][\w'\-]+\s){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd)\b\.?", "[place]"
    yield rf"\b(?:{_WORD}\s){{1,3}}(?:Hospital|Medical Center|Medical Centre|Clinic)\b", "[place]"


def _labelled() -> Iterable[tuple[str, str]]:
    words = table()
    korean = _either(words["korean_id_labels"])
    yield rf"((?:{korean})\s?(?:은|는|이|가)?\s*[:：=#]?\s*)[A-Za-z]{{0,4}}[\-_]?\d[\w\-]*", r"\1[id]"
    english = _either(words["id_labels"])
    yield rf"(?i)(\b(?:{english})\b\.?\s*(?:is\s+)?[:=#]?\s*)(?!\[)(?=[A-Z]{{0,6}}[\-_/]?\d)[A-Z0-9][\w\-/]{{2,}}", r"\1[id]"
    contact = _either((*words["contact_labels"], *words["korean_contact_labels"]))
    yield rf"(?i)(?<![A-Za-z가-힣])((?:{contact})\.?\s*[:：=]\s*)(?!\[)(?:[^\n;.]|\.(?=\S)){{1,80}}", r"\1[contact]"


def _names() -> Iterable[tuple[str, str]]:
    words = table()
    titles = _either((*words["honorifics"], *(each.upper() for each in words["honorifics"])))
    yield rf"\b({titles})\b\.?\s+{_WORD}(?:[\s,]+{_WORD}){{0,3}}", r"\1 [name]"
    latin = rf"{_WORD}(?:[ ,]+{_WORD}){{0,3}}"
    hangul = r"[가-힣]{2,5}(?:\s[가-힣]{1,2}(?![가-힣]))?"
    any_case = r"(?:\[name\]|[A-Za-z][A-Za-z'’\-]*)(?:[ ,]+(?:\[name\]|[A-Za-z][A-Za-z'’\-]*)){0,3}"
    named = _either(each for each in words["name_labels"] if "name" in each)
    yield rf"((?i:\b(?:{named}))\s*[:=]\s*)(?:{any_case}|{hangul})", r"\1[name]"
    yield rf"((?i:\b(?:{_either(words['name_labels'])}))\s*[:=]\s*)(?:{latin}|{hangul})", r"\1[name]"
    yield (
        rf"((?i:\b(?:{_either(words['by'])}))\s*[:=]?\s+)(?:(?:Dr|Prof)\.?\s+)?(?:{_WORD}(?:[ ,]+{_WORD}){{0,3}}|{hangul})",
        r"\1[name]",
    )
    yield rf"((?<![가-힣])(?:{_either(words['korean_name_labels'])})\s?[:：=]\s*)(?:{hangul}|{latin})", r"\1[name]"
    yield rf"((?<![가-힣])(?:{_either(words['korean_name_labels_sure'])})\s?(?:[:：=]\s*|\s))(?:{hangul}|{latin})", r"\1[name]"
    family = f"(?:{'|'.join(words['surnames_of_two'])}|[{words['surnames']}])"
    weak = words["korean_weak_honorifics"]
    strong = _either(each for each in words["korean_honorifics"] if each not in weak)
    particle = r"(?=$|[^가-힣]|께서|에게|이|은|는|의|을|를|과|와|도|가|께)"
    yield rf"(?<![가-힣]){family}\s?[가-힣]{{1,2}}(?=\s?(?:{strong}){particle})", "[name]"
    none = "|".join(words["not_names"])
    yield rf"(?<![가-힣])(?!(?:{none})){family}[가-힣]{{2}}(?=\s?(?:{_either(weak)})님?{particle})", "[name]"


def _either(words: Iterable[str]) -> str:
    """Longest first, so that "patient name" is not read as "patient"."""
    return "|".join(re.escape(word).replace(r"\ ", r"[\s_]?") for word in sorted(words, key=len, reverse=True))


@lru_cache(maxsize=64)
def _known(words: frozenset[str]) -> re.Pattern[str] | None:
    forms = sorted({form for word in words for form in _forms(word)}, key=len, reverse=True)
    return re.compile("|".join(forms)) if forms else None


def _forms(word: str) -> Iterable[str]:
    """Patterns of the ways in which a name or number is written."""
    parts = [part for part in re.split(r"[\^=]", word) if part.strip()]
    if "^" not in word and (any(letter.isdigit() for letter in word) or " " in word.strip()):
        yield _bounded(word.strip())
        return
    pieces = [_loose(part) for part in parts]
    if len(pieces) > 1:
        first, second = pieces[0], pieces[1]
        for one, other in ((first, second), (second, first)):
            yield rf"(?i:(?<![A-Za-z]){one}{SEPARATOR}{other}(?![A-Za-z]))"
    for part in parts:
        yield from _alone(part.strip())


def _alone(part: str) -> Iterable[str]:
    letters = re.sub(r"[\s\-]", "", part)
    if not letters.isascii():
        if len(letters) >= 2:
            yield re.escape(part)
    elif len(letters) >= 3:
        yield rf"(?i:(?<![A-Za-z]){_loose(part)}(?![A-Za-z]))"
    elif len(letters) == 2 and letters.upper() not in _NEVER_ALONE:
        yield rf"(?<![A-Za-z])(?:{letters.upper()}|{letters.capitalize()})(?![A-Za-z])"


def _loose(part: str) -> str:
    """The words of a name, with or without what stands between them: Gil Dong, Gil-Dong, Gildong."""
    return r"[\s\-]*".join(map(re.escape, re.split(r"[\s\-]+", part.strip())))


def _bounded(text: str) -> str:
    """A number or an address: bounded where it is short, anywhere where it is long."""
    escaped = r"\s+".join(map(re.escape, text.split()))
    return rf"(?i:{escaped})" if len(text) >= 7 else rf"(?i:(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9]))"
