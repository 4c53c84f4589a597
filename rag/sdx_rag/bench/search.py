"""A library of many passages, measured: building, searching, indexing one changed file again. Start at measure()."""

import random
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import numpy as np

from sdx_rag.bench.embedding import Words
from sdx_rag.borders import Embedder
from sdx_rag.catalogue import Catalogue
from sdx_rag.embed.choose import open_embedder
from sdx_rag.embed.embedder import TextEmbedder
from sdx_rag.embed.settings import EmbedSettings
from sdx_rag.embed.texts import OnnxTexts
from sdx_rag.library import Library
from sdx_rag.settings import RagSettings

WORDS_PER_PASSAGE, PASSAGES_PER_FILE = 120, 100
BASE, NOISE = 2000, 0.02
QUERIES, QUERY_WORDS, WARM = 300, 8, 20
LEXICAL = 5000
"""Passages of the library that is filled by words alone, for its rate."""
Say = Callable[[str], None]


class Mixed:
    """The default model for queries; a passage's vector is a mixture of three out of 2,000 vectors that it really made, chosen by its text.

    Embedding 50,000 passages takes this model many minutes on two cores, which bench/embedding.py measures; the store's work is the same.
    """

    def __init__(self, real: Embedder, texts: Sequence[str]) -> None:
        self._real = real
        self._base = real.passages(texts)
        self.id = f"mixed of {real.id}"
        self.length, self.max_tokens, self.languages = real.length, real.max_tokens, real.languages
        self.count, self.query = real.count, real.query

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        made = np.stack([self._mixed(np.random.default_rng(crc32(text.encode()))) for text in texts])
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    def _mixed(self, rng: np.random.Generator) -> np.ndarray:
        chosen = self._base[rng.integers(0, len(self._base), 3)]
        return rng.dirichlet((2, 1, 1)) @ chosen + rng.standard_normal(self.length) * NOISE / np.sqrt(self.length)


class _MixedLibrary(Library):
    mixed: Mixed

    @cached_property
    def _embedder(self) -> Embedder | None:
        return self.mixed


def measure(chunks: int, seed: int, home: Path, say: Say = lambda line: None) -> dict[str, Any]:
    """Builds a library of so many passages of 120 words in `home`, or goes on with the one that is there, and measures it.

    search: of whole queries, their embedding included, p50 and p95 of 300. recall_10: of the store's ten nearest, those that comparing every
    vector finds. Vectors of passages are mixtures of really embedded ones.
    """
    real = open_embedder(EmbedSettings(), say)
    assert isinstance(real, TextEmbedder) and isinstance(real.encoder, OnnxTexts)
    draw = Words(real.encoder, seed)
    say(f"embedding {BASE} texts to mix")
    _MixedLibrary.mixed = Mixed(real, [draw.text(WORDS_PER_PASSAGE // 4) for _ in range(BASE)])
    files = _files(home / "files", chunks, seed, draw)
    settings = RagSettings.model_validate({"home": home})
    with _MixedLibrary.open("bench", settings, write=True) as library:
        report, build_s = _timed(lambda: library.add(home / "files", say))
        result: dict[str, Any] = {"chunks": sum(document.chunks for document in library.documents()), "files": len(files), "seed": seed}
        if report.passages:
            result |= {"built_chunks": report.passages, "build_chunks_per_s": round(report.passages / build_s, 1)}
        queries = _queries(files, seed)
        result["search_ms"] = {side: _percentiles(library, queries, side, side=side) for side in ("hybrid", "dense", "lexical")}
        result["search_one_document_ms"] = _percentiles(library, queries, "one", documents=[library.documents()[0].name])
        result["recall_10"] = _recall(library, queries)
        result["reindex_one_file_s"] = _changed_one(library, files[len(files) // 2])
        result["sync_unchanged_s"] = round(_timed(library.sync)[1], 3)
        result["disk_bytes"] = sum(path.stat().st_size for path in library.folder.rglob("*") if path.is_file())
    with _MixedLibrary.open("bench", settings) as library:
        result["open_and_first_search_s"] = round(_timed(lambda: library.search(queries[0]))[1], 3)
    return result | {"lexical_side_chunks_per_s": _words_alone(home, min(chunks, LEXICAL), files)}


def _files(folder: Path, chunks: int, seed: int, draw: Words) -> list[Path]:
    """Markdown files with a heading for each passage. What is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}-{number:05}.md" for number in range((chunks + PASSAGES_PER_FILE - 1) // PASSAGES_PER_FILE)]
    for number, path in enumerate(paths):
        count = min(PASSAGES_PER_FILE, chunks - number * PASSAGES_PER_FILE)
        if not path.exists():
            partial = path.with_suffix(".tmp")
            partial.write_text("".join(f"# {draw.text(3)}\n\n{draw.text(WORDS_PER_PASSAGE)}.\n\n" for _ in range(count)), encoding="utf-8")
            partial.replace(path)
    return paths


def _queries(files: Sequence[Path], seed: int) -> list[str]:
    """Words that follow each other somewhere in the files."""
    rng = random.Random(seed)
    texts = [path.read_text(encoding="utf-8").split() for path in rng.sample(files, min(len(files), 50))]
    found = []
    for _ in range(QUERIES + WARM):
        words = rng.choice(texts)
        begin = rng.randrange(max(1, len(words) - QUERY_WORDS))
        found.append(" ".join(words[begin : begin + QUERY_WORDS]))
    return found


def _percentiles(library: Library, queries: Sequence[str], word: str, **how: Any) -> dict[str, float]:
    """Each query has a word more, so that its vector is not remembered from before."""
    for query in queries[:WARM]:
        library.search(query, **how)
    times_ms = sorted(_timed(lambda query=query: library.search(f"{query} {word}", **how))[1] * 1e3 for query in queries[WARM:])
    return {"p50": round(times_ms[len(times_ms) // 2], 2), "p95": round(times_ms[int(len(times_ms) * 0.95)], 2)}


def _recall(library: Library, queries: Sequence[str]) -> float:
    catalogue = Catalogue(library.folder / "catalogue.sqlite")
    ids, vectors = catalogue.newer_vectors((0, 0))
    catalogue.close()
    assert library.embedder is not None
    hits = 0
    for query in queries[:100]:
        best = np.argsort(-(vectors @ library.embedder.query(query)))[:10]
        found = library.search(query, count=10, side="dense")
        hits += len({ids[at] for at in best} & {one.id for one in found})
    return hits / 1000


def _changed_one(library: Library, path: Path) -> float:
    """One sentence of one passage of one file."""
    text = path.read_text(encoding="utf-8")
    head, dot, rest = text.partition(".")
    path.write_text(f"{head} changed at {time.time_ns()}{dot}{rest}", encoding="utf-8")
    report, seconds = _timed(lambda: library.add(path))
    if report.passages != 1:
        raise RuntimeError(f"one passage was changed, {report.passages} were indexed")
    return round(seconds, 3)


def _words_alone(home: Path, chunks: int, files: Sequence[Path]) -> float:
    """Reading, cutting, words and catalogue, without vectors, in an empty library."""
    with TemporaryDirectory(dir=home) as name:
        folder = Path(name, "files")
        folder.mkdir()
        for path in files[: chunks // PASSAGES_PER_FILE or 1]:
            copy(path, folder)
        settings = RagSettings.model_validate({"home": name, "embed": {"model": "none"}})
        with Library.open("words", settings, write=True) as library:
            report, seconds = _timed(lambda: library.add(folder))
    return round(report.passages / seconds, 1)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began
