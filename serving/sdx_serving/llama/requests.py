"""Chat requests with images and tools, as far as a llama.cpp model serves them. Start at ToolChat."""

import json
from collections.abc import Mapping
from typing import Any

from PIL import Image
from pydantic import Field

from sdx_serving.images import image_of
from sdx_serving.llama.model import IMAGE
from sdx_serving.openai_protocol import ChatMessage, ChatRequest, Refusal


class ToolTurn(ChatMessage):
    """One turn; `content` is text, or parts that are texts and images."""

    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    def seen(self, knows_tools: bool, images: list[Image.Image]) -> dict[str, Any]:
        """As the chat template wants it, with IMAGE for each image, which is added to `images`."""
        content = self.content or ""
        if isinstance(content, list):
            content = "".join(_part(part, images) for part in content)
        turn: dict[str, Any] = {"role": self.role, "content": content}
        turn |= {key: value for key in ("name", "tool_call_id") if (value := getattr(self, key)) is not None}
        calls = [_with_object(call) for call in self.tool_calls or []]
        if calls and knows_tools:
            turn["tool_calls"] = calls
        elif calls:
            turn["content"] += "\n".join(json.dumps(call["function"], ensure_ascii=False) for call in calls)
        return turn


class ToolChat(ChatRequest):
    """The part of OpenAI's chat request that is served."""

    messages: list[ToolTurn] = Field(min_length=1)  # pyright: ignore[reportIncompatibleVariableOverride] - never written to
    tools: list[Any] | None = None
    tool_choice: str | dict[str, Any] | None = None


def _part(part: Mapping[str, Any], images: list[Image.Image]) -> str:
    kind = part.get("type")
    if kind == "text":
        return str(part.get("text", ""))
    if kind != "image_url":
        raise Refusal(f"messages: parts of type {kind!r} are not served here: send text and image_url")
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, Mapping) else given
    images.append(image_of(str(url or "")))
    return IMAGE


def _with_object(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call as templates take it, with its arguments as an object and not as JSON text."""
    function = call.get("function")
    if not isinstance(function, Mapping):
        raise Refusal("messages: a tool_call has no function: send calls as they were answered")
    arguments = function.get("arguments") or "{}"
    try:
        told = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError as error:
        raise Refusal(f"messages: arguments of a tool_call are not JSON ({error})") from error
    return {**call, "function": {**function, "arguments": told}}
