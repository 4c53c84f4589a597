"""Train a decoder from scratch on token rows, within a wall-clock budget, surviving kill -9.

A plain loop and not TRL's trainer, for three reasons measured or needed here: batches of a few fixed shapes let one
compiled layer serve all; the vocabulary's logits are computed only where a token is learnt; and the learning rate
follows the clock, so that a run on a shared machine ends annealed at the minute it was given.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from sdx_finetune.progress import Say, tell
from sdx_finetune.recipe import Recipe, TrainSpec
from sdx_finetune.scratch.batches import Batch, TokenRows, assemble, batches, bucket_lengths
from sdx_finetune.scratch.model import build_model, parameter_count, ready_for_training
from sdx_finetune.scratch.schedule import progress, rate

LOG_EVERY_S = 15.0
Log = Callable[[Mapping[str, float], int], None]


@dataclass(slots=True)
class State:
    """Where a run stands; saved whole in every checkpoint."""

    step: int = 0
    batch: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    """Active wall time of all sessions so far."""
    losses: list[tuple[int, float]] = field(default_factory=list)
    """(step, held-out loss) at each checkpoint."""


class Run:
    """One training run in a folder: model, optimisers, state, files."""

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: PreTrainedTokenizerFast,
        train: TokenRows,
        held_out: TokenRows,
        work: Path,
        say: Say,
        log: Log = lambda metrics, step: None,
        model: Any = None,
    ) -> None:
        """`model`: the decoder to go on from, of the sizes that the recipe gives; without it a fresh one."""
        spec = recipe.train
        self.recipe, self.spec, self.work, self.say, self.log = recipe, spec, work, say, log
        self.tokenizer = tokenizer
        self.train_rows, self.held_out = train, held_out
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(spec.threads)
        self.model = (model or build_model(recipe.model, tokenizer, spec.seed)).to(self.device)
        self.optimisers = build_optimisers(self.model, spec)
        self.buckets = bucket_lengths(np.concatenate([train.lengths, held_out.lengths]), spec.buckets)
        self.steps_per_epoch = self._batches_per_epoch() / spec.accumulate
        self.state = State()
        self.checkpoint = work / "checkpoint.pt"

    def _batches_per_epoch(self) -> int:
        which = np.bincount(np.searchsorted(self.buckets, self.train_rows.lengths), minlength=len(self.buckets))
        return sum(-(-int(rows) // (self.spec.batch_tokens // length)) for rows, length in zip(which, self.buckets, strict=True))

    @property
    def pad(self) -> int:
        return int(self.tokenizer.pad_token_id)  # type: ignore[arg-type]

    @property
    def identity(self) -> str:
        """What a checkpoint must match to be continued: everything but how long, how often and how fast."""
        loose = {"max_minutes", "max_steps", "max_epochs", "threads", "compile", "checkpoint_minutes", "eval_rows", "precision"}
        fixed = self.recipe.train.model_dump(mode="json", exclude=loose)
        data = [self.recipe.data.dataset, len(self.tokenizer), len(self.train_rows)]
        return json.dumps([self.recipe.model.model_dump(mode="json"), fixed, *data], sort_keys=True)

    def resume(self) -> bool:
        """Continue from the checkpoint if there is one.

        Raises:
            ValueError: the checkpoint belongs to another recipe or other data.
        """
        if not self.checkpoint.exists():
            return False
        saved = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if saved["identity"] != self.identity:
            raise ValueError(
                f"{self.checkpoint} was made with another recipe or other data; use another --work folder, or remove it to start anew\n"
                f"  there: {saved['identity']}\n  here:  {self.identity}"
            )
        self.model.load_state_dict(saved["model"])
        for optimiser, weights in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(weights)
        self.state = State(**saved["state"])
        return True

    def save(self) -> None:
        """Write the checkpoint atomically; a kill leaves the old or the new one whole."""
        state = {name: getattr(self.state, name) for name in State.__slots__}
        partial = self.checkpoint.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save(
                {
                    "identity": self.identity,
                    "model": self.model.state_dict(),
                    "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                    "state": state,
                },
                file,
            )
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.checkpoint)

    def precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.spec.precision == "bf16")

    def loss_sum(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted cross entropy summed over the learnt positions, and the sum of weights."""
        ids = torch.from_numpy(batch.ids).to(self.device)
        weights = torch.from_numpy(batch.weights).to(self.device)
        learnt = weights > 0
        chosen = weights[learnt]
        return (self.losses(ids, learnt) * chosen).sum(), chosen.sum()

    def losses(self, ids: torch.Tensor, learnt: torch.Tensor) -> torch.Tensor:
        """(learnt positions,) loss of each token that is learnt."""
        return functional.cross_entropy(self.logits(self.model, ids, learnt), ids[:, 1:][learnt], reduction="none")

    def logits(self, model: Any, ids: torch.Tensor, learnt: torch.Tensor) -> torch.Tensor:
        """(learnt positions, vocabulary) float32: the rest of them is never computed."""
        with self.precision():
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
            return model.lm_head(hidden[:, :-1][learnt]).float()

    def step(self, parts: list[Batch], factor: float) -> torch.Tensor:
        """One update from `accumulate` batches; the mean loss before it, still on the device."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["base_lr"] * factor
        total = sum(float(part.weights.sum()) for part in parts)
        loss = torch.zeros((), device=self.device)
        for part in parts:
            summed, _ = self.loss_sum(part)
            (summed / total).backward()
            loss += summed.detach() / total
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.clip_norm)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return loss

    def held_out_loss(self) -> float:
        """Mean loss per learnt token on up to eval_rows held-out rows, in the shapes of training."""
        spec = self.spec.model_copy(update={"prompt_loss_weight": 0.0, "seed": 0})
        limit = min(self.spec.eval_rows, len(self.held_out))
        summed = weight = 0.0
        seen = 0
        # Without gradients each shape would be compiled once more: that costs more than it saves on so few rows.
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            for _, batch in batches(self.held_out, self.buckets, spec.model_copy(update={"short_batches": 0}), self.pad, 0):
                loss, count = self.loss_sum(batch)
                summed, weight, seen = summed + float(loss), weight + float(count), seen + len(batch.ids)
                if seen >= limit:
                    return summed / max(weight, 1.0)
        raise AssertionError("batches never end")

    def train(self) -> State:
        """Until the budget is spent. Ctrl-C saves a checkpoint first."""
        ready_for_training(self.model, self.device, self.spec.compile)
        self.model.train()
        self.say(self._headline())
        try:
            self._warm_up()
            self._loop()
        except KeyboardInterrupt:
            self.save()
            self.say(f"stopped at step {self.state.step}; the checkpoint is {self.checkpoint}; the same command continues")
            raise
        self.state.losses.append((self.state.step, self.held_out_loss()))
        self.save()
        self.say(f"done: {self.state.step} steps, {self.state.tokens / 1e6:.2f} M tokens, held-out loss {self.state.losses[-1][1]:.4f}")
        return self.state

    def _warm_up(self) -> None:
        """One pass of each shape before the clock starts: compiling takes minutes on a busy machine, none of them is training."""
        started = time.monotonic()
        for length in self.buckets:
            members = np.flatnonzero(np.searchsorted(self.buckets, self.train_rows.lengths) == self.buckets.index(length))
            if len(members):
                size = self.spec.batch_tokens // length
                self.loss_sum(assemble(self.train_rows, length, np.resize(members, size), 0.0, self.pad))[0].backward()
        self.model.zero_grad(set_to_none=True)
        self.say(f"{len(self.buckets)} shapes ready after {time.monotonic() - started:.0f} s")

    def _headline(self) -> str:
        start = f"continues at step {self.state.step}, {self.state.elapsed_s / 60:.1f} min used" if self.state.step else "starts"
        return (
            f"training {start}: {parameter_count(self.model) / 1e6:.1f} M parameters on {self.device}, {len(self.train_rows)} rows "
            f"({self.train_rows.dropped} too long), lengths {self.buckets}, {self.steps_per_epoch:.0f} steps an epoch"
        )

    def _loop(self) -> None:
        state, spec = self.state, self.spec
        source = batches(self.train_rows, self.buckets, spec, self.pad, state.batch)
        clock = last_log = last_save = time.monotonic()
        offset, logged_tokens = state.elapsed_s, state.tokens
        running: list[torch.Tensor] = []
        while (done := progress(spec, state.elapsed_s, state.step, self.steps_per_epoch)) < 1.0:
            parts = _take(source, spec.accumulate)
            running.append(self.step(parts, rate(spec, done)))
            state.step += 1
            state.batch += len(parts)
            state.tokens += sum(part.tokens for part in parts)
            now = time.monotonic()
            state.elapsed_s = offset + now - clock
            if now - last_log >= LOG_EVERY_S or state.step <= 2:
                speed = (state.tokens - logged_tokens) / max(now - last_log, 1e-6)
                self._report(float(torch.stack(running).mean()), speed, done)
                running, last_log, logged_tokens = [], now, state.tokens
            if now - last_save >= 60.0 * spec.checkpoint_minutes:
                state.losses.append((state.step, self.held_out_loss()))
                self.save()
                self._note({"step": state.step, "held_out_loss": state.losses[-1][1]})
                self.say(f"step {state.step}: held-out loss {state.losses[-1][1]:.4f}, checkpoint written")
                last_save = time.monotonic()

    def _report(self, loss: float, tokens_per_s: float, done: float) -> None:
        """A line for people, a line of JSON for plots, and progress.json for pages."""
        state = self.state
        left_s = state.elapsed_s / done * (1.0 - done) if done > 0 else float("nan")
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at step {state.step}: lower train.learning_rate or clip_norm, and remove the checkpoint"
            )
        record = {
            "step": state.step,
            "loss": round(loss, 5),
            "tokens": state.tokens,
            "tokens_per_s": round(tokens_per_s, 1),
            "elapsed_s": round(state.elapsed_s, 1),
            "left_s": round(left_s, 1) if np.isfinite(left_s) else None,
            "done": round(done, 4),
            "learning_rate": self.spec.learning_rate * rate(self.spec, done),
            "held_out_loss": state.losses[-1][1] if state.losses else None,
        }
        self._note(record)
        tell(self.work, "train", **record)
        self.log({name: value for name, value in record.items() if name != "step" and value is not None}, state.step)
        self.say(f"step {state.step} loss {loss:.4f} {tokens_per_s:.0f} tok/s {100 * done:.1f} % left {left_s / 60:.1f} min")

    def _note(self, record: dict[str, Any]) -> None:
        with (self.work / "train.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def _take(source: Iterator[tuple[int, Batch]], count: int) -> list[Batch]:
    return [next(source)[1] for _ in range(count)]


def build_optimisers(model: Qwen3ForCausalLM, spec: TrainSpec) -> list[torch.optim.Optimizer]:
    """AdamW alone, or Muon for the layers' matrices and AdamW for the rest; one base rate serves both."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    tables, scales = [p for p in others if p.ndim == 2], [p for p in others if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": tables, "weight_decay": 0.0}, {"params": scales, "weight_decay": 0.0}]
    made: list[torch.optim.Optimizer] = []
    if spec.optimiser == "muon":
        # match_rms_adamw: the update has AdamW's size, so that AdamW's learning rates hold (arXiv 2502.16982).
        made.append(torch.optim.Muon(matrices, lr=spec.learning_rate, weight_decay=spec.weight_decay, adjust_lr_fn="match_rms_adamw"))
    else:
        groups.append({"params": matrices, "weight_decay": spec.weight_decay})
    made.append(torch.optim.AdamW(groups, lr=spec.learning_rate, betas=(0.9, 0.95), fused=True))
    for optimiser in made:
        for group in optimiser.param_groups:
            group["base_lr"] = spec.learning_rate
    return made


def finish(run: Run, folder: Path) -> None:
    """Save the trained model with its tokenizer as a Hugging Face folder (float32)."""
    clean = build_model(run.recipe.model, run.tokenizer, run.spec.seed)
    clean.load_state_dict(run.model.state_dict())
    clean.save_pretrained(folder)
    run.tokenizer.save_pretrained(folder)
