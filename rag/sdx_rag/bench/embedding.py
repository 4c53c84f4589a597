"""What the embedder adds to its engine: texts a second through both, in turn, and the time of a query. Start at measure()."""

import random
import time
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from statistics import median, quantiles
from typing import Any

from sdx_rag.embed.choose import open_embedder
from sdx_rag.embed.embedder import TextEmbedder
from sdx_rag.embed.settings import EmbedSettings
from sdx_rag.embed.texts import BATCH_TOKENS, OnnxTexts, in_parallel

ROUNDS = 7
WORDS = (30, 180)
"""Fewest and most of a text; a chunk of a document has about so many."""
QUERIES, QUERY_WORDS = 100, 8


def measure(count: int, seed: int, threads: int = 0) -> dict[str, Any]:
    """The default model over `count` texts of English words, drawn by Zipf's law from those of its vocabulary.

    Raw is the model's session alone, called on batches that are ready, by as many threads; embedded is passages(): tokens, batches,
    the session, the mean over tokens, unit length. Both are done in each of seven rounds, in changing order, after one that is not counted;
    `ratio` is the median of the rounds' ratios. Queries are all different, so that none is remembered.

    Raises:
        EmbeddingError: the model cannot be used here.
    """
    if count < 1:
        raise ValueError(f"count: {count} given; at least 1")
    embedder = open_embedder(EmbedSettings(threads=threads))
    assert isinstance(embedder, TextEmbedder) and isinstance(embedder.encoder, OnnxTexts)
    encoder, draw = embedder.encoder, Words(embedder.encoder, seed)
    texts = [draw.text(draw.rng.randint(*WORDS)) for _ in range(count)]
    questions = [draw.text(QUERY_WORDS) for _ in range(QUERIES)]
    ready = [encoder.model.feeds(rows) for rows in encoder.batched(texts)[1]]
    session, wanted = encoder.model.graph.session, list(encoder.model.graph.outputs)

    def raw() -> None:
        in_parallel(lambda feeds: session.run(wanted, feeds), ready, encoder.threads)

    def embedded() -> None:
        embedder.passages(texts)

    times = [_round((raw, embedded) if index % 2 else (embedded, raw)) for index in range(ROUNDS + 1)][1:]
    spent_ms = [1000 * _timed(partial(embedder.query, text)) for text in questions]
    return {
        "model": embedder.id,
        "texts": count,
        "tokens": sum(min(tokens, encoder.max_tokens) for tokens in encoder.count(texts)),
        "seed": seed,
        "threads": encoder.threads,
        "batch_tokens": BATCH_TOKENS,
        "raw_texts_per_s": round(count / median(spent[raw] for spent in times), 2),
        "embedded_texts_per_s": round(count / median(spent[embedded] for spent in times), 2),
        "ratio": round(median(spent[raw] / spent[embedded] for spent in times), 4),
        "query_p50_ms": round(median(spent_ms), 2),
        "query_p95_ms": round(quantiles(spent_ms, n=20)[-1], 2),
    }


class Words:
    def __init__(self, encoder: OnnxTexts, seed: int) -> None:
        self.rng = random.Random(seed)
        self._words = sorted(word for word in encoder.model.tokenizer.get_vocab() if word.isascii() and word.isalpha() and len(word) > 2)
        self.rng.shuffle(self._words)
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self._words) + 1)))

    def text(self, words: int) -> str:
        return " ".join(self.rng.choices(self._words, cum_weights=self._weights, k=words))


def _round(works: tuple[Callable[[], None], ...]) -> dict[Callable[[], None], float]:
    return {work: _timed(work) for work in works}


def _timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
