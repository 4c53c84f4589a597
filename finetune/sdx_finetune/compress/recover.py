"""Learn again what pruning cut away, or a teacher's answers: training from scratch's own loop, from given weights. Start at recover().

Weights that were cut to zero stay there: they are set back after each step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from sdx_domains.contract import digest
from sdx_finetune.adapt.merge import copy_tokenizer, open_model
from sdx_finetune.compress.plan import Distillation, Plan, settings
from sdx_finetune.compress.rows import Rows, token_rows
from sdx_finetune.compress.smaller import size_of
from sdx_finetune.compress.sparse import masks
from sdx_finetune.journal import making
from sdx_finetune.progress import Say
from sdx_finetune.recipe import Recipe
from sdx_finetune.scratch.batches import Batch, TokenRows
from sdx_finetune.scratch.train import Log, Run

WATCHED = 32
"""Rows set apart for the loss that is shown, at most a tenth of all."""


@dataclass(frozen=True, slots=True)
class Start:
    """What training begins with."""

    folder: Path
    """Whole weights, tokenizer."""
    hold_zeros: bool = False
    teacher: Path | None = None


class Recovery(Run):
    """A run that holds zeros, and learns from a teacher's logits beside the row's own answer."""

    masks: Mapping[str, torch.Tensor] = {}
    teacher: Any = None
    taught: Distillation

    def losses(self, ids: torch.Tensor, learnt: torch.Tensor) -> torch.Tensor:
        """Cross entropy; while training with a teacher mixed with the divergence from its choice (arXiv 1503.02531)."""
        if self.teacher is None or not torch.is_grad_enabled():
            return super().losses(ids, learnt)
        heat, share = self.taught.temperature, self.taught.teacher
        ours = self.logits(self.model, ids, learnt)
        with torch.no_grad():
            theirs = self.logits(self.teacher, ids, learnt)
        own = functional.cross_entropy(ours, ids[:, 1:][learnt], reduction="none")
        choice, wanted = (functional.log_softmax(logits / heat, -1) for logits in (ours, theirs))
        apart = functional.kl_div(choice, wanted, reduction="none", log_target=True).sum(-1) * heat**2
        return (1 - share) * own + share * apart

    def step(self, parts: list[Batch], factor: float) -> torch.Tensor:
        loss = super().step(parts, factor)
        with torch.no_grad():
            for name, mask in self.masks.items():
                self.model.get_parameter(name).mul_(mask)
        return loss


def recover(start: Start, rows: Rows, plan: Plan, work: Path, target: Path, say: Say, log: Log) -> dict[str, Any]:
    """Train within plan.minutes and write `target`; the same call goes on after a kill. What was learnt, for the record.

    Raises:
        KeyboardInterrupt: stopped with a checkpoint.
        ValueError: the checkpoint in `work` is of another plan.
        FloatingPointError: the loss is no number any more.
    """
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(start.folder)
    model = open_model(start.folder)
    watched = max(1, min(WATCHED, len(rows.train) // 10))
    most = model.config.max_position_embeddings
    learnt, apart = token_rows(tokenizer, rows.train[:-watched], most), token_rows(tokenizer, rows.train[-watched:], most)
    recipe = _recipe(plan, start, rows, model.config, learnt, apart)
    run = Recovery(recipe, tokenizer, learnt, apart, work, say, log, model)
    if start.hold_zeros:
        run.masks = {name: mask.to(run.device) for name, mask in masks(run.model).items()}
    if start.teacher:
        run.teacher, run.taught = open_model(start.teacher).requires_grad_(False).to(run.device), settings().distillation
    resumed = run.resume()
    before = run.state.losses[0][1] if resumed else run.held_out_loss()
    if not resumed:
        run.state.losses.append((0, before))
    state = run.train()
    better = state.losses[-1][1] < before
    _keep(run if better else None, start.folder, target)
    return {
        "kept": "what was learnt" if better else "what it began with: training made it no better",
        "steps": state.step, "tokens": state.tokens, "minutes": round(state.elapsed_s / 60, 2), "rows": len(learnt),
        "held_out_loss_before": round(before, 5), "held_out_loss": round(state.losses[-1][1], 5),
    }  # fmt: skip


def _recipe(plan: Plan, start: Start, rows: Rows, config: Any, learnt: TokenRows, apart: TokenRows) -> Recipe:
    """The run as scratch.train knows it; its id holds a checkpoint to this start and these rows."""
    longest = int(max(learnt.lengths.max(), apart.lengths.max()))
    recovery = settings().recovery
    mark = digest([start.hold_zeros, bool(start.teacher), [row.key for row in rows.train]])
    return Recipe.model_validate(
        {
            "name": "recovery",
            "description": "What was cut away, learnt again.",
            "data": {"dataset": f"rows@{mark}"},
            "tokenizer": {},
            "model": {
                "hidden": config.hidden_size, "ffn": config.intermediate_size, "layers": config.num_hidden_layers,
                "heads": config.num_attention_heads, "kv_heads": config.num_key_value_heads, "head_dim": size_of(config),
                "context": config.max_position_embeddings,
            },
            "train": recovery | ({"learning_rate": settings().distillation.learning_rate} if start.teacher else {}) | {
                "max_minutes": plan.minutes, "max_length": max(16, longest), "batch_tokens": max(recovery["batch_tokens"], longest + 32),
                "threads": plan.threads, "seed": plan.seed,
            },
        }
    )  # fmt: skip


def _keep(run: Recovery | None, start: Path, target: Path) -> None:
    """The trained weights, or without a run the first ones, in the folder's own form: without what training put into the model."""
    clean = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    if run is not None:
        clean.load_state_dict(run.model.state_dict())
    with making(target) as partial:
        clean.save_pretrained(partial)
        copy_tokenizer(start, partial)
