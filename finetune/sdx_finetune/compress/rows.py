"""The rows that a model is calibrated, trained and measured on, and how they look as tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sdx_domains.contract import digest
from sdx_finetune.compress.plan import Plan
from sdx_finetune.progress import Say
from sdx_finetune.recipe import DataSpec
from sdx_finetune.rows import Row, check_row, distinct, make_rows, read_rows, with_derived
from sdx_finetune.scratch.batches import TokenRows

LEAST_TRAINING = 8
HELD_OUT_SHARE = 4
"""Of a file without splits every so manieth row, at most, is held out."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Distinct rows; none stands in both."""

    train: list[Row]
    """Learnt from."""
    plain: list[Row]
    """The same without those that the task derives from them: what the model will really be asked."""
    held_out: list[Row]

    @property
    def id(self) -> str:
        return digest([row.key for row in self.held_out])


def gathered(plan: Plan, work: Path, say: Say) -> Rows:
    """Read or make them. ValueError or KeyError name the data set or file, and what is missing."""
    if plan.rows is None:
        train, plain, held_out = _made(plan, work, say)
    elif Path(plan.rows).is_file():
        given, held_out = _of_file(Path(plan.rows), plan)
        train = plain = given[: plan.train_rows]
    else:
        given, held_out = _of_store(plan)
        train = plain = given[: plan.train_rows]
    held_out = distinct(iter(held_out))[0][: plan.eval_rows]
    taken = frozenset(row.key for row in held_out)
    found = Rows(distinct(iter(train), taken)[0], distinct(iter(plain), taken)[0], held_out)
    where = plan.rows or f"task {plan.task}"
    if pictured := next((row for row in [*found.train, *held_out] if row.images), None):
        raise ValueError(f"{where}: row {pictured.key} has images: compressing is measured with text alone, give rows without them")
    if len(found.plain) < LEAST_TRAINING or not held_out:
        raise ValueError(
            f"{where}: {len(found.plain)} rows to learn from and {len(held_out)} held out are too few; "
            f"{LEAST_TRAINING} and 1 are the least: give more rows"
        )
    say(f"rows: {len(found.train)} to learn from, {len(held_out)} held out ({found.id})")
    return found


def _made(plan: Plan, work: Path, say: Say) -> tuple[list[Row], list[Row], list[Row]]:
    task = plan.held_to
    assert task is not None, "the plan asks for a task or rows"
    spec = DataSpec.model_validate(
        {
            "generator": task.generator, "derive": task.derive, "train_rows": plan.train_rows, "eval_rows": plan.eval_rows,
            "train_seed": task.train_seed, "eval_seed": task.eval_seed,
        }
    )  # fmt: skip
    paths = make_rows(spec, "train", work / "rows", 1, say)
    held_out = list(read_rows(make_rows(spec, "eval", work / "rows", 1, say)))
    return list(with_derived(read_rows(paths), spec)), list(read_rows(paths)), held_out


def _of_file(path: Path, plan: Plan) -> tuple[list[Row], list[Row]]:
    from sdx_finetune.datasets.gather import gather

    found = gather([path])
    if not found.rows:
        why = f"{found.faults[0].place}: {found.faults[0].problem}" if found.faults else "it is empty"
        raise ValueError(f"{path}: no row can be used ({why}): `sdx data check {path}` tells all")
    rows = sorted((check_row(raw, str(path)) for raw in found.rows), key=lambda row: row.key)  # type: ignore[arg-type]
    held_out = min(plan.eval_rows, len(rows) // HELD_OUT_SHARE)
    return rows[held_out:], rows[:held_out]


def _of_store(plan: Plan) -> tuple[list[Row], list[Row]]:
    from sdx_finetune.datasets.store import Store

    name = str(plan.rows)
    if "@" not in name:
        raise ValueError(f"rows {name!r} are neither a file nor NAME@VERSION; `sdx data show {name}` lists versions")
    train, held_out = (list(read_rows([Store().split(name, split)])) for split in ("train", "eval"))
    return train, held_out


def encoded(tokenizer: Any, row: Row, end: int) -> tuple[list[int], int]:
    """Ids of a row as it is served, the answer with its end mark last, and where the answer begins."""
    asked = prompt_ids(tokenizer, row)
    answer = tokenizer.backend_tokenizer.encode(row.messages[-1].content, add_special_tokens=False).ids
    return [*asked, *answer, end], len(asked)


def prompt_ids(tokenizer: Any, row: Row) -> list[int]:
    text = str(tokenizer.apply_chat_template(row.turns()[:-1], tokenize=False, add_generation_prompt=True))
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids


def end_of(tokenizer: Any) -> int:
    """The token that ends an answer. ValueError: the template does not say."""
    from sdx_finetune.export.gguf_file import end_mark

    mark = end_mark(tokenizer)
    mark = tokenizer.eos_token_id if mark is None else mark
    if mark is None:
        raise ValueError("the tokenizer has no end token (eos_token): set it in tokenizer_config.json")
    return int(mark)


def token_rows(tokenizer: Any, rows: Sequence[Row], most: int) -> TokenRows:
    """As scratch.train reads them; rows beyond `most` tokens are left out and counted. ValueError when none is left."""
    end = end_of(tokenizer)
    ids: list[np.ndarray] = []
    learnt: list[np.ndarray] = []
    for row in rows:
        made, start = encoded(tokenizer, row, end)
        if len(made) <= most:
            ids.append(np.asarray(made, np.uint32))
            learnt.append(np.arange(len(made)) >= start)
    if not ids:
        raise ValueError(f"none of {len(rows)} rows has at most {most} tokens, which is the model's context: give shorter rows")
    starts = np.concatenate([[0], np.cumsum([len(one) for one in ids])]).astype(np.int64)
    return TokenRows(np.concatenate(ids), np.concatenate(learnt), starts, len(rows) - len(ids))
