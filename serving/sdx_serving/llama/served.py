"""What a server serves: a model under its names, with adapters, or a model of vectors. Start at Served."""

import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

from PIL import Image

from sdx_serving.llama.model import LlamaModel
from sdx_serving.llama.requests import ToolChat
from sdx_serving.llama.tools import tools_of
from sdx_serving.llama.vectors import TextVectors
from sdx_serving.openai_protocol import Answer, CompletionRequest, EmbeddingRequest, Piece, Refusal, head, known_model
from sdx_serving.replies import vectors_reply
from sdx_serving.turns import GATHER_S, WHOLE, Turns

Gone = Callable[[], Awaitable[bool]]


class Served:
    """One loaded model, its names for clients, and the one thread in which it computes.

    Args:
        alias: its chief name; the file's own and "default" are served too.
    """

    def __init__(self, model: LlamaModel | TextVectors, alias: str) -> None:
        self.model, self.alias = model, alias
        self.began_s = int(time.time())
        self.adapters = model.adapters if isinstance(model, LlamaModel) else {}
        self._turns = Turns()
        self._knows_tools = isinstance(model, LlamaModel) and model.knows("tools")

    def close(self) -> None:
        self._turns.close()
        self.model.close()

    def weights(self, asked: str) -> tuple[str, str]:
        """Who answers to a name: its proper name, and the hash of the weights. Refusal with HTTP 404 on one that is not served.

        Of a model with an adapter on it, the hash of both hashes (as hexadecimal text, one after the other).
        """
        if asked in self.adapters:
            return asked, hashlib.sha256((self.model.sha256 + self.adapters[asked].sha256).encode()).hexdigest()
        known_model(asked, (self.alias, self.model.path.stem, self.model.path.name, *self.adapters))
        return self.alias, self.model.sha256

    def head(self, prefix: str, kind: str, asked: str) -> dict[str, Any]:
        """What every answer carries."""
        return head(prefix, kind, *self.weights(asked))

    def cards(self) -> list[dict[str, Any]]:
        """For /v1/models: the model, then its adapters."""
        model = self.model
        meta = {"sha256": model.sha256, "size_bytes": model.path.stat().st_size, "n_ctx": model.n_ctx, "n_vocab": model.n_vocab}
        card = {"object": "model", "created": self.began_s, "owned_by": "sdx"}
        adapted = [
            card | {"id": name, "parent": self.alias, "meta": meta | {"sha256": self.weights(name)[1], "adapter_sha256": adapter.sha256}}
            for name, adapter in self.adapters.items()
        ]
        return [card | {"id": self.alias, "meta": meta}, *adapted]

    def chat(self, request: ToolChat, told: Answer, gone: Gone) -> AsyncIterator[list[Piece]]:
        """The answer in bundles of pieces. Raises Refusal, here or when the first is awaited."""
        request.refuse_unserved()
        model, images = self._writer(), list[Image.Image]()
        tools = tools_of(request.tools, request.tool_choice, model.template, self._knows_tools)
        if tools.demanded and request.response_format:
            raise Refusal("response_format and a tool that must be called cannot both shape the answer: leave one out")
        messages = tools.messages([turn.seen(self._knows_tools, images) for turn in request.messages])
        if images and not model.eyes:
            raise Refusal("messages: image_url, but this model was started without a projector: start it with --projector FILE")
        sampling, adapter = request.sampling(), self._adapter(request.model)
        if schema := tools.schema():
            sampling = replace(sampling, schema=schema)
        shown = tools.offered if self._knows_tools and tools.offered else None

        def job(cancelled: Callable[[], bool]) -> Iterator[Piece]:
            return tools.read(model.answer(messages, sampling, told, cancelled, shown, images, adapter))

        return self._turns.each(job, gone, GATHER_S if request.stream else WHOLE)

    def complete(self, request: CompletionRequest, told: Answer, gone: Gone) -> AsyncIterator[list[Piece]]:
        """What comes after a prompt, in bundles of pieces."""
        request.refuse_unserved()
        model, text, sampling, adapter = self._writer(), request.text(), request.sampling(), self._adapter(request.model)

        def job(cancelled: Callable[[], bool]) -> Iterator[Piece]:
            return model.continued([model.tokens_of(text, add_bos=True)], sampling, told, cancelled, adapter)

        return self._turns.each(job, gone, GATHER_S if request.stream else WHOLE)

    async def embed(self, request: EmbeddingRequest, gone: Gone) -> dict[str, Any]:
        """The vectors of all texts, of unit length."""
        request.refuse_unserved()
        model, texts = self.model, request.items()
        if not isinstance(model, TextVectors):
            raise Refusal("this model was started to write: start an embedding model with --embeddings for vectors")
        if request.dimensions not in (None, model.length):
            raise Refusal(f"dimensions: this model gives {model.length}, and was not trained to give fewer: leave it out")
        lengths: list[int] = []

        def job(cancelled: Callable[[], bool]) -> Iterator[Any]:
            for index, text in enumerate(texts):
                if cancelled():
                    return
                tokens = model.tokens_of(index, text, request.truncate_prompt_tokens)
                lengths.append(len(tokens))
                yield model.of(tokens)

        vectors = [vector async for bundle in self._turns.each(job, gone, WHOLE) for vector in bundle]
        return vectors_reply(*self.weights(request.model), vectors, request.encoding_format == "base64", sum(lengths))

    def _writer(self) -> LlamaModel:
        if not isinstance(self.model, LlamaModel):
            raise Refusal("this model was started with --embeddings and only makes vectors: ask /v1/embeddings")
        return self.model

    def _adapter(self, asked: str) -> str:
        return asked if asked in self.adapters else ""
