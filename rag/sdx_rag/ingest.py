"""Documents into a library, so that a kill at any moment leaves each of them whole: its old version or its new one. Start at Writing.take().

Order: chunks as "writing" and their vectors into the catalogue, vectors into the store, words into their index, then one transaction that makes
the new live and the old gone, then the old out of both indexes. What is not live when a writing begins is taken out first.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import file_digest
from pathlib import Path

from sdx_rag.borders import Embedder
from sdx_rag.catalogue import Catalogue, Change, Failure, Held, Source, Stored, key
from sdx_rag.chunk import chunks, indexed_text
from sdx_rag.dense import Dense
from sdx_rag.document import Unreadable
from sdx_rag.lexical import Lexical, LexicalBroken, clear, terms
from sdx_rag.passages import Chunk
from sdx_rag.readers.read import files, read
from sdx_rag.settings import RagSettings
from sdx_rag.words import language_of

Say = Callable[[str], None]
_BATCH_CHUNKS, _BATCH_FILES = 512, 128
_FRESH_NS = 2_000_000_000
"""A file written this shortly before it was looked at may change again without a new time or size: its bytes are looked at once more."""
_WORDS_PER_PASSAGE = 256
"""Where no embedding model sets the length."""
_TELL_S = 1.0


class IndexMismatch(RuntimeError):
    """The library's vectors are of another embedding model; the message has the command that mends it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the files. Names are those in the library."""

    indexed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    """Name and reason."""
    passages: int = 0
    """New ones."""
    seconds: float = 0.0

    def __add__(self, other: "Report") -> "Report":
        return Report(
            self.indexed + other.indexed, self.unchanged + other.unchanged, self.removed + other.removed, self.failed + other.failed,
            self.passages + other.passages, self.seconds + other.seconds,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a source, as it is now."""

    path: Path
    inside: str
    """Its path inside the source."""
    size: int
    mtime_ns: int


class Writing:
    """One writing, under the library's lock."""

    def __init__(self, catalogue: Catalogue, words: Lexical, dense: Dense | None, embedder: Embedder | None, settings: RagSettings) -> None:
        self._catalogue, self._words, self._dense, self._embedder, self._settings = catalogue, words, dense, embedder, settings
        self._taken = {document.name for document in catalogue.documents()} | {failure.name for failure in catalogue.failures()}

    def take(self, source: Source, found: Sequence[_File], say: Say) -> Report:
        """Index those files of a source that are new or changed."""
        known = {document.path: document for document in self._catalogue.documents(source.id)}
        broken = {failure.path: failure for failure in self._catalogue.failures(source.id)}
        tally, waiting, progress = _Tally(), list[Change](), _Progress(len(found), say)
        for number, file in enumerate(found, start=1):
            change = self._looked_at(source, file, known.get(file.inside), broken.get(file.inside), tally)
            if change:
                waiting.append(change)
                tally.passages += len(change.new)
            if sum(len(change.new) for change in waiting) >= _BATCH_CHUNKS or len(waiting) >= _BATCH_FILES:
                self._flush(waiting, tally)
            progress.tell(number, tally.passages)
        self._flush(waiting, tally)
        return tally.report(progress.seconds)

    def _looked_at(self, source: Source, file: _File, old: Stored | None, failure: Failure | None, tally: "_Tally") -> Change | None:
        """What to write, where the file is new or changed; else it is tallied."""
        now = time.time_ns()
        if failure and (failure.size, failure.mtime_ns) == (file.size, file.mtime_ns):
            tally.failed.append((failure.name, failure.reason))
            return None
        same = old is not None and (old.size, old.mtime_ns) == (file.size, file.mtime_ns)
        if old and same and old.mtime_ns < old.seen_ns - _FRESH_NS:
            tally.unchanged.append(old.name)
            return None
        name = old.name if old else failure.name if failure else self._name(source, file.inside)
        try:
            digest = _digest(file, self._settings.limits.file_bytes)
            if old and old.sha256 == digest:
                self._catalogue.seen(old.id, file.size, file.mtime_ns, now)
                tally.unchanged.append(name)
                return None
            return self._change(Stored(
                old.id if old else 0, source.id, file.inside, name, digest, file.size, file.mtime_ns, now, "", None, ()
            ), file.path)  # fmt: skip
        except Unreadable as error:
            mended_elsewhere = isinstance(error.__cause__, ModuleNotFoundError)  # by installing a package: the file is tried again
            settled = file.mtime_ns if file.mtime_ns < now - _FRESH_NS and not mended_elsewhere else -1
            self._catalogue.failed(Failure(source.id, file.inside, name, str(error), file.size, settled))
            tally.failed.append((name, str(error)))
            if old and not mended_elsewhere:
                self._catalogue.remove_documents([old.id])
            return None

    def _change(self, document: Stored, path: Path) -> Change:
        read_in = read(path, self._settings.limits, self._settings.ocr)[0]
        document = replace(document, title=read_in.title, pages=read_in.pages, notes=read_in.notes)
        cut = chunks(read_in, partial(_sizes, self._embedder), self._embedder.max_tokens if self._embedder else _WORDS_PER_PASSAGE)
        held = defaultdict[bytes, list[int]](list)
        for id, known in reversed(self._catalogue.chunks_of(document.id)):
            held[known].append(id)
        kept, new = list[tuple[int, Chunk]](), list[Chunk]()
        for chunk in cut:
            same = held.get(key(chunk, document.title))
            if same:
                kept.append((same.pop(), chunk))
            else:
                new.append(chunk)
        return Change(document, tuple(kept), tuple(new), tuple(id for ids in held.values() for id in ids))

    def _flush(self, waiting: list[Change], tally: "_Tally") -> None:
        """Write what waits, all in one batch."""
        titled = [(change.document.title, chunk) for change in waiting for chunk in change.new]
        ids = self._catalogue.begin(titled) if titled else []
        self._index([Held(id, chunk, title, "") for id, (title, chunk) in zip(ids, titled, strict=True)])
        each = iter(ids)
        if waiting:
            self._catalogue.publish(waiting, [[next(each) for _ in change.new] for change in waiting])
        tally.indexed += [change.document.name for change in waiting]
        waiting.clear()

    def _index(self, new: Sequence[Held]) -> None:
        """Into both indexes, durably."""
        self._embed(new)
        for held in new:
            self._words.add(held.id, *terms(held.chunk, held.title))
        if new:
            self._words.commit()

    def _embed(self, new: Sequence[Held]) -> None:
        """Vectors are made once for the same words, and kept in the catalogue before the store has them."""
        if self._embedder is None or self._dense is None:
            return
        readable = [held for held in new if held.chunk.language in self._embedder.languages]
        texts = {key(held.chunk, held.title): indexed_text(held.chunk, held.title) for held in readable}
        there = self._catalogue.with_vector(texts)
        lacking = [one for one in texts if one not in there]
        if lacking:
            self._catalogue.put_vectors(lacking, self._embedder.passages([texts[one] for one in lacking]))
        if readable:
            ids, vectors = self._catalogue.vectors([held.id for held in readable])
            of_id = {held.id: held.chunk.text for held in readable}
            self._dense.add(ids, vectors, [of_id[id] for id in ids])

    def embed_rest(self, say: Say) -> int:
        """Vectors for live chunks that have none: the library was without a model, or changed it. How many."""
        if self._embedder is None:
            return 0
        made, began = 0, time.monotonic()
        while batch := self._catalogue.without_vector(self._embedder.languages, _BATCH_CHUNKS):
            self._embed(batch)
            made += len(batch)
            say(f"{made} passages embedded, {made / max(time.monotonic() - began, 1e-3):.0f}/s")
        return made

    def remove(self, documents: Sequence[Stored]) -> Report:
        self._catalogue.remove_documents([document.id for document in documents])
        return Report(removed=tuple(document.name for document in documents))

    def settle(self) -> None:
        """Take what is not live out of both indexes, then out of the catalogue."""
        over = self._catalogue.unsettled()
        if over:
            if self._dense is not None:
                self._dense.remove(over)
            self._words.remove(over)
            self._words.commit()
            self._catalogue.drop(over)

    def mend_words(self) -> None:
        """The index of words holds the live chunks and no others."""
        live, there = self._catalogue.live_ids(), self._words.ids()
        self._words.remove(there - live)
        lacking = sorted(live - there)
        for begin in range(0, len(lacking), _BATCH_CHUNKS):
            for held in self._catalogue.live(lacking[begin : begin + _BATCH_CHUNKS]).values():
                self._words.add(held.id, *terms(held.chunk, held.title))
        if lacking or there - live:
            self._words.commit()

    def _name(self, source: Source, inside: str) -> str:
        """The path inside the source; with the source's own name before it where another document has that name already.

        "builtin/" is for what is shipped alone: nobody's document can pass for it.
        """
        if source.kind == "builtin":
            name = f"builtin/{inside}"
        else:
            root = Path(source.path).name if source.kind == "folder" else Path(source.path).parent.name
            number = 1
            name = inside
            while name in self._taken or name.startswith("builtin/"):
                name = f"{root if root != 'builtin' else 'added'}{f' ({number})' if number > 1 else ''}/{inside}"
                number += 1
        self._taken.add(name)
        return name


@contextmanager
def writing(
    catalogue: Catalogue, folder: Path, dense: Dense | None, embedder: Embedder | None, settings: RagSettings, reindex: bool = False
) -> Iterator[Writing]:
    """Under the library's lock: what a killed writer left is cleaned up first. Raises IndexMismatch, LexicalBusy, StoreError, OSError."""
    _checked(catalogue, folder.name, embedder, reindex)
    words_folder = folder / "words"
    if reindex:
        clear(words_folder)
    try:
        words = Lexical(words_folder, write=True)
    except LexicalBroken:
        clear(words_folder)
        words = Lexical(words_folder, write=True)
    with words:
        unclean = catalogue.fact("unclean")
        catalogue.set_fact("unclean", "1")
        if dense is not None:
            dense.begin()
        one = Writing(catalogue, words, dense, embedder, settings)
        one.settle()
        one.mend_words()
        if dense is not None and (reindex or unclean or not dense.complete):
            dense.mend(clear=reindex)
        yield one
        one.settle()
        if dense is not None:
            dense.written()
        catalogue.set_fact("unclean", "")


def _checked(catalogue: Catalogue, domain: str, embedder: Embedder | None, reindex: bool) -> None:
    """The vectors are of one model."""
    was = catalogue.fact("embedder")
    if embedder is None:
        return
    if was and was != embedder.id:
        if not reindex:
            raise mismatch(domain, was, embedder.id)
        catalogue.clear_vectors()
    catalogue.set_fact("embedder", embedder.id)


def mismatch(domain: str, was: str, now: str) -> IndexMismatch:
    return IndexMismatch(
        f"the vectors of library {domain!r} are of {was}, the settings say {now}: `sdx rag reindex --domain {domain}` embeds it anew"
        " (or set embed in rag.yaml back)"
    )


def inside(source: Source, only: Path | None = None) -> Iterator[_File]:
    """The files of a source, or those of it at or under a path."""
    root = Path(source.path)
    folder = source.kind == "folder"
    for path in files(only if only and only.is_dir() else root) if folder and not (only and only.is_file()) else [only or root]:
        yield file_of(path, str(path.relative_to(root)) if folder else path.name)


def file_of(path: Path, name: str) -> _File:
    """-1 for what cannot be seen of it."""
    try:
        about = path.lstat()
    except OSError:
        return _File(path, name, -1, -1)
    return _File(path, name, about.st_size, about.st_mtime_ns)


def _digest(file: _File, limit_bytes: int) -> str:
    """Of the bytes; "" where they are too many or no plain file, which read() tells."""
    if file.size > limit_bytes or not file.path.is_file() or file.path.is_symlink():
        return ""
    try:
        with file.path.open("rb") as opened:
            return file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""


def _sizes(embedder: Embedder | None, texts: Sequence[str]) -> list[int]:
    """Tokens of what the model reads; words of what it does not, which is never embedded: an English model counts a Korean text fourfold."""
    sizes = [len(text.split()) for text in texts]
    readable = [at for at, text in enumerate(texts) if embedder and language_of(text) in embedder.languages]
    if embedder and readable:
        for at, tokens in zip(readable, embedder.count([texts[at] for at in readable]), strict=True):
            sizes[at] = tokens
    return sizes


class _Tally:
    """Counts of a report under way."""

    def __init__(self) -> None:
        self.indexed, self.unchanged, self.failed = list[str](), list[str](), list[tuple[str, str]]()
        self.passages = 0

    def report(self, seconds: float) -> Report:
        return Report(tuple(self.indexed), tuple(self.unchanged), (), tuple(self.failed), self.passages, seconds)


class _Progress:
    """A line a second at most: files, passages a second, time left."""

    def __init__(self, total: int, say: Say) -> None:
        self._total, self._say, self._began = total, say, time.monotonic()
        self._told = self._began

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def tell(self, done: int, passages: int) -> None:
        if time.monotonic() - self._told < _TELL_S:
            return
        self._told = time.monotonic()
        left = self.seconds / done * (self._total - done)
        self._say(f"{done} of {self._total} files, {passages} passages, {passages / self.seconds:.0f}/s, about {left:.0f} s left")
