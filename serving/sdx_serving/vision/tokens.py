"""Visual tokens as part of a prompt: vectors that an encoder made, put into llama.cpp's context as if they were embedded words.

llama.cpp's own way to images (mtmd) cannot carry this encoder: a bitmap there is 8-bit RGB, three channels of one plane
(mtmd_bitmap_init takes width, height and RGB bytes), and a projector file is loaded only where its clip.projector_type is one of those
compiled in ("unknown projector type" else, tried with 0.3.36). Slabs have four channels and a depth, and no type there mixes across
slabs. llama_batch.embd takes any vectors of the decoder's width, so the encoder runs in ONNX Runtime and its tokens enter there.
Start at SeeingModel.
"""

import ctypes
import hashlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdx_serving.llama.images import Seen
from sdx_serving.llama.model import LlamaModel


class _Held:
    """The tokens of one volume."""

    def __init__(self, tokens: NDArray[np.float32]) -> None:
        name = int.from_bytes(hashlib.sha256(tokens.tobytes()).digest()[:7], "big") + 1
        self._seen = Seen(tokens, (-name,) * len(tokens), len(tokens))

    def parts(self) -> list[list[int] | Seen]:
        return [self._seen]

    def close(self) -> None:
        """Nothing of llama.cpp's is held."""


class Tokens:
    """Puts vectors of the decoder's width into its context."""

    def __init__(self, width: int) -> None:
        self._lib: Any = importlib.import_module("llama_cpp")
        self.width = width

    def look(self, image: NDArray[np.float32]) -> _Held:
        """`image`: (tokens, width). ValueError for another width."""
        if image.ndim != 2 or image.shape[1] != self.width:
            raise ValueError(
                f"visual tokens are {image.shape}, the decoder takes vectors of {self.width}: encoder and decoder do not belong together"
            )
        return _Held(np.ascontiguousarray(image, np.float32))

    def read_in(self, seen: Seen, context: Any, past: int, n_batch: int) -> int:
        """See llama.images.Sight."""
        vectors: NDArray[np.float32] = seen.chunk
        for at in range(0, len(vectors), n_batch):
            self._decode(context, vectors[at : at + n_batch], past + at)
        return past + len(vectors)

    def _decode(self, context: Any, vectors: NDArray[np.float32], past: int) -> None:
        count = len(vectors)
        batch = self._lib.llama_batch_init(count, self.width, 1)
        try:
            batch.n_tokens = count
            ctypes.memmove(batch.embd, vectors.ctypes.data, vectors.nbytes)
            for at in range(count):
                batch.pos[at], batch.n_seq_id[at], batch.logits[at] = past + at, 1, 0
                batch.seq_id[at][0] = 0
            if code := self._lib.llama_decode(context, batch):
                raise RuntimeError(f"llama.cpp could not take {count} visual tokens after {past} (code {code})")
        finally:
            self._lib.llama_batch_free(batch)

    def close(self) -> None:
        """Nothing is held."""


class SeeingModel(LlamaModel):
    """A GGUF decoder whose prompts may hold visual tokens: `images` of answer() are arrays (tokens, width)."""

    def _sight(self, projector: Path | None, n_threads: int) -> Tokens:
        return Tokens(int(importlib.import_module("llama_cpp").llama_model_n_embd(self._llama.model)))

    @property
    def width(self) -> int:
        """Of a visual token."""
        assert isinstance(self.eyes, Tokens)
        return self.eyes.width
