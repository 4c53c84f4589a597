"""What training would take, measured and not estimated: a few steps at the longest length, in a process of its own.

A process of its own, because running out of memory ends a process: then a smaller batch is tried, and what fits is said.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sdx_finetune.progress import Say
from sdx_finetune.recipe import Recipe

STEPS = 3
"""The first allocates what the others use again: only those after it are timed."""
OUT_OF_MEMORY = 77


@dataclass(frozen=True, slots=True)
class Measured:
    """A few steps at the recipe's longest length."""

    batch_tokens: int
    length: int
    tokens_per_s: float
    peak_mb: float
    """Largest resident size of the process; of the GPU's memory where one is used."""
    parameters: int
    device: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `sdx finetune check` says."""

    fits: bool
    """The recipe as it stands runs on this machine."""
    measured: Measured | None
    """Of the recipe, or of the largest smaller batch that runs; None when nothing does."""
    free_mb: float
    advice: str


def dry_run(path: Path, memory_mb: float | None = None, say: Say = lambda line: None) -> Verdict:
    """Measure the recipe in `path`; halve train.batch_tokens while memory does not suffice.

    `memory_mb`: a limit on the process (address space), for a machine that shares its memory. ValueError for a wrong recipe.
    """
    recipe = Recipe.load(path)
    free = free_mb() if memory_mb is None else memory_mb
    batch = recipe.train.batch_tokens
    while batch >= recipe.train.max_length:
        say(f"{STEPS} steps of {batch} tokens at length {recipe.train.max_length}")
        found = in_a_child(["sdx_finetune.scratch.dry_run", str(path), str(batch), str(memory_mb or 0)])
        if found is not None:
            measured = Measured(**json.loads(found))
            return Verdict(batch == recipe.train.batch_tokens, measured, free, _advice(recipe, measured))
        batch //= 2
    fix = "lower train.max_length, model.hidden or model.layers, or take a machine with more memory"
    return Verdict(False, None, free, f"even one row of {recipe.train.max_length} tokens does not fit into memory: {fix}")


def _advice(recipe: Recipe, measured: Measured) -> str:
    spec = recipe.train
    if measured.batch_tokens < spec.batch_tokens:
        times = spec.accumulate * spec.batch_tokens // measured.batch_tokens
        return (
            f"{spec.batch_tokens} tokens a batch do not fit into memory, {measured.batch_tokens} do: "
            f"set train.batch_tokens: {measured.batch_tokens} and train.accumulate: {times}, the result is the same"
        )
    minutes = (
        f"; {spec.max_minutes:g} min are about {measured.tokens_per_s * 60 * spec.max_minutes / 1e6:.1f} M tokens"
        if spec.max_minutes
        else ""
    )
    return f"runs here: {measured.tokens_per_s:.0f} tokens/s, peak {measured.peak_mb:.0f} MB{minutes}"


def free_mb() -> float:
    """Memory that this machine can still give, MB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def peak_resident_mb() -> float:
    """Largest resident size of this program, MB: getrusage would tell its parent's where that was larger."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def in_a_child(command: list[str]) -> str | None:
    """What `python -m command` prints; None when memory ran out, by an error or by the kernel's hand.

    RuntimeError for any other end, with its last words; ValueError when they are those of one.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, env=environment)
    if done.returncode in (OUT_OF_MEMORY, -9, -6):  # Python's word, the kernel's, the C++ library's
        return None
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else str(done.returncode)
        raise (
            ValueError(last.removeprefix("ValueError: "))
            if last.startswith("ValueError: ")
            else RuntimeError(f"the dry run failed: {last}")
        )
    return done.stdout.strip().splitlines()[-1]


class _Ids:
    """As much of a tokenizer as a model's sizes need."""

    eos_token_id, pad_token_id = 2, 0

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size


def _measure(recipe: Recipe, batch_tokens: int) -> Measured:
    """Steps on random tokens: what they say does not change what they cost."""
    import torch

    from sdx_finetune.scratch.batches import TokenRows, assemble
    from sdx_finetune.scratch.model import parameter_count, ready_for_training
    from sdx_finetune.scratch.train import Run

    spec = recipe.train.model_copy(update={"batch_tokens": batch_tokens, "compile": False, "accumulate": 1})
    length, count, vocabulary = spec.max_length, batch_tokens // spec.max_length, recipe.tokenizer.vocab_size
    ids = np.random.default_rng(0).integers(3, vocabulary, count * length).astype(np.uint16)
    rows = TokenRows(ids, np.ones(len(ids), bool), np.arange(count + 1, dtype=np.int64) * length, 0)
    tokenizer: Any = _Ids(vocabulary)
    run = Run(recipe.model_copy(update={"train": spec}), tokenizer, rows, rows, Path(), lambda line: None)
    ready_for_training(run.model, run.device, False)
    run.model.train()
    batch = assemble(rows, length, np.arange(count), 0.0, 0)
    run.step([batch], 0.0)
    began = time.perf_counter()
    for _ in range(STEPS - 1):
        run.step([batch], 0.0)
    seconds = (time.perf_counter() - began) / (STEPS - 1)
    gpu = run.device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() / 2**20 if gpu else peak_resident_mb()
    return Measured(batch_tokens, length, round(len(ids) / seconds, 1), round(peak, 1), parameter_count(run.model), str(run.device))


def main(argv: list[str]) -> int:
    """The child: recipe, batch tokens, limit in MB (0: none)."""
    path, batch_tokens, limit_mb = Path(argv[0]), int(argv[1]), float(argv[2])
    if limit_mb:
        limit = int(limit_mb * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        print(json.dumps(asdict(_measure(Recipe.load(path), batch_tokens))))
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        # torch and the dynamic loader say in their own words that memory ran out.
        if any(word in str(error).lower() for word in ("memory", "alloc", "map segment")) or isinstance(error, MemoryError):
            return OUT_OF_MEMORY
        raise
    return 0


def starting_recipe(name: str, dataset: str, rows: int, longest: int, minutes: float) -> str:
    """A recipe for a stored data set, as YAML with a word on what to change. `longest`: its longest row, tokens."""
    length = min(4096, -(-longest // 32) * 32)
    held = {
        "name": name.replace("_", "-"),
        "description": f"Trained on {dataset}.",
        "data": {"dataset": dataset},
        "tokenizer": {"vocab_size": 4096, "fit_rows": min(rows, 4000)},
        "model": {"hidden": 512, "ffn": 1024, "layers": 4, "context": max(2048, length)},
        "train": {
            "max_minutes": minutes,
            "optimiser": "muon",
            "batch_tokens": max(4096, length),
            "max_length": length,
            "threads": os.cpu_count() or 1,
        },
    }
    text = yaml.safe_dump(held, sort_keys=False, allow_unicode=True)
    return f"# `sdx finetune check` measures a few steps of this; `sdx finetune schema` tells every field.\n{text}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
