"""Which sentences of the passages answer the question: extract(). Whole and word for word, in the order of reading."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from sdx_rag.bounds import excluded
from sdx_rag.evidence import Evidence, Sentence
from sdx_rag.passages import Found, Language
from sdx_rag.support import figures
from sdx_rag.thresholds import Extraction
from sdx_rag.words import address_tokens

_ASKS_FIGURE: Mapping[Language, re.Pattern[str]] = {
    "en": re.compile(r"\bhow (many|much|long|far|fast|high|deep|wide|often|hot|cold|big|large|old|soon|strong|quickly|thick|short)\b|\bwhat (is the )?"
                     r"(distance|range|speed|size|angle|length|limit|temperature|value|number|interval|dose|threshold|frequency)\b|\b(at|from|below|above|within|to) "
                     r"(which|what)\b", re.IGNORECASE),
    "ko": re.compile(r"몇|얼마|범위|거리|속력|크기|각도|길이|온도|농도|간격|지름|횟수"),
}  # fmt: skip

_LEANS = re.compile(
    r"(it|its|they|their|them|this|these|that|those|such|both|he|she|the same|(if|when|where|after|before) (it|they|this|that|so)\b|otherwise|then|instead)\b"
    r"|(이는|이것|이들|이때|이 경우|그때|그다음|그 밖|그것|그런|이런|이러한|그러나|다만|또한|둘 다|이어서)",
    re.IGNORECASE,
)
"""How a sentence begins that says nothing alone."""


def extract(question: str, evidence: Evidence, found: Sequence[Found], weights: Extraction) -> list[Sentence]:
    """The sentences that score best, at most `weights.most`, each with those that it leans on; none where there are no passages."""
    wanted = set(preferred(found, evidence.language))
    asks_figure = bool(_ASKS_FIGURE[evidence.language].search(question))
    scored = [
        (_score(sentence, evidence, found, weights, asks_figure), sentence)
        for sentence in evidence.sentences
        if sentence.passage in wanted and not excluded(question, sentence.text) and not excluded(question, found[sentence.passage].text)
    ]
    best = max((score for score, _ in scored), default=0.0)
    kept = sorted(((score, s) for score, s in scored if score >= weights.keep * best), key=lambda one: -one[0])[: weights.most]
    whole = [one for _, sentence in kept for one in _with_its_subject(sentence, evidence.sentences)]
    return [sentence for sentence in evidence.sentences if any(sentence is one for one in whole)]


def _with_its_subject(sentence: Sentence, every: Sequence[Sentence]) -> list[Sentence]:
    """After the sentences before it in its passage, as far back as each leans on the one before: "It needs no follow-up" of what?"""
    before = next(
        (one for one, after in pairwise(every) if after is sentence and one.passage == sentence.passage and _LEANS.match(sentence.text)),
        None,
    )
    return [*(_with_its_subject(before, every) if before else []), sentence]


def provision(evidence: Evidence, found: Sequence[Found]) -> list[Sentence] | None:
    """All that the provision says which is asked for by its address alone ("What does Rule 15 say?"), or of its parts the first that were
    found; empty where it is not among the passages. None: the question asks for something else, too.
    """
    if len(evidence.terms) != 1 or not re.match(r"r\d|§", address := evidence.terms[0].text):
        return None
    addresses = {index: address_tokens(found[index].address) for index in preferred(found, evidence.language)}
    named = [index for index, tokens in addresses.items() if tokens[:1] == [address]]
    parts = [index for index, tokens in addresses.items() if address in tokens]
    return [sentence for sentence in evidence.sentences if sentence.passage in (named or parts)]


def preferred(found: Sequence[Found], language: Language) -> list[int]:
    """Indexes without the passages that say the same in the other language: same document, same address."""
    own = {(one.document, one.address) for one in found if one.language == language and one.address}
    return [index for index, one in enumerate(found) if one.language == language or (one.document, one.address) not in own]


def _score(sentence: Sentence, evidence: Evidence, found: Sequence[Found], weights: Extraction, asks_figure: bool) -> float:
    rank = sentence.passage
    return (
        weights.held * sentence.held
        + weights.cosine * sentence.cosine * (evidence.reading == "read" or found[rank].language != evidence.language)
        + weights.passage * evidence.held[rank]
        + weights.rank / (1 + rank)
        + weights.figure * (asks_figure and bool(figures(sentence.text)))
        + weights.language * (found[rank].language == evidence.language)
    )
