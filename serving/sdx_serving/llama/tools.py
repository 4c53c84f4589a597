"""Functions that a model may call: offered, demanded through a schema, and read out of its answer. Start at Tools."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdx_serving.openai_protocol import Call, Refusal

_BEGIN, _END = "<tool_call>", "</tool_call>"
"""Around a call in the answers of models whose template says so (Hermes, Qwen, ...)."""
_DEMAND = "Answer with one call of one of these functions, as JSON with its name and arguments:\n"


@dataclass(frozen=True, slots=True)
class Tools:
    """What one request may or must call.

    Args:
        offered: the request's `tools`, as the template is given them; empty when none may be called.
        demanded: the names of those of which one must be called.
        template: the model's chat template, and whether it makes use of tools.
    """

    offered: Sequence[Mapping[str, Any]]
    demanded: Sequence[str]
    shown_by_template: bool

    def schema(self) -> str | None:
        """Of an answer that is a call of one of the demanded functions; None where none is."""
        if not self.demanded:
            return None
        defs: dict[str, Any] = {}
        for at, name in enumerate(self.demanded):
            function = next(tool["function"] for tool in self.offered if tool["function"]["name"] == name)
            wanted = copy.deepcopy(function.get("parameters") or {"type": "object", "properties": {}})
            for kind in ("$defs", "definitions"):
                defs |= {f"call{at}_{key}": _moved(value, at) for key, value in wanted.pop(kind, {}).items()}
            properties = {"name": {"const": name}, "arguments": _moved(wanted, at)}
            defs[f"call{at}"] = {
                "type": "object",
                "properties": properties,
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        return json.dumps({"anyOf": [{"$ref": f"#/$defs/call{at}"} for at in range(len(self.demanded))], "$defs": defs})

    def messages(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The chat in which a template without tools is told of them in words."""
        if self.shown_by_template or not self.demanded:
            return messages
        said = _DEMAND + "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in self.offered)
        first = messages[0]
        if first["role"] != "system":
            return [{"role": "system", "content": said}, *messages]
        return [{**first, "content": f"{first['content']}\n\n{said}"}, *messages[1:]]

    def read(self, pieces: Iterator[str]) -> Iterator[str | Call]:
        """Text as it comes, and the calls in it."""
        if self.demanded:
            whole = "".join(pieces)
            yield _call_in(whole, self.demanded) or whole
        elif self.offered:
            yield from _marked(pieces, [tool["function"]["name"] for tool in self.offered])
        else:
            yield from pieces


def tools_of(tools: Sequence[Any] | None, choice: Any, template: str, knows_tools: bool) -> Tools:
    """What a request's `tools` and `tool_choice` ask for.

    Raises:
        Refusal: they are not in OpenAI's form, or the model was not made to choose by itself.
    """
    names = [_name_of(tool) for tool in tools or []]
    if isinstance(choice, Mapping):
        named = choice.get("function", {}).get("name") if isinstance(choice.get("function"), Mapping) else None
        if named not in names:
            raise Refusal(f"tool_choice names the function {named!r}, tools has {names}: name one of these")
        return Tools(tools or [], [named], knows_tools)
    if choice not in (None, "none", "auto", "required"):
        raise Refusal(f"tool_choice is {choice!r}: known are none, auto, required and a named function")
    if not names and choice == "required":
        raise Refusal("tool_choice is required, and there are no tools: give some")
    if not names or choice == "none":
        return Tools([], [], knows_tools)
    if choice == "required":
        return Tools(tools or [], names, knows_tools)
    if not knows_tools or _BEGIN not in template or "<function=" in template:
        raise Refusal(
            "tools with tool_choice auto need a model whose chat template writes calls between <tool_call> and </tool_call>, "
            'and this one does not: set tool_choice to "required" or to a function, or leave the tools out',
            "tool_choice_unsupported",
        )
    return Tools(tools or [], [], knows_tools)


def _name_of(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, Mapping) and tool.get("type") == "function" else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise Refusal('tools: each is {"type": "function", "function": {"name": ..., "parameters": {...}}}')
    if not isinstance(function.get("parameters") or {}, Mapping):
        raise Refusal(f"tools: parameters of {function['name']} is not a JSON schema")
    return function["name"]


def _moved(schema: Any, at: int) -> Any:
    """References into the schema's own definitions, once those have moved to the root under a name of their own."""
    if isinstance(schema, Mapping):
        return {key: _reference(value, at) if key == "$ref" else _moved(value, at) for key, value in schema.items()}
    return [_moved(item, at) for item in schema] if isinstance(schema, list) else schema


def _reference(value: Any, at: int) -> Any:
    for kind in ("#/$defs/", "#/definitions/"):
        if isinstance(value, str) and value.startswith(kind):
            return f"#/$defs/call{at}_{value.removeprefix(kind)}"
    return value


def _call_in(text: str, names: Sequence[str]) -> Call | None:
    """The call that a text is; None when it is none of these functions'."""
    try:
        told = json.loads(text)
        name, arguments = told["name"], told.get("arguments") or {}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if name not in names or not isinstance(arguments, dict):
        return None
    return Call(name, json.dumps(arguments, ensure_ascii=False))


def _marked(pieces: Iterator[str], names: Sequence[str]) -> Iterator[str | Call]:
    """Text and the calls between their marks; what may be the beginning of a mark is held back."""
    held, inside = "", False
    for piece in pieces:
        held += piece
        while (at := held.find(_END if inside else _BEGIN)) >= 0:
            if inside:
                yield _call_in(held[:at], names) or f"{_BEGIN}{held[:at]}{_END}"
                held = held[at + len(_END) :]
            else:
                if held[:at].strip():
                    yield held[:at]
                held = held[at + len(_BEGIN) :]
            inside = not inside
        if not inside and (free := len(held) - _begun(held)) and held[:free].strip():
            yield held[:free]
            held = held[free:]
    if inside:
        yield _call_in(held, names) or _BEGIN + held
    elif held.strip():
        yield held


def _begun(text: str) -> int:
    """How many letters at the text's end may be the beginning of a mark."""
    return next((size for size in range(min(len(text), len(_BEGIN) - 1), 0, -1) if _BEGIN.startswith(text[-size:])), 0)
