"""What the passages that were found hold of a question: weigh() gives its terms, and per passage and sentence how much of them is there.

A term is a word of the question, or several that the glossary knows as one; it is held by a text in any of its ways
(English, Korean, synonyms). Its weight is its rarity in the library, so that a word that no document has weighs most.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import log
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import yaml

from sdx_rag import words
from sdx_rag.borders import Embedder
from sdx_rag.glossary import Glossary
from sdx_rag.passages import Found, Language

_HANGUL = re.compile("[가-힣]")
_PART = 0.5
"""A way of several tokens counts from this share of them on: "vessel" alone is not "vessel not under command"."""


_FIRST = 3
"""Passages among which a word of asking.yaml's "outside" is looked for."""
_COUNTED = re.compile(r"몇\s?[a-z가-힣]+")
""" "몇 미터": what is counted in says nothing of the matter."""
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}")


class Searched(Protocol):
    """What is needed of a library."""

    @property
    def glossary(self) -> Glossary: ...

    @property
    def embedder(self) -> Embedder | None: ...

    def frequencies(self, tokens: Collection[str]) -> tuple[int, dict[str, int]]:
        """Chunks in the library, and in how many of them each token stands."""
        ...


@dataclass(frozen=True, slots=True)
class Term:
    """A word or expression of the question."""

    text: str
    ways: tuple[tuple[str, ...], ...]
    """Tokens of each way to say it."""
    weight: float
    """0 where every passage has it, 1 where none has it in any way."""
    known: bool
    """Some passage of the library has it in some way."""

    def held(self, tokens: Collection[str]) -> float:
        """0 to 1."""
        best = max((sum(token in tokens for token in way) / len(way) for way in self.ways), default=0.0)
        return best if best >= _PART else 0.0


@dataclass(frozen=True, slots=True)
class Sentence:
    """A whole sentence of a passage, word for word."""

    text: str
    passage: int
    """Index into the passages."""
    held: float
    """Share of the question's terms, by weight, in it or in the headings over it."""
    cosine: float
    """With the question; 0 without vectors."""


Reading = Literal["read", "translated", "words"]
"""How the embedding model saw the question: itself, by the glossary's words for it, or not at all."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A question before its passages."""

    language: Language
    terms: tuple[Term, ...]
    held: tuple[float, ...]
    """By passage: share of the terms, by weight, in its headings and text."""
    sentences: tuple[Sentence, ...]
    outside: bool
    """It asks for a price, a brand, a name or the like, and the first passages do not have that word."""
    reading: Reading


def weigh(library: Searched, question: str, found: Sequence[Found], vectors: bool = True) -> Evidence:
    """With `vectors` False as if there were no embedding model."""
    terms = question_terms(library, question)
    texts = [tokens_of(passage) for passage in found]
    heads = [frozenset(words.tokens("\n".join(passage.headings))) for passage in found]
    parts = [(index, text) for index, passage in enumerate(found) for text in words.sentences(passage.text)]
    reading, asked = _asked(library, question) if vectors else ("words", "")
    cosines = _cosines(library.embedder, asked, [text for _, text in parts])
    return Evidence(
        language=words.language_of(question),
        terms=terms,
        held=tuple(share(terms, text) for text in texts),
        sentences=tuple(
            Sentence(text, index, share(terms, heads[index] | frozenset(words.tokens(text))), cosine)
            for (index, text), cosine in zip(parts, cosines, strict=True)
        ),
        outside=_outside(question, texts[:_FIRST]),
        reading=reading,
    )


def by_weight(evidence: Evidence, found: Sequence[Found], weight: float) -> tuple[Evidence, list[Found]]:
    """Both in the order of the search's score and, with `weight`, of how much of the question each passage holds."""
    order = sorted(range(len(found)), key=lambda index: (-found[index].score - weight * evidence.held[index], index))
    place = {index: at for at, index in enumerate(order)}
    sentences = sorted((replace(one, passage=place[one.passage]) for one in evidence.sentences), key=lambda one: one.passage)
    return replace(evidence, held=tuple(evidence.held[index] for index in order), sentences=tuple(sentences)), [
        found[index] for index in order
    ]


def tokens_of(passage: Found) -> frozenset[str]:
    """Of text, title, headings and address."""
    said = "\n".join((passage.title, *passage.headings, passage.text))
    return frozenset((*words.tokens(said), *words.address_tokens(passage.address)))


def share(terms: Sequence[Term], tokens: Collection[str]) -> float:
    """How much of the terms' weight the tokens hold, 0 to 1; 0 without terms."""
    whole = sum(term.weight for term in terms)
    return sum(term.weight * term.held(tokens) for term in terms) / whole if whole else 0.0


def question_terms(library: Searched, question: str) -> tuple[Term, ...]:
    """Each once, without words that only ask ("how many", "얼마입니까")."""
    ways = {text: ways for text, ways in _ways(library.glossary, question) if ways}
    count, frequencies = library.frequencies({token for of_term in ways.values() for way in of_term for token in way})
    most = log(1 + count / 0.5) or 1.0

    def rarity(way: tuple[str, ...]) -> float:
        return max(log(1 + count / (frequencies.get(token, 0) + 0.5)) for token in way) / most

    return tuple(
        Term(
            text=text,
            ways=of_term,
            weight=min(map(rarity, of_term)),
            known=any(all(frequencies.get(token) for token in way) for way in of_term),
        )
        for text, of_term in ways.items()
    )


def _ways(glossary: Glossary, question: str) -> Iterator[tuple[str, tuple[tuple[str, ...], ...]]]:
    """Terms of the glossary first, then the words between them."""
    text = words.normalised(question)
    rest = list(text)
    for match in glossary.matches(question):
        rest[match.begin : match.end] = " " * (match.end - match.begin)
        said = text[match.begin : match.end]
        others = [term for entry in match.entries for term in (*entry.en, *entry.ko)]
        yield said, tuple(dict.fromkeys(way for term in (said, *others) if (way := _tokens(term))))
    between = _COUNTED.sub(" ", "".join(rest))
    addresses = tuple(token for token in words.query_tokens(between) if re.match(r"r\d|§", token))
    for address in addresses[:1]:
        yield address, ((address,),)
    between = words.without_addresses(between)
    for match in re.finditer(r"[^\s,.;:!?()\"“”'‘’]+(?:[.'’][^\s,.;:!?()\"“”]+)*", between):
        bare = _bare(match[0])
        if bare and (way := _tokens(bare)):
            yield bare, (way,)


def _bare(word: str) -> str:
    """A word without Korean endings; "" for one that only asks or joins. A syllable alone is a noun where it had a particle ("표는")."""
    asking = _asking()
    if _HANGUL.search(word):
        ended = asking.endings.sub("", word)
        word = words.without_particle(ended)
        if len(word) == 1 and (word == ended or ended in words.lists()["particles"]):
            return ""
    return "" if word in asking.words or words.stem(word) in asking.words or word in words.lists()["particles"] else word


def _tokens(term: str) -> tuple[str, ...]:
    """Of Hangul the pairs of syllables alone: whole words change their endings."""
    kept = [token for token in dict.fromkeys(words.query_tokens(term)) if not (_HANGUL.match(token) and len(token) > 2)]
    return tuple(kept)


def _outside(question: str, texts: Sequence[frozenset[str]]) -> bool:
    """English words of the list and names within a sentence, Korean words by pattern."""
    asking = _asking()
    said = [token for token in words.tokens(question) if token in asking.outside]
    said += [token for name in _NAME.findall(question) for token in words.tokens(name)]
    said += [token for match in asking.korean.finditer(question) for token in words.tokens(match[0])]
    return any(all(token not in text for text in texts) for token in said)


@dataclass(frozen=True, slots=True)
class _Asking:
    endings: re.Pattern[str]
    words: frozenset[str]
    outside: frozenset[str]
    korean: re.Pattern[str]


@cache
def _asking() -> _Asking:
    listed = yaml.safe_load((Path(__file__).parent / "asking.yaml").read_text(encoding="utf-8"))
    endings = "|".join(sorted(listed["endings"], key=len, reverse=True))
    every = {*listed["en"], *map(words.stem, listed["en"]), *listed["ko"], *words.lists()["stop"]["en"], *words.lists()["stop"]["ko"]}
    outside = listed["outside"]
    return _Asking(
        re.compile(f"(?:{endings})$"), frozenset(every), frozenset(map(words.stem, outside["en"])), re.compile("|".join(outside["ko"]))
    )


def _asked(library: Searched, question: str) -> tuple[Reading, str]:
    """What the embedding model is asked."""
    embedder = library.embedder
    if embedder is None:
        return "words", ""
    if words.language_of(question) in embedder.languages:
        return "read", question
    asked = library.glossary.translated(question)
    return ("translated", asked) if asked and words.language_of(asked) in embedder.languages else ("words", "")


def _cosines(embedder: Embedder | None, asked: str, texts: Sequence[str]) -> list[float]:
    """Of each text with the question; 0 of those that the model cannot read, and of all where nothing is asked."""
    cosines = np.zeros(len(texts))
    readable = [index for index, text in enumerate(texts) if embedder and asked and words.language_of(text) in embedder.languages]
    if embedder and readable:
        cosines[readable] = embedder.passages([texts[index] for index in readable]) @ embedder.query(asked)
    return cosines.tolist()
