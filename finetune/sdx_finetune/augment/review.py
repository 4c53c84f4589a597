"""Decisions by hand about made rows: review.jsonl in the work folder, a line each, written at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sdx_finetune.datasets.formats import Row, parse
from sdx_finetune.journal import append, whole_lines

Decision = Literal["accept", "edit", "reject"]


def decide(work: Path, row: Row, verdict: Decision, answer: str = "") -> None:
    """Keep a decision; `answer` is the new one of an edit. ValueError for an edit without one."""
    if verdict == "edit" and not answer:
        raise ValueError("an edited answer must not be empty; reject the row instead")
    turns = [*row["messages"][:-1], {"role": "assistant", "content": answer}]
    changed = {**row, "messages": turns, "meta": {**row["meta"], "edited": True}} if verdict == "edit" else None
    if changed is not None and (faults := parse(changed, "the edited row")[1]):
        raise ValueError(f"{faults[0]}")
    append(work / "review.jsonl", {"key": row["key"], "verdict": verdict, "row": changed})


def reviews(work: Path) -> dict[str, Row | None]:
    """Key of a row that was edited -> its new form, of one that was rejected -> None; the last decision counts."""
    last = {item["key"]: item for item in whole_lines(work / "review.jsonl")}
    return {key: item["row"] for key, item in last.items() if item["verdict"] != "accept"}


def unreviewed(work: Path) -> list[Row]:
    """Accepted rows without a decision, in the order they were made. FileNotFoundError when nothing was made here."""
    journal = work / "journal.jsonl"
    if not journal.exists():
        raise FileNotFoundError(f"{work} holds no augmentation; give the folder that `sdx finetune augment` named")
    done = {item["key"] for item in whole_lines(work / "review.jsonl")}
    return [row for entry in whole_lines(journal) for row in entry["accepted"] if row["key"] not in done]


def rejected_rows(work: Path) -> Iterator[tuple[str, Row | None]]:
    """(reason, row) of what was not accepted; None where the answer held no row."""
    for entry in whole_lines(work / "journal.jsonl"):
        yield from ((item["reason"], item["row"]) for item in entry["rejected"])


def last_answer(row: Row | None) -> str:
    return row["messages"][-1]["content"] if row else ""
