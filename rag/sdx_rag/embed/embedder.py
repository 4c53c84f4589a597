"""An embedding model of any kind as retrieval needs it: prefixes, unit length, and queries remembered. Start at TextEmbedder."""

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from hashlib import sha256
from typing import Protocol

import numpy as np

from sdx_rag.borders import EmbeddingError
from sdx_rag.passages import Language

QUERIES = 512
"""Whose vectors are kept, the least recently asked goes first."""


class Encoder(Protocol):
    """A model as its engine gives it."""

    name: str
    """For people."""
    weights: str
    """Hash of all that decides on the vectors but the prefixes."""
    length: int
    max_tokens: int

    def count(self, texts: Sequence[str]) -> list[int]: ...

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(len(texts), length) float32, any scale; longer texts are cut. Raises EmbeddingError."""
        ...


class TextEmbedder:
    """See borders.Embedder."""

    def __init__(self, encoder: Encoder, languages: frozenset[Language], query_prefix: str = "", passage_prefix: str = "") -> None:
        self.encoder, self.languages = encoder, languages
        self._passage_prefix = passage_prefix
        self.length, self.max_tokens = encoder.length, encoder.max_tokens
        decides = repr((encoder.weights, query_prefix, passage_prefix))
        self.id = f"{re.sub(r'[^A-Za-z0-9.]+', '-', encoder.name).strip('-.')}-{sha256(decides.encode()).hexdigest()[:16]}"
        # Not a method of this object: it would hold the model until the next garbage collection.
        self._remembered = lru_cache(QUERIES)(partial(_query, encoder, query_prefix))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with its prefix."""
        return self.encoder.count([self._passage_prefix + text for text in texts])

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        """(len(texts), length). Raises EmbeddingError."""
        return _vectors(self.encoder, [self._passage_prefix + text for text in texts])

    def query(self, text: str) -> np.ndarray:
        """(length,), read-only. Raises EmbeddingError."""
        return self._remembered(text)


def _query(encoder: Encoder, prefix: str, text: str) -> np.ndarray:
    vector = _vectors(encoder, [prefix + text])[0]
    vector.flags.writeable = False
    return vector


def _vectors(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Of unit length."""
    if not texts:
        return np.zeros((0, encoder.length), np.float32)
    made = np.asarray(encoder.vectors(texts), np.float32)
    sizes = np.linalg.norm(made, axis=1, keepdims=True)
    wrong = ~(np.isfinite(sizes[:, 0]) & (sizes[:, 0] > 0))
    if wrong.any():
        text = texts[int(wrong.argmax())]
        raise EmbeddingError(f"{encoder.name} gives no usable vector (NaN or zeros) for {text[:60]!r}: its weights or engine are broken")
    return made / sizes
