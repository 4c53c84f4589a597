"""Chat rows: made by a generator in shards, read back checked. A kill loses at most one shard.

A row is {"messages": [{"role", "content"}...], "meta": {...}}; on disk it has a content key besides.
"""

import importlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from sdx_domains.contract import Closed, digest
from sdx_finetune.progress import Say
from sdx_finetune.recipe import DataSpec

Generator = Callable[[int, int], Iterator[dict[str, Any]]]
Split = Literal["train", "eval"]


class Message(Closed):
    """One turn, OpenAI style."""

    role: Literal["system", "user", "assistant"]
    content: str


class Row(Closed):
    """One example; the last turn is the assistant's."""

    key: str = ""
    """Content hash of the messages."""
    messages: tuple[Message, ...]
    images: tuple[str, ...] = ()
    """Files, in the order of the "<image>" marks in the text."""
    rejected: str | None = None
    """Of a preference pair: the answer that was not chosen."""
    meta: dict[str, Any] = Field(default_factory=dict)

    def turns(self) -> list[dict[str, str]]:
        return [{"role": m.role, "content": m.content} for m in self.messages]


@dataclass(frozen=True, slots=True)
class Shard:
    """A piece of a split: made whole or not at all."""

    path: Path
    spec: DataSpec
    count: int
    seed: int


def load_function(dotted: str) -> Callable[..., Any]:
    """The function that "package.module:name" names. ValueError says which half is wrong."""
    module_name, _, name = dotted.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"{dotted}: module {module_name!r} cannot be imported: {error}; is its folder on PYTHONPATH?") from error
    if not hasattr(module, name):
        raise ValueError(f"{dotted}: {module_name} has no function {name!r}")
    return getattr(module, name)


def shards_of(spec: DataSpec, split: Split, folder: Path) -> list[Shard]:
    """The shards of a split in order; their names carry what they were made from."""
    total, seed = (spec.train_rows, spec.train_seed) if split == "train" else (spec.eval_rows, spec.eval_seed)
    origin = digest([spec.generator, spec.arguments])[:8]
    shards = []
    for number, start in enumerate(range(0, total, spec.shard_rows)):
        count, shard_seed = min(spec.shard_rows, total - start), seed + number * spec.shard_seeds
        path = folder / f"{split}-{origin}-{shard_seed:010d}-{count}.jsonl"
        shards.append(Shard(path, spec, count, shard_seed))
    return shards


def make_shard(shard: Shard) -> int:
    """Generate and write one shard atomically; the number of rows.

    Raises:
        ValueError: the generator gave a bad row, or another number of rows than asked.
    """
    generator = shard.spec.generator or ""
    made = load_function(generator)(shard.count, shard.seed, **shard.spec.arguments)
    rows = [check_row(raw, f"{generator}(seed={shard.seed}) row {number}") for number, raw in enumerate(made)]
    if len(rows) != shard.count:
        raise ValueError(f"{generator}(count={shard.count}, seed={shard.seed}) gave {len(rows)} rows; it must give exactly count")
    partial = shard.path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(row.model_dump_json() + "\n" for row in rows)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(shard.path)
    return len(rows)


def make_rows(spec: DataSpec, split: Split, folder: Path, workers: int, say: Say) -> list[Path]:
    """Write the shards of a split that are missing; all of the split's files, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = shards_of(spec, split, folder)
    missing = [shard for shard in shards if not shard.path.exists()]
    say(f"{split}: {len(shards) - len(missing)} of {len(shards)} shards there, {len(missing)} to make")
    if workers > 1 and len(missing) > 1:
        with ProcessPoolExecutor(workers) as pool:
            for number, _ in enumerate(pool.map(make_shard, missing), 1):
                say(f"{split}: shard {number}/{len(missing)}")
    else:
        for number, shard in enumerate(missing, 1):
            make_shard(shard)
            say(f"{split}: shard {number}/{len(missing)}")
    return [shard.path for shard in shards]


def check_row(raw: dict[str, Any], where: str) -> Row:
    """A row from a generator or a line. ValueError says where, which field, its value and what is wanted."""
    try:
        row = Row.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {field}: {first['msg']} (given: {first['input']!r:.120})") from error
    if not row.messages or row.messages[-1].role != "assistant":
        last = row.messages[-1].role if row.messages else "nothing"
        raise ValueError(f"{where}: messages must end with an assistant turn, the last is {last!r}")
    if not row.messages[-1].content.strip():
        raise ValueError(f"{where}: messages.{len(row.messages) - 1}.content is empty: nothing to learn")
    return row.model_copy(update={"key": digest(row.turns())})


def read_rows(paths: list[Path]) -> Iterator[Row]:
    """Rows of JSONL files in order. ValueError gives file, line, field, value."""
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    raw = json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"{path}:{number}: not JSON ({error.msg}): {line[:80]!r}; one object per line") from error
                yield check_row(raw, f"{path}:{number}")


def with_derived(rows: Iterator[Row], spec: DataSpec) -> Iterator[Row]:
    """The rows, each followed by those that `spec.derive` makes of it."""
    derive = load_function(spec.derive) if spec.derive else None
    for row in rows:
        yield row
        for number, raw in enumerate(derive({"messages": row.turns(), "meta": row.meta}) if derive else ()):
            yield check_row(raw, f"{spec.derive} row {number} of {row.key}")


def distinct(rows: Iterator[Row], without: frozenset[str] = frozenset()) -> tuple[list[Row], int, int]:
    """Rows in order without repeats and without keys in `without`; (rows, repeats, leaks) dropped."""
    kept: dict[str, Row] = {}
    repeats = leaks = 0
    for row in rows:
        if row.key in without:
            leaks += 1
        elif row.key in kept:
            repeats += 1
        else:
            kept[row.key] = row
    return list(kept.values()), repeats, leaks
