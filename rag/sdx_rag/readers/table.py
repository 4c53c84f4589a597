"""CSV and TSV: each row is a passage that names its columns, "row 17" as a spreadsheet counts. Start at read_table()."""

import csv
from collections import Counter
from collections.abc import Iterator

from sdx_rag.document import Block, Document, Unreadable
from sdx_rag.readers.clean import cleaned, hidden_notes, spaced
from sdx_rag.readers.encoding import decoded
from sdx_rag.readers.limits import Limits

Row = tuple[int, list[str]]
"""Number from 1, the header's own; cells."""
_WIDE = 24  # columns of one passage; a row of more is told in parts, each with the row's first cell
_MANY = 5_000  # passages of one file; with more rows, several rows make one passage


def read_table(data: bytes, name: str, limits: Limits) -> Document:
    """A table file with its header in the first row; without one the columns are numbered."""
    text = decoded(data)
    notes = list(hidden_notes([text]))
    rows = _rows(cleaned(text), limits, notes)
    if not rows:
        return Document(title=name, blocks=())
    header, rows = _header(rows)
    ragged = [number for number, cells in rows if len(cells) != len(header)]
    if ragged:
        shown = ", ".join(map(str, ragged[:5])) + (" ..." if len(ragged) > 5 else "")
        notes.append(f"{len(ragged)} rows have more or fewer cells than the header's {len(header)}: {shown}")
    return Document(title=name, blocks=tuple(_passages(header, rows)), notes=tuple(notes))


def _rows(text: str, limits: Limits, notes: list[str]) -> list[Row]:
    """Rows with any text in them. Quotes that do not close are taken as letters, with a note."""
    lines = text.splitlines(keepends=True)
    delimiter = _delimiter(lines[:50])
    try:
        table = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        notes.append(f"its quotes do not match ({error}): read without them, check the cells")
        try:
            table = list(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
        except csv.Error as broken:
            raise Unreadable(f"broken: not a table: {broken}") from broken
    if len(table) > limits.rows:
        raise Unreadable(f"too large: {len(table):,} rows, the limit `rows` is {limits.rows:,}; split it or raise the limit")
    return [(number, [spaced(cell) for cell in cells]) for number, cells in enumerate(table, 1) if any(map(str.strip, cells))]


def _delimiter(lines: list[str]) -> str:
    """The character that parts most lines into the same number of cells, at least two."""

    def agreeing(character: str) -> tuple[int, int]:
        counts = Counter(line.count(character) for line in lines if line.strip())
        counts.pop(0, None)
        return max(((times, cells) for cells, times in counts.items()), default=(0, 0))

    return max(",\t;|", key=agreeing)


def _header(rows: list[Row]) -> tuple[list[str], list[Row]]:
    """Names of the columns and the rows below; a first row with a number in it is no header."""
    width = max(len(cells) for _, cells in rows[:100])
    first = rows[0][1]
    if len(rows) > 1 and not any(_is_number(cell) for cell in first):
        names = [cell or f"column {place}" for place, cell in enumerate(first, 1)]
        return names, rows[1:]
    return [f"column {place}" for place in range(1, width + 1)], rows


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ""))
    except ValueError:
        return False
    return True


def _passages(header: list[str], rows: list[Row]) -> Iterator[Block]:
    """One passage a row; parts of a wide row; several rows together in a long table."""
    together = -(-len(rows) // _MANY)
    for start in range(0, len(rows), together):
        group = rows[start : start + together]
        place = f"row {group[0][0]}" if len(group) == 1 else f"rows {group[0][0]}-{group[-1][0]}"
        width = max(len(cells) for _, cells in group)
        for left in range(0, width, _WIDE):
            told = [line for _, cells in group if (line := _told(header, cells, left))]
            address = place if width <= _WIDE else f"{place}, columns {left + 1}-{min(left + _WIDE, width)}"
            if told:
                yield Block("\n".join(told), "passage", address=address)


def _told(header: list[str], cells: list[str], left: int) -> str:
    """ "name: cell; name: cell" of the columns from `left`, the first column before them; "" where they are empty."""

    def named(place: int) -> str:
        return f"{header[place] if place < len(header) else f'column {place + 1}'}: {cells[place]}"

    part = [place for place in range(left, min(left + _WIDE, len(cells))) if cells[place]]
    key = [0] if left and cells[0] and part else []
    return "; ".join(map(named, key + part))
