"""Pieces of a page put into reading order: tables by their ruled lines or by their columns, columns of text, lines. Start at lines()."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby

import numpy as np

from sdx_rag.document import Box
from sdx_rag.readers.clean import table_text
from sdx_rag.readers.pdf_page import PageSeen, Piece, Rule, around_all, level

_NEAR = 3.0  # points; ruled lines this near to each other meet
_RULES = 2_000  # of a page; more is a drawing
_CELLS = 10_000
_TABLE_ROWS = 200  # of a table without ruled lines; a longer one goes on as the next
_COLUMN_LINES = 4  # text stands in columns where each has as many lines


def lines(page: PageSeen) -> list[list[Piece]]:
    """Columns of the page in reading order, each its lines from top to bottom; a table is one line."""
    pieces = list(page.pieces)
    for table, inside in _ruled_tables(page.rules, pieces):
        pieces = [piece for piece in pieces if id(piece) not in inside] + [table]
    return [list(_lined(column)) for column in _columns(pieces)]


def _whole(pieces: list[Piece]) -> Box:
    return around_all([piece.box for piece in pieces])


def _ruled_tables(rules: list[Rule], pieces: list[Piece]) -> Iterator[tuple[Piece, set[int]]]:
    """Tables whose cells are ruled, with the ids of the pieces that are in them."""
    taken: set[int] = set()
    for group in _meeting(rules):
        xs, ys = _places(rule.at for rule in group if rule.upright), _places(rule.at for rule in group if not rule.upright)
        if len(xs) < 3 or len(ys) < 3 or (len(xs) - 1) * (len(ys) - 1) > _CELLS:
            continue
        cells: dict[tuple[int, int], list[Piece]] = {}
        for piece in pieces:
            middle = (piece.box[1] + piece.box[3]) / 2
            row, column = bisect_right(ys, middle) - 1, bisect_right(xs, piece.box[0] + _NEAR) - 1
            if id(piece) not in taken and 0 <= row < len(ys) - 1 and 0 <= column < len(xs) - 1:
                cells.setdefault((row, column), []).append(piece)
        if len(cells) < max(4, 0.3 * (len(xs) - 1) * (len(ys) - 1)) or len({column for _, column in cells}) < 2:
            continue  # a drawing or a frame
        inside = [piece for held in cells.values() for piece in held]
        taken |= {id(piece) for piece in inside}
        rows = [[_read(cells.get((row, column), [])) for column in range(len(xs) - 1)] for row in range(len(ys) - 1)]
        yield Piece(table_text(rows), (xs[0], ys[0], xs[-1], ys[-1]), inside[0].size, table=True), {id(piece) for piece in inside}


def _meeting(rules: list[Rule]) -> Iterator[list[Rule]]:
    """Groups of rules that cross or touch each other."""
    if not 6 <= len(rules) <= _RULES:
        return
    upright = np.array([rule.upright for rule in rules])
    at, start, end = (np.array([getattr(rule, name) for rule in rules]) for name in ("at", "start", "end"))
    within = (at[:, None] >= start[None, :] - _NEAR) & (at[:, None] <= end[None, :] + _NEAR)
    meets = within & within.T & (upright[:, None] != upright[None, :])
    unseen = set(range(len(rules)))
    while unseen:
        group, edge = set(), {min(unseen)}
        while edge:
            group |= edge
            edge = set(np.flatnonzero(meets[sorted(edge)].any(axis=0)).tolist()) - group
        unseen -= group
        yield [rules[index] for index in sorted(group)]


def _places(values: Iterator[float]) -> list[float]:
    """Sorted, those that are near each other once."""
    places: list[float] = []
    for value in sorted(values):
        if not places or value - places[-1] > _NEAR:
            places.append(value)
    return places


def _read(pieces: list[Piece]) -> str:
    return " ".join(piece.text for row in rows_of(pieces) for piece in row)


def rows_of(pieces: list[Piece]) -> list[list[Piece]]:
    """Pieces that stand on one line, from left to right, lines from top to bottom."""
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: (piece.box[1] + piece.box[3]) / 2):
        if rows and level(rows[-1][0].box, piece.box) and not (piece.table or rows[-1][0].table):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return [sorted(row, key=lambda piece: piece.box[0]) for row in rows]


def _columns(pieces: list[Piece], depth: int = 0) -> list[list[Piece]]:
    """Columns in reading order. What crosses the gap between two ends them: above it first left then right, then itself, then below."""
    gap = _gap(pieces) if depth < 3 else None
    if gap is None:
        return [pieces] if pieces else []

    def side(piece: Piece) -> int:
        return 0 if piece.box[0] < gap - 1 and piece.box[2] > gap + 1 else -1 if piece.box[2] <= gap + 1 else 1

    columns: list[list[Piece]] = []
    for crosses, band in groupby(sorted(pieces, key=lambda piece: piece.box[1]), key=lambda piece: side(piece) == 0):
        held = list(band)
        if crosses:
            columns.append(held)
            continue
        for which in (-1, 1):
            columns.extend(_columns([piece for piece in held if side(piece) == which], depth + 1))
    return columns


def _gap(pieces: list[Piece]) -> float | None:
    """Where a page is parted into two columns of running text; None where it is not."""
    if len(pieces) < 2 * _COLUMN_LINES:
        return None
    boxes = np.array([piece.box for piece in pieces])
    left, right = boxes[:, 0].min(), boxes[:, 2].max()
    best: tuple[int, float, float] | None = None
    for place in np.arange(left + 0.25 * (right - left), left + 0.75 * (right - left), max(2.0, (right - left) / 300)):
        before, after = boxes[:, 2] <= place + 1, boxes[:, 0] >= place - 1
        crossing = len(pieces) - int(before.sum()) - int(after.sum())
        if crossing > 0.3 * len(pieces) or not (before.any() and after.any()):
            continue
        inner = float(boxes[after, 0].min() - boxes[before, 2].max())
        if inner >= 6 and (best is None or (-crossing, inner) > best[:2]):
            middle = float(boxes[after, 0].min() + boxes[before, 2].max()) / 2
            if _runs(boxes[before], middle - left) and _runs(boxes[after], right - middle) and _beside(boxes[before], boxes[after]):
                best = (-crossing, inner, middle)
    return best[2] if best else None


def _runs(boxes: np.ndarray, width: float) -> bool:
    """Whether these are lines of running text, which fill a column of that width, and not cells of a table."""
    filled: list[float] = []
    below = -np.inf  # the middle of the line that is being filled ends here
    for left, top, right, bottom in boxes[np.argsort(boxes[:, 1] + boxes[:, 3])]:
        if filled and (top + bottom) / 2 < below:
            filled[-1] += right - left
        else:
            filled.append(right - left)
            below = bottom
    return len(filled) >= _COLUMN_LINES and float(np.median(filled)) >= 0.5 * width


def _beside(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two columns stand beside each other and not one below the other."""
    common = min(left[:, 3].max(), right[:, 3].max()) - max(left[:, 1].min(), right[:, 1].min())
    return common >= 0.4 * min(np.ptp(left[:, [1, 3]]), np.ptp(right[:, [1, 3]]))


def _lined(pieces: list[Piece]) -> Iterator[Piece]:
    """Lines of one column; rows whose pieces stand in columns of their own are a table."""
    rows = rows_of(pieces)
    start = 0
    while start < len(rows):
        end = _table_end(rows, start)
        if end:
            held = [piece for row in rows[start:end] for piece in row]
            yield Piece(table_text(_cells(rows[start:end])), _whole(held), held[0].size, table=True)
        else:
            yield _line(rows[start])
        start = end or start + 1


def _line(row: list[Piece]) -> Piece:
    longest = max(row, key=lambda piece: len(piece.text))
    return Piece(" ".join(piece.text for piece in row), _whole(row), longest.size, all(piece.bold for piece in row), row[0].table)


def _spans(rows: list[list[Piece]]) -> list[tuple[float, float]]:
    """Ranges of x with text in any of the rows."""
    spans: list[tuple[float, float]] = []
    for left, right in sorted((piece.box[0], piece.box[2]) for row in rows for piece in row):
        if spans and left < spans[-1][1] + 2:
            spans[-1] = (spans[-1][0], max(spans[-1][1], right))
        else:
            spans.append((left, right))
    return spans


def _table_end(rows: list[list[Piece]], start: int) -> int:
    """Where the table that begins at a row ends; 0 where none does: three rows or more of the same columns, close to each other."""
    end = start
    while end < min(len(rows), start + _TABLE_ROWS) and len(rows[end]) >= 2 and (end == start or _close(rows[end - 1], rows[end])):
        if len(_spans(rows[start : end + 1])) < max(2, max(map(len, rows[start:end]), default=2)):
            break
        end += 1
    return end if end - start >= 3 else 0


def _close(above: list[Piece], below: list[Piece]) -> bool:
    return below[0].box[1] - above[0].box[3] < 2.5 * max(below[0].size, above[0].size)


def _cells(rows: list[list[Piece]]) -> list[list[str]]:
    spans = _spans(rows)
    table = []
    for row in rows:
        cells = [""] * len(spans)
        for piece in row:
            place = next(index for index, span in enumerate(spans) if span[0] - 1 <= piece.box[0] <= span[1] + 1)
            cells[place] = f"{cells[place]} {piece.text}".strip()
        table.append(cells)
    return table
