"""What a vision encoder saw in a volume: a probability for each label and where it looked. A reading like any other sensor's."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Grid:
    """Where cells of a coarse map lie in the patient, LPS mm; cells are boxes, axes as of Volume."""

    z_mm: NDArray[np.float64]
    """(slabs,) centres, ascending."""
    y0_mm: float
    x0_mm: float
    """Centre of cell (0, 0)."""
    cell_mm: float
    """Side of a cell in the plane."""

    def lps_mm(self, cell: tuple[float, float, float]) -> tuple[float, float, float]:
        """(x, y, z) of a cell index (slab, row, column), fractions allowed."""
        z = float(np.interp(cell[0], np.arange(len(self.z_mm)), self.z_mm))
        return self.x0_mm + cell[2] * self.cell_mm, self.y0_mm + cell[1] * self.cell_mm, z


PHANTOMS = "phantoms"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one encoder for one volume."""

    probability: Mapping[str, float]
    """By label key, 0..1."""
    maps: Mapping[str, NDArray[np.float32]]
    """By label key: (slabs, rows, columns), 0..1, how much each cell speaks for the label."""
    grid: Grid
    handle: str
    """Names this volume's visual tokens at the engine: what stands for the picture in a prompt. Content hash of the model's input."""
    model: str
    model_sha256: str
    unlike_training: float = 0.0
    """Distance of the volume's features from those of the training volumes, in units of their 99th percentile: above 1 is out of domain."""
    trained_on: str = ""
    """PHANTOMS where the encoder never saw a patient; "" where nothing is said."""
