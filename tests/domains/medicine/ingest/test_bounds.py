"""Large input stays within bounds: 2,000 slices, and the time and memory that a series of 300 slices takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chests import chest, content, dataset, pseudonym, write

from sdx_domains.medicine.ingest import rules, turn
from sdx_domains.medicine.ingest.read import read_study
from sdx_domains.medicine.ingest.rules import Limits, Refused, limits

MEASURED = """
import resource, sys, time
from pathlib import Path
from sdx_domains.medicine.ingest.read import read_study
import pydicom, scipy.ndimage
before = time.process_time()
series = read_study(Path(sys.argv[1]), str)
print(len(series.volume.hu), round(time.process_time() - before, 3), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print("\\n".join(series.facts.corrections))
"""


def series_of(folder: Path, slices: int, size: int) -> Path:
    """Written without keeping it in memory."""
    folder.mkdir()
    small = chest()
    for index in range(slices):
        plane = np.kron(small[index * 40 // slices], np.ones((size // 96 + 1,) * 2, dtype=np.int16))[:size, :size]
        made = dataset(plane, index, index * 240.0 / slices)
        made.PixelSpacing = [336 / size, 336 / size]
        (folder / str(index)).write_bytes(content(made))
    return folder


def measured(folder: Path) -> tuple[int, float, int, str]:
    """(slices, CPU seconds, peak MB, corrections) of a fresh process."""
    done = subprocess.run([sys.executable, "-c", MEASURED, str(folder)], capture_output=True, text=True, check=True)
    first, *said = done.stdout.splitlines()
    slices, seconds, peak = first.split()
    return int(slices), float(seconds), int(peak), "\n".join(said)


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """As if memory and patience were a hundred times smaller."""
    held = limits().model_copy(update={"voxels": 20 * 96 * 96, "files": 60})
    for module in (rules, turn, sys.modules["sdx_domains.medicine.ingest.files"]):
        monkeypatch.setattr(module, "limits", lambda: held)
    return held


def test_more_slices_than_fit_are_thinned_and_it_is_said(tmp_path: Path, small_limits: Limits) -> None:
    made = [dataset(plane, index, index * 6.0) for index, plane in enumerate(chest())]
    series = read_study(write(tmp_path, made), pseudonym)
    assert np.array_equal(series.volume.hu, chest()[::2])
    assert series.facts.spacing_mm[0] == 12.0
    assert series.facts.corrections == ("Every 2nd of 40 slices was read: more would not fit in memory.",)


def test_more_files_than_a_study_has_are_refused(tmp_path: Path, small_limits: Limits) -> None:
    for number in range(61):
        (tmp_path / str(number)).write_bytes(b"x")
    with pytest.raises(Refused, match="More than 60 files"):
        read_study(tmp_path, pseudonym)


@pytest.mark.slow
def test_300_slices_take_seconds(tmp_path: Path) -> None:
    slices, seconds, peak_mb, _ = measured(series_of(tmp_path / "study", 300, 512))
    assert slices == 300 and seconds <= 3.0 and peak_mb <= 600


@pytest.mark.slow
def test_2000_slices_stay_within_two_gigabytes(tmp_path: Path) -> None:
    slices, seconds, peak_mb, said = measured(series_of(tmp_path / "study", 2000, 512))
    assert slices == 1000 and "Every 2nd of 2000 slices" in said
    assert peak_mb <= 2048 and seconds <= 20.0
