"""The choice of the lexical index, measured: tantivy against SQLite's FTS5 on the same words. Start at measure()."""

import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from sdx_rag.lexical import WEIGHTS, Lexical, terms
from sdx_rag.passages import Chunk
from sdx_rag.words import query_tokens

WORDS_PER_CHUNK = 120
VOCABULARY = 30_000
"""Words of each language; the n-th is drawn 1/n as often as the first (Zipf), as in natural text."""
QUERIES, QUERY_WORDS, HITS = 200, 8, 20
BATCH = 1_000
"""Chunks between commits."""

Terms = tuple[list[str], list[str], list[str]]


def measure(chunks: int, seed: int) -> dict[str, Any]:
    """Ingest rate, search times and bytes on disk of both, for English and Korean chunks in turn.

    Searches: p50 and p95 of 200 queries of 8 words, the best 20, the query's own analysis left out. `analysis_chunks_per_s` is what
    words.py alone does; the rates of the engines are without it, `lexical_side_chunks_per_s` is it and tantivy together.
    """
    if chunks < 1:
        raise ValueError(f"chunks: {chunks} given; at least 1")
    draw = _Zipf(seed)
    with tempfile.TemporaryDirectory() as folder:
        spent = {"analysis": 0.0, "tantivy": 0.0, "fts5": 0.0}
        with Lexical(Path(folder, "tantivy"), write=True) as tantivy:
            fts5 = _Fts5(Path(folder, "fts5"))
            texts = _texts(draw, chunks)
            while batch := list(islice(texts, BATCH)):
                analysed, spent["analysis"] = _timed(
                    lambda batch=batch: [(id, terms(chunk, "Manual")) for id, chunk in batch], spent["analysis"]
                )
                _, spent["tantivy"] = _timed(lambda analysed=analysed: _fill(tantivy, analysed), spent["tantivy"])
                _, spent["fts5"] = _timed(lambda analysed=analysed: fts5.fill(analysed), spent["fts5"])
            queries = [query_tokens(draw.text("en" if number % 2 else "ko", QUERY_WORDS)) for number in range(QUERIES)]
            searched = {"tantivy": _searched(tantivy.search, queries), "fts5": _searched(fts5.search, queries)}
        fts5.close()
        engines = {
            name: {"ingest_chunks_per_s": round(chunks / spent[name], 1), **searched[name], "disk_bytes": _bytes(Path(folder, name))}
            for name in searched
        }
    return {
        "chunks": chunks,
        "words_per_chunk": WORDS_PER_CHUNK,
        "seed": seed,
        "analysis_chunks_per_s": round(chunks / spent["analysis"], 1),
        "lexical_side_chunks_per_s": round(chunks / (spent["analysis"] + spent["tantivy"]), 1),
        **engines,
    }


class _Zipf:
    """Made-up words of two languages, some often and most seldom."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words = {
            "en": self._vocabulary("abcdefghijklmnopqrstuvwxyz", 3, 11),
            "ko": self._vocabulary([chr(at) for at in range(0xAC00, 0xB000)], 2, 6),
        }
        self._weights = list(accumulate(1 / (rank + 1) for rank in range(VOCABULARY)))

    def text(self, language: str, count: int) -> str:
        return " ".join(self._random.choices(self._words[language], cum_weights=self._weights, k=count))

    def _vocabulary(self, letters: str | list[str], shortest: int, longest: int) -> list[str]:
        return ["".join(self._random.choices(letters, k=self._random.randint(shortest, longest))) for _ in range(VOCABULARY)]


def _texts(draw: _Zipf, chunks: int) -> Iterator[tuple[int, Chunk]]:
    for id in range(chunks):
        language = "en" if id % 2 else "ko"
        yield id, Chunk(draw.text(language, WORDS_PER_CHUNK), (draw.text(language, 4),), f"R{id // 100}({'abcdefgh'[id % 8]})", language)


def _fill(index: Lexical, analysed: list[tuple[int, Terms]]) -> None:
    for id, found in analysed:
        index.add(id, *found)
    index.commit()


class _Fts5:
    """The same three fields and weights in SQLite's full-text index, which keeps no copy of the text either."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._base = sqlite3.connect(folder / "words.sqlite")
        self._base.execute("PRAGMA journal_mode = WAL")
        fields = ", ".join(WEIGHTS)
        self._base.execute(
            f"CREATE VIRTUAL TABLE words USING fts5({fields}, content='', detail=column, tokenize=\"unicode61 tokenchars '()§.-/%°'\")"
        )
        self._query = f"SELECT rowid, bm25(words, {', '.join(map(str, WEIGHTS.values()))}) AS score FROM words WHERE words MATCH ? ORDER BY score LIMIT ?"

    def fill(self, analysed: list[tuple[int, Terms]]) -> None:
        rows = [(id, *(" ".join(tokens) for tokens in found)) for id, found in analysed]
        with self._base:
            self._base.executemany(f"INSERT INTO words (rowid, {', '.join(WEIGHTS)}) VALUES (?, ?, ?, ?)", rows)

    def search(self, tokens: list[str], count: int) -> list[tuple[int, float]]:
        return self._base.execute(self._query, (" OR ".join(f'"{token}"' for token in tokens), count)).fetchall()

    def close(self) -> None:
        self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._base.close()


def _timed(work: Callable[[], Any], before_s: float) -> tuple[Any, float]:
    began = time.perf_counter()
    result = work()
    return result, before_s + time.perf_counter() - began


def _searched(search: Callable[[list[str], int], list[tuple[int, float]]], queries: list[list[str]]) -> dict[str, float]:
    times_ms = []
    for tokens in queries:
        hits, seconds = _timed(lambda tokens=tokens: search(tokens, HITS), 0.0)
        times_ms.append(seconds * 1000)
        if not hits:
            raise RuntimeError(f"nothing found for {tokens}: the index is not what was put into it")
    times_ms.sort()
    return {"search_p50_ms": round(times_ms[len(times_ms) // 2], 3), "search_p95_ms": round(times_ms[int(len(times_ms) * 0.95)], 3)}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
