"""Drawn patients that the tests of this folder share: tuning seeds, drawn once, on the grid that the model is trained on."""

import pytest

pytest.importorskip("numba", reason="the phantom needs numba")
pytest.importorskip("scipy", reason="measurements need scipy")

from sdx_domains.medicine.measure.anatomy import segment
from sdx_domains.medicine.phantom.render import render
from sdx_domains.medicine.phantom.scene import SEEDS, scene

SPACING_MM = (5.0, 2.5, 2.5)


@pytest.fixture(scope="session")
def drawn():
    """(phantom, anatomy) of named diseases, each drawn once."""
    kept = {}

    def one(*diseases: str, seed: int = 3, spacing_mm=SPACING_MM, contrast: bool = False):
        key = (diseases, seed, spacing_mm, contrast)
        if key not in kept:
            phantom = render(scene(SEEDS["tuning"].start + seed, diseases, contrast=contrast), spacing_mm=spacing_mm)
            kept[key] = (phantom, segment(phantom.volume))
        return kept[key]

    return one
