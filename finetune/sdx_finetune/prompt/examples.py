"""Rows as questions and answers, the prompt that shows some of them, and which rows serve for what."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sdx_finetune.datasets.check import near_pairs
from sdx_finetune.datasets.gather import gather
from sdx_finetune.datasets.splits import TRAIN, assign, group_of, joined
from sdx_finetune.datasets.store import Store
from sdx_finetune.prompt.spec import PromptSpec
from sdx_finetune.rows import Row, check_row

VALIDATION, TEST = "validation", "test"
HELD_OUT = ("test", "eval")
"""Splits of a stored data set that nothing may be taken from."""
MIN_GROUPS = 6
"""Fewer groups of rows give no score worth telling."""
MAX_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Example:
    """One row: what is asked and what should be answered."""

    row: Row
    group: str
    """Examples of one group never stand on two sides."""

    @property
    def query(self) -> str:
        return self.row.messages[-2].content

    @property
    def response(self) -> str:
        return self.row.messages[-1].content


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stands before a question, exactly as it is served."""

    instruction: str
    demos: tuple[tuple[str, str], ...] = ()
    """Questions with their answers, as turns of a chat."""

    def messages(self, query: str | None = None) -> list[dict[str, str]]:
        """System turn, demos, and the question if there is one."""
        turns = [{"role": "system", "content": self.instruction}]
        for asked, answered in self.demos:
            turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        return turns if query is None else [*turns, {"role": "user", "content": query}]


@dataclass(frozen=True, slots=True)
class Sides:
    """Examples to take demos from, to choose by, and to score at the end. No group stands on two sides."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """What the rows hold."""

    examples: tuple[Example, ...]
    held_out: frozenset[str]
    """Keys of rows that the data set itself keeps for evaluation."""
    instruction: str
    """The base prompt."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How the run measures: one split, several folds, or (with too few rows) not at all; `final` is what the written prompt comes from."""

    final: Sides
    folds: tuple[Sides, ...]
    """Of cross-validation; empty when `final.test` is scored, or nothing is."""
    notes: tuple[str, ...] = ()


def read_examples(spec: PromptSpec) -> Given:
    """The rows of the language asked for, at most max_rows of them.

    Raises:
        ValueError: a row is no single question with its answer, there are fewer than two, or there is no base prompt.
        FileNotFoundError: there is no such file.
    """
    found, notes = _stored(spec) if spec.of_dataset else _read(spec)
    if spec.language and any("language" in row["meta"] for _, row in found):
        found = [(split, row) for split, row in found if row["meta"].get("language") == spec.language]
    if len(found) > spec.max_rows:
        notes.append(f"{spec.max_rows} of {len(found)} rows were drawn (max_rows)")
        found = sorted(found, key=lambda item: sha256(f"{spec.seed}:{item[1]['key']}".encode()).digest())[: spec.max_rows]
    if len(found) < 2:
        asked = f" of language {spec.language}" if spec.language else ""
        raise ValueError(f"rows: {spec.rows} holds {len(found)} rows{asked}; at least 2 are needed")
    rows = [_single(check_row(row, f"row {row['key']}")) for _, row in found]
    groups = joined([group_of(row) for _, row in found], near_pairs([row for _, row in found]))
    examples = tuple(Example(row, group) for row, group in zip(rows, groups, strict=True))
    held_out = frozenset(row.key for (split, _), row in zip(found, rows, strict=True) if split in HELD_OUT)
    return Given(examples, held_out, base_instruction(spec, rows), tuple(notes))


def base_instruction(spec: PromptSpec, rows: Sequence[Row]) -> str:
    """The prompt as it is today. ValueError when rows have several and none is named."""
    if spec.instruction:
        return spec.instruction
    systems = Counter(row.messages[0].content if row.messages[0].role == "system" else "" for row in rows)
    if len(systems) > 1:
        raise ValueError(
            f"rows: {spec.rows} has {len(systems)} different system turns, e.g. {min(systems)[:60]!r}: "
            "give `instruction`, the one that is served, or `language` if they differ by language"
        )
    if found := next(iter(systems)) or spec.task.strip():
        return found
    raise ValueError("task: say in a sentence what the answers are for; it is the base prompt, for the rows have no system turn")


def plan(given: Given, spec: PromptSpec) -> Plan:
    """Which examples serve for what; the same for the same rows and seed."""
    examples = given.examples
    if given.held_out:
        return _with_held_out(given, spec)
    groups = [example.group for example in examples]
    count = len(set(groups))
    if count < MIN_GROUPS:
        note = f"{len(examples)} rows ({count} different) are too few to measure anything: bring {MIN_GROUPS} or more, best of all 50"
        return Plan(Sides(examples, ()), (), (*given.notes, note))
    split = assign(groups, {TEST: spec.test, VALIDATION: spec.validation}, spec.seed)
    if split.count(TEST) >= spec.min_test_rows:
        return Plan(_sides(examples, split), (), given.notes)
    number = min(MAX_FOLDS, count // 2)
    note = (
        f"{split.count(TEST)} test rows are fewer than min_test_rows {spec.min_test_rows}: scores come from {number}-fold "
        "cross-validation, so they tell of the way of searching, and the written prompt is one more result of it, from all rows"
    )
    return Plan(_rest(examples, (), spec), tuple(_fold(examples, number, at, spec) for at in range(number)), (*given.notes, note))


def _with_held_out(given: Given, spec: PromptSpec) -> Plan:
    test = tuple(example for example in given.examples if example.row.key in given.held_out)
    known = {example.group for example in test}
    free = [example for example in given.examples if example.group not in known]
    if len({example.group for example in free}) < 2:
        raise ValueError(f"rows: {spec.rows} has {len(free)} rows apart from its {len(test)} held out ones; at least 2 are needed")
    lost = len(given.examples) - len(test) - len(free)
    notes = [*given.notes, *([f"{lost} rows are left out: they belong to, or nearly are, held out rows"] if lost else [])]
    if len(test) < spec.min_test_rows:
        notes.append(f"{len(test)} held out rows are fewer than min_test_rows {spec.min_test_rows}: the interval is wide")
    return Plan(_rest(free, test, spec), (), tuple(notes))


def _fold(examples: Sequence[Example], number: int, at: int, spec: PromptSpec) -> Sides:
    """Every group is tested once."""
    ordered = sorted({example.group for example in examples}, key=lambda group: sha256(f"{spec.seed}:fold:{group}".encode()).digest())
    mine = set(ordered[at::number])
    test = tuple(example for example in examples if example.group in mine)
    return _rest([example for example in examples if example.group not in mine], test, spec)


def _rest(examples: Sequence[Example], test: tuple[Example, ...], spec: PromptSpec) -> Sides:
    share = spec.validation / (1.0 - spec.test)
    sides = _sides(examples, assign([example.group for example in examples], {VALIDATION: share}, spec.seed))
    return Sides(sides.train, sides.validation, test)


def _sides(examples: Sequence[Example], split: Sequence[str]) -> Sides:
    of = {name: tuple(e for e, side in zip(examples, split, strict=True) if side == name) for name in (TRAIN, VALIDATION, TEST)}
    return Sides(of[TRAIN], of[VALIDATION], of[TEST])


def _stored(spec: PromptSpec) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    return list(Store().rows(spec.rows)), []


def _read(spec: PromptSpec) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    path = Path(spec.rows)
    if not path.exists():
        raise FileNotFoundError(f"rows: no file {path}; give one that `sdx data check` takes, or a data set as NAME@VERSION")
    found = gather([path])
    if not found.rows and found.faults:
        raise ValueError(f"rows: {path} holds no good row: {found.faults[0]}")
    dropped = [f"{found.dropped} rows of {path.name} are left out, first {found.faults[0]}"] if found.dropped else []
    return [("", row) for row in found.rows], dropped


def _single(row: Row) -> Row:
    roles = [message.role for message in row.messages if message.role != "system"]
    if roles != ["user", "assistant"] or row.images:
        what = "images" if row.images else " + ".join(roles)
        raise ValueError(f"rows: row {row.key} has {what}: a prompt is improved on single questions with their answers, in text")
    return row
