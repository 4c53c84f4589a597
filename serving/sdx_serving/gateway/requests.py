"""Requests as they come in: checked once, so that what is wrong with them is said here and not by whichever model answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from sdx_serving.gateway.config import Need
from sdx_serving.gateway.errors import Refused

Surface = Literal["chat/completions", "completions", "embeddings"]
Number = StrictInt | StrictFloat


class _Open(BaseModel):
    """Fields that are not known go on to the model as they are."""

    model_config = ConfigDict(extra="allow")


class Part(_Open):
    """A piece of a message."""

    type: StrictStr


class Turn(_Open):
    """A message."""

    role: StrictStr = Field(min_length=1)
    content: StrictStr | list[Part] | None = None


class ResponseFormat(_Open):
    """What form the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class _Asked(_Open):
    """What all three requests have."""

    model: StrictStr = Field(min_length=1, max_length=200)
    user: StrictStr | None = None


class _Sampled(_Asked):
    stream: StrictBool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: StrictInt | None = Field(default=None, ge=1, le=10_000_000)
    temperature: Number | None = Field(default=None, ge=0.0, le=2.0)
    top_p: Number | None = Field(default=None, gt=0.0, le=1.0)
    frequency_penalty: Number | None = Field(default=None, ge=-2.0, le=2.0)
    presence_penalty: Number | None = Field(default=None, ge=-2.0, le=2.0)
    n: StrictInt | None = Field(default=None, ge=1, le=128)
    seed: StrictInt | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: StrictStr | Annotated[list[StrictStr], Field(max_length=16)] | None = None


class Chat(_Sampled):
    """POST /v1/chat/completions."""

    messages: list[Turn] = Field(min_length=1)
    max_completion_tokens: StrictInt | None = Field(default=None, ge=1, le=10_000_000)
    response_format: ResponseFormat | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: StrictStr | dict[str, Any] | None = None


class Complete(_Sampled):
    """POST /v1/completions."""

    prompt: StrictStr | Annotated[list[StrictStr], Field(min_length=1)] | Annotated[list[StrictInt], Field(min_length=1)]


class Embed(_Asked):
    """POST /v1/embeddings."""

    input: (
        Annotated[StrictStr, Field(min_length=1)]
        | Annotated[list[StrictStr], Field(min_length=1)]
        | Annotated[list[StrictInt], Field(min_length=1)]
        | Annotated[list[list[StrictInt]], Field(min_length=1)]
        | Annotated[list[Part], Field(min_length=1)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: StrictInt | None = Field(default=None, ge=1)


_SHAPES: Mapping[Surface, type[_Asked]] = {"chat/completions": Chat, "completions": Complete, "embeddings": Embed}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, understood."""

    surface: Surface
    body: dict[str, Any]
    needs: frozenset[Need]
    tokens: int | None
    """At most to be made; None if the client sets no bound."""
    images: tuple[dict[str, Any], ...]
    """The `image_url` objects in the body itself: what is fetched is put in there."""

    @property
    def model(self) -> str:
        return self.body["model"]

    @property
    def stream(self) -> bool:
        return self.surface != "embeddings" and self.body.get("stream") is True

    @property
    def wants_usage(self) -> bool:
        """Does the client want to be told the tokens of a stream?"""
        return bool((self.body.get("stream_options") or {}).get("include_usage"))


def read(surface: Surface, body: bytes) -> Asked:
    """A request's body. Refused (400) names the field."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}", "invalid_json") from error
    if not isinstance(told, dict):
        raise Refused(400, "the body must be a JSON object", "invalid_json")
    try:
        _SHAPES[surface].model_validate(told)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "body"
        raise Refused(400, f"{where}: {fault['msg']}", "invalid_value", where) from error
    images = tuple(_images(surface, told))
    return Asked(surface, told, _needs(surface, told, bool(images)), _tokens(surface, told), images)


def _images(surface: Surface, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Refused when one is not told as OpenAI tells it."""
    contents = [turn.get("content") for turn in body["messages"]] if surface == "chat/completions" else [body.get("input")]
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, dict)]
    found = [part.get("image_url") for part in parts if part.get("type") == "image_url"]
    for image in found:
        if not isinstance(image, dict) or not isinstance(image.get("url"), str):
            raise Refused(
                400,
                'an image is told as {"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}}',
                "invalid_image",
                "image_url",
            )
    return found  # type: ignore[return-value]


def _tokens(surface: Surface, body: Mapping[str, Any]) -> int | None:
    """The bound that a client sets; only of fields that this surface has, for others were not looked at."""
    newer = body.get("max_completion_tokens") if surface == "chat/completions" else None
    return None if surface == "embeddings" else newer or body.get("max_tokens")


def _needs(surface: Surface, body: Mapping[str, Any], images: bool) -> frozenset[Need]:
    chat = surface == "chat/completions"
    needs: list[tuple[Need, bool]] = [
        ("embeddings", surface == "embeddings"),
        ("json_schema", chat and (body.get("response_format") or {}).get("type") in ("json_schema", "json_object")),
        ("tools", chat and bool(body.get("tools"))),
        ("images", images),
    ]
    return frozenset(need for need, wanted in needs if wanted)
