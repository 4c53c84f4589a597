"""One training run in a folder: begins or goes on, and leaves `adapter/` or `model/` with run.json. The same command goes on after
a stop, a kill, a full disk.

python -m sdx_finetune.adapt.train RECIPE --work FOLDER      one process of several, as launch.py starts them
"""

import argparse
import fcntl
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sdx_finetune.adapt.base import Base, resolve
from sdx_finetune.adapt.checkpoints import best_of, drop_others, measured, state_of, step_of, whole_ones
from sdx_finetune.adapt.merge import copy_tokenizer, open_model
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.adapt.watch import Log, Metric, Watch, in_step, keep_journal_to
from sdx_finetune.journal import making, write_whole
from sdx_finetune.outcomes import Outcome, in_words, outcome_of
from sdx_finetune.progress import Say
from sdx_finetune.stopping import Stop
from sdx_serving.provenance import provenance

LOOSE = {"threads", "patience", "eval_every", "gradient_checkpointing", "precision", "batch_rows", "accumulate"}
"""What may change between two sessions of a run; of the last two the product may not."""
LOCK_WAIT_S = 10.0
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json")


def metric_of(recipe: AdaptRecipe) -> Metric:
    return Metric("eval_reward", True) if recipe.method == "grpo" else Metric("eval_loss", False)


def result_folder(recipe: AdaptRecipe, work: Path) -> Path:
    """Where the trained weights come: an adapter, or a whole model."""
    return work / ("model" if recipe.weights == "full" else "adapter")


def chosen_base(recipe: AdaptRecipe, work: Path, say: Say) -> Base:
    """The base, the same in all sessions of a run: base.json keeps the revision that was newest at the first."""
    path, spec = work / "base.json", recipe.base
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if "RANK" in os.environ and known:
        return Base(Path(known["folder"]), known["source"], known["revision"], known["sha256"])
    if known.get("source") == spec.model and spec.revision is None:
        spec = spec.model_copy(update={"revision": known["revision"]})
    base = resolve(spec, say)
    write_whole(path, json.dumps(asdict(base) | {"folder": str(base.folder)}, indent=1).encode())
    return base


def identity(recipe: AdaptRecipe, base: Base) -> dict[str, Any]:
    """Everything that a checkpoint must share with the recipe that goes on from it, as dotted fields."""
    fit = recipe.train
    several = recipe.run.processes > 1 and recipe.run.strategy != "ddp"
    return _dotted(
        {
            "method": recipe.method,
            "weights": recipe.weights,
            "base": {"model": base.source, "sha256": base.sha256},
            "data": recipe.data.model_dump(mode="json"),
            "lora": None if recipe.weights == "full" else recipe.lora.model_dump(mode="json"),
            "train": fit.model_dump(mode="json", exclude=LOOSE),
            "train.batch_rows x train.accumulate x run.processes": fit.batch_rows * fit.accumulate * recipe.run.processes,
            "run.strategy": recipe.run.strategy if several else "ddp",
            "dpo": recipe.dpo.model_dump(mode="json") if recipe.method == "dpo" else None,
            "grpo": recipe.grpo.model_dump(mode="json") if recipe.grpo else None,
        }
    )


def _dotted(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _dotted(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return flat


def hold_to(work: Path, ours: dict[str, Any]) -> None:
    """Write down what this run is. ValueError when the folder holds another run's checkpoints or result: says what differs."""
    path = work / "identity.json"
    theirs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else ours
    changed = [
        f"{name}: there {theirs.get(name)!r}, here {ours.get(name)!r}" for name in ours | theirs if theirs.get(name) != ours.get(name)
    ]
    if changed and (whole_ones(work / "checkpoints") or (work / "run.json").exists()):
        raise ValueError(
            f"{work} was trained with another recipe, other data or another base ({'; '.join(changed)}): "
            f"take these back, or use another --work folder, or remove {work / 'checkpoints'} and {work / 'run.json'} to begin anew"
        )
    write_whole(path, json.dumps(ours, indent=1).encode())


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """No other process trains in the folder meanwhile; the system gives the lock back however this one ends."""
    with (work / ".lock").open("w") as file:
        until = time.monotonic() + LOCK_WAIT_S  # processes that lost their parent end within seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise ValueError(f"another process trains in {work}: wait for its end, or stop it, or use another --work") from error
                time.sleep(0.2)
        yield


def train(recipe: AdaptRecipe, work: Path, say: Say, log: Log) -> None:
    """Train to the end and leave the best checkpoint's weights and run.json. Nothing is done when that is there already.

    Raises:
        KeyboardInterrupt: stopped with a checkpoint, by Ctrl-C or SIGTERM.
        ValueError: recipe, data or base are wrong, or not those of the checkpoints.
        FloatingPointError: the loss is no number any more.
        OSError: the disk is full.
    """
    first = os.environ.get("RANK", "0") == "0"
    say = say if first else lambda line: None
    work.mkdir(parents=True, exist_ok=True)
    base = chosen_base(recipe, work, say)
    done = (work / "run.json").exists() and result_folder(recipe, work).exists()
    if not first:
        return None if done else _session(recipe, base, work, say, lambda figures, step: None)
    with alone(work):
        hold_to(work, identity(recipe, base))
        if done:
            return say(
                f"trained already: {result_folder(recipe, work)}; remove {work / 'run.json'} and {work / 'checkpoints'} to train anew"
            )
        _session(recipe, base, work, say, log)


def _session(recipe: AdaptRecipe, base: Base, work: Path, say: Say, log: Log) -> None:
    """From the last whole checkpoint to the end of the run, in each of its processes."""
    from sdx_finetune.adapt.rows import splits
    from sdx_finetune.adapt.trainers import build_trainer, load_reader

    output = work / "checkpoints"
    last = next(reversed(whole_ones(output)), None)
    reader = load_reader(base.folder)
    rows = splits(recipe, reader, say)
    with Stop(say) as stop:
        watch = Watch(work, say, log, metric_of(recipe), recipe.train.patience, stop)
        trainer = build_trainer(recipe, base.folder, reader, rows, output, [watch], eval_on_start=last is None)
        parameters = _parameters(trainer.model)
        if trainer.is_world_process_zero():
            drop_others(output, [step_of(path) for path in whole_ones(output)])
            keep_journal_to(work, step_of(last) if last else -1)
            say(_headline(recipe, base, parameters, last))
        if last is None or not _ended(recipe, state_of(last)):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
    if watch.stopped:
        raise KeyboardInterrupt
    if trainer.is_world_process_zero():
        _finish(recipe, base, work, parameters, say)


def _parameters(model: Any) -> dict[str, int]:
    counts = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return {"total": sum(count for count, _ in counts), "trained": sum(count for count, learnt in counts if learnt)}


def _headline(recipe: AdaptRecipe, base: Base, parameters: dict[str, int], last: Path | None) -> str:
    share = 100 * parameters["trained"] / parameters["total"]
    goes = f"goes on from step {step_of(last)}" if last else "begins"
    return (
        f"{recipe.method} of {base.source}, {recipe.weights}, {goes}: {parameters['trained']:,} of {parameters['total']:,} weights "
        f"are trained ({share:.2f} %)"
    )


def _ended(recipe: AdaptRecipe, state: Mapping[str, Any]) -> bool:
    """Whether a run that was killed while it finished has nothing more to train."""
    metric, patience = metric_of(recipe), recipe.train.patience
    values = measured(state["log_history"], metric.name)
    best = best_of(values, metric.higher)
    early = patience is not None and best is not None and sum(step > best[0] for step, _ in values) >= patience
    return early or state["global_step"] >= state["max_steps"]


def _finish(recipe: AdaptRecipe, base: Base, work: Path, parameters: dict[str, int], say: Say) -> None:
    """The best checkpoint's weights in their folder, then run.json: its presence says that training is done."""
    checkpoints = {step_of(path): path for path in whole_ones(work / "checkpoints")}
    state, metric = state_of(checkpoints[max(checkpoints)]), metric_of(recipe)
    values = measured(state["log_history"], metric.name)
    best = best_of(values, metric.higher, checkpoints)
    assert best is not None, "each checkpoint of an end is measured"
    _keep_result(recipe, base, checkpoints[best[0]], result_folder(recipe, work))
    timed = next((entry for entry in reversed(state["log_history"]) if "elapsed_s" in entry), {})
    losses = measured(state["log_history"], "eval_loss")
    record = {
        "recipe": recipe.id,
        "method": recipe.method,
        "weights": recipe.weights,
        "base": {"source": base.source, "revision": base.revision, "sha256": base.sha256},
        "data": recipe.data.dataset,
        "steps": state["global_step"],
        "best_step": best[0],
        "metric": metric.name.removeprefix("eval_"),
        "best": best[1],
        "held_out": values,
        "held_out_loss": dict(losses)[best[0]],
        "losses": losses,
        "train_losses": measured(state["log_history"], "loss"),
        "tokens": int(timed.get("num_tokens", 0)),
        "minutes": round(timed.get("elapsed_s", 0.0) / 60, 2),
        "parameters": parameters["total"],
        "parameters_trained": parameters["trained"],
        "origin": provenance(),
    }
    write_whole(work / "run.json", json.dumps(record, indent=1).encode())
    before = f", {values[0][1]:.4f} before" if values[0][0] == 0 else ""
    say(f"trained {state['global_step']} steps; best at step {best[0]}: held-out {record['metric']} {best[1]:.4f}{before}")


def _keep_result(recipe: AdaptRecipe, base: Base, checkpoint: Path, target: Path) -> None:
    """The folder whole or not at all. A whole model takes tokenizer and template from its base, unchanged."""
    with making(target) as partial:
        partial.mkdir()
        if recipe.weights == "full":
            copy_tokenizer(base.folder, partial)
            copied = [path for pattern in WEIGHTS for path in checkpoint.glob(pattern)]
            if recipe.run.processes > 1 and recipe.run.strategy != "ddp":
                open_model(checkpoint).save_pretrained(partial)  # what was gathered holds tied weights twice
                copied = []
        else:
            copied = [checkpoint / "adapter_model.safetensors"]
            config = json.loads((checkpoint / "adapter_config.json").read_text(encoding="utf-8"))
            config |= {"base_model_name_or_path": base.source, "revision": base.revision}
            (partial / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")
        for path in copied:
            shutil.copyfile(path, partial / path.name)


def main(argv: list[str] | None = None) -> int:
    """One of several processes. Exit codes are those of sdx_finetune.outcomes."""
    from sdx_finetune.tracking import tracked
    from sdx_serving.tether import tie_to_parent

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args(argv)
    tie_to_parent(os.getppid())
    first = os.environ.get("RANK", "0") == "0"

    def say(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    try:
        recipe = AdaptRecipe.load(args.recipe)
        with tracked(recipe.tracking if first else None, recipe.name, recipe.model_dump(mode="json"), args.work) as log:
            train(recipe, args.work, say, log)
    except BaseException as error:
        if os.environ.get("SDX_DEBUG"):
            raise
        if outcome_of(error) is Outcome.FAILED:
            traceback.print_exc()
        if outcome_of(error) is not Outcome.STOPPED:  # that the first process says to who asked for it
            print(f"error: {in_words(error)}", file=sys.stderr, flush=True)
        os._exit(outcome_of(error))  # not through torch's exit: it would wait for the others, who wait for this one
    if in_step():
        import torch

        torch.distributed.destroy_process_group()
    return Outcome.DONE


if __name__ == "__main__":
    raise SystemExit(main())
