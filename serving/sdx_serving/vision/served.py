"""What the vision server serves: volumes are looked at, kept by their handle, and asked about. Start at Served."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdx_serving.llama.model import IMAGE
from sdx_serving.llama.served import Gone
from sdx_serving.onnx.folder import ModelError
from sdx_serving.openai_protocol import Answer, ChatRequest, Piece, head, known_model
from sdx_serving.turns import GATHER_S, WHOLE, Turns
from sdx_serving.vision.encoder import Encoder, Sight
from sdx_serving.vision.marks import Held, handles, look_again, replaced
from sdx_serving.vision.tokens import SeeingModel
from sdx_serving.weights import sha256_of

ENCODER, DECODER = "encoder.onnx", "decoder.gguf"
"""Files of a model's folder."""
KEPT = 64
"""Volumes whose tokens are held, about 60 KB each; the one not asked about for longest goes first."""


class Served:
    """Encoder and decoder of one folder, and the one thread in which they compute.

    Raises:
        ModelError: a file is missing, broken, or the two do not belong together.
    """

    def __init__(self, folder: Path, alias: str = "", n_ctx: int = 2048, threads: int = 1, kept: int = KEPT) -> None:
        encoder, decoder = folder / ENCODER, folder / DECODER
        if missing := [path for path in (encoder, decoder) if not path.is_file()]:
            raise ModelError(f"{missing[0]} is missing: a vision model is a folder with {ENCODER} and {DECODER}")
        self.alias, self.folder = alias or folder.resolve().name, folder
        self.encoder = Encoder(encoder, threads)
        self.decoder = SeeingModel(decoder, n_ctx, threads)
        if self.decoder.width != self.encoder.width:
            self.decoder.close()
            raise ModelError(
                f"{folder}: the encoder's tokens are {self.encoder.width} wide, the decoder's {self.decoder.width}: export both again"
            )
        self.sha256 = sha256_of(encoder, decoder)
        self.began_s = int(time.time())
        self._held: Held[NDArray[np.float32]] = Held(kept)
        self._turns = Turns()

    def close(self) -> None:
        self._turns.close()
        self.decoder.close()

    def head(self, prefix: str, kind: str) -> dict[str, Any]:
        """What every answer carries; the hash is that of both files, one after the other."""
        return head(prefix, kind, self.alias, self.sha256)

    def card(self) -> dict[str, Any]:
        """For /v1/models."""
        seen = self.encoder
        meta = {
            "sha256": self.sha256,
            "encoder_sha256": seen.graph.sha256,
            "decoder_sha256": self.decoder.sha256,
            "size_bytes": seen.graph.size_bytes + self.decoder.path.stat().st_size,
            "n_ctx": self.decoder.n_ctx,
            "n_vocab": self.decoder.n_vocab,
            "labels": seen.labels,
            "slabs": seen.shape,
            "visual_tokens": seen.tokens,
        }
        return {"id": self.alias, "object": "model", "created": self.began_s, "owned_by": "sdx", "meta": meta}

    async def look(self, slabs: NDArray[np.uint8], gone: Gone) -> Sight | None:
        """What the encoder sees; its tokens are kept. None when the client has left."""

        def job(cancelled: Callable[[], bool]) -> Iterator[Sight]:
            yield self.encoder.look(slabs)

        seen = [one async for bundle in self._turns.each(job, gone, WHOLE) for one in bundle]
        for sight in seen:
            self._held.hold(sight.handle, sight.tokens)
        return seen[0] if seen else None

    def chat(self, request: ChatRequest, told: Answer, gone: Gone) -> AsyncIterator[list[Piece]]:
        """The answer in bundles of pieces. Raises Refusal, here or when the first is awaited."""
        known_model(request.model, (self.alias, self.folder.resolve().name))
        request.refuse_unserved()
        turns = [message.plain() for message in request.messages]
        volumes = [self._tokens(handle) for turn in turns for handle in handles(turn["content"])]
        messages = [{**turn, "content": replaced(turn["content"], IMAGE)} for turn in turns]
        sampling = request.sampling()

        def job(cancelled: Callable[[], bool]) -> Iterator[Piece]:
            return self.decoder.answer(messages, sampling, told, cancelled, images=volumes)

        return self._turns.each(job, gone, GATHER_S if request.stream else WHOLE)

    def _tokens(self, handle: str) -> NDArray[np.float32]:
        if handle not in self._held:
            raise look_again(handle)
        return self._held[handle]
