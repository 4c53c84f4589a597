"""Markdown: made into HTML and read as such, so that markup inside it counts as markup. Start at read_markdown()."""

import re

from sdx_rag.document import Document
from sdx_rag.readers.encoding import decoded
from sdx_rag.readers.html import html_document
from sdx_rag.readers.limits import Limits

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)


def read_markdown(data: bytes, name: str, limits: Limits) -> Document:
    """CommonMark with tables. Links keep their words, images their alternative text; front matter is left out."""
    from markdown_it import MarkdownIt

    text = _FRONT_MATTER.sub("", decoded(data).replace("\r\n", "\n"), count=1)
    return html_document(MarkdownIt("commonmark").enable("table").render(text), name)
