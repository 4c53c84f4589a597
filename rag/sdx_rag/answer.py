"""Ask a library: whole sentences of its passages with their citations, or "not in the documents". Start reading at ask().

Without a model the answer is quoted. With one it is generated and then held to the passages, sentence by sentence; what
does not hold is left out, and where nothing is left the answer is quoted as if there were no model.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from sdx_rag.abstain import Judgement, judge
from sdx_rag.bounds import excluded
from sdx_rag.conflict import differs
from sdx_rag.evidence import Evidence, by_weight, weigh
from sdx_rag.extract import extract, provision
from sdx_rag.generate import Generated, generated
from sdx_rag.library import Library
from sdx_rag.passages import Found, Language
from sdx_rag.planted import plain, planted, shipped
from sdx_rag.support import SHORTEST
from sdx_rag.thresholds import Thresholds, read
from sdx_serving.client import ChatClient
from sdx_serving.closed import Closed

DEADLINE_S = 20.0
NEAREST = 3
"""Passages that are named when the answer is not in the documents."""


class Statement(Closed):
    """One sentence of an answer."""

    text: str
    citations: tuple[int, ...]
    """Numbers of the passages that say it, from 1: `found[n - 1]`."""
    supported: bool = True
    """False only where unsupported sentences were asked for: the passages do not bear it out, `doubt` says why."""
    doubt: str = ""
    of: Literal["rules", "user"] = "rules"
    """Whose statement: a shipped rule, or somebody's document."""
    conflict: str = ""
    """Of a user's document: in what it differs from the rules that were found ("figures", "side", "negation"); the rules stand."""


class Answered(Closed):
    """What the documents say to a question."""

    question: str
    language: Language
    in_documents: bool
    made_by: Literal["passages", "model", "nobody"]
    sentences: tuple[Statement, ...] = ()
    """Rules first. Empty where the answer is not in the documents."""
    found: tuple[Found, ...]
    """The passages, best first; of an answer, those that it cites and what else was read."""
    confidence: float = Field(ge=0.0, le=1.0)
    """Probability that the answer is in the passages."""
    missing: tuple[str, ...] = ()
    """Words of the question that no document has."""
    notes: tuple[str, ...] = ()
    """What was left out, and why: a sentence each."""

    @property
    def text(self) -> str:
        """For people: each sentence with its citations, whose it is where it is not a rule, and where it differs from the rules."""
        return "\n".join(_told(one, self.found) for one in self.sentences) if self.in_documents else _NOT_THERE[self.language]


_NOT_THERE: dict[Language, str] = {"en": "This is not in the documents.", "ko": "문서에 없는 내용입니다."}


def ask(
    library: Library,
    question: str,
    chat: ChatClient | None = None,
    *,
    deadline_s: float = DEADLINE_S,
    mark: bool = False,
    thresholds: Thresholds | None = None,
) -> Answered:
    """The answer to a question, from this library's passages alone.

    Args:
        chat: writes the answer; None: it is quoted. A model that fails or is slower than `deadline_s` leaves a quoted answer.
        mark: keep a model's unsupported sentences, marked so, instead of removing them.
        thresholds: None: the shipped ones.
    """
    numbers = thresholds or read()
    trusted, notes = _trusted(library.search(question, numbers.passages))
    trusted.sort(key=lambda one: excluded(question, one.text))  # what speaks of other sizes comes last
    evidence, trusted = by_weight(weigh(library, question, trusted), trusted, numbers.order)
    judgement, told = judge(evidence, trusted, numbers.decisions), provision(evidence, trusted)
    if told is not None:
        judgement = replace(judgement, answerable=bool(told), probability=float(bool(told)))
    if not judgement.answerable:
        return _refused(question, evidence, judgement, trusted, notes)
    quoted = [
        Statement(text=one.text, citations=(one.passage + 1,), of=_of(trusted[one.passage]))
        for one in told or extract(question, evidence, trusted, numbers.extraction)
    ]
    said: list[Statement] = []
    if chat is not None:
        reply = generated(chat, question, trusted, evidence.language, deadline_s, library.glossary.translated)
        if reply.nothing:
            return _refused(question, evidence, judgement, trusted, [*notes, "the model finds no answer in the passages"])
        said = _statements(reply, trusted, mark)
        notes += _left_out(reply, mark)
    sentences = _in_order(said if any(one.supported for one in said) else quoted, quoted, trusted)
    return Answered(
        question=question,
        language=evidence.language,
        in_documents=bool(sentences),
        made_by="model" if any(one.supported for one in said) else "passages",
        sentences=sentences,
        found=tuple(trusted),
        confidence=judgement.probability,
        missing=judgement.missing,
        notes=tuple(notes),
    )


def _trusted(found: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """Without passages of users' documents that speak to the machine, and with the text of the others as a person may read it."""
    kept: list[Found] = []
    notes: list[str] = []
    for one in found:
        if shipped(one):
            kept.append(one)
        elif sign := planted("\n".join((one.document, one.title, *one.headings, one.address, one.text))):
            name = "a document" if planted(one.document) else plain(one.document)
            notes.append(f"{name}: a passage that speaks to the machine ({sign}) was left out")
        elif len(words := plain(one.text)) >= SHORTEST:
            kept.append(one.model_copy(update={"text": words, "title": plain(one.title), "headings": tuple(map(plain, one.headings))}))
    return kept, list(dict.fromkeys(notes))


def _refused(question: str, evidence: Evidence, judgement: Judgement, found: Sequence[Found], notes: Sequence[str]) -> Answered:
    return Answered(
        question=question,
        language=evidence.language,
        in_documents=False,
        made_by="nobody",
        found=tuple(found[:NEAREST]),
        confidence=judgement.probability,
        missing=judgement.missing,
        notes=tuple(notes),
    )


def _statements(reply: Generated, found: Sequence[Found], mark: bool) -> list[Statement]:
    return [
        Statement(
            text=one.text,
            citations=tuple(index + 1 for index in one.cited),
            supported=not one.fault,
            doubt=one.fault,
            of="rules" if one.cited and all(shipped(found[index]) for index in one.cited) else "user",
        )
        for one in reply.said
        if not one.fault or (mark and not one.hostile)
    ]


def _left_out(reply: Generated, mark: bool) -> list[str]:
    dropped = [one for one in reply.said if one.fault and not (mark and not one.hostile)]
    notes = [f"{reply.fault}: the answer is quoted from the passages"] if reply.fault else []
    return notes + ([f"{len(dropped)} of the model's {len(reply.said)} sentences left out: {dropped[0].fault}"] if dropped else [])


def _in_order(statements: Sequence[Statement], quoted: Sequence[Statement], found: Sequence[Found]) -> tuple[Statement, ...]:
    """Rules before users' documents. What differs from a rule is marked so, and that rule is said first, quoted if the answer lacks it."""
    rules = [one for one in statements if one.of == "rules"]
    told = [one for one in quoted if one.of == "rules"]
    every = [one.text for one in (*rules, *told)]
    users = [one.model_copy(update={"conflict": differs(one.text, every)}) for one in statements if one.of == "user"]
    missing = [one for one in told if not rules] if any(one.conflict for one in users) else []
    return (*rules, *missing, *users)


def _of(found: Found) -> Literal["rules", "user"]:
    return "rules" if shipped(found) else "user"


def _told(one: Statement, found: Sequence[Found]) -> str:
    cited = "; ".join(found[number - 1].citation for number in one.citations)
    marks = [
        *(["a document, not a rule"] if one.of == "user" else []),
        *([f"differs from the rules in {one.conflict}"] if one.conflict else []),
    ]
    marks += [f"not borne out: {one.doubt}"] if one.doubt else []
    return f"{one.text} [{cited}]" + (f" ({'; '.join(marks)})" if marks else "")
