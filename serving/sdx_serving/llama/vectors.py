"""One GGUF model in this process that turns texts into vectors. Not thread-safe."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdx_serving.llama.model import open_llama
from sdx_serving.openai_protocol import Refusal
from sdx_serving.weights import sha256_of


class TextVectors:
    """A loaded GGUF file: an embedding model pools as it was made to, any other takes the mean over its tokens.

    Raises:
        ValueError: the model ranks pairs of texts, and makes no vectors.
    """

    def __init__(self, path: Path, n_ctx: int = 2048, n_threads: int = 1) -> None:
        self.path, self.sha256 = path, sha256_of(path)
        self._lib: Any = importlib.import_module("llama_cpp")
        self._llama = self._opened(n_ctx, n_threads, self._lib.LLAMA_POOLING_TYPE_UNSPECIFIED)
        trained = int(self._lib.llama_model_n_ctx_train(self._llama.model))
        pooling = self._llama.pooling_type()
        if pooling == self._lib.LLAMA_POOLING_TYPE_RANK:
            raise ValueError(f"{path} ranks texts and makes no vectors: give an embedding model")
        if pooling == self._lib.LLAMA_POOLING_TYPE_NONE or trained < n_ctx:
            mean = self._lib.LLAMA_POOLING_TYPE_MEAN if pooling == self._lib.LLAMA_POOLING_TYPE_NONE else pooling
            self._llama.close()
            self._llama = self._opened(min(n_ctx, trained), n_threads, mean)
        # llama.cpp rounds a context up, but a text must fit into one batch.
        self.n_ctx, self.length = min(int(self._llama.n_ctx()), int(self._llama.n_batch)), int(self._llama.n_embd())
        self.n_vocab = int(self._llama.n_vocab())

    def _opened(self, n_ctx: int, n_threads: int, pooling: int) -> Any:
        return open_llama(self.path, n_ctx, n_threads, embedding=True, pooling_type=pooling, n_batch=n_ctx, n_ubatch=n_ctx)

    def close(self) -> None:
        self._llama.close()

    def count(self, text: str) -> int:
        """Tokens of a text, however long."""
        return len(self._tokens(text))

    def _tokens(self, text: str) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=True, special=False))

    def tokens_of(self, index: int, text: str | Mapping[str, Any], cut_to: int | None = None) -> list[int]:
        """Tokens as the model wants its texts to begin and end; what looks like a control token is text.

        Args:
            index: of the text among the inputs, for the refusal.
            cut_to: a longer text is cut to so many tokens, -1: to what the model takes.

        Raises:
            Refusal: an image, or a text that is empty or longer than the model takes.
        """
        if not isinstance(text, str) or not text:
            raise Refusal(f"input {index} is {'empty' if text == '' else 'no text'}: this model makes vectors of texts")
        tokens = self._tokens(text)
        if cut_to is not None:
            return tokens[: self.n_ctx if cut_to < 0 else min(cut_to, self.n_ctx)]
        if len(tokens) > self.n_ctx:
            raise Refusal(
                f"input {index} takes {len(tokens)} tokens, the model {self.n_ctx}: shorten it, or send truncate_prompt_tokens=-1",
                "context_length_exceeded",
            )
        return tokens

    def of(self, tokens: Sequence[int]) -> np.ndarray:
        """The vector of a text, (length,) float32, of unit length."""
        context, batch = self._llama._ctx, self._llama._batch
        context.kv_cache_clear()
        batch.reset()
        batch.add_sequence(tokens, 0, True)
        context.decode(batch)
        vector = np.ctypeslib.as_array(context.get_embeddings_seq(0), (self.length,)).astype(np.float32)
        size = float(np.linalg.norm(vector))
        return vector / size if size else vector
