"""The OpenAI protocol as our own servers speak it: what a request may say, what is refused, the bodies of answers.

The wire itself (reading, streaming, status codes) is openai_http.py. Start at ChatRequest.
"""

import json
import secrets
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_INPUTS = 2048
"""Inputs of one request for vectors, as at OpenAI."""


class Refusal(Exception):
    """The request cannot be served as it is; the message says which part and what to do."""

    def __init__(self, message: str, code: str = "invalid_request_error", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function, instead of text."""

    name: str
    arguments: str
    """JSON text of an object."""

    def as_openai(self) -> dict[str, Any]:
        return {
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


Piece = str | Call
"""Of an answer as it is made."""


def error_body(error: Exception) -> dict[str, Any]:
    """In OpenAI's shape; what is no Refusal is the server's own fault."""
    if isinstance(error, Refusal):
        kind, code, message = "invalid_request_error", error.code, str(error)
    else:
        kind, code, message = "server_error", "internal_error", f"{type(error).__name__}: {error}"
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}


@dataclass(slots=True)
class Answer:
    """What is known of an answer while it is made."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"
    """"stop", or "length" when the token limit or the context ended it."""
    cached_tokens: int = 0
    """Of the prompt, those that were known from the request before."""

    @property
    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is taken. Temperature 0 is greedy: the same answer each time."""

    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: str | None = None
    """JSON text of the schema that the answer must follow."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    """Taken from the logit of a token for each time, and once, that the answer has it."""


_ONE = "send one request for each answer"
NOT_SERVED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "n": ((1,), _ONE),
    "best_of": ((1,), _ONE),
    "tools": (([],), "use response_format with a json_schema"),
    "functions": (([],), "use response_format with a json_schema"),
    "logprobs": ((False,), "leave it out"),
    "top_logprobs": ((0,), "leave it out"),
    "logit_bias": (({},), "leave it out"),
    "echo": ((False,), "put the prompt before the answer yourself"),
    "suffix": (("",), "leave it out"),
    "audio": ((), "ask for text"),
    "modalities": ((["text"],), "ask for text"),
}
"""Fields that would change the answer if they were served: values that change nothing, and what to do instead."""


class _Request(BaseModel):
    """What cannot be served is refused, not passed over; fields that change no answer are."""

    model_config = ConfigDict(extra="allow")

    model: str = "default"

    def refuse_unserved(self, served: Collection[str] = ()) -> None:
        """Refusal on a field of NOT_SERVED that asks for something. `served`: names that this server does serve."""
        for name, value in (self.model_extra or {}).items():
            harmless, instead = NOT_SERVED.get(name, ((value,), ""))
            if name not in served and value is not None and value not in harmless:
                raise Refusal(f"{name} is not served here: {instead}")


class StreamOptions(BaseModel):
    include_usage: bool = False


class _Generation(_Request):
    """What requests for chat and for plain continuation share."""

    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    top_p: float | None = Field(None, gt=0.0, le=1.0)
    frequency_penalty: float | None = Field(None, ge=-2.0, le=2.0)
    presence_penalty: float | None = Field(None, ge=-2.0, le=2.0)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    response_format: dict[str, Any] | None = None

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self) -> Sampling:
        """Raises Refusal on a response_format that is not known."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature or 0.0,
            top_p=self.top_p or 1.0,
            seed=self.seed or 0,
            stop=tuple(stop for stop in stops if stop),
            schema=schema_of(self.response_format),
            frequency_penalty=self.frequency_penalty or 0.0,
            presence_penalty=self.presence_penalty or 0.0,
        )


class ChatMessage(BaseModel):
    """One turn; `content` is text, or parts of which only text is served."""

    role: str = Field(pattern=r"^\w{1,32}$")
    content: str | list[dict[str, Any]] | None = ""

    def plain(self) -> dict[str, str]:
        """As the chat template wants it. Refusal on an image: the model has no eyes."""
        if isinstance(self.content, list):
            strange = [part.get("type") for part in self.content if part.get("type") != "text"]
            if strange:
                raise Refusal(f"messages: parts of type {strange[0]!r} are not served here: send text only")
            return {"role": self.role, "content": "".join(str(part.get("text", "")) for part in self.content)}
        return {"role": self.role, "content": self.content or ""}


class ChatRequest(_Generation):
    """The part of OpenAI's chat request that is served."""

    messages: list[ChatMessage] = Field(min_length=1)


class CompletionRequest(_Generation):
    """The part of OpenAI's request to continue a text that is served."""

    prompt: str | list[str]

    def text(self) -> str:
        """Refusal on several prompts."""
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        if len(prompts) != 1:
            raise Refusal(f"prompt has {len(prompts)} texts: send one request for each")
        return prompts[0]


class EmbeddingRequest(_Request):
    """`input`: one text or many, or parts {"type": "image_url", "image_url": {"url": "data:..."}} for a model of images."""

    input: Any
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None
    truncate_prompt_tokens: Literal[-1] | Annotated[int, Field(ge=1)] | None = None
    """As vLLM has it: cut longer texts to so many tokens, -1: to what the model takes. Without it they are refused."""
    patches: bool = False
    """Vectors of an image's patches besides its own."""

    def items(self) -> list[str | Mapping[str, Any]]:
        """Texts and image parts. Refusal on token ids: those of another tokenizer would give a vector of something else."""
        given = self.input if isinstance(self.input, list) else [self.input]
        if not 1 <= len(given) <= MAX_INPUTS:
            raise Refusal(f"input has {len(given)} items: send 1 to {MAX_INPUTS}")
        if strange := [item for item in given if not isinstance(item, str | dict)]:
            raise Refusal(f"input: {type(strange[0]).__name__} is neither a text nor a part of type image_url; token ids are not taken")
        return [str(item.get("text", "")) if isinstance(item, dict) and item.get("type") == "text" else item for item in given]


def schema_of(response_format: dict[str, Any] | None) -> str | None:
    """The schema that the answer must follow, as JSON text; None for free text. Key order is kept: it is the answer's."""
    kind = (response_format or {}).get("type", "text")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        schema = response_format.get("schema", {"type": "object"})
    elif kind == "json_schema":
        wrapped = response_format.get("json_schema")
        schema = wrapped.get("schema") if isinstance(wrapped, dict) else None
    else:
        raise Refusal(f"response_format.type is {kind!r}: known are text, json_object, json_schema")
    if not isinstance(schema, dict):
        raise Refusal(f"response_format: a {kind} needs a schema that is an object")
    return json.dumps(schema)


def known_model(name: str, names: Collection[str]) -> None:
    """Refusal with 404 when a request names a model that is not among `names`; "default" is whatever is served."""
    if name not in ("default", *names):
        raise Refusal(f"no model {name!r} here: served is {', '.join(dict.fromkeys(names))}", "model_not_found", 404)


def head(prefix: str, kind: str, model: str, sha256: str) -> dict[str, Any]:
    """What every answer carries: who answered, by name and by weights."""
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": f"sha256:{sha256}",
    }


def until_stop(pieces: Iterator[str], stops: tuple[str, ...], told: Answer) -> Iterator[str]:
    """The pieces up to the first stop string; what may be the beginning of one is held back."""
    if not stops:
        yield from pieces
        return
    held = ""
    keep = max(len(stop) for stop in stops) - 1
    for piece in pieces:
        held += piece
        found = [at for stop in stops if (at := held.find(stop)) >= 0]
        if found and not _may_begin_earlier(held, min(found), stops):
            break
        if not found and len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    found = [at for stop in stops if (at := held.find(stop)) >= 0]
    if found:
        told.finish_reason = "stop"
    yield held[: min(found, default=len(held))]


def _may_begin_earlier(held: str, found: int, stops: tuple[str, ...]) -> bool:
    """Is what stands before the stop that was found the beginning of another, whose end has not come?"""
    return any(stop.startswith(held[at:]) for at in range(found) for stop in stops)
