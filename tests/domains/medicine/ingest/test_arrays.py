"""NIfTI, MHA and NPZ: the same volume out of each, whichever way its axes run; what the file does not say is warned of."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from chests import MARK, SPACING, STEP, chest, pseudonym

from sdx_domains.medicine.ingest.read import list_series, read_study
from sdx_domains.medicine.ingest.rules import Refused
from sdx_domains.medicine.volume import Series

ORIGIN = (-168.0, -168.0, -50.0)


def check(series: Series, source: str) -> None:
    assert np.array_equal(series.volume.hu, chest())
    assert series.volume.spacing_mm == pytest.approx((STEP, SPACING, SPACING))
    assert series.volume.lps_mm((0, 0, 0)) == pytest.approx(ORIGIN, abs=1e-3)
    assert series.facts.source == source and series.facts.slice_uids[0] == "slice-1"
    assert series.facts.age_years is None and series.facts.contrast is None
    assert "The file says nothing of age, kernel, contrast, scanner or original UIDs." in series.facts.warnings
    assert series.header is None and series.sop_uids == ()


@pytest.mark.parametrize("name", ["ras.nii.gz", "las.nii", "psr.nii.gz", "lpi.nii"])
def test_nifti_whichever_way_its_axes_run(name: str, tmp_path: Path) -> None:
    """NIfTI is RAS, a Volume LPS: an error in the flip would put the mark into the left lung."""
    nib = pytest.importorskip("nibabel")
    affine = np.diag([-SPACING, -SPACING, STEP, 1.0])
    affine[:3, 3] = -ORIGIN[0], -ORIGIN[1], ORIGIN[2]
    image = nib.Nifti1Image(chest().transpose(2, 1, 0), affine)
    turn = nib.orientations.axcodes2ornt(tuple(name[:3].upper()))
    nib.save(image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), turn)), tmp_path / name)
    series = read_study(tmp_path / name, pseudonym)
    check(series, "nifti")
    assert series.volume.lps_mm(MARK)[0] < 0
    assert list_series(tmp_path / name)[0].slices == 40


def test_nifti_of_real_numbers_with_a_scale_and_holes(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    values = chest().transpose(2, 1, 0).astype(np.float32) + 0.25
    values[0, 0, :3] = np.nan
    affine = np.diag([-SPACING, -SPACING, STEP, 1.0])
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "a.nii.gz")
    series = read_study(tmp_path / "a.nii.gz", pseudonym)
    assert np.array_equal(series.volume.hu[3:], chest()[3:])
    assert series.facts.corrections[:2] == (
        "Values were rounded to whole Hounsfield units.",
        "3 voxels were no numbers and were set to -1024 HU.",
    )


@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
def test_mha(name: str, tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    image = itk.GetImageFromArray(chest())
    image.SetSpacing((SPACING, SPACING, STEP))
    image.SetOrigin(ORIGIN)
    itk.WriteImage(itk.DICOMOrient(image, "RPI"), str(tmp_path / name), useCompression=True)
    check(read_study(tmp_path / name, pseudonym), "mha")


def test_npz_of_tango2_with_its_assumptions_told(tmp_path: Path) -> None:
    thin = np.repeat(chest(), 4, axis=0)
    np.savez_compressed(tmp_path / "a.npz", ct=thin[None].astype(np.float32), totalseg=np.zeros(3, dtype=np.uint16))
    series = read_study(tmp_path / "a.npz", pseudonym)
    assert np.array_equal(series.volume.hu, thin)
    assert series.facts.spacing_mm == (1.5, 1.5, 1.5)
    assert series.facts.warnings[0] == "The file gives no voxel spacing: 1.5 x 1.5 x 1.5 mm is assumed. All sizes are unreliable."
    assert series.facts.warnings[1].endswith("Sides may be wrong.")


def test_npz_that_gives_its_spacing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=chest(), spacing=np.array([STEP, SPACING, SPACING]))
    series = read_study(tmp_path / "a.npz", pseudonym)
    assert series.facts.spacing_mm == (STEP, SPACING, SPACING)
    assert not any("spacing" in each for each in series.facts.warnings)


def test_same_file_same_study_another_file_another(tmp_path: Path) -> None:
    for name, change in (("a", 0), ("b", 0), ("c", 1)):
        np.savez(tmp_path / f"{name}.npz", ct=chest() + np.int16(change), spacing=np.array([STEP, SPACING, SPACING]))
    a, b, c = (read_study(tmp_path / f"{name}.npz", pseudonym).facts.study_uid for name in "abc")
    assert a == b != c


def test_what_is_no_hounsfield_unit_or_has_no_sides_is_refused(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    np.savez(tmp_path / "scaled.npz", ct=(chest().astype(np.float32) + 1000) / 2000)
    np.savez(tmp_path / "flat.npz", ct=chest()[0])
    np.savez(tmp_path / "huge.npz", ct=np.broadcast_to(np.int8(0), (8, 8, 8)), spacing=np.ones(2))
    image = nib.Nifti1Image(chest().transpose(2, 1, 0), None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    nib.save(image, tmp_path / "lost.nii")
    oblique = np.diag([SPACING, SPACING, STEP, 1.0])
    oblique[0, 1] = 1.0
    nib.save(nib.Nifti1Image(chest().transpose(2, 1, 0), oblique), tmp_path / "oblique.nii")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 9, 2), np.int16), np.eye(4)), tmp_path / "four.nii")
    whole = (tmp_path / "four.nii").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(whole)[:-30])
    (tmp_path / "short.nii").write_bytes(Path(tmp_path / "oblique.nii").read_bytes()[:4000])
    told = {
        "scaled.npz": ("hounsfield", "not Hounsfield units"),
        "flat.npz": ("size", "2 dimensions"),
        "huge.npz": ("spacing", "2 values"),
        "lost.nii": ("orientation", "neither sform nor qform"),
        "oblique.nii": ("orientation", "degrees off axial"),
        "four.nii": ("size", "4 dimensions"),
    }
    for name, (rule, words) in told.items():
        with pytest.raises(Refused, match=words) as caught:
            read_study(tmp_path / name, pseudonym)
        assert caught.value.rule == rule, name
    for name in ("cut.nii.gz", "short.nii"):
        with pytest.raises(Refused):
            read_study(tmp_path / name, pseudonym)


def test_an_abdomen_is_refused_here_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ct=chest(lungs=False), spacing=np.array([STEP, SPACING, SPACING]))
    with pytest.raises(Refused, match="Not a chest"):
        read_study(tmp_path / "a.npz", pseudonym)
