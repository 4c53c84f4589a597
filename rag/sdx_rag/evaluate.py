"""How well a library finds and answers: evaluate() asks it a set of questions whose answers are known. No model judges.

Three sides (both together, vectors alone, words alone) are searched in one run, so that their table compares like with like.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Literal

from pydantic import Field, computed_field

from sdx_rag.abstain import FEATURES, features, fit
from sdx_rag.answer import Answered, ask
from sdx_rag.evidence import Reading, by_weight, weigh
from sdx_rag.gold import Question
from sdx_rag.library import Library
from sdx_rag.passages import Found, Language
from sdx_rag.planted import shipped
from sdx_rag.thresholds import Thresholds
from sdx_serving.closed import Closed

Side = Literal["hybrid", "dense", "lexical"]
SIDES: tuple[Side, ...] = ("hybrid", "dense", "lexical")
DEPTH = 10
"""Passages searched: the rank that counts for MRR ends here."""
REFUSED = 0.95
"""Share of questions without an answer that the fitted threshold refuses."""
Say = Callable[[str], None]


class Share(Closed):
    """So many of so many, with the 95 % interval after Wilson (1927)."""

    hits: int = Field(ge=0)
    of: int = Field(ge=0)

    @computed_field
    def share(self) -> float | None:
        return round(self.hits / self.of, 4) if self.of else None

    @computed_field
    def interval(self) -> tuple[float, float] | None:
        return tuple(round(end, 4) for end in wilson(self.hits, self.of)) if self.of else None  # type: ignore[return-value]


class Retrieval(Closed):
    """How one side finds the passages of one group of questions."""

    side: Side
    domain: str
    language: str
    """Of the questions: "en", "ko", "all", or "ko->en": Korean questions with the passages in English only."""
    recall_1: Share
    recall_5: Share
    mrr: float
    """Mean of 1/rank of the first right passage among the first 10, 0 where there is none."""
    median_ms: float


class Answers(Closed):
    """How one group of questions was answered."""

    domain: str
    language: str
    answered: Share
    """Of the questions that have an answer."""
    supported: Share
    """Of those answered: a sentence of the answer holds the known answer, and so does the passage that it cites."""
    right: Share
    """Of all that have an answer: answered and supported."""
    refused: Share
    """Of those that have none."""


class Missed(Closed):
    """One question that went wrong, for whoever mends it."""

    id: str
    question: str
    what: Literal["not found", "refused", "not in the answer", "answered"]
    got: str


class Evaluation(Closed):
    """Everything measured in one run."""

    embedders: Mapping[str, str | None]
    """By domain; None where the library finds by words alone."""
    questions: int
    retrieval: tuple[Retrieval, ...]
    answers: tuple[Answers, ...]
    missed: tuple[Missed, ...]


@dataclass(frozen=True, slots=True)
class _Search:
    question: Question
    side: Side
    row: str
    rank: int
    """From 1; 0 where the passage is not among the first DEPTH."""
    ms: float


def evaluate(libraries: Mapping[str, Library], questions: Sequence[Question], say: Say = lambda line: None) -> Evaluation:
    """Search and ask everything. ValueError where a question's domain has no library, or there are no questions."""
    if missing := sorted({question.domain for question in questions} - set(libraries)):
        raise ValueError(f"questions of {', '.join(missing)}, but only these libraries are open: {', '.join(sorted(libraries)) or 'none'}")
    if not questions:
        raise ValueError("no questions: name a file with one JSON object a line")
    searches: list[_Search] = []
    asked: list[tuple[Question, Answered]] = []
    for number, question in enumerate(questions, start=1):
        library = libraries[question.domain]
        searches += _searches(library, question) if question.answerable else []
        asked.append((question, ask(library, question.question)))
        if number % 50 == 0:
            say(f"{number} of {len(questions)} questions")
    return Evaluation(
        embedders={name: _embedder(library) for name, library in libraries.items()},
        questions=len(questions),
        retrieval=tuple(_retrievals(searches)),
        answers=tuple(_answer_rows(asked)),
        missed=(*_not_found(searches), *(miss for pair in asked if (miss := _miss(*pair)))),
    )


def fitted(libraries: Mapping[str, Library], questions: Sequence[Question], start: Thresholds, say: Say = lambda line: None) -> Thresholds:
    """The decisions learnt anew from these questions, for every way that an embedding model can see a question; the rest as in `start`.

    Raises:
        ValueError: a way is seen by questions of one kind only; more questions are needed.
    """
    rows: dict[Reading, list[tuple[dict[str, float], bool]]] = {}
    for number, question in enumerate(questions, start=1):
        library = libraries[question.domain]
        for vectors in (True, False):
            found = library.search(question.question, start.passages, side="hybrid" if vectors else "lexical")
            evidence, found = by_weight(weigh(library, question.question, found, vectors), found, start.order)
            if vectors and evidence.reading == "words":
                continue
            rows.setdefault(evidence.reading, []).append((features(evidence, found), question.answerable))
        if number % 50 == 0:
            say(f"{number} of {len(questions)} questions")
    decisions = {reading: fit(some, FEATURES[reading], REFUSED) for reading, some in rows.items()}
    return start.model_copy(update={"decisions": {**start.decisions, **decisions}})


def supported(question: Question, answered: Answered) -> bool:
    """A sentence of the answer holds a known answer, and a passage that this sentence cites holds the same."""
    return any(
        holds(sentence.text, answer) and holds(answered.found[number - 1].text, answer)
        for answer in question.answers
        for sentence in answered.sentences
        for number in sentence.citations
    )


def holds(text: str, answer: str) -> bool:
    """Case and runs of white space do not count."""
    return " ".join(answer.casefold().split()) in " ".join(text.casefold().split())


def right(question: Question, found: Found) -> bool:
    return shipped(found) and found.address in question.addresses


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); `of` at least 1."""
    square = 1.959964**2 / of
    share = hits / of
    middle = (share + square / 2) / (1 + square)
    half = 1.959964 / (1 + square) * sqrt(share * (1 - share) / of + square / (4 * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def markdown(evaluation: Evaluation) -> str:
    """Two tables: finding, and answering."""
    lines = ["| side | domain | questions | recall@1 | recall@5 | MRR@10 | ms |", "|---|---|---|---|---|---|---|"]
    for row in evaluation.retrieval:
        cells = (row.side, row.domain, f"{row.language} ({row.recall_1.of})", _cell(row.recall_1), _cell(row.recall_5))
        lines.append(f"| {' | '.join(cells)} | {row.mrr:.3f} | {row.median_ms:.1f} |")
    lines += ["", "| domain | questions | answered | citation supports answer | answered and supported | refused without an answer |"]
    lines.append("|---|---|---|---|---|---|")
    for row in evaluation.answers:
        cells = (row.domain, row.language, _cell(row.answered), _cell(row.supported), _cell(row.right), _cell(row.refused))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(share: Share) -> str:
    if not share.of:
        return "-"
    low, high = wilson(share.hits, share.of)
    return f"{share.hits / share.of:.3f} [{low:.3f}, {high:.3f}] of {share.of}"


def _embedder(library: Library) -> str | None:
    return library.embedder.id if library.embedder else None


def _searches(library: Library, question: Question) -> list[_Search]:
    sides = SIDES if library.embedder else ("lexical",)
    made = [_searched(library, question, side, question.language, None) for side in sides]
    if question.language == "ko":
        made += [_searched(library, question, side, "ko->en", "en") for side in sides]
    return made


def _searched(library: Library, question: Question, side: Side, row: str, language: Language | None) -> _Search:
    began = time.perf_counter()
    found = library.search(question.question, DEPTH, language=language, side=side)
    ms = (time.perf_counter() - began) * 1e3
    rank = next((rank for rank, one in enumerate(found, start=1) if right(question, one)), 0)
    return _Search(question, side, row, rank, ms)


def _retrievals(searches: Sequence[_Search]) -> Iterable[Retrieval]:
    domains = sorted({one.question.domain for one in searches})
    for side in SIDES:
        of_side = [one for one in searches if one.side == side]
        own = [one for one in of_side if one.row != "ko->en"]
        groups = [("all", "all", own), *(("all", row, [one for one in of_side if one.row == row]) for row in ("en", "ko", "ko->en"))]
        groups += [
            (domain, row, [o for o in own if o.question.domain == domain and o.row == row]) for domain in domains for row in ("en", "ko")
        ]
        yield from (_retrieval(side, domain, row, group) for domain, row, group in groups if group)


def _retrieval(side: Side, domain: str, language: str, group: Sequence[_Search]) -> Retrieval:
    return Retrieval(
        side=side,
        domain=domain,
        language=language,
        recall_1=Share(hits=sum(one.rank == 1 for one in group), of=len(group)),
        recall_5=Share(hits=sum(1 <= one.rank <= 5 for one in group), of=len(group)),
        mrr=round(sum(1 / one.rank for one in group if one.rank) / len(group), 4),
        median_ms=round(median(one.ms for one in group), 2),
    )


def _answer_rows(asked: Sequence[tuple[Question, Answered]]) -> Iterable[Answers]:
    domains = sorted({question.domain for question, _ in asked})
    for domain, language in [("all", "all"), ("all", "en"), ("all", "ko"), *((d, lang) for d in domains for lang in ("en", "ko"))]:
        group = [pair for pair in asked if domain in ("all", pair[0].domain) and language in ("all", pair[0].language)]
        if not group:
            continue
        known = [pair for pair in group if pair[0].answerable]
        answered = [pair for pair in known if pair[1].in_documents]
        good = sum(supported(*pair) for pair in answered)
        unknown = [pair for pair in group if not pair[0].answerable]
        yield Answers(
            domain=domain,
            language=language,
            answered=Share(hits=len(answered), of=len(known)),
            supported=Share(hits=good, of=len(answered)),
            right=Share(hits=good, of=len(known)),
            refused=Share(hits=sum(not pair[1].in_documents for pair in unknown), of=len(unknown)),
        )


def _not_found(searches: Sequence[_Search]) -> Iterable[Missed]:
    whole = {one.question.domain for one in searches if one.side == "hybrid"}
    for one in searches:
        if one.side == ("hybrid" if one.question.domain in whole else "lexical") and one.row != "ko->en" and not 1 <= one.rank <= 5:
            yield Missed(id=one.question.id, question=one.question.question, what="not found", got=f"rank {one.rank}")


def _miss(question: Question, answered: Answered) -> Missed | None:
    got = " ".join(sentence.text for sentence in answered.sentences)
    if question.answerable and not answered.in_documents:
        return Missed(id=question.id, question=question.question, what="refused", got=f"p {answered.confidence:.2f}")
    if question.answerable and not supported(question, answered):
        return Missed(id=question.id, question=question.question, what="not in the answer", got=got)
    if not question.answerable and answered.in_documents:
        return Missed(id=question.id, question=question.question, what="answered", got=got)
    return None
