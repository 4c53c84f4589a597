"""What the finetune tests share: the toy generator on the path, a small recipe, rows, a tokenizer, a tiny model folder."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row, check_row

# Extras may be absent: then only the tests that need none of them are collected.
TRAINING = ("scratch", "export", "parity", "test_run.py", "jobs/test_train_job.py")
collect_ignore = [] if all(find_spec(name) for name in ("torch", "transformers", "tokenizers", "gguf")) else [*TRAINING, "tune"]
collect_ignore += [name for package, name in (("mlflow", "test_tracking.py"), ("optuna", "tune")) if not find_spec(package)]
HERE = str(Path(__file__).parent)
SMALL: dict[str, Any] = {
    "name": "toy",
    "description": "Says which ship passes nearest.",
    "data": {"generator": "toy_rows:rows", "train_rows": 120, "eval_rows": 20, "shard_rows": 50},
    "tokenizer": {"vocab_size": 400, "fit_rows": 120},
    "model": {"hidden": 64, "ffn": 128, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 32, "context": 256},
    "train": {
        "max_steps": 60, "learning_rate": 5e-3, "batch_tokens": 1024, "max_length": 160, "buckets": 2, "compile": False, "eval_rows": 16,
    },
    "export": {"quantisations": ["F32", "Q8_0"]},
    "parity": {"prompts": 2, "greedy_tokens": 12, "min_top1": {"F32": 0.999, "Q8_0": 0.9}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def toy_rows_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(HERE)
    yield
    sys.modules.pop("toy_rows", None)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return Recipe.model_validate(SMALL)


@pytest.fixture(scope="session")
def toy() -> list[Row]:
    sys.path.insert(0, HERE)
    import toy_rows

    sys.path.remove(HERE)
    return [check_row(row, "toy") for row in toy_rows.rows(200, 7)]


@pytest.fixture(scope="session")
def tokenizer(toy: list[Row], recipe: Recipe) -> Any:
    from sdx_finetune.scratch.tokenizer import fit_tokenizer

    return fit_tokenizer(toy, recipe.tokenizer)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, tokenizer: Any) -> Path:
    """A random model with its tokenizer, as `finish` saves them."""
    from sdx_finetune.scratch.model import build_model

    folder = tmp_path_factory.mktemp("model")
    build_model(recipe.model, tokenizer, seed=3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
