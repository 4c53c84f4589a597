"""Bundles of the tiny model, written with fixed time; each with ports and state of its own."""

import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sdx_serving.deploy.bundle import write
from sdx_serving.deploy.choice import Choice
from sdx_serving.deploy.manifest import Manifest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Write = Callable[..., tuple[Path, Manifest]]


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where running bundles leave their logs."""
    monkeypatch.setenv("SDX_DEPLOYED", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def write_bundle(tiny_model: Path, tmp_path: Path) -> Write:
    """Writes bundle number n: (folder, manifest). Fields of Choice by name; `key` signs."""
    count = 0

    def make(key: Path | None = None, now: datetime = NOW, **fields: Any) -> tuple[Path, Manifest]:
        nonlocal count
        count += 1
        if importlib.util.find_spec("llama_cpp") is None and fields.get("to", "here") == "here":
            pytest.skip("llama-cpp-python is not installed")
        out = tmp_path / f"bundle-{count}"
        return out, write(Choice(**{"to": "here", "model": tiny_model} | fields), out, now, key, say=lambda line: None)

    return make
