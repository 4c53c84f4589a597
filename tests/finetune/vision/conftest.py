"""Volumes that a test can write down: the size of real ones, every other one with a bright block."""

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pytest

from sdx_domains.medicine.slabs import CELLS, CHANNELS, PIXELS, SLABS

collect_ignore = [] if all(find_spec(name) for name in ("torch", "onnx", "scipy", "numba")) else [
    "test_calibrate.py", "test_decoder.py", "test_encoder.py", "test_volumes.py", "test_pipeline.py",
]  # fmt: skip
BLOCK = (8, 4, 4)
"""Cell (slab, row, column) where what label 0 means begins: two cells wide and bright."""


def drawn(count: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slabs, present, cells."""
    rng = np.random.default_rng(seed)
    slabs = rng.integers(80, 110, (count, SLABS, CHANNELS, PIXELS, PIXELS), dtype=np.uint8)
    present, cells = np.zeros((count, labels), np.float32), np.zeros((count, SLABS, CELLS, CELLS), np.int32)
    slab, row, column = BLOCK
    slabs[1::2, slab : slab + 2, :, row * 8 : row * 8 + 16, column * 8 : column * 8 + 16] = 220
    cells[1::2, slab : slab + 2, row : row + 2, column : column + 2] = 1
    present[1::2, 0] = 1
    return slabs, present, cells


@pytest.fixture(scope="session")
def volumes() -> Callable[..., object]:
    """`volumes(count, labels, seed)`: Volumes of such."""

    def make(count: int, labels: int = 3, seed: int = 0) -> object:
        from sdx_finetune.vision.volumes import Volumes

        slabs, present, cells = drawn(count, labels, seed)
        return Volumes((slabs,), present, cells, np.array([0]))

    return make
