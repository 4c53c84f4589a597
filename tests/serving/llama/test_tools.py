"""Calls read out of an answer, however it comes in pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_serving.llama.tools import Call, Tools, tools_of
from sdx_serving.openai_protocol import Refusal

STEER = {"type": "function", "function": {"name": "steer", "parameters": {"type": "object"}}}
MARKED = "{% if tools %}<tool_call>"


@given(
    parts=st.lists(st.sampled_from(["so", " < ", "<tool", "call", ("to", "port"), ("by", "12 <tool_call>")]), max_size=6),
    cut=st.integers(1, 9),
)
def test_calls_between_their_marks_are_found_and_the_rest_is_text(parts: list[str | tuple[str, str]], cut: int) -> None:
    calls = [Call("steer", json.dumps({part[0]: part[1]})) for part in parts if isinstance(part, tuple)]
    written = [
        part if isinstance(part, str) else f'<tool_call>{{"name": "steer", "arguments": {{"{part[0]}": "{part[1]}"}}}}</tool_call>'
        for part in parts
    ]
    text = "".join(written)
    pieces = (text[at : at + cut] for at in range(0, len(text), cut))
    read = list(Tools([STEER], [], True).read(pieces))
    assert [piece for piece in read if isinstance(piece, Call)] == calls
    told = "".join(piece for piece in read if isinstance(piece, str))
    assert "".join(told.split()) == "".join("".join(part for part in parts if isinstance(part, str)).split())


@pytest.mark.parametrize(
    "text", ['<tool_call>{"name": "fly"}</tool_call>', "<tool_call>not json</tool_call>", '<tool_call>{"name": "steer"']
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert "".join(map(str, Tools([STEER], [], True).read(iter([text])))) == text


def test_a_call_that_was_not_closed_counts() -> None:
    assert list(Tools([STEER], [], True).read(iter(['<tool_call>{"name": "steer", "arguments": {}}']))) == [Call("steer", "{}")]


@pytest.mark.parametrize(("template", "knows"), [("", False), ("{% if tools %}[TOOL_CALLS]", True), (MARKED + "<function=", True)])
def test_a_model_that_writes_calls_otherwise_is_not_left_to_choose(template: str, knows: bool) -> None:
    assert not tools_of([STEER], "auto", MARKED, True).demanded
    with pytest.raises(Refusal, match="tool_choice auto need"):
        tools_of([STEER], "auto", template, knows)
    assert tools_of([STEER], "required", template, knows).demanded == ["steer"]


def test_a_template_without_tools_is_told_in_words_after_its_instructions() -> None:
    tools = tools_of([STEER], "required", "", False)
    asked = {"role": "user", "content": "now?"}
    first, second = tools.messages([{"role": "system", "content": "Be brief."}, asked])
    assert first["content"].startswith("Be brief.\n\nAnswer with one call") and '"steer"' in first["content"] and second is asked
    assert [turn["role"] for turn in tools.messages([asked])] == ["system", "user"]


def test_definitions_of_two_functions_do_not_mix() -> None:
    def tool(name: str, values: list[str]) -> dict[str, object]:
        schema = {"type": "object", "properties": {"x": {"$ref": "#/$defs/X"}}, "$defs": {"X": {"enum": values}}}
        return {"type": "function", "function": {"name": name, "parameters": schema}}

    text = tools_of([tool("a", ["1"]), tool("b", ["2"])], "required", "", False).schema()
    assert text
    jsonschema = pytest.importorskip("jsonschema")
    for name, value, fits in (("a", "1", True), ("b", "2", True), ("a", "2", False), ("b", "1", False)):
        assert jsonschema.Draft202012Validator(json.loads(text)).is_valid({"name": name, "arguments": {"x": value}}) == fits
