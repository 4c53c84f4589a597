"""Volumes: every label is drawn where its truth says, as dense as it should be, alike on every grid."""

import numpy as np
import pytest

from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.phantom.render import Phantom, render
from sdx_domains.medicine.phantom.scene import SEEDS, scene
from sdx_domains.medicine.phantom.shapes import bit

QUICK = (6.0, 4.0, 4.0)
SEED = SEEDS["train"].start + 500
KEYS = [label.key for label in labels()]
# Median HU over a mask on a coarse grid, in a patient without contrast; thin things are mixed with what lies beside them.
HU = {
    "pleural_effusion": (-20, 30),
    "pericardial_effusion": (-30, 30),
    "pneumothorax": (-1010, -930),
    "emphysema": (-1000, -815),
    "consolidation": (-260, 60),
    "opacity": (-740, -350),
    "mass": (-250, 90),
    "cardiomegaly": (25, 60),
    "mosaic": (-800, -600),
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, Phantom]:
    """One patient for each label alone."""
    return {key: render(scene(SEED + place, [key], contrast=False), QUICK) for place, key in enumerate(KEYS)}


def masked(phantom: Phantom, key: str) -> np.ndarray:
    assert phantom.masks is not None
    return (phantom.masks >> np.uint32(bit(key))) & 1 == 1


@pytest.mark.parametrize("key", KEYS)
def test_truth_names_the_label_where_its_mask_lies(drawn: dict[str, Phantom], key: str) -> None:
    phantom = drawn[key]
    assert [each.label for each in phantom.truth] == [key]
    finding, mask = phantom.truth[0], masked(phantom, key)
    shown = np.flatnonzero(mask.any(axis=(1, 2)))
    assert (finding.slices.first, finding.slices.last) == (shown[0], shown[-1])
    assert mask[finding.slices.key].sum() == mask.sum(axis=(1, 2)).max()
    assert finding.slices.key_uid == phantom.facts.slice_uids[finding.slices.key]
    where = np.argwhere(mask)
    assert finding.centroid_lps_mm == pytest.approx(phantom.volume.lps_mm(tuple(where.mean(axis=0))), abs=0.2)
    if finding.laterality in ("right", "left"):
        columns = where[:, 2] * phantom.volume.spacing_mm[2] + phantom.volume.origin_lps_mm[0]
        assert ((columns < 0) if finding.laterality == "right" else (columns > 0)).mean() > 0.9
    for other in KEYS:
        assert other == key or not masked(phantom, other).any()


@pytest.mark.parametrize("key", sorted(HU))
def test_density_is_what_it_should_be(drawn: dict[str, Phantom], key: str) -> None:
    low, high = HU[key]
    assert low < float(np.median(drawn[key].volume.hu[masked(drawn[key], key)])) < high


def test_a_normal_chest_has_no_finding_and_lies_the_right_way_round() -> None:
    phantom = render(scene(SEED, [], contrast=False), QUICK)
    assert phantom.truth == () and phantom.masks is not None and not phantom.masks.any()
    hu, body = phantom.volume.hu.astype(float), phantom.scene.body

    def mean(x: float, y: float, z: float) -> float:
        k, j, i = phantom.volume.index((x + body.shift_x, y + body.shift_y, z))
        return float(hu[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2].mean())

    liver = mean(-0.5 * body.half_width, -10, body.dome_right_z - 25)
    assert abs(liver - body.liver_hu) < 12
    assert mean(0, body.spine_y, 0) > 90
    assert mean(-0.55 * body.half_width, 0, 20) < -750 and mean(0.55 * body.half_width, 0, 20) < -750
    assert mean(body.heart_x, body.heart_y, body.heart_z) == pytest.approx(body.blood_hu, abs=15)


def test_coarse_and_fine_show_the_same_patient() -> None:
    patient = scene(SEED + 7, ["mass", "pleural_effusion"])
    coarse, fine = render(patient, QUICK), render(patient, (3.0, 2.0, 2.0))
    for one, other in zip(coarse.truth, fine.truth, strict=True):
        assert one.label == other.label and one.laterality == other.laterality and one.size == other.size
        assert np.linalg.norm(np.subtract(one.centroid_lps_mm, other.centroid_lps_mm)) < 5
    voxel = [float(np.prod(each.volume.spacing_mm)) for each in (coarse, fine)]
    assert masked(coarse, "mass").sum() * voxel[0] == pytest.approx(masked(fine, "mass").sum() * voxel[1], rel=0.12)


def test_size_of_a_nodule_is_that_of_what_is_drawn() -> None:
    patient = scene(SEED + 11, ["nodule"], contrast=False)
    own = patient.lesions[0].core
    phantom = render(patient, (1.0, 1.0, 1.0), z_range_mm=(own[3] - 25, own[3] + 25), noise_factor=0.0)
    mask = masked(phantom, "nodule")
    size = phantom.truth[0].size
    assert size is not None
    assert mask.sum() / 1000 == pytest.approx(size.volume_ml, rel=0.25)
    wide = max(np.ptp(np.argwhere(plane), axis=0).max() + 1 for plane in mask if plane.any())
    assert wide == pytest.approx(size.long_mm, abs=3.0)


def test_same_seed_gives_the_same_voxels_however_they_are_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = scene(SEED + 3)
    one = render(patient, (8.0, 5.0, 5.0), noise_factor=0.0)
    monkeypatch.setattr("sdx_domains.medicine.phantom.render.CHUNK_VOXELS", 40_000)
    assert np.array_equal(one.volume.hu, render(patient, (8.0, 5.0, 5.0), noise_factor=0.0).volume.hu)


def test_slices_thicker_than_their_distance_are_blurred_along_the_table() -> None:
    patient = scene(SEED + 5, [])
    thin, thick = (render(patient, (4.0, 5.0, 5.0), thickness_mm=each, noise_factor=0.0).volume.hu.astype(float) for each in (4.0, 12.0))
    assert np.abs(np.diff(thick, axis=0)).mean() < 0.9 * np.abs(np.diff(thin, axis=0)).mean()


def test_a_grid_that_shows_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no volume can be drawn"):
        render(scene(SEED), (0.0, 3.0, 3.0))


def test_part_of_a_chest_says_what_is_cut() -> None:
    patient = scene(SEED + 9, [])
    middle = render(patient, QUICK, z_range_mm=(-60.0, 40.0))
    assert middle.facts.coverage == "lungs cut at both ends"
    assert render(patient, QUICK).facts.coverage == "complete"
