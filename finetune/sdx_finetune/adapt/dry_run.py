"""What adapting a model would take, measured: real steps on the longest rows, in a process of its own.

python -m sdx_finetune.adapt.dry_run RECIPE LIMIT_MB OVERRIDES      the child; overrides as JSON, dotted fields
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.outcomes import Outcome, outcome_of
from sdx_finetune.progress import Say
from sdx_finetune.scratch.dry_run import OUT_OF_MEMORY, STEPS, free_mb, in_a_child, peak_resident_mb

MANY = 1 << 30
"""An interval that never comes."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A few steps at the longest rows."""

    batch_rows: int
    length: int
    step_s: float
    tokens_per_s: float
    peak_mb: float
    """Largest resident size of the process; of the GPU's memory where one is used."""
    parameters: int
    parameters_trained: int
    device: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `sdx finetune check` says."""

    fits: bool
    measured: Measured | None
    """Of the recipe, or of the first change of it that runs; None when nothing does."""
    changes: Mapping[str, Any]
    """Dotted fields to set; empty when it fits as it stands."""
    free_mb: float
    advice: str


def dry_run(path: Path, memory_mb: float | None = None, say: Say = lambda line: None) -> Verdict:
    """Measure the recipe in `path`; while memory does not suffice, what would save some, the harmless first.

    `memory_mb`: a limit on the process (address space), for a machine that shares its memory. ValueError for a wrong recipe, rows or base.
    """
    from sdx_finetune.adapt.base import resolve

    recipe = AdaptRecipe.load(path)
    resolve(recipe.base, say)
    free = free_mb() if memory_mb is None else memory_mb
    for changes in _savings(recipe):
        say(f"{STEPS} steps at the longest rows" + (f" with {_told(changes)}" if changes else ""))
        command = ["sdx_finetune.adapt.dry_run", str(path), str(memory_mb or 0), json.dumps(changes)]
        found = in_a_child(command)
        if found is not None:
            measured = Measured(**json.loads(found))
            return Verdict(not changes, measured, changes, free, _advice(recipe, measured, changes))
    fix = "lower train.max_length, take a smaller base, or a machine with more memory"
    return Verdict(False, None, {}, free, f"nothing of this fits into {free:.0f} MB of memory: {fix}")


def _savings(recipe: AdaptRecipe) -> Iterator[dict[str, Any]]:
    """The recipe as it is; smaller batches with the same result; recomputing instead of keeping; then learning fewer weights."""
    changes: dict[str, Any] = {}
    yield changes
    rows, least = recipe.train.batch_rows, 1
    times = recipe.train.accumulate
    while rows % 2 == 0 and rows > least:
        rows, times = rows // 2, times * 2
        changes = {"train.batch_rows": rows, "train.accumulate": times}
        yield changes
    if not recipe.train.gradient_checkpointing:
        changes = changes | {"train.gradient_checkpointing": True}
        yield changes
    if recipe.weights == "full":
        changes = changes | {"weights": "lora"}
        yield changes
    rank = recipe.lora.rank
    while rank > 4:
        rank //= 2
        yield changes | {"lora.rank": rank}


def _told(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {json.dumps(value)}".replace('"', "") for name, value in changes.items())


def _advice(recipe: AdaptRecipe, measured: Measured, changes: Mapping[str, Any]) -> str:
    speed = f"{measured.step_s:.2f} s a step at {measured.length} tokens a row, {measured.tokens_per_s:.0f} tokens/s, peak {measured.peak_mb:.0f} MB"
    if changes:
        same = (
            ", the result is the same" if set(changes) <= {"train.batch_rows", "train.accumulate", "train.gradient_checkpointing"} else ""
        )
        return f"it does not fit into memory as it stands; with {_told(changes)} it does{same}: {speed}"
    steps = recipe.train.max_steps
    whole = f"; {steps} steps take at most {steps * measured.step_s / 60:.1f} min and the held-out losses" if steps else ""
    return f"runs here: {speed}{whole}"


def changed(recipe: AdaptRecipe, changes: Mapping[str, Any]) -> AdaptRecipe:
    """The recipe with dotted fields set."""
    raw = recipe.model_dump(mode="json", exclude_unset=True)
    for name, value in changes.items():
        *parts, last = name.split(".")
        place = raw
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    return AdaptRecipe.model_validate(raw)


def _measure(recipe: AdaptRecipe) -> Measured:
    """Steps on the longest rows of the data set, repeated to fill them."""
    import torch
    from transformers import TrainerCallback

    from sdx_finetune.adapt.base import resolve
    from sdx_finetune.adapt.rows import splits
    from sdx_finetune.adapt.trainers import build_trainer, load_reader

    folder = resolve(recipe.base).folder
    reader = load_reader(folder)
    rows = splits(recipe, reader, lambda line: None)
    longest = sorted(range(len(rows.lengths)), key=lambda i: -rows.lengths[i])[: recipe.train.batch_rows]
    needed = recipe.train.batch_rows * STEPS
    chosen = (longest * (needed // len(longest) + 1))[:needed]
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            ends.append(time.perf_counter())

    with TemporaryDirectory() as output:
        trainer = build_trainer(
            recipe, folder, reader, replace(rows, train=rows.train.select(chosen)), Path(output), [Clock()],
            max_steps=STEPS, eval_strategy="no", save_strategy="no", logging_steps=MANY, gradient_accumulation_steps=_group(recipe),
        )  # fmt: skip
        counts = [(each.numel(), each.requires_grad) for each in trainer.model.parameters()]  # type: ignore[union-attr]
        trainer.train()
    # The first step allocates what the others use again: only those after it are timed.
    each_s = (ends[-1] - ends[0]) / (len(ends) - 1)
    tokens = sum(rows.lengths[i] for i in chosen) / STEPS * _group(recipe)
    gpu = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() / 2**20 if gpu else peak_resident_mb()
    return Measured(
        recipe.train.batch_rows, max(rows.lengths), round(each_s * recipe.train.accumulate / _group(recipe), 4), round(tokens / each_s, 1),
        round(peak, 1), sum(count for count, _ in counts), sum(count for count, learnt in counts if learnt), "cuda" if gpu else "cpu",
    )  # fmt: skip


def _group(recipe: AdaptRecipe) -> int:
    """Passes a measured step has: one is enough, but with grpo, whose answers come in groups."""
    return recipe.train.accumulate if recipe.grpo else 1


def main(argv: list[str]) -> int:
    recipe, limit_mb = changed(AdaptRecipe.load(Path(argv[0])), json.loads(argv[2])), float(argv[1])
    if limit_mb:
        limit = int(limit_mb * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        print(json.dumps(asdict(_measure(recipe))))
    except Exception as error:
        if outcome_of(error) is not Outcome.OUT_OF_MEMORY:
            raise
        return OUT_OF_MEMORY
    return 0


SMALL_BYTES, SMALL_RATE, LARGE_RATE = 500_000_000, 3e-3, 2e-4
"""Adapters of a small model want larger steps: at 5e-4 the embedded model had hardly moved after 170 of them."""

PAIRS_SHARE = 0.05
"""Preferences push without end: at 1e-3 the embedded model's accepted answers fell from 90 to 54 % within 47 steps."""


def base_bytes(base: str) -> int:
    """Size of a base that lies on this disk; one that must be downloaded counts as large."""
    from sdx_serving.connect import embedded_model_path

    path = embedded_model_path() if base == "embedded" else Path(base).expanduser()
    files = [path] if path.is_file() else list(path.glob("*.safetensors"))
    return sum(file.stat().st_size for file in files) or SMALL_BYTES


def starting_recipe(
    name: str, dataset: str, base: str, longest: int, pairs: bool, scorer: str | None = None, schema_of: str | None = None
) -> str:
    """A recipe that adapts `base` to a stored data set, as YAML. `longest`: its longest row, tokens; `pairs`: it has rejected answers."""
    import yaml

    measure = {"scorer": scorer, "schema_of": schema_of}
    rate = SMALL_RATE if base_bytes(base) < SMALL_BYTES else LARGE_RATE

    held = {
        "name": name.replace("_", "-"),
        "description": f"{base} adapted to {dataset}.",
        "method": "dpo" if pairs else "sft",
        "weights": "lora",
        "base": {"model": base},
        "data": {"dataset": dataset},
        "lora": {"rank": 32, "alpha": 64.0},
        "train": {
            "max_epochs": 2 if pairs else 4,
            "learning_rate": round(rate * (PAIRS_SHARE if pairs else 1.0), 7),
            "batch_rows": 8,
            # A template may write a little around each turn that the count does not know.
            "max_length": min(4096, -(-(longest + 16) // 32) * 32),
            "eval_every": 25,
            "patience": 4,
            "threads": os.cpu_count() or 1,
        },
        **({"dpo": {"sft_weight": 0.5}} if pairs else {}),
        "export": {"quantisations": ["Q8_0"], "chosen": "Q8_0", "max_bytes": 10_000_000_000},
        "evaluate": {field: value for field, value in measure.items() if value},
    }
    text = yaml.safe_dump(held, sort_keys=False, allow_unicode=True)
    return f"# `sdx finetune check` measures a few steps of this; `sdx finetune schema` tells every field.\n{text}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
