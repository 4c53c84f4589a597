"""Our training beside a plain TRL script: the same base, rows, batches and seed, run in turn, steps timed inside the process.

python -m sdx_finetune.adapt.bench_train ours|plain RECIPE      one run; prints seconds of each step and the losses
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from math import isclose
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.progress import Say
from sdx_serving.provenance import provenance

WARM_UP = 5
"""Steps that are not counted: the first ones allocate."""


def bench(pairs: int, steps: int, threads: int, base: str, seed: int, say: Say) -> dict[str, Any]:
    """Ratio of tokens per second, ours to plain, from the median step of each run, pair by pair, in turn.

    Rows are reports of simulated situations of the ship.
    """
    with TemporaryDirectory() as folder:
        recipe = _recipe(Path(folder), steps, threads, base, seed)
        found: list[dict[str, Any]] = []
        for number in range(pairs):
            order = ("ours", "plain") if number % 2 == 0 else ("plain", "ours")
            runs = {kind: _run(kind, recipe, Path(folder)) for kind in order}
            found.append({kind: median(run["step_s"]) for kind, run in runs.items()})
            both = [runs[kind]["losses"] for kind in ("ours", "plain")]
            if not all(isclose(one, other, abs_tol=1e-3) for one, other in zip(*both, strict=True)):
                raise RuntimeError(f"the two did not train alike: {both[0][-3:]} and {both[1][-3:]}")
            found[-1]["ratio"] = found[-1]["plain"] / found[-1]["ours"]
            say(f"pair {number + 1}/{pairs}: ratio {found[-1]['ratio']:.4f}")
    ratio = median(pair["ratio"] for pair in found)
    return {"ratio": round(ratio, 4), "bar": 0.97, "passed": ratio >= 0.97, "steps": steps, "pairs": found, **provenance()}


def _recipe(folder: Path, steps: int, threads: int, base: str, seed: int) -> Path:
    from sdx_domains.ship.examples import rows
    from sdx_finetune.datasets.store import Store

    os.environ["SDX_DATASETS"] = str(folder / "datasets")
    made = [{"messages": row["messages"], "images": [], "meta": row["meta"]} for row in rows(400, seed)]
    facts = {"name": "bench", "sources": [], "licence": "", "description": "", "dropped": 0, "tokens": 0, "tokenizer": "", "languages": {}}
    card = Store().add({"train": made[:-16], "eval": made[-16:]}, facts | {"groups": 1})
    recipe = {
        "name": "bench", "description": "Ours beside plain TRL.", "method": "sft", "base": {"model": base}, "data": {"dataset": f"bench@{card.version}"},
        "train": {"max_steps": steps, "eval_every": steps, "batch_rows": 4, "max_length": 2048, "threads": threads, "learning_rate": 1e-4},
    }  # fmt: skip
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def _run(kind: str, recipe: Path, folder: Path) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "SDX_DATASETS": str(folder / "datasets")}
    command = [sys.executable, "-m", "sdx_finetune.adapt.bench_train", kind, str(recipe)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{kind} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _timed(train: Callable[[Any], Any]) -> dict[str, Any]:
    """Run with a callback that notes the end of each step; seconds between them hold everything that a step costs."""
    from transformers import TrainerCallback

    ends: list[float] = []
    losses: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            ends.append(time.perf_counter())

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            losses.extend([round(logs["loss"], 5)] if logs and "loss" in logs else [])

    train(Clock())
    return {"step_s": [after - before for before, after in pairwise(ends)][WARM_UP:], "losses": losses}


def ours(recipe: AdaptRecipe) -> dict[str, Any]:
    """What `sdx finetune run` does in its stage train, with a clock in it."""
    from sdx_finetune.adapt import trainers
    from sdx_finetune.adapt.base import resolve
    from sdx_finetune.adapt.rows import splits
    from sdx_finetune.adapt.train import metric_of
    from sdx_finetune.adapt.watch import Watch
    from sdx_finetune.stopping import Stop

    folder = resolve(recipe.base).folder
    reader = trainers.load_reader(folder)
    rows = splits(recipe, reader, lambda line: None)

    def train(clock: Any) -> None:
        with TemporaryDirectory() as work, Stop(lambda line: None) as stop:
            watch = Watch(Path(work), lambda line: None, lambda figures, step: None, metric_of(recipe), None, stop)
            trainers.build_trainer(recipe, folder, reader, rows, Path(work) / "checkpoints", [watch, clock]).train()

    return _timed(train)


def plain(recipe: AdaptRecipe) -> dict[str, Any]:
    """What one would write from TRL's documentation for the same training."""
    import torch
    from datasets import Dataset  # pyright: ignore[reportAttributeAccessIssue]
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from sdx_finetune.adapt.base import resolve
    from sdx_finetune.adapt.rows import stored_rows
    from sdx_finetune.adapt.trainers import half_precision

    fit, cuda = recipe.train, torch.cuda.is_available()
    torch.set_num_threads(fit.threads)
    folder = resolve(recipe.base).folder
    train_rows, held_out = stored_rows(recipe, lambda line: None)
    parts = [
        Dataset.from_list([{"prompt": row.turns()[:-1], "completion": row.turns()[-1:]} for row in part]) for part in (train_rows, held_out)
    ]
    half = half_precision(recipe)

    def train(clock: Any) -> None:
        with TemporaryDirectory() as output:
            config = SFTConfig(
                output, max_steps=fit.max_steps or -1, learning_rate=fit.learning_rate, warmup_steps=fit.warmup, lr_scheduler_type="cosine",
                per_device_train_batch_size=fit.batch_rows, per_device_eval_batch_size=fit.batch_rows, gradient_checkpointing=False, bf16=half,
                use_cpu=not cuda, dataloader_pin_memory=cuda, eval_strategy="steps", eval_steps=fit.eval_every, save_steps=fit.eval_every,
                logging_steps=max(1, fit.eval_every // 10), max_length=None, report_to="none", disable_tqdm=True, seed=fit.seed, data_seed=fit.seed,
                completion_only_loss=True,
            )  # fmt: skip
            lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if half and cuda else torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            SFTTrainer(
                model,
                config,
                train_dataset=parts[0],
                eval_dataset=parts[1],
                processing_class=tokenizer,
                peft_config=lora,
                callbacks=[clock],
            ).train()

    return _timed(train)


def main(argv: list[str]) -> int:
    recipe = AdaptRecipe.load(Path(argv[1]))
    print(json.dumps(ours(recipe) if argv[0] == "ours" else plain(recipe)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
