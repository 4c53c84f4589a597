"""HTML: what a person sees of a page's main content, with headings, lists and tables. Start at read_html()."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdx_rag.document import Block, Document, Kind, Unreadable
from sdx_rag.readers.clean import hidden_notes, ranked, table_text
from sdx_rag.readers.encoding import decoded
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.numbering import spelled
from sdx_rag.readers.styles import Colour, background, colour, declared, hides, hiding_selectors, same

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_UNSEEN = {
    "script",
    "style",
    "template",
    "noscript",
    "iframe",
    "object",
    "embed",
    "canvas",
    "svg",
    "math",
    "head",
    "audio",
    "video",
    "dialog",
    "del",
}
_AROUND = {"nav", "footer", "aside", "menu", "select", "textarea", "button", "datalist"}  # of the page, not of its content
_AROUND_ROLES = {"navigation", "contentinfo", "complementary", "banner", "search", "menu", "menubar"}
_BLOCKS = {
    "address",
    "article",
    "blockquote",
    "body",
    "caption",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
}
_NESTING = re.compile(
    r"<(/?)(div|span|section|article|blockquote|ul|ol|dl|table|b|i|em|strong|font|a|u|center|form|main|svg|g)\b", re.IGNORECASE
)
_DEEP = 2_000  # nested elements; the parser's time grows with the square
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)


def read_html(data: bytes, name: str, limits: Limits) -> Document:
    """A web page. Nothing that it points to is fetched, nothing in it is run."""
    return html_document(_decoded(data), name)


def html_document(text: str, name: str) -> Document:
    """The document of a page's markup."""
    from selectolax.lexbor import LexborHTMLParser

    if _depth(text) > _DEEP:
        raise Unreadable(f"broken: more than {_DEEP:,} elements inside each other")
    tree = LexborHTMLParser(text)
    walk = _Walk(_hidden_by_sheets(tree))
    blocks = ranked(walk.blocks(_main(tree)))
    heading = next((block.text for block in blocks if block.kind == "heading" and block.level == 1), "")
    title = tree.css_first("title")
    notes = hidden_notes(block.text for block in blocks)
    if walk.left_out:
        notes += (f"hidden text left out in {walk.left_out} places",)
    return Document(title=heading or (title.text(strip=True) if title else "") or name, blocks=tuple(blocks), notes=notes)


def _decoded(data: bytes) -> str:
    """By the encoding that the page names, where it fits; else as any text."""
    named = _CHARSET.search(data[:4096])
    if named and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        try:
            text = data.decode(named[1].decode("ascii"))
        except (LookupError, UnicodeDecodeError):
            return decoded(data)
        return decoded(text.encode("utf-8", "replace"))
    return decoded(data)


def _depth(text: str) -> int:
    """How deep elements that must be closed stand inside each other, at most."""
    depth = deepest = 0
    for match in _NESTING.finditer(text):
        depth = max(depth - 1, 0) if match[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _hidden_by_sheets(tree: "LexborHTMLParser") -> set[int]:
    from selectolax.lexbor import SelectolaxError

    hidden: set[int] = set()
    for sheet in tree.css("style"):
        for selector in hiding_selectors(sheet.text()):
            try:
                hidden.update(node.mem_id for node in tree.css(selector))
            except SelectolaxError:
                continue  # a selector of another browser's: it chooses nothing here either
    return hidden


def _main(tree: "LexborHTMLParser") -> "LexborNode | None":
    """The element with the content, where the page marks one that holds a good part of its text."""
    body = tree.body
    if body is None:
        return tree.root
    whole = len(body.text())
    for selector, share in (("main, [role=main]", 0.2), ("article", 0.5)):
        found = tree.css(selector)
        if len(found) == 1 and len(found[0].text()) >= share * whole:
            return found[0]
    return body


@dataclass
class _Context:
    """What holds inside an element."""

    kind: Kind = "text"
    level: int = 0
    prefix: list[str] = field(default_factory=list)
    """The number of the list item around, until its first text takes it."""
    background: Colour = (255, 255, 255)
    pre: bool = False
    lists: list[tuple[list[int], str]] = field(default_factory=list)
    """Of each list around: its last number and how it writes them."""


class _Walk:
    """One pass over a page, without recursion: pages may be nested as deep as they like."""

    def __init__(self, hidden: set[int]) -> None:
        self.hidden = hidden
        self.left_out = 0
        self.words: list[str] = []

    def blocks(self, root: "LexborNode | None") -> Iterator[Block]:
        """Blocks in the page's order."""
        if root is None or self._above_hidden(root):
            return
        stack: list[tuple[LexborNode | None, _Context]] = [(root, _Context())]
        while stack:
            node, context = stack.pop()
            if node is None:  # the end of a block element: what it held is whole
                yield from self._flushed(context)
            elif node.is_text_node:
                self.words.append(node.text(deep=False))
            elif node.is_element_node and self._seen(node, context):
                tag = node.tag or ""
                if tag == "table" and (rows := self._rows(node, context)):
                    yield from self._flushed(context)
                    yield Block(table_text(rows), "table")
                    continue
                inner = _inner(node, context)
                if tag in _BLOCKS:
                    yield from self._flushed(context)
                    stack.append((None, inner))
                elif tag in ("br", "img"):
                    self.words.append("\n" if tag == "br" else f" {node.attributes.get('alt') or ''} ")
                children = list(node.iter(include_text=True))
                stack.extend((child, inner) for child in reversed(children))
        yield from self._flushed(_Context())

    def _flushed(self, context: _Context) -> Iterator[Block]:
        text = "".join(self.words)
        self.words.clear()
        text = text.strip("\n") if context.pre else " ".join(text.split())
        if text.strip():
            yield Block((context.prefix.pop() if context.prefix else "") + text, context.kind, context.level)

    def _seen(self, node: "LexborNode", context: _Context) -> bool:
        """Whether an element is content that a person sees; counts what is hidden."""
        if node.tag in _UNSEEN or node.tag in _AROUND or node.attributes.get("role") in _AROUND_ROLES:
            return False
        if self._is_hidden(node, context.background):
            self.left_out += bool(node.text(strip=True))
            return False
        return True

    def _is_hidden(self, node: "LexborNode", behind: Colour) -> bool:
        attributes = node.attributes
        if node.mem_id in self.hidden or "hidden" in attributes or (attributes.get("aria-hidden") or "").lower() == "true":
            return True
        style = declared(attributes.get("style") or "")
        ink = colour(style.get("color") or attributes.get("color"))
        return hides(style) or same(ink, _behind(node, style, behind))

    def _above_hidden(self, node: "LexborNode | None") -> bool:
        while node is not None and node.is_element_node:
            if self._is_hidden(node, (255, 255, 255)):
                return True
            node = node.parent
        return False

    def _rows(self, table: "LexborNode", context: _Context) -> list[list[str]]:
        """Rows of a table of data; none of a table that only arranges the page."""
        if table.attributes.get("role") == "presentation" or table.css_first("td table, td h1, td h2, td h3, td p + p, td ul + p"):
            return []
        rows = []
        inner = _inner(table, context)
        for row in table.css("tr"):
            if self._seen(row, inner):
                cells = [cell for cell in row.iter() if cell.tag in ("td", "th")]
                rows.append([part for cell in cells for part in self._cell(cell, _inner(row, inner))])
        return rows if max(map(len, rows), default=0) > 1 else []

    def _cell(self, cell: "LexborNode", context: _Context) -> list[str]:
        """The cell's text, and an empty cell for each further column that it spans."""
        span = cell.attributes.get("colspan") or "1"
        inside = _Walk(self.hidden)
        seen = self._seen(cell, context)
        text = " ".join(block.text for block in inside.blocks(cell)) if seen else ""
        self.left_out += inside.left_out
        return [text, *[""] * (min(int(span), 50) - 1 if span.isascii() and span.isdigit() else 0)]


def _behind(node: "LexborNode", style: dict[str, str], behind: Colour) -> Colour:
    found = background(style) or colour(node.attributes.get("bgcolor"))
    return behind if found in (None, "transparent") else found


def _inner(node: "LexborNode", context: _Context) -> _Context:
    """What holds for an element's children. Fixes the number of a list item."""
    tag = node.tag or ""
    style = declared(node.attributes.get("style") or "")
    behind = _behind(node, style, context.background)
    inner = _Context(context.kind, context.level, context.prefix, behind, context.pre or tag == "pre", context.lists)
    if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
        inner.kind, inner.level = "heading", int(tag[1])
    elif tag in ("ul", "ol"):
        start = node.attributes.get("start") or "1"
        first = int(start) if re.fullmatch(r"-?\d{1,6}", start, re.ASCII) else 1
        inner.lists = [*context.lists, ([first - 1], (node.attributes.get("type") or "1") if tag == "ol" else "")]
    elif tag == "li":
        inner.kind, inner.level = "item", max(len(context.lists), 1)
        if context.lists and context.lists[-1][1]:
            last, form = context.lists[-1]
            last[0] += 1
            inner.prefix = [f"{last[0]}. " if form == "1" else f"({spelled(last[0], form)}) "]
    return inner
