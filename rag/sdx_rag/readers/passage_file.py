"""Passage files: YAML of rules by address, each in English and Korean, as the domains ship their knowledge. Start at read_passages()."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from sdx_rag.document import Block, Document, Unreadable
from sdx_rag.passages import Language
from sdx_rag.readers.clean import hidden_notes
from sdx_rag.readers.encoding import decoded
from sdx_rag.readers.limits import Limits
from sdx_serving.closed import Closed

_LANGUAGES: tuple[Language, ...] = ("en", "ko")
_DEPTH = 20  # of brackets or indentation; more is no passage file, and would exhaust the stack
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Wording(Closed):
    title: str = ""
    text: str = Field(min_length=1)


class Entry(Closed):
    """What stands at one address."""

    source: str = ""
    """Whose statement it is; else the file's."""
    en: Wording | None = None
    ko: Wording | None = None


class PassageFile(Closed):
    title: str = ""
    """Of the document in citations; else the file's name in words."""
    source: str = Field(min_length=1)
    rules: dict[str, Entry] = Field(min_length=1)


class _Once(_Loader):
    """A loader to which a key that is given twice is an error: the first would be lost unseen."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            keys = [key.value for key, _ in node.value]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.YAMLError(f"{twice!r} is given twice, at or after line {node.start_mark.line + 1}")
        return mapping


def read_passages(data: bytes, name: str, limits: Limits) -> Document:
    """One passage for each address and language, in the file's order."""
    book = _book(decoded(data))
    bare = [address for address, entry in book.rules.items() if not (entry.en or entry.ko)]
    if bare:
        raise Unreadable(f"not a passage file: rules.{bare[0]} has neither `en` nor `ko`; give it a title and a text")
    title = book.title or Path(name).stem.replace("_", " ")
    blocks = tuple(_blocks(book))
    return Document(title=title, blocks=blocks, notes=hidden_notes(part for block in blocks for part in (block.title, block.text)))


def _blocks(book: PassageFile) -> Iterator[Block]:
    for address, entry in book.rules.items():
        for language in _LANGUAGES:
            wording: Wording | None = getattr(entry, language)
            if wording:
                yield Block(wording.text, "passage", address=address, title=wording.title, source=entry.source or book.source)


def _book(text: str) -> PassageFile:
    """Raises Unreadable that names the field, its value and what was expected."""
    try:
        _plain(text)
        book = yaml.load(text, Loader=_Once)
        if not isinstance(book, dict) or "rules" not in book:
            raise Unreadable("not a passage file: it has no `rules:`, with an address for each passage")
        return PassageFile.model_validate(book)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']} (given: {e['input']!s:.60})" for e in error.errors()]
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise Unreadable("not a passage file: " + "; ".join(wrong[:3]) + more) from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, Unreadable):
            raise
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else " ".join(str(error).split())[:200]
        raise Unreadable(f"broken: not YAML: {where}") from error


def _plain(text: str) -> None:
    """Refuses aliases, with which a small file becomes a huge one, and deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise Unreadable(f"not a passage file: an alias *{event.anchor} on line {event.start_mark.line + 1}; write it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            raise Unreadable(f"not a passage file: more than {_DEPTH} levels deep on line {event.start_mark.line + 1}")
