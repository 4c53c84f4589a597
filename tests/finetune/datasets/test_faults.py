"""Planted faults, each told by row, field, value and fix; sound rows stay without a word."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_finetune.datasets.formats import parse
from sdx_finetune.datasets.gather import gather

SOUND = {"messages": [{"role": "user", "content": "Who gives way?"}, {"role": "assistant", "content": "We do."}]}
Q = {"role": "user", "content": "Who gives way to T1?"}
A = {"role": "assistant", "content": "We do."}


def turns(*messages: object) -> str:
    return json.dumps({"messages": list(messages)})


PLANTED = {
    "not JSON": ('{"messages": [', "", "one whole JSON object per line"),
    "single quotes": ("{'messages': []}", "", "double quotes"),
    "not an object": ("[1, 2]", "", "one JSON object per row"),
    "unknown fields": ('{"mesages": []}', "", "'mesages' is probably 'messages'"),
    "no layout": ('{"frage": "a", "antwort": "b"}', "", "map columns"),
    "messages is text": ('{"messages": "hello"}', "messages", "list of turns"),
    "no turns": ('{"messages": []}', "messages", "give a question"),
    "a turn that is text": (turns("hello", A), "messages.0", "write {"),
    "no role": (turns({"rolle": "user", "content": "x"}, A), "messages.0.role", "rename 'rolle' to 'role'"),
    "unknown role": (turns({"role": "human", "content": "x"}, A), "messages.0.role", "write user"),
    "no content": (turns({"role": "user"}, A), "messages.0.content", "add 'content'"),
    "content is a number": (turns(Q, {"role": "assistant", "content": 12}), "messages.1.content", 'write it as text: "12"'),
    "content is an object": (turns(Q, {"role": "assistant", "content": {"w1": 3}}), "messages.1.content", "json.dumps"),
    "empty answer": (turns(Q, {"role": "assistant", "content": "  "}), "messages.1.content", "fill it in"),
    "ends with the user": (turns(Q, A, Q), "messages.2.role", "end with the answer"),
    "answer without a question": (turns(A), "messages", "add the user's turn"),
    "late system turn": (turns(Q, {"role": "system", "content": "x"}, A), "messages.1.role", "move it to the beginning"),
    "template marker": (turns({"role": "user", "content": "hi<|im_end|>"}, A), "messages.0.content", "the text alone"),
    "missing image": (
        json.dumps({"messages": [{"role": "user", "content": "<image> look"}, A], "images": ["no.png"]}),
        "images.0",
        "put it at",
    ),
    "image without a mark": (json.dumps({"messages": [Q, A], "images": ["no.png"]}), "images", "once for each image"),
    "unknown part": (turns({"role": "user", "content": [{"type": "audio"}]}, A), "messages.0.content.0", '"type": "text"'),
    "ShareGPT role": (
        '{"conversations": [{"from": "humn", "value": "q"}, {"from": "gpt", "value": "a"}]}',
        "conversations.0.from",
        "write system, user, assistant",
    ),
    "marker in output": ('{"instruction": "say", "output": "hi<|im_end|>"}', "output", "the text alone"),
    "output is a number": ('{"instruction": "count", "output": 3}', "output", 'write it as text: "3"'),
    "null output": ('{"instruction": "count", "output": null}', "output", "fill it in"),
    "no preference": ('{"prompt": "q", "chosen": "a", "rejected": "a"}', "rejected", "remove the row"),
    "no rejected answer": (json.dumps({"prompt": "q", "chosen": [Q, A], "rejected": []}), "rejected", "not chosen"),
    "marker in rejected": ('{"prompt": "q", "chosen": "a", "rejected": "b<|im_end|>"}', "rejected", "the text alone"),
    "half a character": ('{"prompt": "q", "completion": "a\\ud800"}', "", "one whole JSON object"),
    "preference without a prompt": ('{"chosen": "a", "rejected": "b"}', "prompt", "give the prompt"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_told_by_row_field_and_fix(name: str, tmp_path: Path) -> None:
    line, field, fix = PLANTED[name]
    file = tmp_path / "own.jsonl"
    file.write_text(f"{json.dumps(SOUND)}\n\n{line}\n", encoding="utf-8")
    found = gather([file])
    assert [fault.drops for fault in found.faults] == [True] and len(found.rows) == 1 and found.read == 2
    fault = found.faults[0]
    assert fault.place == "own.jsonl:3" and fault.field == field and fix in fault.fix and fault.value
    assert str(fault).startswith("own.jsonl:3: ")


def test_all_faults_of_one_file_are_told_and_nothing_else(tmp_path: Path) -> None:
    sound = [json.dumps({"prompt": f"question {n}", "completion": f"answer {n}"}) for n in range(200)]
    planted = [line for line, _, _ in PLANTED.values()]
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(sound + planted), encoding="utf-8")
    found = gather([file])
    assert [fault.place for fault in found.faults] == [f"own.jsonl:{201 + n}" for n in range(len(planted))]
    assert len(found.rows) == 200


@pytest.mark.parametrize(
    ("text", "problem"),
    [("caf\ufffd", "lost in decoding"), ("a\x07b", "control character")],
)
def test_what_is_doubtful_is_kept_with_a_warning(text: str, problem: str) -> None:
    row, faults = parse({"prompt": text, "completion": "b"}, "x:1")
    assert row is not None and [fault.drops for fault in faults] == [False] and problem in faults[0].problem


def test_two_turns_of_one_role_are_kept_with_a_warning() -> None:
    row, faults = parse({"messages": [Q, Q, A]}, "x:1")
    assert row is not None and faults[0].field == "messages.1.role"


def test_a_repeat_names_the_row_that_it_repeats(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(f"{json.dumps(SOUND)}\n{json.dumps(SOUND)}\n")
    found = gather([file])
    assert len(found.rows) == 1 and found.faults[0].problem == "the same as own.jsonl:1"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["messages", "role", "content", "prompt", "completion", "type", "text"]) | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_any_record_is_a_row_or_a_fault(record: object) -> None:
    row, faults = parse(record, "x:1")
    assert (row is None) == any(fault.drops for fault in faults)
    if row is not None:
        assert row["messages"][-1]["role"] == "assistant" and all(isinstance(m["content"], str) for m in row["messages"])


def test_a_preference_whose_sides_hold_the_whole_conversation_asks_once() -> None:
    row, faults = parse({"prompt": Q["content"], "chosen": [Q, A], "rejected": [Q, {"role": "assistant", "content": "They do."}]}, "x:1")
    assert row is not None and not faults
    assert row["messages"] == [Q, A] and row["rejected"] == "They do."
