"""Takes out of a text what a person does not see: formatting and tag characters, fillers, controls. Start at cleaned()."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sdx_rag.document import Block

# Letters, marks and selectors that are drawn as nothing: Hangul fillers, Braille blank, variation selectors, Mongolian vowel separator.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u180e\u034f") | frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
# Those of the removed that only someone who hides something needs: tags, variation selectors 17 and up, overrides of direction.
_SUSPECT = re.compile("[\U000e0000-\U000e01ef\u202a-\u202e\u2066-\u2069]")


class _Seen(dict[int, str | None]):
    """What becomes of each character, worked out once for each."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        category = unicodedata.category(character)
        seen: str | None = character
        if character in "\n\t":
            pass
        elif category in ("Zl", "Zp") or character in "\x0b\x0c\x85":
            seen = "\n"
        elif category == "Zs" or category == "Co":
            seen = " "
        elif category in ("Cf", "Cc", "Cs", "Cn") or character in _BLANK:
            seen = None
        self[code] = seen
        return seen


_SEEN = _Seen()


def cleaned(text: str) -> str:
    """NFC, only characters that are seen, every kind of space and private symbol as a space, every line end as a line feed."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").translate(_SEEN))


def spaced(text: str) -> str:
    """One line, single spaces."""
    return " ".join(cleaned(text).split())


def table_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as lines, cells joined by " | "; rows without any text are left out."""
    lines = (" | ".join(spaced(cell) for cell in row) for row in rows)
    return "\n".join(line for line in lines if line.strip(" |"))


def ranked(blocks: Iterable[Block]) -> list[Block]:
    """Headings' levels made 1, 2, 3 without gaps, in their order."""
    blocks = list(blocks)
    levels = sorted({block.level for block in blocks if block.kind == "heading"})
    return [replace(block, level=levels.index(block.level) + 1) if block.kind == "heading" else block for block in blocks]


def hidden_notes(texts: Iterable[str]) -> tuple[str, ...]:
    """A note where someone hid characters on purpose."""
    count = sum(len(_SUSPECT.findall(text)) for text in texts)
    return (f"{count} hidden characters left out",) if count else ()


def cleaned_blocks(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """The blocks that still have text when cleaned."""
    kept = []
    for block in blocks:
        text = cleaned(block.text)
        if block.kind != "table":  # where a space at a line's end stands for an empty cell
            text = "\n".join(line.strip() for line in text.split("\n"))
        text = text.strip("\n")
        if text.strip():
            kept.append(replace(block, text=text, title=spaced(block.title), source=spaced(block.source), address=spaced(block.address)))
    return tuple(kept)
