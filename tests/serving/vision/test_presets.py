"""Golden arrays: what each public model is given of one small volume. Single pixels are worked out by hand, the rest is a hash."""

import hashlib

import numpy as np
import pytest

from sdx_serving.vision.presets import LicenceError, chosen_slices, prepare, preset, presets
from sdx_serving.vision.resample import cropped_or_padded, resampled

SPACING = (3.0, 1.5, 1.5)


def ramp() -> np.ndarray:
    """(12, 6, 8): no two axes alike, no symmetry, air to metal."""
    index = np.arange(12 * 6 * 8).reshape(12, 6, 8)
    return (index * 37 % 4000 - 1024).astype(np.int16)


def sha(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def test_all_presets_of_the_table_are_here() -> None:
    assert set(presets()) == {"medgemma15", "generic2d", "montage", "m3d", "ctclip", "radfm", "merlin"}


def test_medgemma_windows_by_hand() -> None:
    hu = np.array([[[-1024, 0], [40, 1024]]], np.int16)
    picture = prepare(preset("medgemma15"), hu, SPACING).images[0]
    # 255 * (0 + 1024) / 2048 = 127.5 -> 128 (even), 255 * 135 / 350 = 98.36; 40 HU: 132.48, 127.5 -> 128, 127.5 -> 128
    assert picture.tolist() == [[[0, 0, 0], [128, 98, 0]], [[132, 128, 128], [255, 255, 255]]]


def test_medgemma_takes_85_slices_to_the_last_and_captions_each() -> None:
    hu = np.zeros((300, 2, 2), np.int16)
    prepared = prepare(preset("medgemma15"), hu, SPACING)
    assert len(prepared.images) == len(prepared.slice_ids) == 85
    assert prepared.slice_ids[:2] == (4, 7) and prepared.slice_ids[-1] == 299
    assert prepared.layout[1:3] == (0, "SLICE 1") and prepared.layout[-2:] == (84, "SLICE 85")
    assert list(prepared.slice_ids) == sorted(set(prepared.slice_ids))


def test_fewer_slices_than_wanted_are_shown_once_each() -> None:
    assert chosen_slices(3, 32, "middles") == (0, 1, 2)
    assert chosen_slices(3, 85, "ends") == (0, 1, 2)
    assert chosen_slices(64, 32, "middles")[:3] == (1, 3, 5)


def test_generic_slices_say_where_they_lie() -> None:
    prepared = prepare(preset("generic2d"), ramp(), SPACING, np.linspace(100, 133, 12))
    assert prepared.slice_ids == tuple(range(12)) and prepared.images[0].shape == (448, 448, 3)
    assert prepared.layout[2] == "SLICE 1/12 z=100mm" and prepared.layout[-1] == "SLICE 12/12 z=133mm"


def test_a_montage_is_one_picture_in_rows() -> None:
    prepared = prepare(preset("montage"), np.repeat(np.arange(-1000, 200, 100), 16).astype(np.int16).reshape(12, 4, 4), SPACING)
    whole = prepared.images[0]
    assert whole.shape == (6 * 224, 6 * 224, 3) and len(prepared.images) == 1 and prepared.layout[1] == 0
    # Tile 8 of 36: second row, third column, slice 8 at -200 HU: lung window 255 * 1150 / 1500 = 195.5 -> 196 (even), bone 42.5 -> 42
    assert whole[300, 2 * 224 + 100].tolist() == [196, 0, 42]
    assert not whole[2 * 224 :].any()


def test_ctclip_is_padded_with_air_about_the_middle() -> None:
    tensor = prepare(preset("ctclip"), np.full((4, 6, 8), 500, np.int16), SPACING).tensor
    assert tensor is not None and tensor.shape == (1, 240, 480, 480)
    inside = tensor[0, 116:124, 234:246, 232:248]
    assert inside.shape == (8, 12, 16) and (inside == 0.5).all()  # twice as fine along each axis
    assert (tensor == -1).sum() == tensor.size - inside.size


def test_merlin_is_turned_to_ras() -> None:
    hu = np.full((4, 6, 8), -1000, np.int16)
    hu[3, 0, 0] = 1000  # at the head, in front, on the patient's right
    tensor = prepare(preset("merlin"), hu, SPACING).tensor
    assert tensor is not None and tensor.shape == (1, 224, 224, 160)
    (x,), (y,), (z,) = (axis for axis in np.nonzero(tensor[0] == 1.0))
    assert (x, y, z) == (108 + 7, 109 + 5, 78 + 3)  # right, anterior and superior are the far ends


def test_radfm_takes_a_multiple_of_four_slices() -> None:
    tensor = prepare(preset("radfm"), ramp()[:11], SPACING).tensor
    assert tensor is not None and tensor.shape == (3, 256, 256, 8)
    assert (tensor[0] == tensor[2]).all() and 0 <= tensor.min() < 0.2 and tensor.max() == 1


def test_m3d_goes_from_least_to_most() -> None:
    tensor = prepare(preset("m3d"), ramp(), SPACING).tensor
    assert tensor is not None and tensor.shape == (1, 32, 256, 256)
    assert tensor.min() == 0.0 and tensor.max() == 1.0
    flat = prepare(preset("m3d"), np.full((2, 2, 2), 7, np.int16), SPACING).tensor
    assert flat is not None and not flat.any()


GOLDEN = {
    "ctclip": "a70dadc63a212db9",
    "generic2d": "1dd696d198ef1dfb",
    "m3d": "0d9718c609a7094d",
    "medgemma15": "a3e6976f699a4d17",
    "merlin": "4b586e7998f5885d",
    "montage": "034c7ad3c115e433",
    "radfm": "d88d0544901fa08e",
}
"""Over float32 rounded to four places, and uint8."""


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_whole_array_is_the_golden_one(name: str) -> None:
    prepared = prepare(preset(name), ramp(), SPACING)
    told = prepared.tensor.round(4) if prepared.tensor is not None else np.stack(prepared.images)
    assert sha(told) == GOLDEN[name]


def test_resampling_keeps_a_ramp_and_its_middle() -> None:
    line = np.arange(8, dtype=np.float32)
    assert resampled(line, (4,)).tolist() == [0.5, 2.5, 4.5, 6.5]
    assert resampled(line, (16,)).mean() == pytest.approx(line.mean())
    assert cropped_or_padded(line, (4,), 0).tolist() == [2, 3, 4, 5]
    assert cropped_or_padded(line[:3], (6,), -1).tolist() == [-1, 0, 1, 2, -1, -1]


def test_production_wants_the_licence_to_be_read() -> None:
    assert preset("generic2d", production=True).name == "generic2d"
    for name, why in (("ctclip", "research only"), ("medgemma15", "terms of their own")):
        with pytest.raises(LicenceError, match=why):
            preset(name, production=True)
        assert preset(name).name == preset(name, production=True, licence_accepted=True).name == name
    with pytest.raises(KeyError, match="known: medgemma15"):
        preset("gpt")


def test_what_is_no_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="a volume is"):
        prepare(preset("m3d"), np.zeros((4, 4), np.int16), SPACING)
