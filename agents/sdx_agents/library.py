"""The user's library of a domain together with what is shipped for it. Start at opened()."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdx_domains.contract import Passage
from sdx_domains.knowledge import glossaries, passage_files

if TYPE_CHECKING:  # heavy
    from sdx_rag.library import Library

PASSAGES = 3
HELD = 0.75
"""Share of one of the phrases that are looked for, by weight, that a passage must hold to be shown beside a decision."""


@contextmanager
def opened(domain: str, say: Callable[[str], None] = lambda line: None, write: bool = False) -> "Iterator[Library]":
    """The library; what is shipped is indexed first where it is new or has changed. Raises what Library does."""
    from sdx_rag.library import Library
    from sdx_rag.settings import RagSettings

    with Library.open(domain, RagSettings.read(), write) as library:
        bring_knowledge(library, say)
        yield library


def bring_knowledge(library: "Library", say: Callable[[str], None] = lambda line: None) -> None:
    if files := passage_files(library.domain):
        library.knowledge(files, glossaries(library.domain), say)


def there(domain: str) -> bool:
    """Somebody has indexed something for this domain."""
    from sdx_rag.settings import RagSettings

    return (RagSettings.read().folder(domain) / "catalogue.sqlite").is_file()


def of_users(library: "Library", query: str) -> list[Passage]:
    """Passages of the user's own documents, best first; without those that speak to the machine instead of their reader.

    `query`: phrases with commas between them, as Domain.looks_for() gives them.
    """
    from sdx_rag.evidence import question_terms, share, tokens_of
    from sdx_rag.planted import BUILTIN, plain, planted

    names = [document.name for document in library.documents() if not document.name.startswith(BUILTIN)]
    found = library.search(query, 4 * PASSAGES, documents=names) if names else []
    phrases = [question_terms(library, phrase) for phrase in query.split(", ")]
    fit = [
        one
        for one in found
        if any(share(terms, tokens_of(one)) >= HELD for terms in phrases)
        and not planted("\n".join((one.document, one.title, *one.headings, one.address, one.text)))
    ]
    return [
        Passage(id=f"doc:{one.document}#{one.id}", title=plain(one.citation), text=plain(one.text), source=one.source or one.document)
        for one in fit[:PASSAGES]
    ]
