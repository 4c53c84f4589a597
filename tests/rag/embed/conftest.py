"""A small sentence encoder in a folder, and a server that does what it is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from told_server import Told, told_server


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("onnx", "onnxruntime", "tokenizers"):
        pytest.importorskip(name)
    from tiny_bert import write_encoder

    return write_encoder(tmp_path_factory.mktemp("encoder") / "tiny-bert")


@pytest.fixture
def told() -> Iterator[Told]:
    with told_server() as made:
        yield made
