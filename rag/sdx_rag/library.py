"""A library: the documents of one domain, indexed, kept in step with their files, searched. Start at Library.open()."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import RLock
from typing import Self

from sdx_rag.borders import Embedder, EmbeddingError, Reranker
from sdx_rag.catalogue import Catalogue, Failure, Source, Stored
from sdx_rag.dense import Dense
from sdx_rag.embed.settings import EmbedSettings
from sdx_rag.glossary import Glossary
from sdx_rag.ingest import Report, Writing, file_of, inside, mismatch, writing
from sdx_rag.lexical import Lexical, LexicalBroken
from sdx_rag.lock import held
from sdx_rag.passages import Found, Language
from sdx_rag.search import Search, Side
from sdx_rag.settings import RagSettings

Say = Callable[[str], None]
WAIT_S = 30.0
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")
_FEW = 1000
"""Passages that are embedded without being asked for, at the first search with a model."""
BUILTIN = "builtin"


def _silent(line: str) -> None:
    """Nobody is told."""


class Library:
    """Open in any number of processes and threads; one writes at a time, the others see what it has finished.

    Raises LexicalBroken, CatalogueBroken, StoreError, IndexMismatch, EmbeddingError, Busy, OSError: each message says what to do.
    """

    def __init__(self, domain: str, settings: RagSettings, write: bool, say: Say) -> None:
        if not _NAME.fullmatch(domain):
            raise ValueError(f"domain {domain!r}: a library's name is of small letters, digits, - and _, at most 61")
        self.domain, self.settings, self._may_write, self._say = domain, settings, write, say
        self.folder = settings.folder(domain)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._catalogue = Catalogue(self.folder / "catalogue.sqlite")
        self._mutex = RLock()
        self._words: Lexical | None = None
        self._generation = -1
        self.glossary = Glossary(())
        self._without = ""

    @classmethod
    def open(cls, domain: str, settings: RagSettings, write: bool = False, say: Say = _silent) -> Self:
        """The library of that domain, an empty one where there is none yet. With `write`, documents may be added and removed.

        `say` is told what takes long at the first search: the default model is converted once.
        """
        return cls(domain, settings, write, say)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._mutex:
            if "_dense" in self.__dict__ and self._dense is not None:
                self._dense.close()
            if self._words is not None:
                self._words.close()
            self._catalogue.close()

    @property
    def embedder(self) -> Embedder | None:
        """None where the settings say so, or the extra is not installed: then words alone are searched."""
        return self._embedder

    @cached_property
    def _embedder(self) -> Embedder | None:
        from sdx_rag.embed.choose import open_embedder

        try:
            return open_embedder(self.settings.embed, self._say)
        except EmbeddingError as error:
            if self.settings.embed != EmbedSettings() or not isinstance(error.__cause__, ModuleNotFoundError):
                raise  # what was asked for by name is not replaced by nothing
            self._without = f"passages are found by their words alone: {error}"
            return None

    @cached_property
    def reranker(self) -> Reranker | None:
        from sdx_rag.embed.choose import open_reranker

        return open_reranker(self.settings.rerank)

    @cached_property
    def _dense(self) -> Dense | None:
        return Dense(self._catalogue, self.settings, self.folder, self.embedder) if self.embedder else None

    # Searching

    def search(
        self,
        query: str,
        count: int = 5,
        language: Language | None = None,
        documents: Collection[str] | None = None,
        side: Side = "hybrid",
    ) -> list[Found]:
        """Passages, best first; of these documents (names) and in this language where given. ValueError for a count under 1."""
        if count < 1:
            raise ValueError(f"count is {count}: at least 1")
        with self._mutex:
            by_meaning = side != "lexical" and self._has_vectors()
            search = Search(
                self._catalogue,
                self._current_words(),
                self._dense if by_meaning else None,
                self.embedder if by_meaning else None,
                self.glossary,
            )
            return search.found(
                query,
                count,
                self.settings.candidates,
                self.settings.rrf_k,
                language,
                documents,
                side,
                self.reranker if side == "hybrid" else None,
            )

    def frequencies(self, tokens: Collection[str]) -> tuple[int, dict[str, int]]:
        """Passages in the library, and in how many of them each token stands."""
        with self._mutex:
            words = self._current_words()
            return self._catalogue.count(), words.frequencies(tokens)

    def notes(self) -> list[str]:
        """What a user should know of how this library is searched, a line each."""
        if self.embedder is None:
            return [self._without or "no embedding model: passages are found by their words alone"]
        told, was = list[str](), self._catalogue.fact("embedder")
        if was and was != self.embedder.id:
            told.append(str(mismatch(self.domain, was, self.embedder.id)))
        elif lacking := self._catalogue.lacking(self.embedder.languages):
            told.append(f"{lacking} passages have no vector yet and are found by their words: `sdx rag reindex --domain {self.domain}`")
        if self._dense is not None and self._dense.trouble:
            told.append(f"every vector is compared, which is slower: {self._dense.trouble}")
        return told

    def _has_vectors(self) -> bool:
        if self.embedder is None:
            return False
        was = self._catalogue.fact("embedder")
        if not was and 0 < self._catalogue.lacking(self.embedder.languages) <= _FEW:
            with self._writing(_silent, WAIT_S) as write:  # it was filled when there was no model
                write.embed_rest(_silent)
            return True
        if was and was != self.embedder.id:
            raise mismatch(self.domain, was, self.embedder.id)
        return bool(was)

    def _current_words(self) -> Lexical:
        """As of the last finished writing, by whomever."""
        generation = self._catalogue.generation
        try:
            if self._words is None:
                self._words = Lexical(self.folder / "words")
            elif generation != self._generation:
                self._words.reload()
        except LexicalBroken:
            self._words = None
            with self._writing(_silent, WAIT_S):  # makes it anew from the catalogue
                self._words = Lexical(self.folder / "words")
        self._generation = generation
        return self._words

    # What is in it

    def documents(self) -> list[Stored]:
        """By name."""
        return self._catalogue.documents()

    def failures(self) -> list[Failure]:
        """Files of its sources that could not be read, by name."""
        return self._catalogue.failures()

    def sources(self) -> list[Source]:
        """What was added, as it was added."""
        return self._catalogue.sources()

    # Writing

    def add(self, path: Path, say: Say = _silent, wait_s: float = WAIT_S) -> Report:
        """A file or a folder with all that is in it. What is there already and unchanged costs a look.

        Raises FileNotFoundError, and Busy after `wait_s` of another's writing.
        """
        path = path.expanduser().absolute()
        if not path.is_symlink() and not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
        with self._changing(say, wait_s) as write:
            source = self._covering(path)
            if source and source.kind == "folder" and Path(source.path) != path:
                name = str(path.relative_to(source.path))
                for out in self._catalogue.excluded(source.id):
                    if out == name or out.startswith(f"{name}/"):
                        self._catalogue.exclude(source.id, out, out=False)
                return write.take(source, list(inside(source, path)), say)
            if source is None:
                removed = self._absorbed(path, write)
                source = self._catalogue.add_source(str(path), "folder" if path.is_dir() and not path.is_symlink() else "file")
                return removed + self._synced(source, write, say)
            return self._synced(source, write, say)

    def remove(self, name: str, wait_s: float = WAIT_S) -> Report:
        """A document by its name, or all of a source by its path, and not from the disk. KeyError names what there is."""
        with self._changing(_silent, wait_s) as write:
            for source in self._catalogue.sources():
                if source.kind != BUILTIN and source.path == str(Path(name).expanduser().absolute()):
                    return self._forgotten(source, write)
            found = [document for document in self._catalogue.documents() if document.name == name and not name.startswith(f"{BUILTIN}/")]
            failed = [failure for failure in self._catalogue.failures() if failure.name == name]
            if not found and not failed:
                known = ", ".join(document.name for document in self._catalogue.documents()[:20]) or "none"
                raise KeyError(f"no document or source {name!r} of yours in library {self.domain!r}; documents: {known}")
            for one in (*found, *failed):
                self._catalogue.exclude(one.source, one.path)
                self._catalogue.forget_failure(one.source, one.path)
            report = write.remove(found) if found else Report(removed=(name,))
            for source in self._catalogue.sources():
                if source.kind == "file" and source.id in {one.source for one in (*found, *failed)}:
                    self._catalogue.remove_source(source.id)
            return report

    def sync(self, say: Say = _silent, wait_s: float = WAIT_S) -> Report:
        """Look at every source again: what is new, changed or deleted there is so here."""
        with self._changing(say, wait_s) as write:
            report = Report()
            for source in self._catalogue.sources():
                if source.kind != BUILTIN:
                    report += self._synced(source, write, say)
            return report

    def reindex(self, say: Say = _silent, wait_s: float = WAIT_S) -> int:
        """Both indexes anew from the catalogue, no file read again; embeds only what has no vector of the settings' model.

        Killed, it goes on at the next call. How many passages were embedded.
        """
        with self._changing(say, wait_s, reindex=True) as write:
            return write.embed_rest(say)

    def knowledge(self, files: Sequence[Path], glossaries: Sequence[Path] = (), say: Say = _silent, wait_s: float = WAIT_S) -> None:
        """What is shipped for the domain: passage files, as the source "builtin", indexed when they are not or have changed."""
        self.glossary = Glossary.read(glossaries)
        digest = sha256(b"\0".join(part for path in sorted(files) for part in (path.name.encode(), path.read_bytes()))).hexdigest()
        if self._catalogue.fact(BUILTIN) == digest:
            return
        with self._writing(say, wait_s) as write:
            say(f"indexing the shipped knowledge of {self.domain} ({len(files)} files)")
            source = self._catalogue.add_source(BUILTIN, BUILTIN)
            found = [file_of(path, path.name) for path in sorted(files)]
            report = write.take(source, found, say)
            if report.failed:
                raise ValueError("shipped knowledge: " + "; ".join(f"{name}: {reason}" for name, reason in report.failed))
            names = {path.name for path in files}
            write.remove([document for document in self._catalogue.documents(source.id) if document.path not in names])
            self._catalogue.set_fact(BUILTIN, digest)

    def _synced(self, source: Source, write: Writing, say: Say) -> Report:
        root = Path(source.path)
        if not root.exists() and not root.is_symlink() and (source.kind == "folder" or not root.parent.is_dir()):
            return Report(failed=((source.path, "not there now: its documents stay; `sdx rag rm` with this path removes them"),))
        out = self._catalogue.excluded(source.id)
        found = [
            file for file in inside(source) if file.inside not in out and (file.size >= 0 or file.path.is_symlink() or file.path.exists())
        ]
        there = {file.inside for file in found}
        gone = [document for document in self._catalogue.documents(source.id) if document.path not in there]
        for failure in self._catalogue.failures(source.id):
            if failure.path not in there:
                self._catalogue.forget_failure(source.id, failure.path)
        report = write.take(source, found, say)
        return report + write.remove(gone) if gone else report

    def _covering(self, path: Path) -> Source | None:
        """The source that a path is, or is in."""
        return next((source for source in self._catalogue.sources() if source.kind != BUILTIN and path.is_relative_to(source.path)), None)

    def _absorbed(self, path: Path, write: Writing) -> Report:
        """Sources inside a folder that is added become a part of it."""
        within = [source for source in self._catalogue.sources() if source.kind != BUILTIN and Path(source.path).is_relative_to(path)]
        return sum((self._forgotten(source, write) for source in within), Report())

    def _forgotten(self, source: Source, write: Writing) -> Report:
        report = write.remove(self._catalogue.documents(source.id))
        self._catalogue.remove_source(source.id)
        return report

    @contextmanager
    def _changing(self, say: Say, wait_s: float, reindex: bool = False) -> Iterator[Writing]:
        if not self._may_write:
            raise PermissionError(f"library {self.domain!r} was opened for reading")
        with self._writing(say, wait_s, reindex) as write:
            yield write

    @contextmanager
    def _writing(self, say: Say, wait_s: float, reindex: bool = False) -> Iterator[Writing]:
        with (
            held(self.folder / "lock", wait_s, say),
            writing(self._catalogue, self.folder, self._dense, self.embedder, self.settings, reindex) as write,
        ):
            yield write
