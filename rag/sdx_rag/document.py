"""A document as read: its blocks in reading order, each with its place, and what was left out of it."""

from dataclasses import dataclass, field
from typing import Literal

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in points (1/72 inch) from the page's top left corner."""
Kind = Literal["heading", "text", "item", "table", "passage"]
"""A "passage" is whole already and has an address: it is not cut further unless the embedding model cannot take it."""


class Unreadable(ValueError):
    """This file cannot be indexed; the message says why and what to do, in one line without the file's name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where on paper. Kinds of file without pages have none."""

    page: int | None = None
    """From 1."""
    box: Box | None = None


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, paragraph, list item, table (rows as lines, cells joined by " | ", first line the header) or whole passage."""

    text: str
    kind: Kind = "text"
    level: int = 0
    """Of a heading, from 1; of a list item its depth, from 1."""
    place: Place = NOWHERE
    address: str = ""
    """Of a passage: how it is cited, e.g. "R15(a)"."""
    title: str = ""
    """Of a passage."""
    source: str = ""
    """Of a passage: whose statement it is, where the file says so."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a reader made of one file."""

    title: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = field(default=())
    """What was not read and why, a line each: "page 3 is scanned, without text", "hidden text left out on page 2"."""
    pages: int | None = None
