"""Questions with known answers, one JSON object a line: read() checks them. The shipped ones are in gold/."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from sdx_rag.passages import Language
from sdx_rag.words import language_of
from sdx_serving.closed import Closed

HERE = Path(__file__).parent / "gold"
Kind = Literal["fact", "figure", "rule", "meaning", "near", "elsewhere"]
"""Of answerable questions: what is done or why, a figure, a duty by its rule, what a word means. Of the others: a topic
that the documents treat without this answer, or one that they do not treat."""


class Question(Closed):
    """One question, and how its answer is known."""

    id: str = Field(min_length=1)
    domain: str = Field(min_length=1)
    language: Language
    question: str = Field(min_length=3)
    answers: tuple[str, ...] = ()
    """One of them must stand in the answer, and in the passage that it cites; upper and lower case count as one."""
    addresses: tuple[str, ...] = ()
    """Of the passages that hold the answer; any of them will do."""
    answerable: bool = True
    kind: Kind = "fact"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.answerable != bool(self.answers) or self.answerable != bool(self.addresses):
            raise ValueError("an answerable question names answers and addresses, another neither")
        if self.answerable == (self.kind in ("near", "elsewhere")):
            raise ValueError("near and elsewhere are kinds of questions without an answer, and of these alone")
        if language_of(self.question) != self.language:
            raise ValueError(f"the question is not in the language {self.language!r}")
        return self


def shipped() -> tuple[Path, ...]:
    """The gold sets of the shipped knowledge, one file a domain. dev.jsonl, for fitting, is none of them."""
    return tuple(sorted(path for path in HERE.glob("*.jsonl") if path.stem != "dev"))


def read(paths: Sequence[Path]) -> tuple[Question, ...]:
    """All questions of the files, in order. ValueError names file and line of what is wrong, and an id that occurs twice."""
    questions: dict[str, Question] = {}
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            question = _question(line, f"{path}:{number}")
            if question.id in questions:
                raise ValueError(f"{path}:{number}: id {question.id!r} is there already: give every question its own")
            questions[question.id] = question
    return tuple(questions.values())


def _question(line: str, where: str) -> Question:
    try:
        return Question.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "line"
        raise ValueError(
            f"{where}: {field}: {first['msg']} (given: {json.dumps(first['input'], ensure_ascii=False, default=str):.120})"
        ) from error
