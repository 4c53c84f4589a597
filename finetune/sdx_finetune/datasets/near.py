"""Near-duplicates: by words (MinHash, verified by exact Jaccard) or by meaning (embeddings).

Candidates come from rensa's MinHash bands; each is then compared exactly, so that what is reported is true and only a
pair near the threshold can be missed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

PERMUTATIONS, BANDS, SEED = 128, 32, 42
"""32 bands of 4: a pair with Jaccard 0.8 is found with probability 1 - (1 - 0.8^4)^32 > 0.9999."""
LETTERS, SHORT = 5, 8
"""Shingles of three words; texts under eight words by five letters."""
SAME = 0.95
"""A text this like an earlier one is no candidate for later ones: what is like it is like the earlier. Keeps large clusters cheap."""
BLOCK = 1000
"""Texts whose shingles are held at once."""
EMBED_BATCH = 256

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to vectors, (texts, dimensions)."""
Pair = tuple[int, int, float]
"""Two positions, the earlier first, and how alike they are, 0..1."""


def shingles(text: str) -> list[str]:
    """What a text is compared by."""
    words = text.lower().split()
    if len(words) >= SHORT:
        return [f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)]
    joined = " ".join(words)
    return [joined[i : i + LETTERS] for i in range(max(1, len(joined) - LETTERS + 1))]


def jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def near_by_words(texts: Sequence[str], threshold: float) -> Iterator[Pair]:
    """Every pair of texts that is at least `threshold` alike; of almost equal ones, the first stands for the others."""
    from rensa import RMinHash, RMinHashLSH

    bands = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=BANDS)
    compared: dict[int, set[str]] = {}
    for start in range(0, len(texts), BLOCK):
        block = [shingles(text) for text in texts[start : start + BLOCK]]
        for number, sketch in enumerate(RMinHash.from_token_sets(block, num_perm=PERMUTATIONS, seed=SEED), start):
            likeness: list[tuple[int, float]] = []
            if candidates := bands.query(sketch):  # most texts have none: only the others are taken apart again
                for one in (number, *candidates):
                    if one not in compared:
                        compared[one] = set(shingles(texts[one]))
                likeness = [(other, jaccard(compared[other], compared[number])) for other in sorted(candidates)]
            yield from ((other, number, alike) for other, alike in likeness if alike >= threshold)
            if all(alike < SAME for _, alike in likeness):
                bands.insert(number, sketch)


def near_by_meaning(texts: Sequence[str], embed: Embed, threshold: float) -> Iterator[Pair]:
    """Each text's closest earlier text by the cosine of its embedding, where that is at least `threshold`."""
    if not texts:
        return
    parts = [np.asarray(embed(texts[i : i + EMBED_BATCH]), np.float32) for i in range(0, len(texts), EMBED_BATCH)]
    vectors = np.concatenate(parts)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    for start in range(0, len(texts), EMBED_BATCH):
        block = vectors[start : start + EMBED_BATCH]
        alike = block @ vectors[: start + len(block)].T
        for i in range(len(block)):
            row = alike[i, : start + i]
            if row.size and row.max() >= threshold:
                yield int(row.argmax()), start + i, float(row.max())


def embed_by_url(url: str, model: str = "default", timeout_s: float = 60.0) -> Embed:
    """Embeddings of an OpenAI-compatible server; `url` with or without /v1. ValueError says what the server answered."""
    import httpx

    address = url.rstrip("/").removesuffix("/v1") + "/v1/embeddings"
    client = httpx.Client(timeout=timeout_s)

    def embed(texts: Sequence[str]) -> np.ndarray:
        try:
            answer = client.post(address, json={"model": model, "input": list(texts)})
        except httpx.HTTPError as error:
            raise ValueError(f"{address} cannot be reached ({error}); start the server, or leave --embeddings out") from error
        if answer.status_code != 200:
            raise ValueError(f"{address} answered {answer.status_code}: {answer.text[:200]}; does it serve embeddings?")
        return np.asarray([item["embedding"] for item in sorted(answer.json()["data"], key=lambda item: item["index"])], np.float32)

    return embed


class Neighbours:
    """Texts that come one by one, each asked whether something known is like it."""

    def __init__(self, threshold: float) -> None:
        from rensa import RMinHashLSH

        self.threshold = threshold
        self._bands = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=BANDS)
        self._known: list[tuple[set[str], str]] = []
        self._exact: dict[str, str] = {}

    def add(self, text: str, what: str) -> None:
        """Remember a text; `what` it is stands in the answers of near()."""
        if text in self._exact:
            return
        tokens = shingles(text)
        self._exact[text] = what
        self._bands.insert(len(self._known), self._sketch(tokens))
        self._known.append((set(tokens), what))

    def near(self, text: str) -> str:
        """ "92 % like an example", or "" when nothing known is that near."""
        if text in self._exact:
            return f"100% like {self._exact[text]}"
        tokens = shingles(text)
        mine = set(tokens)
        candidates = self._bands.query(self._sketch(tokens))
        alike, what = max(((jaccard(mine, self._known[n][0]), self._known[n][1]) for n in candidates), default=(0.0, ""))
        return f"{alike:.0%} like {what}" if alike >= self.threshold else ""

    @staticmethod
    def _sketch(tokens: list[str]) -> Any:
        from rensa import RMinHash

        return RMinHash.from_token_sets([tokens], num_perm=PERMUTATIONS, seed=SEED)[0]
