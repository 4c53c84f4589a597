"""Written series: read back voxel by voxel by others' readers, valid, and odd where asked."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sdx_domains.medicine.phantom.render import Phantom, render
from sdx_domains.medicine.phantom.scene import SEEDS, scene
from sdx_domains.medicine.phantom.write import Identity, Oddities, main, write_dicom

pydicom = pytest.importorskip("pydicom")


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return render(scene(SEEDS["train"].start + 77, ["mass"]), (8.0, 5.0, 5.0))


@pytest.fixture(scope="module")
def folder(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom(phantom, tmp_path_factory.mktemp("series") / "plain")


def headers(folder: Path) -> list:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def test_ingest_reads_back_the_same_voxels(phantom: Phantom, folder: Path) -> None:
    from sdx_domains.medicine.ingest.read import read_study

    series = read_study(folder, lambda uid: uid)
    assert np.array_equal(series.volume.hu, phantom.volume.hu)
    assert series.volume.spacing_mm == pytest.approx(phantom.volume.spacing_mm)
    assert series.volume.lps_mm((0, 0, 0)) == pytest.approx(phantom.volume.lps_mm((0, 0, 0)), abs=1e-3)
    assert (series.facts.kernel, series.facts.age_years, series.facts.sex) == (
        phantom.facts.kernel,
        phantom.facts.age_years,
        phantom.facts.sex,
    )


def test_the_standards_own_checker_finds_no_error(folder: Path) -> None:
    checker = shutil.which("dciodvfy")
    if checker is None:
        pytest.skip("dciodvfy of dicom3tools is not installed")
    said = subprocess.run([checker, str(next(iter(sorted(folder.iterdir()))))], capture_output=True, text=True, timeout=60, check=False)
    told = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
    assert [line for line in told if "(0x0008,0x001c)" not in line] == []  # Synthetic Data: the attribute is younger than Debian's checker


def test_oddities_are_planted(phantom: Phantom, tmp_path: Path) -> None:
    odd = Oddities(modality="MR", tilt_deg=12.0, missing=(5, 6), twice=(8,), head_first_numbers=True, localizer=True)
    made = headers(write_dicom(phantom, tmp_path / "odd", Identity(name="KIM^TEST"), odd))
    axial = [each for each in made if "LOCALIZER" not in each.ImageType]
    count = phantom.facts.slices
    assert len(made) == len(axial) + 1 and len(axial) == count - 2 + 1
    assert {each.Modality for each in made} == {"MR"} and {str(each.PatientName) for each in made} == {"KIM^TEST"}
    assert len({each.SOPInstanceUID for each in made}) == len(made)
    first = axial[:-1]  # the last is the second copy
    numbers, heights = [each.InstanceNumber for each in first], [float(each.SliceLocation) for each in first]
    assert numbers == sorted(numbers) and heights == sorted(heights, reverse=True)
    assert axial[0].ImageOrientationPatient[5] == pytest.approx(-np.sin(np.radians(12.0)), abs=1e-5)


def test_a_folder_that_is_there_is_left_alone(phantom: Phantom, folder: Path) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(FileExistsError, match="name a new folder"):
        write_dicom(phantom, folder)
    assert sorted(folder.iterdir()) == before


@pytest.mark.slow
def test_command_writes_a_whole_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["1000001", str(tmp_path / "made"), "--labels", "nodule"]) == 0
    assert "nodule" in capsys.readouterr().out
    assert headers(tmp_path / "made")[0].Rows == 512
