"""Volumes, ratios and amounts against what was drawn."""

import numpy as np
import pytest
from scipy import ndimage

from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.measure.anatomy import segment
from sdx_domains.medicine.measure.heart import heart
from sdx_domains.medicine.measure.measure import measure
from sdx_domains.medicine.phantom.truth import cardiothoracic_ratio
from sdx_domains.medicine.volume import Volume


def ml(phantom, key: str) -> float:
    place = next(n for n, label in enumerate(labels()) if label.key == key)
    z, y, x = phantom.volume.spacing_mm
    return float(((phantom.masks >> place) & 1).sum()) * z * y * x / 1000


def test_a_normal_chest_has_nothing(drawn):
    phantom, anatomy = drawn()
    measured = measure(phantom.volume, anatomy)
    assert measured.pleural_fluid_ml == (0.0, 0.0)
    assert measured.pneumothorax_ml == (0.0, 0.0)
    assert measured.metal_ml == 0.0
    assert measured.pericardial_fluid_mm == 0.0
    assert measured.emphysema_index_pct is not None
    assert measured.emphysema_index_pct < 4
    assert measured.coronary_calcium_ml == 0.0
    assert measured.arterial_calcium_ml == 0.0


@pytest.mark.parametrize("diseases", [(), ("cardiomegaly",)])
def test_the_heart_by_the_chest(drawn, diseases):
    phantom, anatomy = drawn(*diseases)
    ratio = measure(phantom.volume, anatomy).cardiothoracic_ratio
    assert ratio is not None
    assert abs(ratio - cardiothoracic_ratio(phantom.scene)) < 0.06
    assert (ratio > 0.5) == ("cardiomegaly" in diseases)


def test_fluid_on_its_side(drawn):
    phantom, anatomy = drawn("pleural_effusion")
    right, left = measure(phantom.volume, anatomy).pleural_fluid_ml or (0.0, 0.0)
    true = phantom.truth[0]
    assert (right > 0) == (true.laterality in ("right", "bilateral"))
    assert (left > 0) == (true.laterality in ("left", "bilateral"))
    assert 0.5 < (right + left) / ml(phantom, "pleural_effusion") < 1.3


def test_free_air_on_its_side(drawn):
    phantom, anatomy = drawn("pneumothorax")
    right, left = measure(phantom.volume, anatomy).pneumothorax_ml or (0.0, 0.0)
    main = right if phantom.truth[0].laterality == "right" else left
    assert main == max(right, left)
    assert 0.4 < main / ml(phantom, "pneumothorax") < 1.2


@pytest.mark.parametrize(
    ("disease", "name", "least"),
    [
        ("emphysema", "emphysema_index_pct", 5.0),
        ("pericardial_effusion", "pericardial_fluid_mm", 4.0),
        ("medical_material", "metal_ml", 0.1),
    ],
)
def test_what_is_drawn_is_measured(drawn, disease, name, least):
    phantom, anatomy = drawn(disease, seed=5)
    assert getattr(measure(phantom.volume, anatomy), name) > least


@pytest.mark.parametrize("contrast", [False, True])
def test_calcium_of_heart_and_of_aorta_are_told_apart(drawn, contrast):
    for disease, own, other in (
        ("coronary_calcification", "coronary_calcium_ml", "arterial_calcium_ml"),
        ("arterial_calcification", "arterial_calcium_ml", "coronary_calcium_ml"),
    ):
        phantom, anatomy = drawn(disease, contrast=contrast)
        measured = measure(phantom.volume, anatomy)
        assert getattr(measured, own) > 0.01
        assert getattr(measured, own) > 2 * getattr(measured, other)


def with_speck(volume: Volume, at_mm: tuple[float, float, float], peak_hu: int) -> Volume:
    """The same with 3 x 3 dense voxels at a place (LPS mm) in one slice."""
    hu = volume.hu.copy()
    row, column = (round((at_mm[1 - n] - volume.origin_lps_mm[1 - n]) / volume.spacing_mm[n + 1]) for n in (0, 1))
    hu[int(np.abs(volume.z_mm - at_mm[2]).argmin()), row - 1 : row + 2, column - 1 : column + 2] = peak_hu
    return Volume(hu, volume.spacing_mm, volume.origin_lps_mm, volume.z_mm)


def test_the_bright_rim_of_an_airway_is_no_calcium_and_calcium_beside_it_is(drawn):
    phantom, anatomy = drawn()
    grid = anatomy.grid
    levels = np.flatnonzero(anatomy.airways.any(axis=(1, 2)))
    level = levels[len(levels) // 3]
    x = grid.origin_lps_mm[0] + np.nonzero(anatomy.airways[level])[1].max() * grid.spacing_mm[2] + 8.0
    y = grid.origin_lps_mm[1] + np.nonzero(anatomy.airways[level])[0].mean() * grid.spacing_mm[1]
    for peak_hu, found in ((220, False), (600, True)):
        volume = with_speck(phantom.volume, (float(x), float(y), float(grid.z_mm[level])), peak_hu)
        anatomy = segment(volume)
        assert (measure(volume, anatomy).arterial_calcium_ml > 0.01) == found


def test_calcium_far_back_on_the_heart_is_coronary_on_the_right_alone(drawn):
    """On the left there lies the descending aorta."""
    phantom, anatomy = drawn("cardiomegaly")
    grid, of = anatomy.grid, heart(anatomy)
    x = grid.origin_lps_mm[0] + np.arange(grid.hu.shape[2]) * grid.spacing_mm[2] - anatomy.midline_x_mm
    before = anatomy.spine_y_mm - grid.origin_lps_mm[1] - np.arange(grid.hu.shape[1]) * grid.spacing_mm[1]
    room = anatomy.mediastinum[of.first : of.last] & ((before > 15) & (before < 35))[None, :, None]
    for side, key in ((x < -20, "coronary_calcium_ml"), (x > 5, "arterial_calcium_ml")):
        deep = ndimage.distance_transform_edt(room & side[None, None, :])
        level, row, column = np.unravel_index(int(deep.argmax()), deep.shape)
        place = (anatomy.midline_x_mm + x[column], anatomy.spine_y_mm - before[row], grid.z_mm[of.first + level])
        volume = with_speck(phantom.volume, place, 600)
        measured = measure(volume, segment(volume))
        found = {name: getattr(measured, name) > 0.01 for name in ("coronary_calcium_ml", "arterial_calcium_ml")}
        assert found == {name: name == key for name in found}
