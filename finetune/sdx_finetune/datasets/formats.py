"""One record of a known layout becomes one chat row, or the faults that say why not.

Layouts, told by their fields: `messages` or `conversations` (chat), `instruction` + `output`, `prompt` + `completion`,
`chosen` + `rejected` (preference); any other through a mapping of columns. A row is
{"messages": [{"role", "content"}...], "images": [...], "rejected": "...", "meta": {...}}; an image stands in the text as
"<image>", in the order of `images`.
"""

import re
from collections.abc import Callable, Mapping
from math import isnan
from typing import Any

from sdx_finetune.datasets.faults import Fault, nearest, shown

Record = Mapping[str, Any]
Row = dict[str, Any]

IMAGE = "<image>"
ROLES = ("system", "user", "assistant")
OTHER_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "ai": "assistant", "instruction": "system"}
LAYOUTS = {
    "chat": ("messages",),
    "sharegpt": ("conversations",),
    "preference": ("chosen", "rejected"),
    "instruction": ("instruction", "output"),
    "completion": ("prompt", "completion"),
}
KNOWN_FIELDS = tuple(sorted({field for fields in LAYOUTS.values() for field in fields} | {"input", "system", "image", "images"}))
MAPPED = ("system", "user", "assistant", "rejected", "image", "group")
"""What a column may be mapped to; `assistant` is needed, `group` names the scenario or patient."""
_MARKER = re.compile(r"<\|(?:im_start|im_end|endoftext|begin_of_text|eot_id|start_header_id)\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class _Unfit(Exception):
    """A record that cannot become a row."""

    def __init__(self, field: str, value: object, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.field, self.value, self.problem, self.fix = field, value, problem, fix


def layout_of(record: Record) -> str | None:
    """Name of the layout that the record's fields belong to."""
    return next((name for name, fields in LAYOUTS.items() if all(field in record for field in fields)), None)


def parse(record: object, place: str, mapping: Mapping[str, str] | None = None) -> tuple[Row | None, list[Fault]]:
    """The row, or None with the faults that drop it; warnings come with a row. `mapping`: target (see MAPPED) -> column."""
    row: Row = {"messages": []}
    try:
        row = _row(record, mapping)
        _check_chat(row["messages"])
        _check_images(row)
        _check_rejected(row)
    except _Unfit as unfit:
        field = _own_name(unfit.field, record, mapping, row["messages"])
        return None, [Fault(place, field, shown(unfit.value), unfit.problem, unfit.fix)]
    doubts = [(_own_name(field, record, mapping, row["messages"]), *rest) for field, *rest in _doubts(row)]
    return row, [Fault(place, field, shown(value), problem, fix, drops=False) for field, value, problem, fix in doubts]


_OWN_NAMES = {
    "instruction": {"system": "system", "user": "instruction", "assistant": "output"},
    "completion": {"system": "system", "user": "prompt", "assistant": "completion"},
    "preference": {"system": "system", "user": "prompt", "assistant": "chosen"},
}


def _own_name(field: str, record: object, mapping: Mapping[str, str] | None, messages: list[dict[str, str]]) -> str:
    """The record's own name of a field of the row: "conversations.1.from" for "messages.1.role", "output" for an answer."""
    match = re.fullmatch(r"messages\.(\d+)\.(role|content)", field)
    if match is None or not isinstance(record, Mapping) or int(match.group(1)) >= len(messages):
        return field
    layout, role = layout_of(record), messages[int(match.group(1))]["role"]
    if mapping:
        return mapping.get(role, field)
    if layout == "sharegpt":
        return f"conversations.{match.group(1)}.{'from' if match.group(2) == 'role' else 'value'}"
    plain = layout in _OWN_NAMES and not any(isinstance(record[name], list) for name in LAYOUTS[layout])
    return _OWN_NAMES[layout].get(role, field) if layout is not None and plain else field


def _row(record: object, mapping: Mapping[str, str] | None) -> Row:
    if not isinstance(record, Mapping):
        raise _Unfit("", record, f"a {type(record).__name__} instead of an object", "write one JSON object per row")
    layout = "mapped" if mapping else layout_of(record)
    if layout is None:
        raise _unknown(record)
    row: Row = {"messages": [], "images": _images(record), "meta": dict(record["meta"]) if isinstance(record.get("meta"), Mapping) else {}}
    if layout == "mapped":
        assert mapping is not None
        return _from_mapping(record, mapping, row)
    return _READERS[layout](record, row)


def _unknown(record: Record) -> _Unfit:
    known = "; ".join(" + ".join(fields) for fields in LAYOUTS.values())
    hints = [f"{field!r} is probably {near!r}" for field in record if (near := nearest(str(field), KNOWN_FIELDS)) and near != field]
    fix = f"rename: {', '.join(hints)}" if hints else f"name the fields as one of: {known}; or map columns, as --map user=question"
    return _Unfit("", sorted(map(str, record)), "fields of no known layout", fix)


def _images(record: Record) -> list[str]:
    given = record.get("images", record.get("image"))
    if given is None or given == "":
        return []
    items = given if isinstance(given, list) else [given]
    for number, item in enumerate(items):
        if not isinstance(item, str) or not item:
            raise _Unfit(f"images.{number}", item, "an image that is no path", "give the path of a file beside the data")
    return list(items)


# -- layouts


def _chat(record: Record, row: Row) -> Row:
    messages = record["messages"]
    if not isinstance(messages, list):
        raise _Unfit("messages", messages, f"a {type(messages).__name__} instead of a list", "write messages as a list of turns")
    row["messages"] = [_turn(turn, number, row, ("role", "content"), "messages") for number, turn in enumerate(messages)]
    return row


def _sharegpt(record: Record, row: Row) -> Row:
    turns = record["conversations"]
    if not isinstance(turns, list):
        raise _Unfit("conversations", turns, f"a {type(turns).__name__} instead of a list", "write conversations as a list of turns")
    row["messages"] = [_turn(turn, number, row, ("from", "value"), "conversations") for number, turn in enumerate(turns)]
    for message in row["messages"]:
        message["role"] = OTHER_ROLES.get(message["role"], message["role"])
    return row


def _instruction(record: Record, row: Row) -> Row:
    asked = _text(record["instruction"], "instruction")
    more = _text(record.get("input") or "", "input", may_be_empty=True)
    user = f"{asked}\n\n{more}" if more.strip() else asked
    return _dialogue(row, record.get("system"), user, _text(record["output"], "output"))


def _completion(record: Record, row: Row) -> Row:
    prompt, completion = record["prompt"], record["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        return _chat({"messages": [*prompt, *completion]}, row)
    return _dialogue(row, record.get("system"), _text(prompt, "prompt"), _text(completion, "completion"))


def _preference(record: Record, row: Row) -> Row:
    chosen, rejected, prompt = record["chosen"], record["rejected"], record.get("prompt", [])
    if isinstance(chosen, list) and isinstance(rejected, list):
        before = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
        if chosen[: len(before)] == before:
            before = []  # chosen holds the whole conversation
        scratch: Row = {"images": []}
        refused = [_turn(turn, number, scratch, ("role", "content"), "rejected") for number, turn in enumerate(rejected)]
        if not refused or refused[-1]["role"] != "assistant":
            raise _Unfit("rejected", rejected, "no answer of the assistant at its end", "end it with the answer that was not chosen")
        row = _chat({"messages": [*before, *chosen]}, row)
        row["rejected"] = refused[-1]["content"]
        return row
    if "prompt" not in record:
        raise _Unfit("prompt", None, "missing", "give the prompt that chosen and rejected answer, or write both as lists of turns")
    row["rejected"] = _text(rejected, "rejected")
    return _dialogue(row, record.get("system"), _text(prompt, "prompt"), _text(chosen, "chosen"))


def _from_mapping(record: Record, mapping: Mapping[str, str], row: Row) -> Row:
    for target, column in mapping.items():
        if column not in record:
            near = nearest(column, tuple(map(str, record)))
            fix = f"map {target}={near}" if near else f"the columns are {', '.join(map(str, record))}"
            raise _Unfit(column, None, f"no such column for {target}", fix)
    values = {target: record[column] for target, column in mapping.items()}
    if "image" in values:
        row["images"] = _images({"image": values["image"]})
    if "group" in values:
        row["meta"]["group"] = str(values["group"])
    if "rejected" in values:
        row["rejected"] = _text(values["rejected"], mapping["rejected"])
    user = _text(values["user"], mapping["user"]) if "user" in values else ""
    return _dialogue(row, values.get("system"), user, _text(values["assistant"], mapping["assistant"]))


_READERS: dict[str, Callable[[Record, Row], Row]] = {
    "chat": _chat,
    "sharegpt": _sharegpt,
    "instruction": _instruction,
    "completion": _completion,
    "preference": _preference,
}


def _dialogue(row: Row, system: object, user: str, assistant: str) -> Row:
    turns = [("system", _text(system, "system"))] if system else []
    turns += [("user", user)] if user else []
    row["messages"] = [{"role": role, "content": content} for role, content in [*turns, ("assistant", assistant)]]
    missing = len(row["images"]) - sum(message["content"].count(IMAGE) for message in row["messages"])
    if user and missing > 0:
        row["messages"][-2]["content"] = f"{IMAGE}\n" * missing + user
    return row


def _turn(turn: object, number: int, row: Row, keys: tuple[str, str], field: str) -> dict[str, str]:
    """One turn with its content as text; image parts go to the row's images."""
    role_key, content_key = keys
    if type(turn) is dict and role_key in turn and type(turn.get(content_key)) is str:  # most turns: nothing to say or to name
        return {"role": str(turn[role_key]), "content": turn[content_key]}
    if not isinstance(turn, Mapping):
        raise _Unfit(
            f"{field}.{number}", turn, f"a {type(turn).__name__} instead of a turn", f'write {{"{role_key}": ..., "{content_key}": ...}}'
        )
    for key in keys:
        if key not in turn:
            near = nearest(key, tuple(map(str, turn)))
            hint = f"rename {near!r} to {key!r}" if near else f"the turn has {', '.join(map(str, turn)) or 'no fields'}; add {key!r}"
            raise _Unfit(f"{field}.{number}.{key}", None, "missing", hint)
    content = turn[content_key]
    if isinstance(content, list):
        content = "".join(_part(part, f"{field}.{number}.{content_key}.{i}", row) for i, part in enumerate(content))
    return {"role": str(turn[role_key]), "content": _text(content, f"{field}.{number}.{content_key}", may_be_empty=True)}


def _part(part: object, field: str, row: Row) -> str:
    """A part of OpenAI's content list as text."""
    if isinstance(part, Mapping) and part.get("type") == "text":
        return _text(part.get("text"), f"{field}.text")
    if isinstance(part, Mapping) and part.get("type") in ("image_url", "image"):
        given = part.get("image_url", part.get("image"))
        url = given.get("url") if isinstance(given, Mapping) else given
        if not isinstance(url, str) or not url:
            raise _Unfit(field, part, "an image without a path", 'write {"type": "image_url", "image_url": {"url": "images/1.png"}}')
        row["images"].append(url)
        return IMAGE
    raise _Unfit(field, part, "a part of an unknown type", 'use {"type": "text", "text": ...} or {"type": "image_url", ...}')


def _text(value: object, field: str, may_be_empty: bool = False) -> str:
    if value is None or (isinstance(value, float) and isnan(value)):  # a table's empty cell
        raise _Unfit(field, value, "empty", "fill it in, or remove the row")
    if not isinstance(value, str):
        as_text = "json.dumps(...) of it" if isinstance(value, (Mapping, list)) else f'"{value}"'
        raise _Unfit(field, value, f"a {type(value).__name__} instead of text", f"write it as text: {as_text}")
    if not may_be_empty and not value.strip():
        raise _Unfit(field, value, "empty", "fill it in, or remove the row")
    return value


# -- what every row must hold


def _check_chat(messages: list[dict[str, str]]) -> None:
    if not messages:
        raise _Unfit("messages", messages, "no turns", "give a question and its answer, or remove the row")
    for number, message in enumerate(messages):
        role, content = message["role"], message["content"]
        if role not in ROLES:
            meant = OTHER_ROLES.get(role.lower()) or nearest(role, ROLES) or ", ".join(ROLES)
            raise _Unfit(f"messages.{number}.role", role, "unknown role", f"write {meant}")
        if role == "system" and number:
            raise _Unfit(f"messages.{number}.role", role, "a system turn that is not the first", "move it to the beginning")
        _check_content(content, f"messages.{number}.content")
    if messages[-1]["role"] != "assistant":
        role = messages[-1]["role"]
        raise _Unfit(f"messages.{len(messages) - 1}.role", role, "the last turn is not the assistant's", "end with the answer to learn")
    if len(messages) == 1:
        raise _Unfit("messages", messages, "an answer without a question", "add the user's turn before it")


def _check_content(content: str, field: str) -> None:
    if not content.strip():
        raise _Unfit(field, content, "empty", "fill it in, or remove the row")
    if ("<" in content or "[" in content) and (marker := _MARKER.search(content)):
        raise _Unfit(field, marker.group(), "a chat template's marker inside the text", "give the text alone")
    if not content.isprintable() and (lone := _SURROGATE.search(content)):
        raise _Unfit(field, lone.group(), "half of a surrogate pair, which no file can hold", "remove it")


def _check_images(row: Row) -> None:
    marks = sum(message["content"].count(IMAGE) for message in row["messages"])
    if marks != len(row["images"]):
        problem = f"{marks} {IMAGE} marks in the text for {len(row['images'])} images"
        raise _Unfit("images", row["images"], problem, f"write {IMAGE} once for each image, where it belongs")


def _check_rejected(row: Row) -> None:
    if "rejected" in row:
        _check_content(row["rejected"], "rejected")
    if "rejected" in row and row["rejected"].strip() == row["messages"][-1]["content"].strip():
        raise _Unfit("rejected", row["rejected"], "the same as chosen", "there is no preference to learn: remove the row")


def _doubts(row: Row) -> list[tuple[str, str, str, str]]:
    """(field, value, problem, fix) of what is kept but worth a look."""
    found: list[tuple[str, str, str, str]] = []
    before = ""
    for number, message in enumerate(row["messages"]):
        field, content = f"messages.{number}.content", message["content"]
        if "\ufffd" in content:
            found.append(
                (
                    field,
                    content[max(0, content.index("\ufffd") - 10) :][:30],
                    "a character that was lost in decoding",
                    "read the source as UTF-8",
                )
            )
        if not content.isprintable() and (control := _CONTROL.search(content)):
            found.append((field, control.group(), "a control character", "remove it"))
        if message["role"] == before:
            found.append((f"messages.{number}.role", before, "two turns of one role in a row", "join them into one turn"))
        before = message["role"]
    return found
