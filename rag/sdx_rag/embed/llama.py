"""Vectors from a GGUF file, through llama.cpp in this process. Start at GgufTexts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sdx_rag.borders import EmbeddingError
from sdx_serving.llama.vectors import TextVectors
from sdx_serving.openai_protocol import Refusal


class GgufTexts:
    """See embedder.Encoder. Raises EmbeddingError for a file that makes no vectors."""

    def __init__(self, path: Path, threads: int, max_tokens: int | None = None) -> None:
        if not path.is_file():
            raise EmbeddingError(f"{path} is not there: give a GGUF file of an embedding model")
        try:
            self._model = TextVectors(path, max_tokens or 2048, threads)
        except ValueError as error:
            raise EmbeddingError(f"{path} cannot be used to embed: {error}") from error
        self.name, self.weights = path.stem, self._model.sha256
        self.length, self.max_tokens = self._model.length, self._model.n_ctx

    def count(self, texts: Sequence[str]) -> list[int]:
        return [self._model.count(text) for text in texts]

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        try:
            return np.stack([self._model.of(self._model.tokens_of(index, text, -1)) for index, text in enumerate(texts)])
        except Refusal as error:
            raise EmbeddingError(f"{self.name}: {error}") from error
