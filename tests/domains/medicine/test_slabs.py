"""The model's input: shape, windows, places of its cells, and that spacing and slices do not change what it shows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.medicine.slabs import CELLS, CHANNELS, LEAST_HEIGHT_MM, PIXELS, SLABS, frame, slabs
from sdx_domains.medicine.volume import Volume

BEAD_LPS_MM = (62.0, 10.0, -15.0)
SOFT, CALCIUM = 2, 3
"""Channels."""


def chest(spacing_mm: tuple[float, float, float] = (4.0, 2.0, 2.0)) -> Volume:
    """A body of water with two lungs and one calcified bead in the left lung; 340 x 240 x 280 mm."""
    counts = [round(extent / step) for extent, step in zip((280, 240, 340), spacing_mm, strict=True)]
    z, y, x = (
        start + np.arange(n, dtype=np.float64) * step for start, n, step in zip((-140.0, -120.0, -170.0), counts, spacing_mm, strict=True)
    )
    zz, yy, xx = z[:, None, None], y[None, :, None], x[None, None, :]
    hu = np.full((len(z), len(y), len(x)), -1000, dtype=np.int16)
    hu[np.broadcast_to((xx / 160) ** 2 + (yy / 105) ** 2 < 1, hu.shape)] = 40
    for side in (-1, 1):
        hu[((xx - side * 72) / 58) ** 2 + (yy / 80) ** 2 + (zz / 110) ** 2 < 1] = -850
    bead = np.sqrt((xx - BEAD_LPS_MM[0]) ** 2 + (yy - BEAD_LPS_MM[1]) ** 2 + (zz - BEAD_LPS_MM[2]) ** 2) < 5
    hu[bead] = 900
    return Volume(hu=hu, spacing_mm=spacing_mm, origin_lps_mm=(float(x[0]), float(y[0]), float(z[0])), z_mm=z)


def test_shape_and_windows():
    picture, grid = slabs(chest())
    assert picture.shape == (SLABS, CHANNELS, PIXELS, PIXELS)
    assert picture.dtype == np.uint8
    assert len(grid.z_mm) == SLABS
    middle = picture[SLABS // 2]
    low, high, soft, calcium, dense, holes = middle[:, PIXELS // 2, PIXELS // 2 - 36]
    assert low == high
    assert abs(int(low) - 85) <= 2  # -850 HU in -1350..150
    assert soft == calcium == 0
    assert abs(int(dense) - 11) <= 2  # -850 HU in -900..300
    assert abs(int(holes) - 102) <= 2  # -850 HU in -1050..-550
    assert abs(int(middle[SOFT, PIXELS // 2, PIXELS // 2]) - 128) <= 2  # 40 HU in -160..240


def test_same_volume_gives_the_same_bytes():
    assert slabs(chest())[0].tobytes() == slabs(chest())[0].tobytes()


@pytest.mark.parametrize("spacing_mm", [(1.5, 1.0, 1.0), (4.0, 2.0, 2.0), (8.0, 2.5, 2.5)])
def test_a_bead_is_where_its_cell_says(spacing_mm):
    """The brightest pixel of the calcium channel, taken through the grid, is the bead, whatever the spacing."""
    picture, grid = slabs(chest(spacing_mm))
    slab, row, column = np.unravel_index(int(picture[:, CALCIUM].argmax()), (SLABS, PIXELS, PIXELS))
    per_cell = PIXELS / CELLS
    x, y, z = grid.lps_mm((float(slab), (row + 0.5) / per_cell - 0.5, (column + 0.5) / per_cell - 0.5))
    thick = float(np.diff(grid.z_mm).mean())
    assert abs(x - BEAD_LPS_MM[0]) < 6.5
    assert abs(y - BEAD_LPS_MM[1]) < 6.5
    assert abs(z - BEAD_LPS_MM[2]) < thick / 2 + 5 + spacing_mm[0] / 2


def test_thin_and_thick_slices_show_the_same():
    """The mediastinum channel differs by less than 2.5 grey levels of 255 in the mean."""
    thin, thick = slabs(chest((2.0, 1.0, 1.0)))[0], slabs(chest((4.0, 2.0, 2.0)))[0]
    apart = np.abs(thin[:, SOFT].astype(int) - thick[:, SOFT].astype(int))
    assert float(apart.mean()) < 2.5


def test_the_patient_is_in_the_middle_wherever_the_table_stands():
    """Moved by 40 mm, the picture stays and the grid moves."""
    volume = chest()
    here, grid = slabs(volume)
    x, y, z = volume.origin_lps_mm
    shifted = Volume(volume.hu, volume.spacing_mm, (x + 40, y - 24, z + 300), volume.z_mm + 300)
    again, grid_again = slabs(shifted)
    assert np.abs(again.astype(int) - here.astype(int)).max() <= 1
    assert grid_again.x0_mm - grid.x0_mm == pytest.approx(40)
    assert grid_again.z_mm[0] - grid.z_mm[0] == pytest.approx(300)


def test_what_is_beyond_the_volume_is_air():
    volume = chest()
    x, y, _ = volume.origin_lps_mm
    part = Volume(volume.hu[20:40], volume.spacing_mm, (x, y, float(volume.z_mm[20])), volume.z_mm[20:40])
    seen = frame(part)
    assert seen.z_high_mm - seen.z_low_mm == pytest.approx(LEAST_HEIGHT_MM)
    picture, _ = slabs(part)
    assert picture[0, SOFT].max() == 0
    assert picture[SLABS // 2, SOFT].max() > 100


def test_gas_of_the_gut_does_not_move_the_frame():
    volume = chest()
    with_gas = volume.hu.copy()
    with_gas[2:8, 50:70, 75:100] = -1000
    assert frame(Volume(with_gas, volume.spacing_mm, volume.origin_lps_mm, volume.z_mm)) == frame(volume)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 6), st.integers(8, 40), st.integers(8, 40), st.integers(-1024, 3071))
def test_nothing_is_refused(slices, rows, columns, hu):
    """Any volume, of one slice or without a lung, gives a picture: whether it is a chest is asked elsewhere."""
    z = np.arange(slices, dtype=np.float64) * 3.0
    picture, grid = slabs(Volume(np.full((slices, rows, columns), hu, np.int16), (3.0, 2.0, 2.0), (0.0, 0.0, 0.0), z))
    assert picture.shape == (SLABS, CHANNELS, PIXELS, PIXELS)
    assert np.all(np.diff(grid.z_mm) > 0)
