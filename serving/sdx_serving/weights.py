"""A model's weights on the disk: how many bytes, and which."""

from hashlib import sha256
from pathlib import Path

WEIGHTS = ("*.safetensors", "*.onnx", "*.gguf", "*.engine")
"""Of a folder; the first of these kinds that is there."""
BESIDE = ("*.onnx_data*", "*.onnx.data*")
"""Where large ONNX graphs keep theirs."""


def weight_files(path: Path) -> list[Path]:
    """The file itself; of a folder its weights in order. [] when there are none."""
    if path.is_file():
        return [path]
    found = next((files for kind in WEIGHTS if (files := sorted(path.glob(kind)))), [])
    return found + sorted(beside for pattern in BESIDE for beside in path.glob(pattern))


def weights_bytes(path: Path) -> int:
    """0 when there are none."""
    return sum(file.stat().st_size for file in weight_files(path))


def weights_sha256(path: Path) -> str:
    """Of the files one after the other; "" when there are none."""
    files = weight_files(path)
    return sha256_of(*files) if files else ""


def sha256_of(*files: Path) -> str:
    """Of their contents, one after the other."""
    digest = sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
