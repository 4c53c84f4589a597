"""Ask a model held-out rows, score the answers with a scorer of the task, and say how sure the figures are.

A scorer is `scorer(row, answer) -> {"metric": value}`: True/False counts as a share with a Wilson interval, a number
as a mean with a normal interval, None leaves the row out of that metric. Answers are appended to a file as they
come; a kill loses at most those in flight, and the same call goes on.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from sdx_domains.contract import digest
from sdx_finetune.journal import write_whole
from sdx_finetune.progress import Say
from sdx_finetune.rows import Row
from sdx_serving.client import ChatClient
from sdx_serving.llama.model import LlamaModel, Sampling
from sdx_serving.provenance import provenance

Score = Mapping[str, bool | float | None]
Scorer = Callable[[Row, str], Score]
Schema = Mapping[str, Any]
SchemaOf = Callable[[Row], Schema | None]
Z95 = 1.959964


class Answerer(Protocol):
    """Anything that continues a chat, held to a JSON schema if one is given."""

    name: str
    concurrency: int

    def answer(self, turns: list[dict[str, str]], schema: Schema | None) -> str: ...


class LocalAnswerer:
    """A GGUF file in this process; greedy, one at a time."""

    concurrency = 1

    def __init__(self, path: Path, context: int = 2048, threads: int = 1, max_tokens: int = 512) -> None:
        self.model = LlamaModel(path, context, threads)
        self.name = f"{path.name} sha256:{self.model.sha256[:12]}"
        self.max_tokens = max_tokens

    def answer(self, turns: list[dict[str, str]], schema: Schema | None) -> str:
        text = json.dumps(schema, ensure_ascii=False) if schema is not None else None
        return "".join(self.model.answer(turns, Sampling(max_tokens=self.max_tokens, schema=text)))


class EndpointAnswerer:
    """An OpenAI-compatible address, through the project's own client."""

    def __init__(self, client: ChatClient, name: str, concurrency: int = 4, max_tokens: int = 512, deadline_s: float = 60.0) -> None:
        self.client, self.name, self.concurrency = client, name, concurrency
        self.max_tokens, self.deadline_s = max_tokens, deadline_s

    def answer(self, turns: list[dict[str, str]], schema: Schema | None) -> str:
        given = dict(schema) if schema is not None else None
        return self.client.complete(turns, schema=given, max_tokens=self.max_tokens, deadline_s=self.deadline_s).text


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric over rows, with its 95 % interval."""

    mean: float
    low: float
    high: float
    rows: int


def figure(values: Sequence[bool | float]) -> Figure:
    """Mean and interval: Wilson for shares, normal for numbers. ValueError without values."""
    if not values:
        raise ValueError("no row has a value for this metric")
    count = len(values)
    mean = sum(map(float, values)) / count
    if all(isinstance(value, bool) for value in values):
        low, high = wilson(mean, count)
    else:
        spread = math.sqrt(sum((float(value) - mean) ** 2 for value in values) / max(1, count - 1))
        low, high = mean - Z95 * spread / math.sqrt(count), mean + Z95 * spread / math.sqrt(count)
    return Figure(round(mean, 5), round(low, 5), round(high, 5), count)


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share seen in `count` trials (Wilson 1927)."""
    square = Z95**2 / count
    middle = (share + square / 2) / (1 + square)
    half = Z95 / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def evaluate(
    rows: Sequence[Row],
    answerer: Answerer,
    scorer: Scorer,
    out: Path,
    *,
    schema_of: SchemaOf = lambda row: None,
    group_by: Sequence[str] = ("language",),
    say: Say = lambda line: None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Answer, score and summarise; writes `out` (summary, JSON) and beside it `<out>.answers.jsonl`.

    Args:
        schema_of: JSON schema that a row's answer is held to, None for free text.
        group_by: keys of meta by whose values the figures are also given apart.
        seed: what the rows were made from, for the record.

    Raises:
        ValueError: there are no rows.
    """
    kept = answered(rows, answerer, out, schema_of=schema_of, say=say)
    scored = [(row, scorer(row, kept[row.key]["answer"])) for row in rows]
    result = {**summary(answerer.name, scored, kept, group_by), "seed": seed, **provenance()}
    write_whole(out, json.dumps(result, ensure_ascii=False, indent=1).encode())
    return result


def answered(
    rows: Sequence[Row],
    answerer: Answerer,
    out: Path,
    *,
    schema_of: SchemaOf = lambda row: None,
    say: Say = lambda line: None,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, Any]]:
    """Records {key, answer, seconds} by row key, those of an earlier call taken from `<out>.answers.jsonl`.

    `told(done, total)` is called for each row. ValueError when there are no rows.
    """
    if not rows:
        raise ValueError("no rows to evaluate on: run the stage `data` first")
    path = out.with_suffix(".answers.jsonl")
    done = dict(_answers(path, answerer.name))
    missing = [row for row in rows if row.key not in done]
    say(f"{answerer.name}: {len(rows)} rows, {len(rows) - len(missing)} answered before")
    started = time.monotonic()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file, ThreadPoolExecutor(answerer.concurrency) as pool:
        for number, record in enumerate(_asked(missing, answerer, schema_of, pool), 1):
            file.write(json.dumps({"model": answerer.name, **record}, ensure_ascii=False) + "\n")
            file.flush()
            done[record["key"]] = record
            told(len(rows) - len(missing) + number, len(rows))
            if number % 50 == 0 or number == len(missing):
                each = (time.monotonic() - started) / number
                say(f"{number}/{len(missing)} rows, {1000 * each:.0f} ms a row, left {each * (len(missing) - number) / 60:.1f} min")
    return done


def summary(
    model: str, scored: Sequence[tuple[Row, Score]], kept: Mapping[str, Mapping[str, Any]], group_by: Sequence[str]
) -> dict[str, Any]:
    """Figures of all rows and of each group; `kept`: as answered() gives them."""
    return {
        "model": model,
        "rows": len(scored),
        "rows_id": digest([row.key for row, _ in scored]),
        "answer_s": _quantiles([kept[row.key]["seconds"] for row, _ in scored]),
        "figures": _figures(scored),
        "by": {key: _grouped(scored, key) for key in group_by},
    }


def _asked(rows: Sequence[Row], answerer: Answerer, schema_of: SchemaOf, pool: ThreadPoolExecutor) -> Iterator[dict[str, Any]]:
    """Records of answers, asked `concurrency` at a time."""

    def ask(row: Row) -> dict[str, Any]:
        started = time.monotonic()
        answer = answerer.answer(row.turns()[:-1], schema_of(row))
        return {"key": row.key, "answer": answer, "seconds": round(time.monotonic() - started, 4)}

    waiting = iter(rows)
    while group := list(islice(waiting, 8 * answerer.concurrency)):
        yield from pool.map(ask, group)


def _answers(path: Path, model: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of this model from an earlier call; a last line cut by a kill is passed over."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record.get("model") == model:
            yield record["key"], record


def _figures(scored: Iterable[tuple[Row, Score]]) -> dict[str, Any]:
    values: dict[str, list[bool | float]] = {}
    for _, score in scored:
        for name, value in score.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return {
        name: {field: getattr(found, field) for field in Figure.__slots__} for name, found in ((n, figure(v)) for n, v in values.items())
    }


def _grouped(scored: Sequence[tuple[Row, Score]], key: str) -> dict[str, Any]:
    groups = sorted({str(row.meta[key]) for row, _ in scored if key in row.meta})
    return {group: _figures([pair for pair in scored if str(pair[0].meta.get(key)) == group]) for group in groups}


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))}
