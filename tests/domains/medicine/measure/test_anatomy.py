"""Lungs, sides, thirds and the room inside the ribs, on drawn patients and, where it is there, a real one."""

import os
from pathlib import Path

import numpy as np
import pytest

from sdx_domains.medicine.measure.anatomy import LEFT, RIGHT, segment
from sdx_domains.medicine.volume import Volume

SHARED = Path(os.environ.get("SDX_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data")) / "ct"
WHOLE_LUNG = (1200, 4500)
"""ml of one drawn lung."""
CENTRUM_FRONT_MM = 16
"""From the middle of a drawn vertebra."""


def test_both_lungs_on_their_sides(drawn):
    phantom, anatomy = drawn()
    for at, side in enumerate((RIGHT, LEFT)):
        own = anatomy.lungs == side
        x = anatomy.grid.origin_lps_mm[0] + np.nonzero(own)[2] * anatomy.grid.spacing_mm[2]
        assert WHOLE_LUNG[0] < own.sum() * anatomy.grid.cell_ml < WHOLE_LUNG[1]
        assert (np.mean(x) < 0) == (side == RIGHT)
        assert abs(anatomy.heights_mm[at][0] - phantom.scene.extents[at][0]) < 35  # the recess beside the diaphragm thins out
        assert abs(anatomy.heights_mm[at][1] - phantom.scene.extents[at][1]) < 16
    assert anatomy.complete
    assert 5 < anatomy.airways.sum() * anatomy.grid.cell_ml < 90


def test_a_mirrored_patient_swaps_sides(drawn):
    phantom, _ = drawn("pleural_effusion")
    volume = phantom.volume
    mirrored = segment(Volume(np.ascontiguousarray(volume.hu[:, :, ::-1]), volume.spacing_mm, volume.origin_lps_mm, volume.z_mm))
    straight = segment(volume)
    right, left = ((straight.lungs == side).sum() for side in (RIGHT, LEFT))
    assert abs(int((mirrored.lungs == LEFT).sum()) - int(right)) < 0.03 * right
    assert abs(int((mirrored.lungs == RIGHT).sum()) - int(left)) < 0.03 * left


def test_height_and_lobe(drawn):
    phantom, anatomy = drawn()
    low, high = phantom.scene.extents[0][:2]
    for share in (0.15, 0.5, 0.85):
        assert anatomy.height((-70.0, 0.0, low + share * (high - low))) == pytest.approx(share, abs=0.1)
    assert anatomy.lobe((-70.0, -40.0, low + 0.9 * (high - low))) == "RUL"
    assert anatomy.lobe((-70.0, -70.0, low + 0.35 * (high - low))) == "RML"
    assert anatomy.lobe((-70.0, 70.0, low + 0.3 * (high - low))) == "RLL"
    assert anatomy.lobe((70.0, 60.0, low + 0.3 * (high - low))) == "LLL"
    assert anatomy.lobe((70.0, -50.0, low + 0.8 * (high - low))) == "LUL"


def test_the_ribs_hold_what_is_opaque(drawn):
    """Fluid that no lung outlines lies inside the ribs; the table and the arms do not."""
    phantom, anatomy = drawn("pleural_effusion")
    grid = anatomy.grid
    fluid = phantom.masks & (1 << 12) != 0
    reduced = fluid[grid.steps[0] // 2 :: grid.steps[0], grid.steps[1] // 2 :: grid.steps[1], grid.steps[2] // 2 :: grid.steps[2]]
    shape = tuple(min(a, b) for a, b in zip(reduced.shape, anatomy.inside.shape, strict=True))
    own, inside = reduced[: shape[0], : shape[1], : shape[2]], anatomy.inside[: shape[0], : shape[1], : shape[2]]
    assert inside[own].mean() > 0.85
    assert anatomy.inside.sum() < 0.85 * anatomy.body.sum()


@pytest.mark.parametrize("seed", [3, 4, 11, 38])
@pytest.mark.parametrize("contrast", [False, True])
def test_the_front_of_the_spine_is_found_whether_or_not_blood_is_as_dense(drawn, seed, contrast):
    phantom, anatomy = drawn(seed=seed, contrast=contrast)
    assert anatomy.spine_y_mm == pytest.approx(phantom.scene.body.spine_y - CENTRUM_FRONT_MM, abs=16)


def test_without_a_chest_nothing_is_claimed():
    z = np.arange(10, dtype=np.float64) * 3.0
    for hu in (-1000, 40):
        anatomy = segment(Volume(np.full((10, 60, 60), hu, np.int16), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0), z))
        assert not anatomy.complete
        assert not anatomy.lungs.any()


@pytest.mark.skipif(not (SHARED / "thorax_siemens").is_dir(), reason="the shared CT series are not here")
def test_a_real_chest():
    """8 mm slices, table, a mass at the right hilum: lungs of both sides, the right one smaller, the mass on the right."""
    pytest.importorskip("pydicom")
    from sdx_domains.medicine.ingest.read import read_study

    series = read_study(SHARED / "thorax_siemens", lambda uid: "2.25.1")
    anatomy = segment(series.volume)
    right, left = ((anatomy.lungs == side).sum() * anatomy.grid.cell_ml for side in (RIGHT, LEFT))
    assert 900 < right < left < 1800
    mass = series.volume.lps_mm((13.0, 300.0, 171.0))
    assert anatomy.side(mass) == "right"
    assert -20 < anatomy.midline_x_mm < 10
