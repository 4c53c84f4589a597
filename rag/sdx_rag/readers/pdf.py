"""PDF: text with page and box in reading order, headings, tables; hidden text, running heads and page numbers left out. Start at read_pdf()."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from statistics import median
from typing import Any

from sdx_rag.document import Block, Document, Place, Unreadable
from sdx_rag.readers.clean import hidden_notes, ranked
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.numbering import BULLETS, item, numbered, perhaps_numbered
from sdx_rag.readers.pdf_heads import take_heads
from sdx_rag.readers.pdf_layout import lines
from sdx_rag.readers.pdf_page import PageSeen, Piece, around_all, page_seen

_SCAN = 0.5  # of a page: a picture this large on a page without text is a scan
_LARGER = 1.12  # times the size of running text: a heading
_ENDED = (".", "!", "?", ":", ";", "다.", "。", ")")
_lock = threading.Lock()  # PDFium is not made for threads


@dataclass(frozen=True, slots=True)
class _Line:
    piece: Piece
    page: int
    column: int


def read_pdf(data: bytes, name: str, limits: Limits, ocr: bool = False) -> Document:
    """A PDF. With `ocr`, pages that are only a picture are read by Tesseract. Nothing in the file is run, opened or fetched."""
    with _lock:
        file = _opened(data)
        try:
            return _document(file, name, limits, ocr)
        finally:
            file.close()


def _opened(data: bytes) -> Any:
    import pypdfium2

    try:
        file = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if b"/Encrypt" in data:  # PDFium's own reason may be that of the file before
            raise Unreadable("encrypted: it needs a password; save it without one") from error
        raise Unreadable("broken: not a whole PDF, its table of contents cannot be read; get a whole copy") from error
    if len(file) == 0:
        file.close()
        raise Unreadable("broken: a PDF without pages; get a whole copy")
    return file


def _document(file: Any, name: str, limits: Limits, ocr: bool) -> Document:
    count = len(file)
    if count > limits.pages:
        raise Unreadable(f"too large: {count:,} pages, the limit `pages` is {limits.pages:,}; split it or raise the limit")
    pages: list[PageSeen] = []
    notes: list[str] = []
    letters = 0
    for number in range(1, count + 1):
        pages.append(_page(file, number, limits, ocr, notes))
        letters += sum(len(piece.text) for piece in pages[-1].pieces)
        if letters > limits.characters:
            raise Unreadable(
                f"too large: over {limits.characters:,} letters by page {number}, the limit `characters`; split it or raise the limit"
            )
    notes.extend(take_heads(pages))
    read = [
        _Line(piece, number, column) for number, page in enumerate(pages, 1) for column, held in enumerate(lines(page)) for piece in held
    ]
    blocks = list(_went_on(ranked(_blocks(read))))
    title = blocks[0].text if blocks and blocks[0].kind == "heading" and blocks[0].level == 1 else name
    notes.extend(hidden_notes(block.text for block in blocks))
    return Document(title=title, blocks=tuple(blocks), notes=tuple(notes), pages=count)


def _page(file: Any, number: int, limits: Limits, ocr: bool, notes: list[str]) -> PageSeen:
    """A page as seen; what was not read of it goes into the notes."""
    import pypdfium2

    try:
        page = file[number - 1]
    except pypdfium2.PdfiumError as error:
        notes.append(f"page {number} is broken ({error})")
        return PageSeen(0.0, 0.0)
    try:
        seen = page_seen(page, limits)
    except pypdfium2.PdfiumError as error:
        notes.append(f"page {number} is broken ({error})")
        return PageSeen(0.0, 0.0)
    finally:
        page.close()
    if not seen.pieces and seen.picture >= _SCAN:
        if ocr:
            return _recognised(file, number, seen, notes)
        hidden = " that is seen (a hidden text layer is not taken)" if seen.hidden else ""
        notes.append(f"page {number} is scanned, without text{hidden}; OCR reads it")
    elif seen.hidden:
        notes.append(f"hidden text left out on page {number}: {seen.hidden} letters")
    return seen


def _recognised(file: Any, number: int, seen: PageSeen, notes: list[str]) -> PageSeen:
    from sdx_rag.readers.ocr import recognised

    page = file[number - 1]
    try:
        seen.pieces = recognised(page)
    finally:
        page.close()
    notes.append(
        f"page {number} is scanned; read by OCR, check its figures" if seen.pieces else f"page {number} is scanned; OCR finds no text"
    )
    return seen


def _blocks(read: list[_Line]) -> Iterator[Block]:
    """Paragraphs, headings, items and tables. Levels of headings: larger letters first, then by their number."""
    body, bold_body = _usual([line.piece for line in read if not line.piece.table])
    paragraphs = [(paragraph, _text(paragraph)) for paragraph in _paragraphs(read)]
    headings = {id(paragraph): _size(paragraph, body) for paragraph, text in paragraphs if _is_heading(paragraph, text, body, bold_body)}
    highest: dict[float, int] = {}  # of the numbers of headings of one size; those without a number stand beside them
    for paragraph, text in paragraphs:
        if id(paragraph) in headings and (number := perhaps_numbered(text)):
            highest[_size(paragraph, body)] = min(number, highest.get(_size(paragraph, body), number))
    for paragraph, text in paragraphs:
        place = _place(paragraph)
        if paragraph[0].piece.table:
            yield Block(text, "table", place=place)
        elif size := headings.get(id(paragraph)):
            number = perhaps_numbered(text) or highest.get(size, 0)
            yield Block(text, "heading", int(2 * (1000 - min(size, 999))) * 20 + number, place)
        elif depth := item(text):
            yield Block(text.lstrip(BULLETS).lstrip(), "item", depth, place)
        else:
            yield Block(text, "text", place=place)


def _usual(pieces: list[Piece]) -> tuple[float, bool]:
    """Size of most letters, and whether most are bold."""
    sizes: Counter[float] = Counter()
    bold = 0
    for piece in pieces:
        sizes[round(piece.size * 2) / 2] += len(piece.text)
        bold += len(piece.text) * (1 if piece.bold else -1)
    return (sizes.most_common(1)[0][0] if sizes else 0.0), bold > 0


def _size(paragraph: list[_Line], body: float) -> float:
    """Of a heading's letters, in halves of a point; at least that of running text."""
    return max(round(paragraph[0].piece.size * 2) / 2, body, 0.5)


def _paragraphs(read: list[_Line]) -> Iterator[list[_Line]]:
    """Lines that belong together: same page and column, same letters, no wide gap, no mark of an item, no new first line."""
    gap = median([_gap(last, line) for last, line in pairwise(read) if 0 <= _gap(last, line) < 2] or [0.2])
    paragraph: list[_Line] = []
    for line in read:
        if paragraph and not _belongs(paragraph, line, gap):
            yield paragraph
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield paragraph


def _gap(last: _Line, line: _Line) -> float:
    """Between two lines, in sizes of their letters; infinite where they do not stand below each other."""
    if (line.page, line.column) != (last.page, last.column) or last.piece.table or line.piece.table:
        return inf
    return (line.piece.box[1] - last.piece.box[3]) / max(line.piece.size, 1.0)


def _belongs(paragraph: list[_Line], line: _Line, usual: float) -> bool:
    last, piece = paragraph[-1].piece, line.piece
    if not -0.8 < _gap(paragraph[-1], line) < usual + 0.35:
        return False
    if abs(last.size - piece.size) > max(0.5, 0.05 * last.size) or last.bold != piece.bold:
        return False
    if item(piece.text) or numbered(last.text) and len(paragraph) == 1 or perhaps_numbered(piece.text) and piece.bold:
        return False
    indented = piece.box[0] - min(held.piece.box[0] for held in paragraph) > 0.9 * piece.size
    return not (last.text.endswith(_ENDED) and (indented and len(paragraph) > 1 or _is_short(paragraph, last)))


def _is_short(paragraph: list[_Line], last: Piece) -> bool:
    """Whether the last line leaves room at its right, as the last of a paragraph does."""
    return len(paragraph) > 1 and last.box[2] < 0.85 * max(held.piece.box[2] for held in paragraph)


def _text(paragraph: list[_Line]) -> str:
    """Lines joined; a word that a hyphen parts at a line's end is made whole."""
    text = paragraph[0].piece.text.strip()
    for line in paragraph[1:]:
        text = _together(text, line.piece.text.strip())
    return text


def _together(text: str, more: str) -> str:
    """Two parts of a paragraph; a word that a hyphen parts between them is made whole."""
    return text[:-1] + more if re.search(r"[a-z]-$", text[-2:]) and re.match(r"[a-z]", more) else f"{text} {more}"


def _place(paragraph: list[_Line]) -> Place:
    left, top, right, bottom = (round(edge, 1) for edge in around_all([line.piece.box for line in paragraph]))
    return Place(paragraph[0].page, (left, top, right, bottom))


def _is_heading(paragraph: list[_Line], text: str, body: float, bold_body: bool) -> bool:
    """Larger than running text, or bold, or a number before few words; short, and not a sentence."""
    first = paragraph[0].piece
    if first.table or len(paragraph) > 3 or len(text) > 200 or not re.search(r"[^\W\d_]", text) or text[0] in BULLETS:
        return False
    if first.size >= _LARGER * body:
        return True
    if text.endswith((".", ",", ";", ":", "다")) or first.size < 0.9 * body or len(text) > 120:
        return False
    return first.bold and not bold_body or bool(numbered(text)) and len(paragraph) == 1


def _went_on(blocks: list[Block]) -> Iterator[Block]:
    """Blocks, with a paragraph that goes on in the next column or page made whole; its place is where it begins."""
    last: Block | None = None
    for block in blocks:
        if last and last.kind in ("text", "item") and block.kind == "text" and not last.text.endswith(_ENDED) and block.text[0].islower():
            last = replace(last, text=_together(last.text, block.text))
            continue
        if last:
            yield last
        last = block
    if last:
        yield last
