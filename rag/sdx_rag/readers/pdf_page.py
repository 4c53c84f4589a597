"""One page of a PDF: its text as a person sees it, in pieces with their boxes, and its ruled lines. Start at page_seen()."""

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import atan2, degrees, hypot
from statistics import median
from typing import Any

import numpy as np

from sdx_rag.document import Box, Unreadable
from sdx_rag.readers.limits import Limits

_FORMS = 12  # forms inside forms that are looked into
_PIXELS = 1600.0  # of the longer side of the picture in which text is looked for
_INK = 10  # of 255: a text that changes no pixel by more is not seen
_LIKE = 25  # of 255: nor is one whose colour differs less from what is behind it
_SMALL = 2.0  # points
_THIN = 2.5  # points; a filled box thinner than this is a line
_PATHS = 5_000  # drawn shapes; a page with more is a drawing, not a table


@dataclass(frozen=True, slots=True)
class Piece:
    """Text on one line without a wide gap, or a whole table."""

    text: str
    box: Box
    size: float
    """Of its letters, points."""
    bold: bool = False
    table: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A ruled line: at x from y0 to y1 when upright, at y from x0 to x1 when level."""

    upright: bool
    at: float
    start: float
    end: float


@dataclass
class PageSeen:
    width: float
    height: float
    pieces: list[Piece] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    hidden: int = 0
    """Letters that are in the page but not seen."""
    picture: float = 0.0
    """Share of the page that its largest picture covers, 0 to 1."""


@dataclass(frozen=True, slots=True)
class _Style:
    """Of one text object: what all its letters share."""

    drawn: bool
    """Whether it is drawn at all, and large enough to read."""
    ink: tuple[int, int, int] | None
    """Blue, green, red of letters that one colour fills."""
    missing: bool
    """Its font is not in the file: another machine may draw letters that this one cannot."""
    size: float
    bold: bool
    upright: bool


@dataclass(frozen=True, slots=True)
class _Letter:
    letter: str
    box: Box
    style: _Style
    space: bool
    """Before it."""


class _Frame:
    """From the page's own coordinates (points, upwards, unrotated) to those of the page as shown (from the top left corner)."""

    def __init__(self, page: Any) -> None:
        self.left, self.bottom, self.right, self.top = page.get_cropbox()
        self.turn = page.get_rotation() % 360
        self.width, self.height = page.get_size()

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        corners = [self.point(left, bottom), self.point(right, top)]
        (x0, y0), (x1, y1) = corners
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def point(self, x: float, y: float) -> tuple[float, float]:
        across, up = x - self.left, y - self.bottom
        if self.turn == 90:
            return up, across
        if self.turn == 180:
            return self.right - x, up
        if self.turn == 270:
            return self.top - y, self.right - x
        return across, self.top - y


def page_seen(page: Any, limits: Limits) -> PageSeen:
    """What a person sees of a page (a pypdfium2 page). Changes the page: nothing of it may be drawn afterwards."""
    frame = _Frame(page)
    seen = PageSeen(frame.width, frame.height)
    text = page.get_textpage()
    try:
        if text.count_chars() > limits.characters:
            raise Unreadable(f"too large: one page holds {text.count_chars():,} letters, the limit `characters` is {limits.characters:,}")
        seen.rules = list(_rules(page, frame))
        seen.picture = max((_share(frame.box(*item.get_bounds()), frame) for item in _objects(page, "IMAGE", 1)), default=0.0)
        _pieces(page, text, frame, seen)
    finally:
        text.close()
    return seen


def _objects(page: Any, kind: str, depth: int = _FORMS) -> Iterator[Any]:
    from pypdfium2 import raw

    return page.get_objects(filter=[getattr(raw, f"FPDF_PAGEOBJ_{kind}")], max_depth=depth)


def _share(box: Box, frame: _Frame) -> float:
    width = max(0.0, min(box[2], frame.width) - max(box[0], 0.0))
    height = max(0.0, min(box[3], frame.height) - max(box[1], 0.0))
    return width * height / max(frame.width * frame.height, 1.0)


def _pieces(page: Any, text: Any, frame: _Frame, seen: PageSeen) -> None:
    """Puts the pieces that are seen into `seen`, and the count of letters that are not."""
    letters = list(_letters(text, frame, text.count_chars()))
    if not letters:
        return
    visible = _visible(page, letters, frame)
    seen.hidden = int((~visible).sum())
    shown = [letter for letter, is_seen in zip(letters, visible, strict=True) if is_seen]
    seen.pieces.extend(_joined(shown, [rule for rule in seen.rules if rule.upright]))


def _letters(text: Any, frame: _Frame, count: int) -> Iterator[_Letter]:
    """The letters of a page in the file's order."""
    from pypdfium2 import raw

    rect, space = raw.FS_RECTF(), False
    styles: dict[int, _Style] = {}
    for index in range(count):
        letter = chr(raw.FPDFText_GetUnicode(text, index) & 0x1FFFFF)
        if letter.isspace() or raw.FPDFText_IsGenerated(text, index) == 1:
            space = True
            continue
        item = raw.FPDFText_GetTextObject(text, index)
        if not item or not raw.FPDFText_GetLooseCharBox(text, index, rect):
            continue
        key = ctypes.addressof(item.contents)
        if key not in styles:
            styles[key] = _style(item, text, index, frame.turn)
        box = frame.box(rect.left, rect.bottom, rect.right, rect.top)
        yield _Letter("-" if letter in "\x02\ufffe\u00ad\u2010" else letter, box, styles[key], space)
        space = False


def _style(item: Any, text: Any, index: int, turn: int) -> _Style:
    from pypdfium2 import raw

    matrix, flags, name = raw.FS_MATRIX(), ctypes.c_int(), ctypes.create_string_buffer(100)
    raw.FPDFText_GetMatrix(text, index, matrix)
    raw.FPDFText_GetFontInfo(text, index, name, 100, flags)
    size = raw.FPDFText_GetFontSize(text, index) * hypot(matrix.c, matrix.d)
    turned = (degrees(atan2(matrix.b, matrix.a)) + turn + 180) % 360 - 180
    mode = raw.FPDFTextObj_GetTextRenderMode(item)
    red, green, blue, alpha = (ctypes.c_uint(255) for _ in range(4))
    filled = mode in (raw.FPDF_TEXTRENDERMODE_FILL, raw.FPDF_TEXTRENDERMODE_FILL_CLIP)
    coloured = filled and raw.FPDFPageObj_GetFillColor(item, red, green, blue, alpha)
    unseen = mode in (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP) or coloured and alpha.value < _INK
    return _Style(
        drawn=not unseen and size >= _SMALL,
        ink=(blue.value, green.value, red.value) if coloured else None,
        missing=not raw.FPDFFont_GetIsEmbedded(raw.FPDFTextObj_GetFont(item)),
        size=size,
        bold=raw.FPDFText_GetFontWeight(text, index) >= 600 or b"bold" in name.value.lower(),
        upright=abs(turned) < 10,
    )


def _visible(page: Any, letters: list[_Letter], frame: _Frame) -> np.ndarray:
    """For each letter whether a person sees it: the page is drawn with and without its text, and a letter that is seen makes a difference.

    That finds text under pictures and shapes, outside a clip or the page, in layers that are off. Colours are compared as well, since
    an unseen text may stand where another one is seen.
    """
    from pypdfium2 import raw

    scale = min(1.0, _PIXELS / max(frame.width, frame.height, 1.0))

    def picture() -> np.ndarray:
        form = raw.FPDFBitmap_BGR
        return page.render(scale=scale, may_draw_forms=False, draw_annots=False, force_bitmap_format=form).to_numpy().copy()

    whole = picture()
    for item in _objects(page, "TEXT"):
        raw.FPDFPageObj_SetIsActive(item, False)
    behind = picture()
    change = np.maximum(whole, behind) - np.minimum(whole, behind)
    changed = (change[:, :, 0] > _INK) | (change[:, :, 1] > _INK) | (change[:, :, 2] > _INK)
    boxes = np.array([letter.box for letter in letters]) * scale
    height, width = changed.shape
    left, top = np.floor(boxes[:, 0]).clip(0, width).astype(int), np.floor(boxes[:, 1]).clip(0, height).astype(int)
    right, bottom = np.ceil(boxes[:, 2]).clip(0, width).astype(int), np.ceil(boxes[:, 3]).clip(0, height).astype(int)
    area = (right - left) * (bottom - top)

    def sums(plane: np.ndarray) -> np.ndarray:
        table = np.zeros((height + 1, width + 1), np.int32)
        np.cumsum(plane, axis=0, dtype=np.int32, out=table[1:, 1:])
        np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
        return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]

    paper = np.stack([sums(behind[:, :, plane]) for plane in range(3)], axis=1) / np.maximum(area, 1)[:, None]
    inks = np.array([letter.style.ink or (-1000, 0, 0) for letter in letters])
    told_apart = np.abs(paper - inks).max(axis=1) > _LIKE
    # Letters of a font that is not in the file may be missing on this machine, and there on others.
    missing = np.array([letter.style.missing and letter.letter > "\u0500" for letter in letters])
    drawn = np.array([letter.style.drawn for letter in letters])
    return drawn & (area > 0) & told_apart & (missing | (sums(changed) > 0))


def _joined(letters: list[_Letter], uprights: list[Rule]) -> Iterator[Piece]:
    """Letters that follow each other on a line, as pieces; a wide gap or a ruled line between two letters parts them."""
    piece: list[_Letter] = []
    for letter in letters:
        if piece and not _goes_on(piece[-1], letter, uprights):
            yield _piece(piece)
            piece = []
        piece.append(letter)
    if piece:
        yield _piece(piece)


def _piece(letters: list[_Letter]) -> Piece:
    """One line of text; it is bold where all its letters are."""
    text = letters[0].letter
    for last, letter in pairwise(letters):
        wide = letter.box[0] - last.box[2] > 0.25 * letter.style.size
        text += f" {letter.letter}" if letter.space or wide else letter.letter
    sizes = [letter.style.size for letter in letters]
    return Piece(text, around_all([letter.box for letter in letters]), median(sizes), all(letter.style.bold for letter in letters))


def around_all(boxes: Sequence[Box]) -> Box:
    """The smallest box around all."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def level(one: Box, other: Box) -> bool:
    """Whether two boxes stand on one line: half of the lower one's height in common."""
    return min(one[3], other[3]) - max(one[1], other[1]) > 0.5 * min(one[3] - one[1], other[3] - other[1])


def _goes_on(last: _Letter, letter: _Letter, uprights: list[Rule]) -> bool:
    """Whether a letter belongs to the piece that ends with another."""
    if not (last.style.upright and letter.style.upright):
        return last.style is letter.style  # text across the page: each object by itself
    gap, size = letter.box[0] - last.box[2], letter.style.size
    if last.style.bold != letter.style.bold and gap > 0.5 * size:
        return False
    if not level(last.box, letter.box) or not -1.2 * size < gap < size:
        return False
    middle = (letter.box[1] + letter.box[3]) / 2
    return not any(last.box[2] - 1 <= rule.at <= letter.box[0] + 1 and rule.start <= middle <= rule.end for rule in uprights)


def _rules(page: Any, frame: _Frame) -> Iterator[Rule]:
    """Level and upright lines of the page's drawing."""
    for number, item in enumerate(_objects(page, "PATH")):
        if number >= _PATHS:
            return
        yield from _edges(list(_points(item)), frame)


def _points(item: Any) -> Iterator[list[tuple[float, float]]]:
    """Strokes of a path: points that straight lines join, in the page's coordinates."""
    from pypdfium2 import raw

    matrix, container = item.get_matrix(), item.container
    while container is not None:
        matrix, container = matrix.multiply(container.get_matrix()), container.container
    x, y = ctypes.c_float(), ctypes.c_float()
    stroke: list[tuple[float, float]] = []
    for index in range(min(raw.FPDFPath_CountSegments(item), 500)):
        segment = raw.FPDFPath_GetPathSegment(item, index)
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind != raw.FPDF_SEGMENT_LINETO and stroke:
            yield stroke
            stroke = []
        stroke.append(matrix.on_point(x.value, y.value))
        if raw.FPDFPathSegment_GetClose(segment):
            stroke.append(stroke[0])
    yield stroke


def _edges(strokes: Iterable[list[tuple[float, float]]], frame: _Frame) -> Iterator[Rule]:
    for stroke in strokes:
        points = [frame.point(*point) for point in stroke]
        if len(points) < 2:
            continue
        xs, ys = [x for x, _ in points], [y for _, y in points]
        if max(xs) - min(xs) <= _THIN or max(ys) - min(ys) <= _THIN:  # a line, or a box as thin as one
            points = [(min(xs), min(ys)), (max(xs), max(ys))]
        for (x0, y0), (x1, y1) in pairwise(points):
            if abs(x0 - x1) <= _THIN < abs(y0 - y1):
                yield Rule(True, (x0 + x1) / 2, min(y0, y1), max(y0, y1))
            elif abs(y0 - y1) <= _THIN < abs(x0 - x1):
                yield Rule(False, (y0 + y1) / 2, min(x0, x1), max(x0, x1))
