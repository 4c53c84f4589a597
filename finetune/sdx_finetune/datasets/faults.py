"""What is wrong with a row: where it stands, which field, the value, and what to do about it."""

from dataclasses import dataclass
from difflib import get_close_matches

SHOWN_VALUE = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding. `drops`: the row is left out; otherwise it is kept and the finding is a warning."""

    place: str
    """File and line, row or sample: "own.jsonl:17"."""
    field: str
    """Path inside the record: "messages.1.content"; "" for the whole record."""
    value: str
    """As found, shortened."""
    problem: str
    fix: str
    drops: bool = True

    def __str__(self) -> str:
        where = f"{self.place}: {self.field}" if self.field else self.place
        return f"{where}: {self.problem} (value: {self.value}); {self.fix}"


def shown(value: object) -> str:
    """A value as it may stand in a line of text."""
    text = repr(value)
    return text if len(text) <= SHOWN_VALUE else f"{text[: SHOWN_VALUE - 3]}..."


def nearest(word: str, known: tuple[str, ...]) -> str:
    """The known word that was probably meant, "" when none is near."""
    return next(iter(get_close_matches(word.lower(), known, n=1, cutoff=0.7)), "")
