"""A stored toy data set, recipes that adapt the tiny model to it, and a tiny model that sees."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.datasets.store import Store
from sdx_finetune.rows import Row

collect_ignore_glob = [] if all(find_spec(name) for name in ("torch", "transformers", "trl", "peft", "datasets")) else ["test_*.py"]
FACTS: dict[str, Any] = {
    "sources": [], "licence": "CC0-1.0", "description": "", "dropped": 0, "tokens": 0, "tokenizer": "", "languages": {}, "groups": 1,
}  # fmt: skip


def as_stored(row: Row, **more: Any) -> dict[str, Any]:
    return {"messages": row.turns(), "images": list(row.images), "meta": row.meta, **more}


@pytest.fixture
def stored() -> Callable[..., dict[str, Any]]:
    """A row as it lies in a data set, with changes."""
    return as_stored


@pytest.fixture
def keep() -> Callable[..., str]:
    """Keep splits of rows under a name; NAME@VERSION."""
    return lambda name, **parts: f"{name}@{Store().add(parts, FACTS | {'name': name}).version}"


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path_factory.getbasetemp() / "datasets"
    monkeypatch.setenv("SDX_DATASETS", str(folder))
    yield folder


@pytest.fixture
def dataset(toy: list[Row]) -> str:
    """160 training and 40 held-out rows; the rejected answer names a ship that is not there."""
    rows = [as_stored(row, rejected=row.messages[-1].content.replace(row.meta["nearest"], "T9")) for row in toy]
    card = Store().add({"train": rows[:160], "eval": rows[160:]}, FACTS | {"name": "toy"})
    return f"toy@{card.version}"


@pytest.fixture
def make(model_folder: Path, dataset: str) -> Callable[..., AdaptRecipe]:
    """A small recipe with changes: mappings are merged, other fields replaced."""

    def made(**change: Any) -> AdaptRecipe:
        raw: dict[str, Any] = {
            "name": "toy", "description": "Says which ship passes nearest.", "method": "sft", "base": {"model": str(model_folder)},
            "data": {"dataset": dataset, "eval_rows": 16},
            "train": {
                "max_steps": 12, "eval_every": 4, "batch_rows": 8, "max_length": 256, "learning_rate": 1e-2, "threads": 1, "precision": "fp32",
            },
            "export": {"quantisations": ["F32", "Q8_0"]},
            "parity": {"prompts": 2, "greedy_tokens": 8, "min_top1": {"F32": 0.999, "Q8_0": 0.9, "Q4_K_M": 0.5}},
            "evaluate": {"max_tokens": 16},
        }  # fmt: skip
        for name, value in change.items():
            raw[name] = raw[name] | value if isinstance(value, dict) and name in raw else value
        return AdaptRecipe.model_validate(raw)

    return made
