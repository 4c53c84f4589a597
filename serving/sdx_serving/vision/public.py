"""A public vision-language model, served elsewhere (vLLM, llama.cpp with mmproj), that reads volumes as pictures. Start at PictureChat."""

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdx_serving.client import Completion, Message, OpenAIChat, RequestRefused
from sdx_serving.vision.client import REMEMBERED
from sdx_serving.vision.encoder import HANDLE_DIGITS
from sdx_serving.vision.marks import Held, handles, look_again, split
from sdx_serving.vision.presets import Prepared, Preset, prepare


def without_thinking(text: str, marks: tuple[str, str] | None) -> str:
    """The answer alone. Thinking that was cut off before its end leaves no answer."""
    if marks is None:
        return text
    begin, end = marks
    while (at := text.find(begin)) >= 0:
        text = text[:at] + text[at:].partition(end)[2]
    return text.strip()


def parts(prepared: Prepared) -> list[dict[str, Any]]:
    """What stands for the volume in a message: texts and images in OpenAI's form."""
    made: list[dict[str, Any]] = []
    for item in prepared.layout:
        if isinstance(item, str):
            made.append({"type": "text", "text": item})
        else:
            made.append({"type": "image_url", "image_url": {"url": data_url(prepared.images[item])}})
    return made


def data_url(image: NDArray[np.uint8]) -> str:
    """An RGB image as PNG, without loss."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


class PictureChat:
    """A ChatClient: a volume's mark in a message, "<ct:HANDLE>", is replaced by its pictures, so the same prompts and schemas serve.

    Args:
        chat: of the served model; it must take images.
        preset: how the model wants a volume; ValueError for one that takes tensors, which no OpenAI server does.
    """

    def __init__(self, chat: OpenAIChat, preset: Preset) -> None:
        if preset.kind == "volume":
            raise ValueError(
                f"{preset.title} takes a tensor: the OpenAI protocol carries pictures only; run it in its own program with prepare()"
            )
        self._chat, self.preset = chat, preset
        self._shown: Held[list[dict[str, Any]]] = Held(REMEMBERED)

    def look(self, hu: NDArray[np.int16], spacing_mm: tuple[float, float, float], z_mm: NDArray[np.float64] | None = None) -> str:
        """Keep a volume's pictures; the handle for "<ct:HANDLE>". See prepare()."""
        prepared = prepare(self.preset, hu, spacing_mm, z_mm)
        told = repr((self.preset.name, spacing_mm, hu.shape)).encode() + np.ascontiguousarray(hu).tobytes()
        handle = hashlib.sha256(told).hexdigest()[:HANDLE_DIGITS]
        self._shown.hold(handle, parts(prepared))
        return handle

    def complete(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 30.0,
    ) -> Completion:
        """See ChatClient.complete. What the model thinks is left out."""
        answer = self._chat.complete(self.pictured(messages), schema, max_tokens, temperature, deadline_s)
        return replace(answer, text=without_thinking(answer.text, self.preset.thinking))

    def stream(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        deadline_s: float = 60.0,
    ) -> Iterator[str]:
        """See ChatClient.stream. A model that thinks first is waited for, and its answer comes in one piece."""
        if self.preset.thinking:
            yield self.complete(messages, schema, max_tokens, temperature, deadline_s).text
            return
        yield from self._chat.stream(self.pictured(messages), schema, max_tokens, temperature, deadline_s)

    def pictured(self, messages: Sequence[Message]) -> list[Message]:
        """The messages with pictures for marks. RequestRefused (410) for a handle that is not kept."""
        return [cast(Message, {**message, "content": self._content(str(message["content"]))}) for message in messages]

    def _content(self, text: str) -> str | list[dict[str, Any]]:
        wanted = handles(text)
        if unknown := next((handle for handle in wanted if handle not in self._shown), None):
            refusal = look_again(unknown)
            raise RequestRefused(str(refusal), refusal.status)
        if not wanted:
            return text
        texts = [{"type": "text", "text": piece} if piece.strip() else None for piece in split(text)]
        pictures = [self._shown[handle] for handle in wanted] + [[]]
        return [part for said, shown in zip(texts, pictures, strict=True) for part in ([said] if said else []) + shown]
