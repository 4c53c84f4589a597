"""What a model is asked while it is measured, and how its answers are scored. Another task is another class with these names."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from sdx_serving.closed import Closed


class Turn(Closed):
    """One message, OpenAI style."""

    role: str
    content: str


class Question(Closed):
    """One request."""

    messages: tuple[Turn, ...]
    json_schema: dict[str, Any] | None = None
    """That the answer is held to."""

    def turns(self) -> list[dict[str, str]]:
        return [turn.model_dump() for turn in self.messages]

    def unseen(self, mark: str) -> "Question":
        """The same with another beginning, of which no engine can have cached anything."""
        first = self.messages[0]
        return self.model_copy(update={"messages": (Turn(role=first.role, content=f"[{mark}] {first.content}"), *self.messages[1:])})


class Task(Protocol):
    """Frozen questions with a score."""

    name: str
    metric: str
    """What score() measures, for people: "of the answers accepted"."""

    @property
    def questions(self) -> Sequence[Question]: ...

    def score(self, number: int, answer: str) -> float:
        """0..1 for the answer to questions[number]. Never raises for a bad answer: that is 0."""
        ...


MakeTask = Callable[[int, int], Task]
"""(count, seed) -> a task with that many questions; the same for the same arguments."""


class RowsTask:
    """Chat rows of a file, a line {"messages": [...]} each, whose last turn is the answer to be met word for word.

    Raises:
        ValueError: a line is no such row, or there are fewer than `count`; the message names file and line.
    """

    metric = "answered word for word"

    def __init__(self, path: Path, count: int) -> None:
        self.name = path.stem
        rows = [_row(path, number, line) for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)]
        if len(rows) < count:
            raise ValueError(f"{path}: {len(rows)} rows, and requests x rounds are {count}: ask for fewer, or give more rows")
        self._answers = [answer for _, answer in rows[:count]]
        self.questions = [question for question, _ in rows[:count]]

    def score(self, number: int, answer: str) -> float:
        """See Task.score."""
        return float(answer.strip() == self._answers[number].strip())


def _row(path: Path, number: int, line: str) -> tuple[Question, str]:
    try:
        turns = [Turn(role=turn["role"], content=turn["content"]) for turn in json.loads(line)["messages"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}:{number}: no chat row ({error!r:.120}): write {{'messages': [{{'role', 'content'}}, ...]}}") from error
    if len(turns) < 2 or turns[-1].role != "assistant":
        raise ValueError(f"{path}:{number}: the last of at least two messages must be the assistant's answer")
    return Question(messages=tuple(turns[:-1])), turns[-1].content
