"""DOCX: headings by style, lists with their numbers, tables, text boxes; not what is deleted, hidden or repeated on each page.

Start at read_docx().
"""

import io
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sdx_rag.document import Block, Document, Unreadable
from sdx_rag.readers.clean import hidden_notes, ranked, table_text
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.numbering import spelled
from sdx_rag.readers.packed import checked

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
# What is not the text as it stands now: deleted, moved away, instructions of fields, the twin of a text box for old programs.
_SKIPPED = {f"{_W}{name}" for name in ("del", "moveFrom", "instrText", "delText", "pPr", "rPr", "sdtPr", "txbxContent")} | {_FALLBACK}
_SPACES = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_WHITE = re.compile(r"F[0-9A-F]F[0-9A-F]F[0-9A-F]", re.IGNORECASE)
_DEEP = 200  # tables inside tables, and other nesting; more exhausts the stack


def read_docx(data: bytes, name: str, limits: Limits) -> Document:
    """A Word document. Links, pictures and macros are not followed, opened or run."""
    checked(data, "word/document.xml", limits)
    from docx import Document as open_word

    try:
        word: Any = open_word(io.BytesIO(data))
        reading = _Reading(_Styles(word), _Numbers(word))
        blocks = ranked(reading.blocks(word.element.body))
    except Unreadable:
        raise
    except Exception as error:  # its parts can be wrong in more ways than python-docx names
        raise Unreadable(f"broken: not a whole Word document ({type(error).__name__}: {error!s:.120})") from error
    title = blocks[0].text if blocks and blocks[0].kind == "heading" and blocks[0].level == 1 else name
    notes = hidden_notes(block.text for block in blocks)
    if reading.left_out:
        notes += (f"hidden text left out in {reading.left_out} places",)
    if word.element.body.findall(f".//{_W}footnoteReference"):
        notes += ("footnotes are not read",)
    return Document(title=title, blocks=tuple(blocks), notes=notes)


def _value(parent: "Element | None", path: str) -> str | None:
    """The w:val of a descendant, as "numPr/ilvl"; "" of one without."""
    found = None if parent is None else parent.find("/".join(_W + step for step in path.split("/")))
    return None if found is None else found.get(f"{_W}val", "")


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?\d{1,6}", text, re.ASCII) else None


def _on(properties: "Element | None", name: str) -> bool:
    """A switch such as w:vanish: on unless it says "false"."""
    value = _value(properties, name)
    return value is not None and value not in ("0", "false", "off")


class _Styles:
    """Properties of paragraphs and runs with what their styles add, nearest first."""

    def __init__(self, word: Any) -> None:
        self.by_id: dict[str, Element] = {style.get(f"{_W}styleId", ""): style for style in word.styles.element.findall(f"{_W}style")}

    def chain(self, style: str | None) -> list["Element"]:
        """A style and those it is based on."""
        found: list[Element] = []
        while style in self.by_id and self.by_id[style] not in found:
            found.append(self.by_id[style])
            style = _value(found[-1], "basedOn")
        return found

    def level(self, paragraph: "Element") -> int:
        """Of a heading, from 1; 0 of other text. The title is a heading of level 1 above all."""
        chain = self.chain(_value(paragraph, "pPr/pStyle"))
        names = [(_value(style, "name") or "").lower() for style in chain]
        if "title" in names:
            return 1
        for name in names:
            if match := re.fullmatch(r"(?:heading|제목) ?([1-9])", name):
                return int(match[1]) + 1
        outlines = [_number(_value(part, "pPr/outlineLvl")) for part in [paragraph, *chain]]
        outline = next((level for level in outlines if level is not None), 9)
        return outline + 2 if outline < 9 else 0

    def numbering(self, paragraph: "Element") -> tuple[str, int] | None:
        """(list, level from 0) of a paragraph that is numbered or has a bullet."""
        parts = [paragraph, *self.chain(_value(paragraph, "pPr/pStyle"))]
        number = next((found for part in parts if (found := _value(part, "pPr/numPr/numId")) is not None), None)
        levels = [_number(_value(part, "pPr/numPr/ilvl")) for part in parts]
        level = next((found for found in levels if found is not None), 0)
        return (number, min(max(level, 0), 8)) if number and number != "0" else None

    def hidden(self, run: "Element", shaded: bool) -> bool:
        """Vanished, smaller than 2 points, or white where nothing darkens the paper."""
        styles = self.chain(_value(run, "rPr/rStyle"))
        properties = [part.find(f"{_W}rPr") for part in [run, *styles]]
        if any(_on(part, "vanish") or _on(part, "specVanish") for part in properties):
            return True
        sizes = [_number(_value(part, "sz")) for part in properties]
        size = next((found for found in sizes if found is not None), 22)
        ink = next((found for part in properties if (found := _value(part, "color"))), "")
        own = any(part is not None and (part.find(f"{_W}shd") is not None or _value(part, "highlight")) for part in properties)
        return size < 4 or bool(_WHITE.fullmatch(ink)) and not (shaded or own)


class _Numbers:
    """Numbers of list items, counted as Word counts them: per list and level, deeper levels begin again."""

    def __init__(self, word: Any) -> None:
        self.levels: dict[tuple[str, int], Element] = {}
        self.abstract: dict[str, str] = {}
        self.counts: dict[str, dict[int, int]] = defaultdict(dict)
        try:
            root = word.part.numbering_part.element
        except (KeyError, NotImplementedError):  # a document without lists
            return
        for number in root.findall(f"{_W}num"):
            self.abstract[number.get(f"{_W}numId", "")] = _value(number, "abstractNumId") or ""
        for abstract in root.findall(f"{_W}abstractNum"):
            for level in abstract.findall(f"{_W}lvl"):
                self.levels[abstract.get(f"{_W}abstractNumId", ""), _number(level.get(f"{_W}ilvl")) or 0] = level

    def next(self, number: str, level: int) -> str:
        """What stands before the item: "4.2 ", "(a) "; "" of a bullet."""
        abstract = self.abstract.get(number, "")
        counts = self.counts[number]
        counts[level] = counts.get(level, self._start(abstract, level) - 1) + 1
        for deeper in [place for place in counts if place > level]:
            del counts[deeper]
        form, text = self._form(abstract, level), _value(self.levels.get((abstract, level)), "lvlText") or ""
        if form in ("bullet", "none") or "%" not in text:
            return ""

        def shown(match: re.Match[str]) -> str:
            place = int(match[1]) - 1
            return spelled(counts.get(place, self._start(abstract, place)), self._form(abstract, place))

        return re.sub(r"%([1-9])", shown, text)[:40].strip() + " "

    def _start(self, abstract: str, level: int) -> int:
        start = _number(_value(self.levels.get((abstract, level)), "start"))
        return 1 if start is None else start

    def _form(self, abstract: str, level: int) -> str:
        return _value(self.levels.get((abstract, level)), "numFmt") or "decimal"


class _Reading:
    """One pass over the body."""

    def __init__(self, styles: _Styles, numbers: _Numbers) -> None:
        self.styles, self.numbers = styles, numbers
        self.left_out = 0

    def blocks(self, parent: "Element", depth: int = 0, shaded: bool = False) -> Iterator[Block]:
        """Blocks of the body, a cell or a text box."""
        if depth > _DEEP:
            raise Unreadable(f"broken: more than {_DEEP} tables or boxes inside each other")
        for child in parent:
            if child.tag == f"{_W}p":
                yield from self._paragraph(child, depth, shaded)
            elif child.tag == f"{_W}tbl":
                if text := table_text(
                    list(self._row(row, depth)) for row in child.iter(f"{_W}tr") if next(row.iterancestors(f"{_W}tbl")) is child
                ):
                    yield Block(text, "table")
            elif child.tag not in _SKIPPED:  # content controls, insertions and the like
                yield from self.blocks(child, depth + 1, shaded)

    def _paragraph(self, paragraph: "Element", depth: int, shaded: bool) -> Iterator[Block]:
        shaded = shaded or paragraph.find(f"{_W}pPr/{_W}shd") is not None
        text = " ".join("".join(self._words(paragraph, shaded)).split())
        level, place = self.styles.level(paragraph), self.styles.numbering(paragraph)
        mark = self.numbers.next(*place) if place and text else ""
        if text and level:
            yield Block(mark + text, "heading", level)
        elif text:
            yield Block(mark + text, "item" if place else "text", place[1] + 1 if place else 0)
        for box in paragraph.iter(f"{_W}txbxContent"):
            if not any(above.tag in (_FALLBACK, f"{_W}txbxContent") for above in box.iterancestors()):
                yield from self.blocks(box, depth + 1, shaded)

    def _words(self, element: "Element", shaded: bool) -> Iterator[str]:
        """Text of runs that are there and seen."""
        for child in element:
            if child.tag in _SKIPPED:
                continue
            if child.tag == f"{_W}r" and self.styles.hidden(child, shaded):
                self.left_out += bool("".join(child.itertext(f"{_W}t")).strip())
            elif child.tag == f"{_W}t":
                yield child.text or ""
            elif child.tag in _SPACES:
                yield _SPACES[child.tag]
            else:
                yield from self._words(child, shaded)

    def _row(self, row: "Element", depth: int) -> Iterator[str]:
        """Cells; an empty one for each further column that a cell spans. A deleted row has none."""
        if row.find(f"{_W}trPr/{_W}del") is not None:
            return
        styled = _value(next(row.iterancestors(f"{_W}tbl")), "tblPr/tblStyle") is not None  # which may shade its header
        for cell in row.iter(f"{_W}tc"):
            if next(cell.iterancestors(f"{_W}tr")) is not row:
                continue
            shaded = styled or cell.find(f"{_W}tcPr/{_W}shd") is not None
            yield " ".join(block.text for block in self.blocks(cell, depth + 1, shaded))
            yield from [""] * min((_number(_value(cell, "tcPr/gridSpan")) or 1) - 1, 50)
