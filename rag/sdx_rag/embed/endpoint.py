"""Vectors from an OpenAI-compatible endpoint. Start at EndpointTexts."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sdx_rag.borders import EmbeddingError
from sdx_rag.embed.ask import Asking
from sdx_rag.embed.settings import EmbedSettings

_PATH = "/embeddings"
_MAX_TOKENS = 512
_BYTES = 3
"""UTF-8 bytes for a token, where no tokenizer can be asked: a Korean syllable; three letters of English, which mostly has four."""
_MARKS = 2


class EndpointTexts:
    """See embedder.Encoder. Asks once when it is made, so that a wrong key, name or number of dimensions is told before any work.

    Raises:
        EmbeddingError: it cannot be used, and what to do.
    """

    def __init__(self, settings: EmbedSettings) -> None:
        self._asking = Asking(settings.url, settings.key_env, settings.timeout_s, "embed")
        self._batch, self.name = settings.batch, settings.model
        self.max_tokens = settings.max_tokens or _MAX_TOKENS
        reply = self._reply(["a"])
        self._fingerprint = _fingerprint(reply)
        self.length = settings.dimensions or len(_rows(self._asking, reply, 1)[0])
        self.weights = f"{self._fingerprint or settings.url} {settings.model} {self.length}"
        self._checked(reply, 1)

    def count(self, texts: Sequence[str]) -> list[int]:
        """An estimate, rather too many."""
        return [math.ceil(len(text.encode()) / _BYTES) + _MARKS for text in texts]

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        cut = [self._cut(text) for text in texts]
        parts = [cut[start : start + self._batch] for start in range(0, len(cut), self._batch)]
        return np.concatenate([self._checked(self._reply(part), len(part)) for part in parts])

    def _cut(self, text: str) -> str:
        return text.encode()[: (self.max_tokens - _MARKS) * _BYTES].decode(errors="ignore")

    def _reply(self, texts: Sequence[str]) -> dict[str, Any]:
        return self._asking.post(_PATH, {"model": self.name, "input": list(texts), "encoding_format": "float"})

    def _checked(self, reply: dict[str, Any], count: int) -> np.ndarray:
        """(count, length), in the order of the texts whatever the order of the reply."""
        rows = _rows(self._asking, reply, count)
        if wrong := {len(row) for row in rows} - {self.length}:
            raise EmbeddingError(
                f"{self._asking.base_url}: {self.name} gives {wrong.pop()} dimensions, wanted are {self.length}: "
                "mend embed.dimensions or embed.model in rag.yaml"
            )
        if (now := _fingerprint(reply)) != self._fingerprint:
            raise EmbeddingError(f"{self._asking.base_url} serves other weights than before ({now or 'unnamed'}): start again")
        try:
            return np.array(rows, np.float32)
        except (ValueError, TypeError) as error:
            raise self._asking.nonsense(_PATH, f"a vector with something that is no number ({error})") from error


def _rows(asking: Asking, reply: dict[str, Any], count: int) -> list[list[float]]:
    """Vectors by their index, which must be 0 to count - 1, each once."""
    items = reply.get("data")
    if not isinstance(items, list) or len(items) != count:
        raise asking.nonsense(_PATH, f"{len(items) if isinstance(items, list) else 'no'} vectors for {count} texts")
    try:
        rows = {item["index"]: item["embedding"] for item in items}
    except (KeyError, TypeError) as error:
        raise asking.nonsense(_PATH, "a vector without index or embedding") from error
    if set(rows) != set(range(count)):
        raise asking.nonsense(_PATH, f"indices {sorted(rows, key=str)[:8]} for {count} texts")
    if strange := [row for row in rows.values() if not isinstance(row, list) or not row]:
        raise asking.nonsense(_PATH, f"{str(strange[0])[:40]!r} for a vector")
    return [rows[index] for index in range(count)]


def _fingerprint(reply: dict[str, Any]) -> str:
    """Hash of the weights, where the server tells it as SDx's own do."""
    told = str(reply.get("system_fingerprint") or "")
    return told if told.startswith("sha256:") else ""
