"""Make rows until enough are accepted. Start at augment(). A kill loses what the teacher was still writing, nothing else.

In the work folder: answers.jsonl (see teacher.py), journal.jsonl (a line per request: its key, accepted and rejected rows with
reasons, time and tokens), run.json (what decides the rows); written at the end from the journal: rows.jsonl, rejected.jsonl, and
pairs.jsonl (a domain's own answer preferred to a teacher's that its check refused: what `method: dpo` learns from).
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import orjson

from sdx_finetune.augment.accept import Acceptance
from sdx_finetune.augment.requests import Request, requests
from sdx_finetune.augment.review import reviews
from sdx_finetune.augment.spec import AugmentSpec
from sdx_finetune.augment.teacher import Said, Teacher
from sdx_finetune.datasets.formats import Row
from sdx_finetune.datasets.gather import gather, key_of
from sdx_finetune.datasets.store import Store
from sdx_finetune.journal import append, whole_lines, write_whole
from sdx_finetune.progress import Say, tell
from sdx_serving.client import ChatClient

Answers = Callable[[Sequence[Row], int, Callable[[], int]], Generator[tuple[Request, Said], None, None]]
"""Examples, number of the first request, about how many more are needed -> each request with its answer, in order, without end."""
SAY_EVERY_S = 5.0


@dataclass(slots=True)
class Made:
    """What a run has come to."""

    requests: int = 0
    accepted: list[Row] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter[str])
    tokens: int = 0

    @property
    def rejected(self) -> int:
        return self.reasons.total()


class WorkFolder:
    """The files of a run."""

    def __init__(self, path: Path, spec: AugmentSpec) -> None:
        self.path, self.journal = path, path / "journal.jsonl"
        path.mkdir(parents=True, exist_ok=True)
        mark = path / "run.json"
        if mark.exists():
            there = json.loads(mark.read_text(encoding="utf-8"))["id"]
            if there != spec.id:
                raise ValueError(
                    f"{path} holds rows of another configuration ({there}, now {spec.id}); give another --work to fork, or undo the change"
                )
        else:
            write_whole(mark, json.dumps({"id": spec.id, "spec": spec.model_dump(mode="json")}, ensure_ascii=False, indent=1).encode())

    def entries(self) -> Iterator[dict[str, Any]]:
        """The journal's lines."""
        return whole_lines(self.journal)

    def add(self, entry: dict[str, Any]) -> None:
        append(self.journal, entry)

    def finish(self, wanted: int) -> Path:
        """rows.jsonl, rejected.jsonl and pairs.jsonl from the journal; hand-made decisions of review.jsonl count."""
        accepted, rejected = [], []
        for entry in self.entries():
            accepted += entry["accepted"]
            rejected += entry["rejected"]
        reviewed = reviews(self.path)
        final = [reviewed.get(row["key"], row) for row in accepted[:wanted]]
        pairs = [_preference(item) for item in rejected if item.get("better")]
        write_whole(self.path / "rejected.jsonl", b"".join(orjson.dumps(item) + b"\n" for item in rejected))
        write_whole(self.path / "pairs.jsonl", b"".join(orjson.dumps(pair) + b"\n" for pair in pairs))
        write_whole(self.path / "rows.jsonl", b"".join(orjson.dumps(row) + b"\n" for row in final if row is not None))
        return self.path / "rows.jsonl"


def augment(spec: AugmentSpec, client: ChatClient | None, work: Path, say: Say, answers: Answers | None = None) -> tuple[Made, Path]:
    """Run or resume; (what was made, rows.jsonl). `answers`: where else requests are answered than by `client`, from here.

    Raises ValueError for a changed configuration, ChatError when the teacher is gone.
    """
    folder = WorkFolder(work, spec)
    examples, unseen = _given(spec)
    acceptance, made = Acceptance(spec, examples, unseen), Made()
    for entry in folder.entries():
        _count(made, entry)
        for row in entry["accepted"]:
            acceptance.count(row)
    if made.requests:
        say(f"goes on after {made.requests} requests with {len(made.accepted)} rows")
    started, told, before, rows_before = time.monotonic(), time.monotonic(), made.tokens, len(made.accepted)
    _tell(folder.path, made, spec)
    if answers is None:
        asked = Teacher(spec, client, folder.path / "answers.jsonl").answers(requests(spec, examples, made.requests))
    else:
        asked = answers(examples, made.requests, lambda: still_to_ask(made, spec))
    while not enough(made, spec):
        request, said = next(asked)
        entry = _judged(request, said, acceptance)
        folder.add(entry)
        _count(made, entry)
        if time.monotonic() - told >= SAY_EVERY_S:
            told = time.monotonic()
            say(progress(made, spec, told - started, made.tokens - before))
            _tell(folder.path, made, spec, (len(made.accepted) - rows_before) / (told - started), (made.tokens - before) / (told - started))
    asked.close()
    if len(made.accepted) < spec.rows:
        say(f"gave up after {made.requests} requests: {len(made.accepted)} of {spec.rows} rows; most often: {_most(made.reasons)}")
    _tell(folder.path, made, spec)
    return made, folder.finish(spec.rows)


def _tell(work: Path, made: Made, spec: AugmentSpec, rows_per_s: float = 0.0, tokens_per_s: float | None = None) -> None:
    """progress.json."""
    rows = len(made.accepted)
    left_s = round((spec.rows - rows) / rows_per_s, 1) if rows_per_s else None
    facts = {"rows": rows, "requests": made.requests, "rejected": made.rejected, "tokens_per_s": tokens_per_s, "left_s": left_s}
    tell(work, "augment", rows / spec.rows, **facts)


def still_to_ask(made: Made, spec: AugmentSpec) -> int:
    """About how many more requests the rows that are wanted take, by what came of those so far; at least one."""
    each = len(made.accepted) / made.requests if made.accepted else spec.per_request if spec.examples else 1
    return max(1, min(ceil((spec.rows - len(made.accepted)) / each), spec.request_limit - made.requests))


def enough(made: Made, spec: AugmentSpec) -> bool:
    """As many rows as wanted, or as many requests as allowed."""
    return len(made.accepted) >= spec.rows or made.requests >= spec.request_limit


def finished(spec: AugmentSpec, work: Path) -> bool:
    """Nothing is left to ask: the rows only want to be written, with the decisions by hand."""
    made = Made()
    for entry in whole_lines(work / "journal.jsonl"):
        _count(made, entry)
    return enough(made, spec)


def preview(spec: AugmentSpec, client: ChatClient | None, count: int, say: Say) -> tuple[list[Row], Made]:
    """Rows of the first requests, nothing written; says what the whole run would take."""
    examples, unseen = _given(spec)
    acceptance, made = Acceptance(spec, examples, unseen), Made()
    started = time.monotonic()
    asked = Teacher(spec, client, None).answers(requests(spec, examples, 0))
    for request, said in asked:
        _count(made, _judged(request, said, acceptance))
        if len(made.accepted) >= count or made.requests >= 4 * count:
            break
    asked.close()
    share = len(made.accepted) / max(1, len(made.accepted) + made.rejected)
    if made.accepted:
        times = spec.rows / len(made.accepted)
        say(
            f"{share:.0%} accepted; {spec.rows} rows would take about {times * made.requests:.0f} requests, "
            f"{times * made.tokens:.0f} tokens, {times * (time.monotonic() - started) / 60:.1f} min"
        )
    else:
        say(f"none of {made.rejected} rows was accepted: {_most(made.reasons)}")
    return made.accepted, made


def progress(made: Made, spec: AugmentSpec, elapsed_s: float, tokens: int) -> str:
    share = len(made.accepted) / max(1, len(made.accepted) + made.rejected)
    left = spec.rows - len(made.accepted)
    rate = len(made.accepted) / max(elapsed_s, 1e-6)
    eta = f"{left / rate / 60:.1f} min left" if rate else "no row accepted yet"
    return f"{len(made.accepted)}/{spec.rows} rows, {made.requests} requests, {share:.0%} accepted, {tokens / max(elapsed_s, 1e-6):.0f} tokens/s, {eta}"


def _given(spec: AugmentSpec) -> tuple[list[Row], list[Row]]:
    """The examples, and the rows that must stay unseen."""
    examples: list[Row] = []
    if spec.examples is not None:
        found = gather([spec.examples])
        if len(found.rows) < 2:
            first = f": {found.faults[0]}" if found.faults else ""
            raise ValueError(f"{spec.examples} holds {len(found.rows)} good rows, at least 2 are needed{first}")
        examples = found.rows
    store = Store()
    return examples, [row for name in spec.checks.apart_from for _, row in store.rows(name)]


def _judged(request: Request, said: Said, acceptance: Acceptance) -> dict[str, Any]:
    """The journal's line for one request."""
    accepted: list[Row] = []
    rejected: list[dict[str, Any]] = []
    for row, reason in [(None, said.failure)] if said.failure else request.read(said.text):
        if row is not None:
            row["meta"] = {**row["meta"], "made_by": said.model, "made_key": said.asked}
            row["key"] = key_of(row)
            reason = acceptance.take(row, request.verify)
        if reason:
            rejected.append({"reason": reason, "row": row, "made_key": said.asked, "better": _better(request, row)})
        elif row is not None:
            accepted.append(row)
    facts = {"number": request.number, "key": said.asked, "seconds": said.seconds, "tokens": said.tokens}
    return {**facts, "accepted": accepted, "rejected": rejected}


def _better(request: Request, row: Row | None) -> str | None:
    """The domain's own answer where its check refuses the teacher's: what to prefer."""
    if row is None or request.verify is None:
        return None
    answer = row["messages"][-1]["content"]
    return request.own_answer if answer != request.own_answer and request.verify(answer) else None


def _preference(item: dict[str, Any]) -> dict[str, Any]:
    """A refused answer beside the domain's own, as `sdx data import` reads it."""
    *asked, answer = item["row"]["messages"]
    meta = {**item["row"]["meta"], "refused": item["reason"]}
    chosen, refused = ({**answer, "content": text} for text in (item["better"], answer["content"]))
    return {"prompt": asked, "chosen": [chosen], "rejected": [refused], "meta": meta}


def _count(made: Made, entry: dict[str, Any]) -> None:
    made.requests += 1
    made.accepted += entry["accepted"]
    made.reasons.update(kind_of(item["reason"]) for item in entry["rejected"])
    made.tokens += entry["tokens"]


def kind_of(reason: str) -> str:
    """A reason without its figures, so that like reasons count together."""
    return "".join("#" if letter.isdigit() else letter for letter in reason)[:60]


def _most(reasons: Counter[str]) -> str:
    return "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3)) or "nothing was rejected"
