"""What a PDF repeats on its pages: running heads and feet, page numbers. Start at take_heads()."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sdx_rag.readers.pdf_layout import rows_of
from sdx_rag.readers.pdf_page import PageSeen, Piece

_MARGIN = 0.12  # of a page's height: where they stand
_NUMBER = re.compile(r"[-–— ]*(?:page |p\. ?|쪽 ?)?(?:#|[ivxlc]{1,6})(?: ?(?:/|of|-) ?#)?(?: ?쪽)?[-–— ]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line at the edge of a page."""

    page: int
    top: bool
    text: str
    pieces: tuple[Piece, ...]

    @property
    def pattern(self) -> str:
        return re.sub(r"\d+", "#", self.text)

    @property
    def offset(self) -> int | None:
        """Between the number that it begins or ends with and its page: pages are counted from there."""
        numbers = re.findall(r"^\d{1,5}(?= |$)|(?<= )\d{1,5}$", self.text)
        return int(numbers[-1]) - self.page if numbers else None


def take_heads(pages: Sequence[PageSeen]) -> list[str]:
    """Takes out of the pages the lines at their edges that repeat, or that count the pages; says which.

    A line repeats when it stands, but for its figures, at the same edge of three pages (of both, where there are two).
    """
    rows = [row for number, page in enumerate(pages, 1) for row in _edges(page, number)]
    enough = min(3, max(len(pages), 2))
    patterns = _pages_of(((row.top, row.pattern), row) for row in rows)
    counts = _pages_of(((row.top, row.offset), row) for row in rows if row.offset is not None)
    heads = [row for row in rows if _NUMBER.fullmatch(row.pattern)]
    repeated = [
        row
        for row in rows
        if len(patterns[row.top, row.pattern]) >= enough or (row.offset is not None and len(counts[row.top, row.offset]) >= enough)
    ]
    taken = {id(piece) for row in [*heads, *repeated] for piece in row.pieces}
    for page in pages:
        page.pieces = [piece for piece in page.pieces if id(piece) not in taken]
    named = sorted({row.pattern for row in repeated if not _NUMBER.fullmatch(row.pattern)})
    shown = ", ".join(f'"{text[:60]}"' for text in named[:3]) + (" ..." if len(named) > 3 else "")
    return [f"running heads left out: {shown}"] if named else []


def _edges(page: PageSeen, number: int) -> list[_Row]:
    top = [piece for piece in page.pieces if _middle(piece) < _MARGIN * page.height]
    foot = [piece for piece in page.pieces if _middle(piece) > (1 - _MARGIN) * page.height]
    return [_Row(number, edge is top, " ".join(piece.text for piece in row), tuple(row)) for edge in (top, foot) for row in rows_of(edge)]


def _middle(piece: Piece) -> float:
    return (piece.box[1] + piece.box[3]) / 2


def _pages_of(keyed: Iterable[tuple[object, _Row]]) -> dict[object, set[int]]:
    """Pages on which each key stands."""
    found: dict[object, set[int]] = defaultdict(set)
    for key, row in keyed:
        found[key].add(row.page)
    return found
