"""What our own servers answer, in OpenAI's form: whole, as server-sent events, vectors. Start at event_stream()."""

import base64
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import numpy as np
from fastapi.responses import Response, StreamingResponse

from sdx_serving.openai_protocol import Answer, Call, Piece, error_body


def text_of(pieces: Iterable[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def calls_of(pieces: Iterable[Piece]) -> list[Call]:
    return [piece for piece in pieces if isinstance(piece, Call)]


def _why(told: Answer, calls: bool) -> str:
    return "tool_calls" if calls and told.finish_reason == "stop" else told.finish_reason


def text_reply(head: dict[str, Any], text: str, told: Answer) -> dict[str, Any]:
    """One answer. `head`: of openai_protocol.head, its object "chat.completion" or "text_completion"."""
    said = {"message": {"role": "assistant", "content": text}} if head["object"] == "chat.completion" else {"text": text}
    return head | {"choices": [{"index": 0, **said, "finish_reason": told.finish_reason}], "usage": told.usage}


def chat_reply(head: dict[str, Any], pieces: Sequence[Piece], told: Answer) -> dict[str, Any]:
    """One chat completion."""
    calls = [call.as_openai() for call in calls_of(pieces)]
    message: dict[str, Any] = {"role": "assistant", "content": text_of(pieces)}
    if calls:
        message |= {"content": message["content"] or None, "tool_calls": calls}
    return head | {"choices": [{"index": 0, "message": message, "finish_reason": _why(told, bool(calls))}], "usage": told.usage}


def numbers(vector: np.ndarray, in_base64: bool) -> str | list[float]:
    """In base64 they are little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if in_base64 else vector.tolist()


def vectors_reply(model: str, sha256: str, vectors: Sequence[np.ndarray], in_base64: bool, tokens: int) -> dict[str, Any]:
    """Embeddings of texts."""
    data = [
        {
            "object": "embedding",
            "index": at,
            "embedding": numbers(vector, in_base64),
        }
        for at, vector in enumerate(vectors)
    ]
    used = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "system_fingerprint": f"sha256:{sha256}", "usage": used}


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


async def event_stream(head: dict[str, Any], bundles: AsyncIterator[list[Piece]], told: Answer, tells_usage: bool) -> Response:
    """The answer as it is made. An error before its first piece is raised here, and still gets its status."""
    first = await anext(bundles, [])
    return StreamingResponse(_events(head, first, bundles, told, tells_usage), media_type="text/event-stream")


async def _events(
    head: dict[str, Any], first: list[Piece], rest: AsyncIterator[list[Piece]], told: Answer, tells_usage: bool
) -> AsyncIterator[str]:
    """The answer as server-sent events, one for each bundle of pieces; a later error becomes an event that names it.

    Args:
        head: of openai_protocol.head, its object "chat.completion.chunk" or "text_completion".
    """
    chat, calls = head["object"] == "chat.completion.chunk", 0

    def event(delta: dict[str, Any], finish_reason: str | None = None) -> str:
        said = {"delta": delta} if chat else {"text": delta.get("content", "")}
        return _event(head | {"choices": [{"index": 0, **said, "finish_reason": finish_reason}]})

    try:
        begin = {"role": "assistant", "content": ""} if chat else {}
        bundle: list[Piece] | None = first
        while bundle is not None:
            if (said := text_of(bundle)) or begin:
                yield event(begin | {"content": said})
                begin = {}
            for call in calls_of(bundle):
                yield event({"tool_calls": [{"index": calls, **call.as_openai()}]})
                calls += 1
            bundle = await anext(rest, None)
        yield event({}, _why(told, calls > 0))
        if tells_usage:
            yield _event(head | {"choices": [], "usage": told.usage})
    except Exception as error:  # noqa: BLE001 - the status line has left already: this is the only way to tell
        yield _event(error_body(error))
    yield "data: [DONE]\n\n"
