"""A document laid out in sections: what stands together, under which headings, of which provision. Start at sections()."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from sdx_rag.document import NOWHERE, Block, Document, Kind, Place
from sdx_rag.outline import Heading, Outline, heading_in, heading_of, starts

LEAD_WORDS = 60
"""A longer lead-in, or header of a table, is not said again."""
_INTRODUCES = re.compile(r"[:：]$|다음[^.]{0,20}[.]?$")
_SPLITS = re.compile(r"\n+|(?<=\s)(?=[②-⑳])")


@dataclass(frozen=True, slots=True)
class Piece:
    """What is put into a chunk as a whole: a paragraph, a row, an item, or a sentence of one that is too long."""

    text: str
    place: Place = NOWHERE
    kind: Kind = "text"
    addresses: tuple[str, ...] = ()
    """Of its provision and those around it, outermost first."""
    lead: str = ""
    """Said before it where it begins a chunk: what introduces it, or the header of its table."""
    glue: str = "\n"
    """Between it and the piece before it."""


@dataclass(slots=True)
class Section:
    """Groups of pieces under one heading, of one provision."""

    headings: tuple[str, ...]
    groups: list[list[Piece]] = field(default_factory=list)
    source: str = ""
    whole: bool = False
    """A passage: not cut unless the embedding model cannot take it."""

    def under(self, title: str) -> "Section":
        """Without the document's title among its headings."""
        return replace(self, headings=self.headings[1:]) if self.headings[:1] == (title,) else self


def sections(document: Document) -> list[Section]:
    """In reading order; every word of the document is in a text or a heading of one."""
    reading = _Reading()
    for block, text in _lines(document.blocks):
        reading.take(block, text)
    return [section.under(document.title) for section in reading.close()]


@dataclass(slots=True)
class _Reading:
    """Takes a document line by line and lays it out in sections."""

    outline: Outline = field(default_factory=Outline)
    section: Section = field(default_factory=lambda: Section(()))
    bare: Section | None = None
    """The heading just read, as a text, in case nothing stands under it."""
    intro: str = ""
    """What introduces all numbered paragraphs of a rule: "In these Rules:"."""
    done: list[Section] = field(default_factory=list)

    def take(self, block: Block, text: str) -> None:
        if block.kind == "heading":
            self._heading(heading_of(replace(block, text=text)), block.place)
        elif block.kind == "passage":
            self._passage(block, text)
        elif block.kind == "table":
            self._table(block, text)
        else:
            heading, text = heading_in(text) or (None, text)
            if heading:
                self._heading(heading, block.place)
            if text:
                self._text(block, text)

    def close(self) -> list[Section]:
        """Sections in reading order."""
        self._end()
        if self.bare:
            self.done.append(self.bare)
        return self.done

    def _end(self) -> None:
        if self.section.groups:
            self.done.append(self.section)
            self.bare = None
        self.section = Section(self.outline.path)

    def _heading(self, heading: Heading, place: Place) -> None:
        self._end()
        if self.bare and heading.level <= self.outline.headings[-1].level:
            self.done.append(self.bare)
        self.outline.open(heading)
        self.section, self.intro = Section(self.outline.path), ""
        self.bare = Section(self.outline.path[:-1], [[Piece(heading.text, place, addresses=self.outline.addresses)]])

    def _passage(self, block: Block, text: str) -> None:
        self._end()
        addresses = (block.address,) if block.address else self.outline.addresses
        headings = (*self.outline.path, *([block.title] if block.title else []))
        self.done.append(Section(headings, [[Piece(text, block.place, addresses=addresses)]], block.source, whole=True))
        self.bare = None

    def _table(self, block: Block, text: str) -> None:
        header, *rows = text.split("\n")
        first = Piece(header, block.place, "table", self.outline.addresses)
        self.section.groups.append([first, *(replace(first, text=row, lead=_lead(header)) for row in rows)])

    def _text(self, block: Block, text: str) -> None:
        if block.kind == "text" and self.bare and not self.section.groups and self.outline.titled(text):
            self._title(block)
            return
        before = self.outline.labels[:1]
        labelled = self.outline.label(text)
        if labelled and self.outline.provision and (len(self.outline.labels) == 1 or self.outline.labels[:1] != before):
            self._paragraph()
        piece = Piece(text, block.place, "item" if labelled else block.kind, self.outline.addresses, _lead(self.intro) if labelled else "")
        last = self.section.groups[-1] if self.section.groups else []
        lead = _introduced(piece, labelled, last) if piece.kind == "item" else None
        if lead is None:
            self.section.groups.append([piece])
        else:
            last.append(replace(piece, lead=lead))

    def _title(self, block: Block) -> None:
        """ "Rule 15" in one line, what it is called in the next."""
        heading = self.outline.headings[-1]
        self.section = Section(self.outline.path)
        self.bare = Section(self.outline.path[:-1], [[Piece(heading.text, block.place, addresses=self.outline.addresses)]])

    def _paragraph(self) -> None:
        """A paragraph of a rule is a section; the words that introduce all of them go with the first and lead the others."""
        groups = self.section.groups
        last = groups[-1][-1] if groups else None
        if last and last.addresses == self.outline.addresses[: -len(self.outline.labels)] and _INTRODUCES.search(last.text):
            self.intro = last.text
            groups[-1].pop()
            self.section.groups = [group for group in groups if group]
            self._end()
            self.section.groups.append([replace(last, addresses=self.outline.addresses)])
        else:
            self._end()


def _introduced(piece: Piece, labelled: bool, group: list[Piece]) -> str | None:
    """What introduces an item: the paragraph before it or, where it has a number, the provision around it. None where it begins a list itself."""
    parent = piece.addresses[:-1]
    for one in reversed(group):
        if one.kind == "item" and (not labelled or one.addresses[:-1] == parent):
            return one.lead
        own = one.kind == "text" and (not labelled or one.addresses == piece.addresses)
        if own or (labelled and one.addresses == parent):
            return _lead(one.text)
    return None


def _lead(text: str) -> str:
    return text if len(text.split()) <= LEAD_WORDS else ""


def _lines(blocks: Iterable[Block]) -> Iterator[tuple[Block, str]]:
    """Blocks with their text in one line each, but tables and passages; parted where a line inside begins something of its own."""
    for block in blocks:
        if block.kind in ("table", "passage", "heading"):
            text = " ".join(block.text.split()) if block.kind == "heading" else block.text.strip()
            rows = [row for line in text.split("\n") if (row := line.strip())]
            if rows:
                yield block, "\n".join(rows) if block.kind == "table" else text
            continue
        for number, part in enumerate(_parts(block.text)):
            yield (block if number == 0 else replace(block, kind="item")), part


def _parts(text: str) -> list[str]:
    found: list[str] = []
    for line in (" ".join(line.split()) for line in _SPLITS.split(text)):
        if found and line and not starts(line):
            found[-1] += " " + line
        elif line:
            found.append(line)
    return found
