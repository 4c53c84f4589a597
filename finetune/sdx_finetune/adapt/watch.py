"""What happens around TRL's steps: progress told, held-out losses kept, checkpoints marked, a stop obeyed."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sdx_finetune import progress
from sdx_finetune.adapt.checkpoints import PREFIX, best_of, drop_others, mark_whole, measured, whole_ones
from sdx_finetune.progress import Say
from sdx_finetune.stopping import Stop

SAY_EVERY_S = 10.0
JOURNAL = "train.jsonl"
Log = Callable[[Mapping[str, float], int], None]


def in_step() -> bool:
    """Whether several processes train together here."""
    return torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def keep_journal_to(work: Path, step: int) -> None:
    """Take away the lines beyond the checkpoint that is gone on from: those steps come again."""
    path = work / JOURNAL
    if path.exists():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_in(line) <= step]
        partial = path.with_suffix(".partial")
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        partial.replace(path)


def _step_in(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):  # cut off by a kill
        return float("inf")


def agreed(stop: Stop, device: torch.device) -> bool:
    """Whether any process was asked to stop: all must at the same step."""
    if not in_step():
        return stop.asked
    flag = torch.tensor([int(stop.asked)], device=device)
    torch.distributed.all_reduce(flag)
    return bool(flag.item())


@dataclass(frozen=True, slots=True)
class Metric:
    """The held-out figure that decides which checkpoint is best."""

    name: str
    higher: bool


class Watch(TrainerCallback):
    """Told by the trainer of each step, log, evaluation and checkpoint."""

    def __init__(self, work: Path, say: Say, log: Log, metric: Metric, patience: int | None, stop: Stop) -> None:
        self.work, self.say, self.log, self.metric, self.patience, self.stop = work, say, log, metric, patience, stop
        self.stopped = False
        """A stop was asked for and obeyed."""
        self._tokens = self._elapsed = 0.0
        """Of earlier sessions."""
        self._first_step = 0
        self._began = self._last = self._last_said = time.monotonic()
        self._last_tokens = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        # A checkpoint brings the intervals that it was made with; the recipe's hold.
        state.eval_steps = state.save_steps = args.eval_steps or args.save_steps
        state.logging_steps = args.logging_steps
        seen = next((entry for entry in reversed(state.log_history) if "elapsed_s" in entry), {})
        self._elapsed, self._tokens = seen.get("elapsed_s", 0.0), seen.get("num_tokens", 0.0)
        self._first_step, self._began = state.global_step, time.monotonic()
        self._last = self._began

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if agreed(self.stop, args.device):
            self.stopped = state.global_step < state.max_steps
            control.should_save = control.should_training_stop = True
            control.should_evaluate = control.should_evaluate and not self.stopped

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if logs is None or "loss" not in logs:
            return
        entry, now = state.log_history[-1], time.monotonic()
        if not isfinite(logs["loss"]):
            raise _not_finite("loss", logs["loss"], state.global_step)
        tokens = float(logs.get("num_tokens", 0.0))
        entry["num_tokens"] = self._tokens + tokens
        entry["elapsed_s"] = round(self._elapsed + now - self._began, 2)
        speed = (tokens - self._last_tokens) / max(now - self._last, 1e-6)
        self._last, self._last_tokens = now, tokens
        if state.is_world_process_zero:
            self._tell(state, entry, round(speed, 1))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float] | None = None, **_: Any
    ) -> None:
        values = measured(state.log_history, self.metric.name)
        step, value = values[-1]
        if not isfinite(value):
            raise _not_finite("held-out loss", value, step)
        best = best_of(values, self.metric.higher)
        assert best is not None
        since = sum(1 for at, _ in values if at > best[0])
        if state.is_world_process_zero:
            self._write({"step": step, **_numbers(state.log_history[-1])}, step)
            self.say(
                f"step {step}: held-out {self.metric.name.removeprefix('eval_')} {value:.4f}"
                + (f", best {best[1]:.4f} at step {best[0]}" if since else "")
            )
        if self.patience and since >= self.patience:
            self.say(f"no better for {since} measurements (train.patience): ends early")
            control.should_training_stop = True
        self._last = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if in_step():
            torch.distributed.barrier()
        if state.is_world_process_zero:
            output = Path(args.output_dir or "")
            mark_whole(output / f"{PREFIX}{state.global_step}")
            steps = {int(path.name.removeprefix(PREFIX)) for path in whole_ones(output)}
            best = best_of(measured(state.log_history, self.metric.name), self.metric.higher, steps)
            drop_others(output, {state.global_step} | ({best[0]} if best else set()))
        self._last = time.monotonic()

    def _tell(self, state: TrainerState, entry: dict[str, Any], speed: float) -> None:
        step, now = state.global_step, time.monotonic()
        left_s = (now - self._began) / max(step - self._first_step, 1) * (state.max_steps - step)
        held = measured(state.log_history, self.metric.name)
        facts = {"step": step, "loss": round(entry["loss"], 5), "tokens_per_s": speed, "left_s": round(left_s, 1)}
        progress.tell(self.work, "train", step / max(state.max_steps, 1), **facts, held_out=held[-1][1] if held else None)
        self._write(_numbers(entry) | facts, step)
        if now - self._last_said >= SAY_EVERY_S or step == self._first_step + 1:
            self._last_said = now
            self.say(f"step {step}/{state.max_steps} loss {entry['loss']:.4f} {speed:.0f} tok/s left {left_s / 60:.1f} min")

    def _write(self, record: dict[str, float], step: int) -> None:
        with (self.work / JOURNAL).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self.log({name: value for name, value in record.items() if name != "step"}, step)


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in entry.items() if isinstance(value, int | float)}


def _not_finite(what: str, value: float, step: int) -> FloatingPointError:
    return FloatingPointError(
        f"the {what} is {value} at step {step}: lower train.learning_rate or train.clip_norm and take another --work folder; "
        "the checkpoints before it are whole"
    )
