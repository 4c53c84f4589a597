"""Text to the words that the lexical index holds, in English and Korean. Start at tokens(); sentences() is for answers."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_rag.passages import Language

VERSION = 1
"""Of the tokens: an index of another version is built anew."""
LONGEST = 64
"""Characters of a token; what is longer is cut."""

_CJK = "가-힣ㄱ-ㆎ一-鿿ぁ-ヿ"
_HANGUL = re.compile("[가-힣]")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
_LABEL = r"\s?\((?:[a-z]|[ivx]{2,4}|\d{1,2})\)"
_LABELS = re.compile(r"\(([a-z0-9]+)\)")


@cache
def lists() -> dict[str, Any]:
    """words.yaml."""
    return yaml.safe_load((files("sdx_rag") / "words.yaml").read_text(encoding="utf-8"))


def language_of(text: str) -> Language:
    """Korean where Hangul syllables are at least a tenth of the letters: a Korean name in an English manual does not make it Korean."""
    hangul = len(_HANGUL.findall(text))
    return "ko" if hangul and hangul * 10 >= sum(map(str.isalpha, text)) else "en"


def normalised(text: str) -> str:
    """As texts are compared: NFKC (half width, composed Hangul, "㎜" as "mm"), lower case, plain quotes and hyphens, nothing invisible."""
    text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).lower()
    return text.translate(_PLAIN)


_PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u2010": "-", "\u2011": "-", "\u2212": "-", "\u00ba": "\u00b0"})


def tokens(text: str) -> list[str]:
    """Words as they are indexed, in the order of the text.

    English stems ("vessels" as "vessel"), parts of "give-way" and the whole "giveway", numbers and with their unit
    ("8 mm": "8", "8mm"), addresses with their parents ("Rule 15 (a)", "R15(a)", "제15조 (a)": "r15(a)", "r15"), of
    Hangul the word, the word without its particle, and its pairs of syllables.
    """
    return [token[:LONGEST] for match in _pattern().finditer(normalised(text)) for token in _READERS[match.lastgroup or ""](match)]


def query_tokens(text: str) -> list[str]:
    """Each token once, without stop words unless nothing else is there."""
    return list(query_weights(text))


def query_weights(text: str) -> dict[str, float]:
    """Tokens of a query with what they count: a Hangul word of n tokens counts as sqrt(n) words, else a long one would outvote all others."""
    stop, every, kept = _stop_words(), dict[str, float](), dict[str, float]()
    for match in _pattern().finditer(normalised(text)):
        found = dict.fromkeys(token[:LONGEST] for token in _READERS[match.lastgroup or ""](match))
        weight = len(found) ** -0.5 if match["hangul"] else 1.0
        stopped = bool(match["hangul"]) and without_particle(match["hangul"]) in stop
        for token in found:
            every[token] = max(weight, every.get(token, 0.0))
            if not stopped and token not in stop:
                kept[token] = max(weight, kept.get(token, 0.0))
    return kept or every


def address_tokens(address: str) -> list[str]:
    """Of a passage's address: "4.2.1" is "§4.2.1", "§4.2", "§4" here, where in a text it may be a number."""
    if re.fullmatch(rf"\d+(?:\.\d+){{0,5}}(?:{_LABEL}){{0,5}}", normalised(address).strip()):
        address = f"§{address}"
    return [token for token in tokens(address) if not token.isdecimal()]


def without_addresses(text: str) -> str:
    """Normalised, with spaces in place of "Rule 15 (a)", "제15조" and "section 4.2"."""
    said = normalised(text)
    for match in _pattern().finditer(said):
        if match.lastgroup in ("rule", "korean", "section"):
            said = said[: match.start()] + " " * len(match[0]) + said[match.end() :]
    return said


@cache
def _stop_words() -> frozenset[str]:
    listed = lists()["stop"]
    return frozenset(token for words in listed.values() for word in words for token in (word, *tokens(word)))


@cache
def _pattern() -> re.Pattern[str]:
    """One pattern for all tokens: the first alternative that fits at a place is taken."""
    number = r"(?:\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+){0,5})"
    word = rf"[^\W\d_{_CJK}][^\W_{_CJK}]*(?:'[a-z]+)?"
    listed = r"(?:\s?(?:,|and|or|to|-|~|및|과|와|또는|에서)\s?"
    one = rf"\d{{1,3}}(?:-\d{{1,2}})?(?![\d.]\d)(?:{_LABEL}){{0,5}}"
    return re.compile(
        rf"(?P<rule>\b(?:rules?|regulations?|reg\.?|articles?|art\.?|규칙)\s?제?\s?(?P<rules>{one}{listed}{one})*)조?)"
        rf"|(?P<korean>(?<![\d.])제?\s?(?P<jo>\d{{1,3}})\s?조(?!\s?원)(?:의\s?(?P<ui>\d+))?"
        rf"(?:\s?제?\s?(?P<hang>\d+)\s?항)?(?:\s?제?\s?(?P<ho>\d+)\s?호)?(?:\s?(?P<mok>[가-하])목)?(?P<rest>(?:{_LABEL}){{0,5}}))"
        rf"|(?P<section>(?:\b(?:sections?|sec\.?|clause|para(?:graph)?s?\.?)\s?|§\s?)(?P<numbered>\d+(?:\.\d+){{0,5}}(?:{_LABEL}){{0,5}})"
        rf"|(?<![\d.])(?P<bare>\d{{1,3}}(?:\.\d{{1,3}}){{2,5}}(?:{_LABEL}){{0,5}})(?![.]?\d)|(?<![\d.])(?P<jeol>\d+(?:\.\d+){{0,5}})\s?절)"
        rf"|(?P<row>\brow\s?(?P<line>\d+)|(?<![\d.])(?P<haeng>\d+)행)"
        rf"|(?P<code>(?<![^\W{_CJK}])[a-z]{{1,6}}-?\d{{1,4}}(?:\.\d{{1,2}})?[a-z]?(?:{_LABEL}){{0,5}}(?![^\W{_CJK}]|\.\d))"
        rf"|(?P<number>(?P<figure>{number})(?=(?:\s?[-~–]\s?{number}|\s(?:to|or|and)\s{number})?{_unit()})?)"
        rf"|(?P<word>{word}(?:-{word})*)"
        rf"|(?P<hangul>[{_CJK}]+)"
    )


def _unit() -> str:
    """A Hangul unit may be followed by a particle but not stand off ("15 도착" has no degrees); another one ends where the word ends."""
    ways = sorted((normalised(way) for ways in lists()["units"].values() for way in ways), key=len, reverse=True)
    hangul = "|".join(re.escape(way) for way in ways if _HANGUL.match(way))
    latin = "|".join(re.escape(way) for way in ways if not _HANGUL.match(way))
    return rf"(?:(?P<hangul_unit>{hangul})|\s(?P<apart>{hangul})(?![가-힣])|[\s-]?(?P<unit>{latin})(?![a-z0-9]))"


@cache
def _unit_names() -> dict[str, str]:
    return {normalised(way): name for name, ways in lists()["units"].items() for way in ways}


def _rules(match: re.Match[str]) -> Iterator[str]:
    """ "rules 13, 14(a) and 15" names three."""
    for number, labels in re.findall(rf"(\d{{1,3}}(?:-\d{{1,2}})?)((?:{_LABEL}){{0,5}})", match["rules"]):
        yield from _with_parents(f"r{number}", _LABELS.findall(labels))


def _korean_article(match: re.Match[str]) -> Iterator[str]:
    article = f"r{match['jo']}" + (f"-{match['ui']}" if match["ui"] else "")
    yield from _with_parents(article, [*(part for part in match.group("hang", "ho", "mok") if part), *_LABELS.findall(match["rest"])])


def _section(match: re.Match[str]) -> Iterator[str]:
    written = match["numbered"] or match["bare"] or match["jeol"]
    head, *parts = re.match(r"[\d.]+", written)[0].split(".")  # type: ignore[index]  # every alternative begins with a digit
    labels = _LABELS.findall(written)
    for end in range(len(labels), 0, -1):
        yield f"§{'.'.join([head, *parts])}" + "".join(f"({label})" for label in labels[:end])
    for end in range(len(parts), -1, -1):
        yield f"§{'.'.join([head, *parts[:end]])}"


def _row(match: re.Match[str]) -> Iterator[str]:
    yield f"row{match['line'] or match['haeng']}"


def _code(match: re.Match[str]) -> Iterator[str]:
    """ "GC-1" and "gc1" alike; "r15(a)" with its parent "r15"."""
    head = match["code"].split("(")[0].strip().replace("-", "")
    yield from _with_parents(head, _LABELS.findall(match["code"]))


def _with_parents(head: str, labels: list[str]) -> Iterator[str]:
    for end in range(len(labels), 0, -1):
        yield head + "".join(f"({label})" for label in labels[:end])
    yield head


def _number(match: re.Match[str]) -> Iterator[str]:
    figure = match["figure"]
    figure = figure.replace(",", "")
    yield figure
    unit = match["hangul_unit"] or match["apart"] or match["unit"]
    if unit:
        yield figure + _unit_names()[unit]


def _word(match: re.Match[str]) -> Iterator[str]:
    parts = [part.removesuffix("'s").replace("'", "") for part in match["word"].split("-")]
    yield from map(stem, parts)
    if len(parts) > 1:
        yield stem("".join(parts))


def _hangul(match: re.Match[str]) -> Iterator[str]:
    run = match["hangul"]
    yield run
    bare = without_particle(run)
    if len(run) == 2 and run[1] in _particles():  # "물을", "배가"
        yield run[0]
    if bare != run and len(bare) > 2:
        yield bare
    if len(run) > 2:
        yield from (run[at : at + 2] for at in range(len(run) - 1))


_READERS: dict[str, Callable[[re.Match[str]], Iterator[str]]] = {
    "rule": _rules,
    "korean": _korean_article,
    "section": _section,
    "row": _row,
    "code": _code,
    "number": _number,
    "word": _word,
    "hangul": _hangul,
}


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Of an English word in lower case, by Porter's second algorithm (Snowball, "english"); accents dropped. Others are left as they are."""
    found = _stemmer()(word)
    return found[0] if found else word


@cache
def _stemmer() -> Callable[[str], list[str]]:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return TextAnalyzerBuilder(Tokenizer.raw()).filter(Filter.ascii_fold()).filter(Filter.stemmer("english")).build().analyze


@cache
def _particles() -> frozenset[str]:
    return frozenset(lists()["particles"])


@lru_cache(maxsize=65536)
def without_particle(word: str) -> str:
    """ "피항선은" as "피항선". The longest particle that leaves two syllables goes; a noun that ends like one loses its end in every text alike."""
    ends = (word[-length:] for length in (4, 3, 2, 1) if len(word) - length >= 2)
    return word.removesuffix(next((end for end in ends if end in _particles()), ""))


_STOP = re.compile(r"""[.!?…。]+['"”’)\]]*(?=\s|$)|(?<=[다요까죠])\.(?=[가-힣])|\n\s*""")
_LABEL_ALONE = re.compile(
    r"(?:(?:rule|section|regulation|article|part|annex|table|chapter)\s)?[(]?(?:\d{1,3}(?:\.\d+){0,5}|[a-z]|[ivx]{1,4}|[가-하])[)]?(?:\([a-z0-9]+\))*\.",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """Whole sentences in their order; joined by spaces they are the text again. A new line ends one too (rows of a table, list items).

    No end: decimals, abbreviations ("e.g."), a label at the start ("(a)", "Rule 15."), a stop before a small letter.
    """
    found, begin = [], 0
    for stop in _STOP.finditer(text):
        if _ends(text, begin, stop):
            found.append(text[begin : stop.end()].strip())
            begin = stop.end()
    return [sentence for sentence in (*found, text[begin:].strip()) if sentence]


def _ends(text: str, begin: int, stop: re.Match[str]) -> bool:
    mark = stop[0]
    if not mark.startswith(".") or mark.startswith(".."):
        return True
    after = text[stop.end() :].lstrip()[:2]
    before = text[begin : stop.start()].lstrip()
    word = re.search(r"[^\s(\[]*$", before)[0].lower()  # type: ignore[index]  # fits the empty end at least
    return not (word in _abbreviations() or _LABEL_ALONE.fullmatch(before + ".") or (after[:1].islower() and not after[1:].isupper()))


@cache
def _abbreviations() -> frozenset[str]:
    return frozenset(lists()["abbreviations"])
