"""The words of a library's chunks, searched by BM25 (tantivy). Start at Lexical; the tokens are words.py's, the truth is the catalogue's."""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sdx_rag import words
from sdx_rag.passages import Chunk

if TYPE_CHECKING:
    import tantivy

WEIGHTS = {"text": 1.0, "headings": 1.5, "address": 12.0}
"""What a hit in each field counts. A passage with the address that a query names comes before one that only mentions it."""
HEAP_BYTES = 64_000_000
"""Of the writer, before it writes a segment to disk."""
_VERSION = f"1.{words.VERSION}"
"""Of the fields and of the tokens in them."""


class LexicalBroken(RuntimeError):
    """The index cannot be read, or is of another version. The catalogue has all that it held: clear() and add again."""


class LexicalBusy(RuntimeError):
    """Another process, or another object of this one, is writing; the message says which process and since when."""


class Lexical:
    """An index in a folder. One may write, any number may read; what is written is seen after commit() and, by others, their reload().

    A writer that is killed leaves the index as its last commit left it.
    """

    def __init__(self, folder: Path, write: bool = False) -> None:
        """Raises LexicalBroken, LexicalBusy."""
        self._folder = folder
        self._writer: Any = None
        self._index = _opened(folder, write)
        self._searcher = self._index.searcher()
        if write:
            self._writer = _writer(self._index, folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """What was not committed is dropped. The folder is free for another writer when it returns."""
        if self._writer is not None:
            self._writer.rollback()
            self._writer.wait_merging_threads()
            self._writer = None

    def add(self, id: int, text: Sequence[str], headings: Sequence[str] = (), address: Sequence[str] = ()) -> None:
        """A chunk's tokens; replaces those under its id."""
        import tantivy

        document = tantivy.Document()
        document.add_integer("id", id)
        for field, tokens in (("text", text), ("headings", headings), ("address", address)):
            document.add_text(field, " ".join(tokens))
        self._writer.delete_documents_by_term("id", id)
        self._writer.add_document(document)

    def remove(self, ids: Iterable[int]) -> None:
        """Unknown ids are passed over."""
        for id in ids:
            self._writer.delete_documents_by_term("id", id)

    def commit(self) -> None:
        """All or nothing, and durable when it returns. OSError where it cannot be written; the last commit still stands then."""
        try:
            self._writer.commit()
        except ValueError as error:
            raise OSError(f"{self._folder}: words were not written: {_first_line(error)}") from error
        self.reload()

    def reload(self) -> None:
        """See what has been committed since, by whomever. Raises LexicalBroken."""
        with _told(self._folder):
            self._index.reload()
            self._searcher = self._index.searcher()

    def search(
        self, tokens: Collection[str] | Mapping[str, float], count: int, among: Collection[int] | None = None
    ) -> list[tuple[int, float]]:
        """Ids with their BM25 over all fields, best first, equal ones by id. `tokens` may carry a weight each; `among` are the only ids."""
        from tantivy import Occur, Query

        weights = tokens if isinstance(tokens, Mapping) else dict.fromkeys(tokens, 1.0)
        schema = self._index.schema
        terms = [
            (Occur.Should, Query.boost_query(Query.term_query(schema, field, token, "freq"), weight * field_weight))
            for token, weight in weights.items()
            for field, field_weight in WEIGHTS.items()
        ]
        if not terms or count < 1:
            return []
        query = Query.boolean_query(terms)
        if among is not None:
            few = Query.const_score_query(Query.term_set_query(schema, "id", sorted(among)), 0.0)
            query = Query.boolean_query([(Occur.Must, query), (Occur.Must, few)])
        with _told(self._folder):
            hits = self._searcher.search(query, limit=count, count=False).hits
        ids = self._ids([address for _, address in hits])
        return sorted(((id, float(score)) for id, (score, _) in zip(ids, hits, strict=True)), key=lambda hit: (-hit[1], hit[0]))

    def frequencies(self, tokens: Iterable[str]) -> dict[str, int]:
        """In how many chunks each token stands, in whichever field has it most often; those just removed may still be counted."""
        return {token: max(self._searcher.doc_freq(field, token) for field in WEIGHTS) for token in tokens}

    def ids(self) -> set[int]:
        """Of every chunk in it."""
        from tantivy import Query

        if not self._searcher.num_docs:
            return set()
        with _told(self._folder):
            hits = self._searcher.search(Query.all_query(), limit=self._searcher.num_docs, count=False).hits
        return set(self._ids([address for _, address in hits]))

    def _ids(self, addresses: list[Any]) -> list[int]:
        return [int(id) for id in self._searcher.fast_field_values("id", addresses) if id is not None]


def terms(chunk: Chunk, title: str) -> tuple[list[str], list[str], list[str]]:
    """What Lexical.add takes after the id: tokens of the text, of title and headings, of the address."""
    return words.tokens(chunk.text), words.tokens("\n".join((title, *chunk.headings))), words.address_tokens(chunk.address)


def clear(folder: Path) -> None:
    """Remove the index, broken or not, so that the next writer begins with an empty one. Only while nobody writes: its lock goes too."""
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()


def _opened(folder: Path, write: bool) -> "tantivy.Index":
    import tantivy

    mark = folder / "version"
    with _told(folder):
        if write and not (folder / "meta.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            mark.write_text(_VERSION, encoding="utf-8")
            tantivy.Index(_schema(), path=str(folder))
        found = mark.read_text(encoding="utf-8") if mark.exists() else "none"
        if found != _VERSION:
            raise LexicalBroken(
                f"{folder}: the index of words is of version {found}, this SDx reads {_VERSION}; build it anew from the catalogue"
            )
        index = tantivy.Index.open(str(folder))
        index.config_reader("manual")
        index.reload()
        return index


def _schema() -> "tantivy.Schema":
    import tantivy

    # Signed: tantivy-py 0.27 takes an integer given to delete_documents_by_term for a signed one, and deletes nothing from an unsigned field.
    builder = tantivy.SchemaBuilder().add_integer_field("id", indexed=True, fast=True)
    for field in WEIGHTS:
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def _writer(index: "tantivy.Index", folder: Path) -> "tantivy.IndexWriter":
    """One thread: two are no faster on two cores, where another embeds. The lock is the operating system's and ends with the process."""
    mark = folder / "writer"
    try:
        writer = index.writer(heap_size=HEAP_BYTES, num_threads=1)
    except ValueError as error:
        if "LockBusy" not in str(error):
            raise LexicalBroken(f"{folder}: {_first_line(error)}; build it anew from the catalogue") from error
        who = mark.read_text(encoding="utf-8") if mark.exists() else "a process that has just begun"
        raise LexicalBusy(f"{folder} is being written by {who}; wait until it is done") from error
    mark.write_text(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}", encoding="utf-8")
    return writer


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the library says of unreadable files, as LexicalBroken: a ValueError for most, a Rust panic for bytes changed inside one."""
    try:
        yield
    except ValueError as error:
        raise LexicalBroken(f"{folder}: {_first_line(error)}; build it anew from the catalogue") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise LexicalBroken(f"{folder}: its bytes were changed ({_first_line(error)}); build it anew from the catalogue") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
