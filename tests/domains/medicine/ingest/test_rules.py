"""The ingest rules, one by one: what is refused, what is put right, and what is said of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chests import MARK, SPACING, STEP, chest, datasets, pseudonym, write, written
from pydicom.dataset import FileDataset
from scipy import ndimage

from sdx_domains.medicine.ingest.facts import age_of
from sdx_domains.medicine.ingest.read import read_study
from sdx_domains.medicine.ingest.rules import Refused, contrast_of, kernel_of, manufacturer_of
from sdx_domains.medicine.volume import PADDING_HU

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"Modality": "PT"}, "modality", "Modality is PT"),
    ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]}, "image type", "not ORIGINAL"),
    ({"ImageType": ["ORIGINAL", "SECONDARY", "AXIAL"]}, "image type", "not PRIMARY"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "image type", "LOCALIZER"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "CSAPARALLEL"]}, "image type", "not AXIAL"),
    ({"LossyImageCompression": "01"}, "hounsfield", "LossyImageCompression"),
    ({"RescaleType": "MGML"}, "hounsfield", "RescaleType"),
    ({"RescaleIntercept": None}, "hounsfield", "RescaleIntercept"),
    ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "pixels", "grey value"),
    ({"BitsStored": 17, "HighBit": 16}, "pixels", "BitsStored 17"),
    ({"PixelSpacing": [0, 0]}, "spacing", "PixelSpacing"),
    ({"ImagePositionPatient": None}, "spacing", "ImagePositionPatient"),
    ({"ImagePositionPatient": [0, 0, 5]}, "size", "fewer than 8"),
    ({"ImageOrientationPatient": None}, "orientation", "ImageOrientationPatient"),
    ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "orientation", "right angles"),
    ({"ImageOrientationPatient": [0.9848, 0.1736, 0, -0.1736, 0.9848, 0]}, "orientation", "10.0 degrees off"),
    ({"GantryDetectorTilt": 12}, "tilt", "GantryDetectorTilt is 12.0"),
]


@pytest.mark.parametrize(("tags", "rule", "words"), REFUSED)
def test_refused_with_the_tag_and_its_value(tags: dict[str, Any], rule: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=words) as caught:
        read_study(written(tmp_path, **tags), pseudonym)
    assert caught.value.rule == rule


def test_a_coronal_reformat_is_refused(tmp_path: Path) -> None:
    def coronal(index: int, made: FileDataset) -> FileDataset:
        made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 0, -1], [-168, index * STEP, 100]
        return made

    with pytest.raises(Refused, match="90.0 degrees off the axial plane") as caught:
        read_study(write(tmp_path, datasets(chest()), coronal), pseudonym)
    assert caught.value.rule == "orientation"


def test_small_turns_and_tilts_that_are_told_are_accepted(tmp_path: Path) -> None:
    turned = read_study(written(tmp_path, ImageOrientationPatient=[0.99863, 0.05234, 0, -0.05234, 0.99863, 0]), pseudonym)
    assert turned.facts.corrections == ("The planes are 3.0 degrees off axial and are taken as axial.",)


def test_order_comes_from_positions_alone(tmp_path: Path) -> None:
    """InstanceNumber runs the other way in chests.py and file names run wild; here they say nothing at all."""
    series = read_study(written(tmp_path, InstanceNumber=1, SliceLocation=7), pseudonym)
    assert np.array_equal(series.volume.hu, chest())
    assert list(series.volume.z_mm) == [index * STEP for index in range(40)]


def test_missing_slices_are_recorded_where_they_should_be(tmp_path: Path) -> None:
    series = read_study(write(tmp_path, datasets(chest()), lambda index, each: None if index in (11, 20, 21) else each), pseudonym)
    assert series.facts.warnings[0] == "3 slices are missing, at z = 66.0, 120.0, 126.0 mm: what lies there was not seen."
    assert series.volume.spacing_mm[0] == STEP
    assert series.volume.lps_mm((11, 0, 0))[2] == 72.0
    assert len(series.sop_uids) == len(series.volume.hu) == 37


def test_a_fragment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="14 of 40 slices are missing") as caught:
        read_study(write(tmp_path, datasets(chest()), lambda index, each: None if 12 <= index < 26 else each), pseudonym)
    assert caught.value.rule == "missing slices"


def test_uneven_spacing_is_told(tmp_path: Path) -> None:
    def moved(index: int, made: FileDataset) -> FileDataset:
        made.ImagePositionPatient = [-168, -168, index * STEP + (0.5 if index % 3 else 0.0)]
        return made

    series = read_study(write(tmp_path, datasets(chest()), moved), pseudonym)
    assert "Slices are unevenly spaced: 5.50 to 6.50 mm." in series.facts.warnings


def test_a_file_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    made = datasets(chest())
    series = read_study(write(tmp_path, [*made, *made[5:7]]), pseudonym)
    assert series.facts.slices == 40
    assert series.facts.corrections == ("2 slices were there twice, the second is not used: z = 30.0, 36.0 mm.",)


def test_acquisitions_mixed_in_one_series_are_told_apart(tmp_path: Path) -> None:
    first, second = datasets(chest()), datasets(chest(), 9)
    for each in second:
        each.SeriesInstanceUID, each.SeriesNumber, each.AcquisitionNumber = first[0].SeriesInstanceUID, 1, 2
        each.RescaleIntercept = -1000
    series = read_study(write(tmp_path, [x for pair in zip(first, second, strict=True) for x in pair]), pseudonym)
    assert np.array_equal(series.volume.hu, chest())
    assert series.facts.corrections == (
        "Read: S1 series 1 (40 slices, 6.0 mm, soft kernel). Not read: S2 series 1 (40 slices, 6.0 mm, soft kernel).",
    )


def test_a_tilted_gantry_is_put_straight(tmp_path: Path) -> None:
    """Planes tilted by 15 degrees, stacked along the table, sampled from the chest: the mark comes back to where it is."""
    truth, angle = chest().astype(np.float32), np.radians(15.0)
    made = datasets(chest())
    row = np.arange(96, dtype=np.float64)[:, None]
    column = np.broadcast_to(np.arange(96, dtype=np.float64), (96, 96))
    tops = 48 * SPACING * np.sin(angle)
    for index, each in enumerate(made):
        z = index * STEP + tops
        at = [np.broadcast_to((z - row * SPACING * np.sin(angle)) / STEP, (96, 96)), np.broadcast_to(row * np.cos(angle), (96, 96)), column]
        plane = ndimage.map_coordinates(truth, at, order=1, cval=-1000)
        each.PixelData = np.rint(plane + 1024).astype("<u2").tobytes()
        each.ImageOrientationPatient = [1, 0, 0, 0, float(np.cos(angle)), -float(np.sin(angle))]
        each.ImagePositionPatient = [-168, -168, z]
        each.GantryDetectorTilt = 15
    series = read_study(write(tmp_path, made), pseudonym)
    assert series.facts.corrections == ("The gantry was tilted by 15.0 degrees: rows were interpolated along the table to axial slices.",)
    volume = series.volume
    assert volume.spacing_mm == pytest.approx((STEP, SPACING * np.cos(angle), SPACING))
    for z_mm in (90.0, 130.0, 170.0):
        for y, x in ((46, 28), (46, 69), (74, 48), (20, 48), (47, 8)):
            point = (-168 + x * SPACING, -168 + y * SPACING, z_mm)
            expected = truth[round(z_mm / STEP), y, x]
            assert volume.hu[volume.index(point)] == pytest.approx(expected, abs=60), point


def test_slices_that_drift_sideways_are_moved_back(tmp_path: Path) -> None:
    made = datasets(chest())
    for index, each in enumerate(made):
        shift = (index - 20) // 2
        plane = np.full((96, 96), -1000, dtype=np.int16)
        low, high = max(0, -shift), 96 - max(0, shift)
        plane[low:high] = chest()[index][low + shift : high + shift]
        each.PixelData = (plane.astype(np.int32) + 1024).astype("<u2").tobytes()
        each.ImagePositionPatient = [-168, -168 + shift * SPACING, index * STEP]
    series = read_study(write(tmp_path, made), pseudonym)
    assert series.facts.corrections[0].startswith("Slices drift sideways by up to 35.0 mm")
    x, y, z = MARK[2] * SPACING - 168, MARK[1] * SPACING - 168, MARK[0] * STEP
    assert series.volume.hu[series.volume.index((x, y, z))] > 0
    assert np.array_equal(series.volume.hu[:, 25:70], chest()[:, 25:70])


def test_padding_fractions_and_signs(tmp_path: Path) -> None:
    """Signed values with a padding value that the vendor wrote as unsigned; a slope of a half; twelve bits with dirt above them."""

    def signed(index: int, made: FileDataset) -> FileDataset:
        plane = chest()[index].copy()
        plane[:5] = -2000
        made.PixelRepresentation, made.RescaleIntercept = 1, 0
        made.PixelData, made.PixelPaddingValue = plane.astype("<i2").tobytes(), -2000
        return made

    series = read_study(write(tmp_path / "signed", datasets(chest()), signed), pseudonym)
    assert np.all(series.volume.hu[:, :5] == PADDING_HU) and np.array_equal(series.volume.hu[:, 5:], chest()[:, 5:])
    assert "Pixels marked as padding (PixelPaddingValue) were set to -1024 HU." in series.facts.corrections

    def dirty(index: int, made: FileDataset) -> FileDataset:
        stored = (chest()[index].astype(np.int32) + 1024) | 0xF000
        made.BitsStored, made.HighBit, made.PixelData = 12, 11, stored.astype("<u2").tobytes()
        return made

    assert np.array_equal(read_study(write(tmp_path / "dirty", datasets(chest()), dirty), pseudonym).volume.hu, chest())

    half = read_study(written(tmp_path / "half", RescaleSlope=0.5, RescaleIntercept=-1024.0), pseudonym).volume.hu
    assert np.array_equal(half, np.rint((chest().astype(np.float64) + 1024) / 2 - 1024))


def test_cut_lungs_are_told(tmp_path: Path) -> None:
    for name, kept, said in (("top", slice(0, 28), "lungs cut at top"), ("feet", slice(10, 40), "lungs cut at bottom")):
        series = read_study(write(tmp_path / name, datasets(chest()[kept])), pseudonym)
        assert series.facts.coverage == said


def test_no_lungs_no_chest(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="Not a chest: lung fills at least 10% of the body over 0 mm only") as caught:
        read_study(write(tmp_path, datasets(chest(lungs=False))), pseudonym)
    assert caught.value.rule == "body part"


def test_words_of_vendors() -> None:
    kernels = {"B70f": "lung", "B40f": "soft", "Br38f": "soft", "Bl57": "lung", "I31f": "soft", "LUNG": "lung", "STANDARD": "soft"}
    kernels |= {"BONEPLUS": "lung", "FC51": "lung", "FC08": "soft", "FC13": "soft", "L": "lung", "B": "soft", "YC": "lung", "": "unknown"}
    kernels |= {"B40f; DROP TABLE": "unknown"}
    assert {text: kernel_of(text) for text in kernels} == kernels
    assert manufacturer_of("GE MEDICAL SYSTEMS") == "GE" and manufacturer_of("GEORGE") == "" and manufacturer_of("Canon Medical") == "Canon"
    assert [contrast_of(agent) for agent in (None, "", "NONE", "Iomeron 350")] == [None, None, False, True]


def test_ages() -> None:
    assert age_of("063Y", None, None) == 63 and age_of("095Y", None, None) == 90 and age_of("018M", None, None) == 1
    assert age_of("", "19600601", "20240531") == 63 and age_of(None, "19600601", "20240601") == 64
    assert age_of("999Y", None, None) is None and age_of("x", "yesterday", "") is None and age_of(None, "20300101", "20240101") is None
