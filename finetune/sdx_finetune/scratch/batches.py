"""Rows as token ids on disk, then as batches of a few fixed shapes. No torch here."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from sdx_finetune.progress import Say
from sdx_finetune.recipe import TrainSpec
from sdx_finetune.rows import Row
from sdx_finetune.scratch.tokenizer import encode_row

ROUND_TO = 32


@dataclass(frozen=True, slots=True)
class TokenRows:
    """Many rows end to end."""

    ids: np.ndarray
    """(tokens,) uint16."""
    learnt: np.ndarray
    """(tokens,) bool: is this token part of an answer?"""
    starts: np.ndarray
    """(rows + 1,) int64: row i is ids[starts[i]:starts[i + 1]]."""
    dropped: int
    """Rows that were longer than max_length."""
    images: np.ndarray | None = None
    """(rows,) int64: which picture each row is about; None for rows of text alone."""

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded rows of one fixed shape."""

    ids: np.ndarray
    """(rows, length) int64."""
    weights: np.ndarray
    """(rows, length - 1) float32: loss weight of predicting ids[:, 1:]; 0 in padding."""
    tokens: int
    """Without padding."""
    images: np.ndarray | None = None
    """(rows,) int64: see TokenRows."""


def encode_rows(rows: list[Row], tokenizer: PreTrainedTokenizerFast, spec: TrainSpec, say: Say) -> TokenRows:
    """Tokenise, dropping rows beyond max_length. ValueError when those are more than max_dropped."""
    ids: list[np.ndarray] = []
    learnt: list[np.ndarray] = []
    longest = 0
    for number, row in enumerate(rows):
        encoded = encode_row(tokenizer, row, spec.loss_on)
        longest = max(longest, len(encoded.ids))
        if len(encoded.ids) <= spec.max_length:
            ids.append(np.asarray(encoded.ids, np.uint16))
            learnt.append(np.asarray(encoded.learnt, bool))
        if number % 5000 == 4999:
            say(f"{number + 1}/{len(rows)} rows tokenised")
    dropped = len(rows) - len(ids)
    if dropped > spec.max_dropped * len(rows):
        raise ValueError(
            f"{dropped} of {len(rows)} rows are longer than train.max_length {spec.max_length} (longest {longest}), "
            f"more than train.max_dropped {spec.max_dropped:.1%}: raise max_length or shorten the rows"
        )
    starts = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64)
    return TokenRows(np.concatenate(ids), np.concatenate(learnt), starts, dropped)


def cached_rows(path: Path, make: Callable[[], TokenRows]) -> TokenRows:
    """The token rows in `path` (.npz), made and written atomically when missing."""
    if not path.exists():
        rows = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.savez(file, ids=rows.ids, learnt=rows.learnt, starts=rows.starts, dropped=np.asarray(rows.dropped))
        partial.replace(path)
    with np.load(path) as file:
        return TokenRows(file["ids"], file["learnt"], file["starts"], int(file["dropped"]))


def bucket_lengths(lengths: np.ndarray, count: int) -> list[int]:
    """At most `count` lengths, multiples of 32, that pad these rows least (exact, by dynamic programming)."""
    sizes = np.unique(-(-lengths // ROUND_TO) * ROUND_TO)
    rows_of = np.bincount(np.searchsorted(sizes, -(-lengths // ROUND_TO) * ROUND_TO), minlength=len(sizes))
    before = np.concatenate([[0], np.cumsum(rows_of)])
    cost = np.full((count + 1, len(sizes) + 1), math.inf)
    last = np.zeros((count + 1, len(sizes) + 1), int)
    cost[:, 0] = 0
    for k in range(1, count + 1):
        for end in range(1, len(sizes) + 1):
            options = cost[k - 1, :end] + (before[end] - before[:end]) * sizes[end - 1]
            last[k, end] = int(np.argmin(options))
            cost[k, end] = options[last[k, end]]
    chosen, end, k = [], len(sizes), count
    while end > 0:
        chosen.append(int(sizes[end - 1]))
        end, k = int(last[k, end]), k - 1
    return sorted(chosen)


def epoch_plan(rows: TokenRows, buckets: list[int], batch_tokens: int, rng: np.random.Generator) -> list[tuple[int, np.ndarray]]:
    """(length, row numbers) of each batch of an epoch, shuffled; what does not fill a batch is filled up from its bucket."""
    which = np.searchsorted(buckets, rows.lengths)
    plan: list[tuple[int, np.ndarray]] = []
    for number, length in enumerate(buckets):
        members = rng.permutation(np.flatnonzero(which == number))
        size = batch_tokens // length
        if len(members) == 0:
            continue
        short = -len(members) % size
        members = np.concatenate([members, rng.choice(members, short)]) if short else members
        plan.extend((length, part) for part in members.reshape(-1, size))
    return [plan[i] for i in rng.permutation(len(plan))]


def assemble(rows: TokenRows, length: int, members: np.ndarray, prompt_weight: float, pad: int) -> Batch:
    """Copy the rows into one padded block."""
    ids = np.full((len(members), length), pad, np.int64)
    weights = np.zeros((len(members), length - 1), np.float32)
    tokens = 0
    for line, row in enumerate(members):
        start, end = int(rows.starts[row]), int(rows.starts[row + 1])
        count = end - start
        ids[line, :count] = rows.ids[start:end]
        weights[line, : count - 1] = np.where(rows.learnt[start + 1 : end], 1.0, prompt_weight)
        tokens += count
    return Batch(ids, weights, tokens, None if rows.images is None else rows.images[members])


def batches(rows: TokenRows, buckets: list[int], spec: TrainSpec, pad: int, first: int) -> Iterator[tuple[int, Batch]]:
    """Endless (number, batch) from batch number `first` on; the order depends on the seed alone, so a resumed run sees the same."""
    number, epoch = 0, 0
    while True:
        plan = epoch_plan(rows, buckets, spec.batch_tokens, np.random.default_rng([spec.seed, epoch]))
        if number < spec.short_batches:
            plan = [part for part in plan if part[0] == buckets[0]][: spec.short_batches - number] or plan
        for length, members in plan:
            if number >= first:
                yield number, assemble(rows, length, members, spec.prompt_loss_weight, pad)
            number += 1
        epoch += 1
