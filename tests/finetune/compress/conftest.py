"""A toy model that has learnt its rows, those rows as a file, and a plan to compress it."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row

collect_ignore_glob = [] if all(find_spec(name) for name in ("torch", "transformers", "gguf", "llama_cpp")) else ["test_*.py"]


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="session")
def learnt_folder(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, tokenizer: Any, toy: list[Row]) -> Path:
    """Trained until it answers in the rows' form."""
    from sdx_finetune.scratch.batches import encode_rows
    from sdx_finetune.scratch.train import Run, finish

    work = tmp_path_factory.mktemp("learnt")
    spec = recipe.model_copy(update={"train": recipe.train.model_copy(update={"max_steps": 150})})
    rows = encode_rows(toy[:150], tokenizer, recipe.train, quiet), encode_rows(toy[150:], tokenizer, recipe.train, quiet)
    run = Run(spec, tokenizer, *rows, work, quiet)
    run.train()
    finish(run, work / "model")
    return work / "model"


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory, toy: list[Row]) -> Path:
    path = tmp_path_factory.mktemp("rows") / "toy.jsonl"
    path.write_text("".join(json.dumps({"messages": row.turns(), "meta": row.meta}) + "\n" for row in toy), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def token_ids(toy: list[Row], tokenizer: Any) -> list[list[int]]:
    """Eight rows."""
    from sdx_finetune.compress.rows import encoded, end_of

    return [encoded(tokenizer, row, end_of(tokenizer))[0] for row in toy[:8]]


@pytest.fixture
def plan(learnt_folder: Path, rows_file: Path) -> Callable[..., Any]:
    """A small plan with changes."""
    from sdx_finetune.compress.plan import Plan

    def made(*methods: str, **change: Any) -> Plan:
        return Plan.model_validate(
            {
                "model": str(learnt_folder), "methods": methods, "task": None, "rows": str(rows_file), "metric": "json_fields",
                "eval_rows": 12, "calibration_rows": 12, "train_rows": 150, "max_tokens": 48, "minutes": 0.1, **change,
            }
        )  # fmt: skip

    return made
