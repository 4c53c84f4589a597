"""What prompts of every domain share: a model's JSON read into a closed model, and a person's words made fit for a prompt."""

import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Answer = TypeVar("Answer", bound=BaseModel)
QUESTION_CHARS = 400


def parsed(kind: type[Answer], text: str) -> Answer:
    """ValueError names the field, its value and what was expected."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "answer"
        raise ValueError(f"{where}: {first['msg']}, got {str(first['input'])[:80]!r}") from error


def one_line(text: str) -> str:
    """A question without control characters and markers of turns, cut to QUESTION_CHARS."""
    return re.sub(r"[\x00-\x1f\x7f<>|]+", " ", text).strip()[:QUESTION_CHARS]
