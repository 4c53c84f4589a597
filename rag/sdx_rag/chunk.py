"""A document to the passages that are indexed: cut where it is built so. Start at chunks(); its parts are found in sections.py."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sdx_rag.document import Document, Place
from sdx_rag.passages import Chunk
from sdx_rag.sections import Piece, Section, sections
from sdx_rag.words import language_of, sentences

TARGET_WORDS = 180
"""A chunk is filled up to this, unless the embedding model takes less."""
_PREFIX_HEADINGS, _PREFIX_CHARACTERS = 3, 160


def chunks(document: Document, fits: Callable[[Sequence[str]], list[int]], max_tokens: int) -> list[Chunk]:
    """Passages in reading order, the same for the same document. All words of the document are in a chunk's text or headings.

    A chunk never crosses a heading or, in rules and articles, a paragraph with a number of its own. Items stay with what introduces
    them and rows with their table's header, which are said again where they have to be parted.

    Args:
        fits: tokens of each text, end marks included, in the way of the embedding model; of words, where there is none.
        max_tokens: of one text with its title and headings; at least 32.
    """
    found = sections(document)
    sizes = _Sizes(fits, max_tokens, document.title)
    sizes.learn(text for section in found for group in section.groups for piece in group for text in (piece.text, piece.lead))
    sizes.learn(_prefix(document.title, section.headings) for section in found)
    cut = (chunk for section in found for chunk in _cut(section, sizes))
    return [replace(chunk, ordinal=ordinal) for ordinal, chunk in enumerate(cut)]


def indexed_text(chunk: Chunk, title: str) -> str:
    """What is embedded: title and nearest headings, then the text."""
    return f"{_prefix(title, chunk.headings)}\n{chunk.text}"


def _prefix(title: str, headings: tuple[str, ...]) -> str:
    return "\n".join(part[:_PREFIX_CHARACTERS] for part in (title, *headings[-_PREFIX_HEADINGS:]))


@dataclass(frozen=True, slots=True)
class _Room:
    words: int
    tokens: int

    def holds(self, size: "_Room") -> bool:
        return size.words <= self.words and size.tokens <= self.tokens


class _Sizes:
    """Sizes of texts, asked of the embedding model many at a time and once each."""

    def __init__(self, fits: Callable[[Sequence[str]], list[int]], max_tokens: int, title: str) -> None:
        self._fits, self._max_tokens, self._title = fits, max_tokens, title
        self._marks = fits([""])[0]
        self._known: dict[str, _Room] = {"": _Room(0, 0)}

    def learn(self, texts: Iterable[str]) -> None:
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            for text, tokens in zip(new, self._fits(new), strict=True):
                self._known[text] = _Room(max(len(text.split()), len(text) // 12), max(tokens - self._marks, 0) + 1)

    def room(self, section: Section) -> _Room:
        """For the text of a chunk: what title and headings leave, at least half."""
        prefix = self._known[_prefix(self._title, section.headings)].tokens
        return _Room(sys.maxsize if section.whole else TARGET_WORDS, max(self._max_tokens - self._marks - prefix, self._max_tokens // 2))

    def together(self, pieces: Sequence[Piece]) -> _Room:
        sizes = [self._known[text] for text in (pieces[0].lead, *(piece.text for piece in pieces))]
        return _Room(sum(size.words for size in sizes), sum(size.tokens for size in sizes))

    def parted(self, piece: Piece, room: _Room) -> list[Piece]:
        """The piece, or its sentences where it is too long, or parts of them."""
        lead = self._known[piece.lead]
        if lead.words * 2 > room.words or lead.tokens * 2 > room.tokens:
            piece, lead = replace(piece, lead=""), self._known[""]
        if room.holds(self.together([piece])):
            return [piece]
        room = _Room(room.words - lead.words, room.tokens - lead.tokens)
        parts = [part for sentence in sentences(piece.text) for part in self._smaller(sentence, room)]
        return [replace(piece, text=text, glue=" " if number else piece.glue) for number, text in enumerate(parts)]

    def _smaller(self, text: str, room: _Room) -> Iterator[str]:
        self.learn([text])
        if room.holds(self._known[text]) or len(text) < 2:
            yield text
            return
        every = text.split()
        halves = (" ".join(every[: len(every) // 2]), " ".join(every[len(every) // 2 :]))
        for half in halves if len(every) > 1 else (text[: len(text) // 2], text[len(text) // 2 :]):
            yield from self._smaller(half, room)


def _cut(section: Section, sizes: _Sizes) -> Iterator[Chunk]:
    """Groups together where they fit into one chunk, else their pieces as they come."""
    room, current = sizes.room(section), list[Piece]()
    for group in section.groups:
        if current and not room.holds(sizes.together([*current, *group])) and room.holds(sizes.together(group)):
            yield _chunk(section, current)
            current = []
        for part in (part for piece in group for part in sizes.parted(piece, room)):
            if current and not room.holds(sizes.together([*current, part])):
                yield _chunk(section, current)
                current = []
            current.append(part)
    yield _chunk(section, current)


def _chunk(section: Section, pieces: list[Piece]) -> Chunk:
    lead = pieces[0].lead
    text = "".join(piece.glue + piece.text for piece in pieces)[len(pieces[0].glue) :]
    text = f"{lead}\n{text}" if lead else text
    return Chunk(text, section.headings, _common(pieces), language_of(text), _place(pieces), section.source)


def _common(pieces: list[Piece]) -> str:
    """The provision that all of them stand under."""
    address = ""
    for level in zip(*(piece.addresses for piece in pieces), strict=False):
        if len(set(level)) > 1:
            break
        address = level[0]
    return address


def _place(pieces: list[Piece]) -> Place:
    """The page of the first, and the box around those on it."""
    page = pieces[0].place.page
    boxes = [piece.place.box for piece in pieces if piece.place.page == page and piece.place.box]
    if not boxes:
        return Place(page)
    left, top, right, bottom = zip(*boxes, strict=True)
    return Place(page, (min(left), min(top), max(right), max(bottom)))
