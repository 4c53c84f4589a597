"""Texts ranked by how well they answer a query, by a cross-encoder: an ONNX folder, or an endpoint. Start at OnnxReranker."""

import math
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from sdx_rag.borders import EmbeddingError
from sdx_rag.embed.ask import Asking
from sdx_rag.embed.settings import RerankSettings
from sdx_rag.embed.texts import BATCH_TOKENS, cores, in_parallel, opened
from sdx_serving.onnx.chat_text import open_tokenizer
from sdx_serving.onnx.vectors import max_tokens

_PATH = "/rerank"


class OnnxReranker:
    """See borders.Reranker: Nogueira and Cho 2019, https://arxiv.org/abs/1901.04085. A pair too long loses the end of its longer text.

    Raises:
        EmbeddingError: the folder holds no cross-encoder.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        home, self._graph = opened(folder)
        self._threads = threads or cores()
        self._tokenizer = open_tokenizer(home)
        self._tokenizer.enable_truncation(max_tokens(home), strategy="longest_first")
        outputs = self._graph.outputs
        if unknown := set(self._graph.inputs) - {"input_ids", "attention_mask", "token_type_ids"}:
            raise EmbeddingError(f"{folder} asks for {', '.join(sorted(unknown))}: it is no cross-encoder of texts")
        self._given = "logits" if "logits" in outputs else next(iter(outputs))
        if len(outputs[self._given].shape) != 2:
            raise EmbeddingError(
                f"{folder} gives {', '.join(outputs)}, wanted is logits of (pairs, 1): export it for sequence classification"
            )
        self.id = f"{home.resolve().name}-{self._graph.sha256[:16]}"

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """The model's logit; of a model with several classes the last one's. Raises EmbeddingError."""
        pairs = self._tokenizer.encode_batch([(query, text) for text in texts])
        order = sorted(range(len(pairs)), key=lambda index: -len(pairs[index].ids))
        scores = np.zeros(len(pairs), np.float32)
        step = max(1, BATCH_TOKENS // max((len(pair.ids) for pair in pairs), default=1))
        parts = [order[start : start + step] for start in range(0, len(order), step)]
        for part, made in zip(parts, in_parallel(lambda part: self._logits([pairs[at] for at in part]), parts, self._threads), strict=True):
            scores[part] = made
        if not np.isfinite(scores).all():
            raise EmbeddingError(f"{self.id} gives NaN for a score: its weights are broken, export it again")
        return scores.tolist()

    def _logits(self, pairs: Sequence) -> np.ndarray:
        """(pairs,)"""
        width = max(len(pair.ids) for pair in pairs)
        given = {name: np.zeros((len(pairs), width), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
        for row, pair in enumerate(pairs):
            size = len(pair.ids)
            given["input_ids"][row, :size], given["token_type_ids"][row, :size] = pair.ids, pair.type_ids
            given["attention_mask"][row, :size] = 1
        feeds = {name: given[name] for name in self._graph.inputs}
        return np.asarray(self._graph.session.run([self._given], feeds)[0], np.float32)[:, -1]


class EndpointReranker:
    """See borders.Reranker; POST /rerank as llama-server, vLLM, Jina and Cohere have it."""

    def __init__(self, settings: RerankSettings) -> None:
        self._asking = Asking(settings.url, settings.key_env, settings.timeout_s, "rerank")
        self._model = settings.model
        self.id = f"{re.sub(r'[^A-Za-z0-9.]+', '-', settings.model)}-{sha256(settings.url.encode()).hexdigest()[:16]}"

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Raises EmbeddingError where the endpoint does not answer, or not for each text a number."""
        if not texts:
            return []
        reply = self._asking.post(_PATH, {"model": self._model, "query": query, "documents": list(texts), "top_n": len(texts)})
        results = reply.get("results")
        if not isinstance(results, list) or len(results) != len(texts):
            raise self._asking.nonsense(_PATH, f"{len(results) if isinstance(results, list) else 'no'} results for {len(texts)} texts")
        try:
            scores = {int(one["index"]): float(one["relevance_score"]) for one in results}
        except (KeyError, TypeError, ValueError) as error:
            raise self._asking.nonsense(_PATH, f"a result without index or relevance_score ({error!r})") from error
        if set(scores) != set(range(len(texts))) or not all(map(math.isfinite, scores.values())):
            raise self._asking.nonsense(_PATH, f"indices {sorted(scores)[:8]}, scores {list(scores.values())[:3]} for {len(texts)} texts")
        return [scores[index] for index in range(len(texts))]
