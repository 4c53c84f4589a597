"""What retrieval needs of others: an embedding model, a store of vectors, a reranker. Implementations are chosen in settings.py."""

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np

from sdx_rag.passages import Language


class Embedder(Protocol):
    """Texts to vectors of unit length, float32. One per process; calls come from one thread at a time."""

    id: str
    """Says which vectors these are: model and hash of its weights, or URL, model and dimensions. An index belongs to one id."""
    length: int
    """Dimensions."""
    max_tokens: int
    """Longer texts are cut; chunks are made to fit."""
    languages: frozenset[Language]
    """Texts in other languages are not embedded: their vectors would say nothing. They are found by their words."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, end marks included."""
        ...

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        """(len(texts), length). Raises EmbeddingError, which says what to do."""
        ...

    def query(self, text: str) -> np.ndarray:
        """(length,). Some models want queries and passages told apart."""
        ...


class Vectors(Protocol):
    """Vectors by chunk id, for one domain and one embedding model. What it holds may lag behind or run ahead of the catalogue, which decides."""

    def add(self, ids: Sequence[int], vectors: np.ndarray, texts: Sequence[str]) -> None:
        """Replaces those that are there. Durable when it returns."""
        ...

    def remove(self, ids: Collection[int]) -> None:
        """Unknown ids are passed over. Durable when it returns."""
        ...

    def nearest(self, vector: np.ndarray, count: int) -> list[tuple[int, float]]:
        """Ids with their cosine (not a number where the store does not tell it), best first."""
        ...

    def held(self, ids: Collection[int]) -> set[int]:
        """Those of the ids that it has."""
        ...

    def clear(self) -> None:
        """Forget all. It is closed and opened again after this."""
        ...

    def close(self) -> None: ...


class Reranker(Protocol):
    """A cross-encoder: how well each text answers the query."""

    id: str

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Higher is better; any scale."""
        ...


class EmbeddingError(RuntimeError):
    """The embedding model cannot be used now; the message says why and what to do."""
