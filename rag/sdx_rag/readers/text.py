"""Plain text: paragraphs between empty lines, headings by their number, underline or capitals, list items. Start at read_text()."""

import re
from collections.abc import Iterator

from sdx_rag.document import Block, Document
from sdx_rag.readers.clean import cleaned, hidden_notes, ranked, table_text
from sdx_rag.readers.encoding import decoded
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.numbering import BULLETS, article, item, numbered, perhaps_numbered

_UNDERLINE = re.compile(r"(=+|-+|~+)\s*")
_CELLS = re.compile(r"\t+| {3,}")


def read_text(data: bytes, name: str, limits: Limits) -> Document:
    """A text file in any encoding that decoded() knows."""
    text = decoded(data)
    return Document(title=name, blocks=tuple(ranked(text_blocks(cleaned(text)))), notes=hidden_notes([text]))


def text_blocks(text: str) -> Iterator[Block]:
    """Blocks of cleaned text."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        lines = [line for line in paragraph.split("\n") if line.strip()]
        if len(lines) > 1 and all(_CELLS.search(line.strip()) for line in lines):
            yield Block(table_text(_CELLS.split(line.strip()) for line in lines), "table")
        elif len(lines) == 2 and _UNDERLINE.fullmatch(lines[1]):
            yield Block(lines[0].strip(), "heading", 1 if lines[1][0] == "=" else 2)
        elif len(lines) == 1 and (level := _alone(lines[0].strip())):
            yield Block(lines[0].strip(), "heading", level)
        else:
            yield from _paragraph([line.strip() for line in lines])


def _alone(line: str) -> int:
    """Level of a heading that stands alone between empty lines."""
    capitals = line.isupper() and sum(character.isalpha() for character in line) > 3 and len(line) <= 80 and line[-1] not in ".,;:"
    return perhaps_numbered(line) or (2 if capitals else 0)


def _paragraph(lines: list[str]) -> Iterator[Block]:
    """Lines without an empty one between: text, headings that their number makes, items with the lines that go on from them."""
    block: list[str] = []
    depth = 0
    for line in lines:
        ended = not block or block[-1][-1] in ".:;!?)다"
        level, mark = (numbered(line) if ended else 0), item(line)
        law = article(line) if ended else None
        if block and (level or mark or law):
            yield _joined(block, depth)
            block, depth = [], 0
        if level:
            yield Block(line, "heading", level)
        elif law:
            yield Block(law[0], "heading", numbered(law[0]))
            block, depth = [law[1]], item(law[1])
        else:
            depth = mark or depth
            block.append(line)
    if block:
        yield _joined(block, depth)


def _joined(lines: list[str], depth: int) -> Block:
    text = " ".join(lines)
    return Block(text.lstrip(BULLETS).lstrip() if depth else text, "item" if depth else "text", depth)
