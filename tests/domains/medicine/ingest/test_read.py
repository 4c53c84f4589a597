"""The chest of chests.py in, the same voxels and honest facts out; and the real series, where the data are there."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from chests import MARK, PHI, SPACING, STEP, chest, datasets, pseudonym, write, written

from sdx_domains.medicine.ingest.read import list_series, read_study
from sdx_domains.medicine.ingest.rules import Refused

SHARED = Path(os.environ.get("SDX_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data")) / "ct"
here = pytest.mark.skipif(not SHARED.is_dir(), reason="no shared CT data")


def test_folder_gives_the_same_voxels_and_honest_facts(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    series = read_study(written(tmp_path), pseudonym, lambda done, total: seen.append((done, total)))
    facts = series.facts
    assert np.array_equal(series.volume.hu, chest())
    assert series.volume.lps_mm((0, 0, 0)) == (-168.0, -168.0, 0.0)
    assert facts.spacing_mm == (STEP, SPACING, SPACING)
    assert (facts.slices, facts.thickness_mm, facts.kernel, facts.contrast) == (40, 3.0, "soft", None)
    assert (facts.age_years, facts.sex, facts.kvp, facts.manufacturer, facts.coverage) == (63, "M", 120.0, "Siemens", "complete")
    assert facts.study_uid == pseudonym("1.2.826.0.2")
    assert facts.slice_uids == tuple(pseudonym(uid) for uid in series.sop_uids)
    assert series.sop_uids[0] == "1.2.826.0.1.1.1"
    assert facts.corrections == ()
    assert [warning.split("(")[0] for warning in facts.warnings] == [
        "Thick slices ",
        "Slices of 3.0 mm lie 6.0 mm apart: what lies between was not seen.",
    ]
    assert seen[-1] == (40, 40)
    assert series.header.PatientName == PHI[0]
    assert "PixelData" not in series.header


def test_the_patients_right_is_at_small_columns_whatever_way_the_patient_lies(tmp_path: Path) -> None:
    """Supine, prone, feet first, columns before rows: the mark stays in the patient's right lung, in front."""
    ways = {"prone": (-1, -1, False), "mirrored": (-1, 1, False), "upside down": (1, -1, False), "transposed": (1, 1, True)}
    for name, (x, y, transpose) in ways.items():
        made = datasets(chest())
        for index, each in enumerate(made):
            plane = chest()[index][::y, ::x]
            stored = plane.T if transpose else plane
            each.PixelData = (stored.astype(np.int32) + 1024).astype("<u2").tobytes()
            row, column = [x, 0, 0], [0, y, 0]
            each.ImageOrientationPatient = [*column, *row] if transpose else [*row, *column]
            far = 95 * SPACING
            each.ImagePositionPatient = [-168 + (far if x < 0 else 0), -168 + (far if y < 0 else 0), index * STEP]
        series = read_study(write(tmp_path / name, made), pseudonym)
        assert np.array_equal(series.volume.hu, chest()), name
        assert series.volume.origin_lps_mm == pytest.approx((-168, -168, 0)), name
        x_mm, y_mm, _ = series.volume.lps_mm(MARK)
        assert x_mm < 0 and y_mm < 0
        assert "turned" in series.facts.corrections[0]


def test_zip_gives_what_the_folder_gives_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    folder = written(tmp_path / "study")
    packed = tmp_path / "study.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    series = read_study(packed, pseudonym)
    assert np.array_equal(series.volume.hu, chest())
    assert series.facts == read_study(folder, pseudonym).facts
    assert not list(scratch.iterdir())


def test_of_several_series_the_best_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    sharp, thick, scout = datasets(chest(), 2), datasets(chest()[::2], 3, 2 * STEP), datasets(chest()[:1], 4)
    for each in sharp:
        each.ConvolutionKernel = ["B70f", "3"]
    scout[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    folder = write(tmp_path, [*thick, *sharp, *scout, *datasets(chest(), 5)])
    soft = read_study(folder, pseudonym)
    assert soft.facts.series_uid == pseudonym("1.2.826.0.3.5")
    assert " ".join(soft.facts.corrections) == (
        "Read: S4 series 5 (40 slices, 6.0 mm, soft kernel). Not read: S1 series 2 (40 slices, 6.0 mm, lung kernel); "
        "S2 series 3 (20 slices, 12.0 mm, soft kernel); S3 series 4 (1 slices, soft kernel)."
    )
    lung = read_study(folder, pseudonym, kernel="lung")
    assert lung.facts.series_uid == pseudonym("1.2.826.0.3.2")
    assert lung.facts.kernel == "lung" and any("Sharp kernel" in each for each in lung.facts.warnings)
    assert read_study(folder, pseudonym, series="S2").facts.slices == 20
    with pytest.raises(Refused, match="LOCALIZER"):
        read_study(folder, pseudonym, series="S3")
    with pytest.raises(Refused, match="there are S1, S2, S3, S4"):
        read_study(folder, pseudonym, series="S9")
    listed = list_series(folder)
    assert [(each.key, each.use, each.best_for) for each in listed] == [
        ("S1", "readable", ("lungs",)),
        ("S2", "readable", ()),
        ("S3", "refused", ()),
        ("S4", "read", ("mediastinum",)),
    ]
    assert listed[2].rule == "image type"


def test_a_series_that_shows_no_chest_gives_way_to_one_that_does(tmp_path: Path) -> None:
    belly = datasets(np.concatenate([chest(lungs=False)] * 2), 1)
    series = read_study(write(tmp_path, [*belly, *datasets(chest(), 2)]), pseudonym)
    assert series.facts.series_uid == pseudonym("1.2.826.0.3.2")


@here
def test_real_chest_has_the_units_of_simpleitk() -> None:
    itk = pytest.importorskip("SimpleITK")
    series = read_study(SHARED / "thorax_siemens", pseudonym)
    reader = itk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(SHARED / "thorax_siemens")))
    image = itk.DICOMOrient(reader.Execute(), "LPS")
    assert int(np.abs(itk.GetArrayFromImage(image).astype(np.int32) - series.volume.hu).max()) == 0
    assert image.GetOrigin() == pytest.approx(series.volume.origin_lps_mm)
    assert image.GetSpacing()[::-1] == pytest.approx(series.volume.spacing_mm)
    facts = series.facts
    assert (facts.slices, facts.age_years, facts.sex, facts.kernel, facts.thickness_mm) == (30, 53, "F", "soft", 8.0)
    assert facts.coverage == "lungs cut at bottom"
    assert facts.warnings[0].startswith("Thick slices (8.0 mm)")


@here
def test_real_abdomen_is_refused() -> None:
    with pytest.raises(Refused, match="Not a chest: lung fills") as caught:
        read_study(SHARED / "abdomen_j2k", pseudonym)
    assert caught.value.rule == "body part"
