"""Nodules and masses: found, measured to the millimetre, named by what they are made of."""

from dataclasses import replace
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.medicine.measure.anatomy import segment
from sdx_domains.medicine.measure.calipers import axes, crop, near, opened
from sdx_domains.medicine.measure.nodules import nodules, pointed_nodules, same
from sdx_domains.medicine.volume import Volume


def ellipse(long_mm: float, short_mm: float, turn: float, step: float) -> np.ndarray:
    y, x = np.mgrid[-40 : 40 + step : step, -40 : 40 + step : step]
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    return (along / (long_mm / 2)) ** 2 + (across / (short_mm / 2)) ** 2 < 1


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.3])
@pytest.mark.parametrize(("long_mm", "short_mm"), [(8.0, 6.0), (24.0, 15.0), (60.0, 31.0)])
def test_callipers(long_mm, short_mm, turn):
    measured = axes(ellipse(long_mm, short_mm, turn, 0.7), (0.7, 0.7))
    assert measured == pytest.approx((long_mm, short_mm), abs=1.1)


@pytest.mark.parametrize("step", [0.6, 2.5])
def test_a_crop_knows_where_it_is(step):
    """Index here -> index in the volume -> index here."""
    shape = (9, round(120 / step), round(120 / step))
    volume = Volume(np.zeros(shape, np.int16), (5.0, step, step), (0.0, 0.0, 0.0), np.arange(9, dtype=np.float64) * 5.0)
    part = crop(volume, (60.0, 62.0, 20.0), 20.0)
    assert part.hu.shape[1] * part.spacing_mm[1] > 35
    assert part.index(part.voxel((1.0, 7.0, 9.0))) == (1, 7, 9)
    middle = part.voxel(tuple((n - 1) / 2 for n in part.hu.shape))  # type: ignore[arg-type]
    assert volume.lps_mm(middle)[0] == pytest.approx(60, abs=2 * step)
    assert volume.lps_mm(middle)[1] == pytest.approx(62, abs=2 * step)


def test_a_stalk_is_worn_off():
    mask = np.zeros((21, 41, 41), dtype=bool)
    z, y, x = np.mgrid[-10:11, -20:21, -20:21]
    mask[z**2 + y**2 + x**2 < 64] = True
    mask[9:12, 19:22, :] = True
    ball = opened(mask, (10, 20, 20), (1.0, 1.0, 1.0), 4.0)
    assert ball is not None
    assert not ball[:, :, :9].any()
    assert abs(int(ball.sum()) - int((z**2 + y**2 + x**2 < 64).sum())) < 0.12 * ball.sum()


@settings(max_examples=40, deadline=None)
@given(cells=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 13), st.integers(0, 15)), max_size=6), reach_mm=st.floats(0.1, 9.0))
def test_near_is_what_a_search_over_all_cells_finds(cells, reach_mm):
    mask, spacing_mm = np.zeros((10, 14, 16), dtype=bool), (2.0, 0.7, 0.9)
    for cell in cells:
        mask[cell] = True
    off = [np.hypot.reduce((np.moveaxis(np.indices(mask.shape), 0, -1) - cell) * spacing_mm, axis=-1) for cell in set(cells)]
    away = np.min(off, axis=0) if off else np.full(mask.shape, np.inf)
    told = np.abs(away - reach_mm) > 1e-4  # distances are float32: what lies on the edge may fall either way
    assert (near(mask, spacing_mm, reach_mm) == (away <= reach_mm))[told].all()


def test_where_an_encoder_points_only_what_is_new_is_told(drawn):
    phantom, anatomy = drawn("nodule", seed=61)
    known = nodules(phantom.volume, anatomy)
    everywhere = np.ones(anatomy.chest.shape, dtype=bool)
    more = pointed_nodules(phantom.volume, anatomy, everywhere)
    assert known
    assert not [blob for blob in more if any(same(blob, other) for other in known)]
    blind = replace(anatomy, kept={"nodules": []})  # as if nothing had been found: what the map holds is found by pointing there
    assert any(same(blob, known[0]) for blob in pointed_nodules(phantom.volume, blind, everywhere))
    assert pointed_nodules(phantom.volume, anatomy, ~everywhere) == []


def test_drawn_nodules_and_masses_are_found_and_measured(drawn):
    """One alone in each patient: found, and the median error of the long axis is at most 1.5 mm, a mass with a cavity among them."""
    errors = []
    for seed, disease in ((60, "mass"), (61, "nodule"), (62, "nodule"), (65, "nodule"), (66, "mass")):
        phantom, anatomy = drawn(disease, seed=seed)
        true = phantom.truth[0]
        there = [
            blob for blob in nodules(phantom.volume, anatomy) if np.hypot.reduce(np.subtract(blob.centre_lps_mm, true.centroid_lps_mm)) < 5
        ]
        assert there
        assert there[0].cavity == ("cavitary" in true.descriptors)
        assert there[0].kind == "solid"
        errors.append(abs(there[0].long_mm - true.size.long_mm))
    assert median(errors) <= 1.5


def test_a_lung_without_nodules_has_no_round_free_thing(drawn):
    phantom, anatomy = drawn()
    assert not [blob for blob in nodules(phantom.volume, anatomy) if blob.roundness > 0.75 and blob.joined < 0.03 and blob.long_mm > 8]


def test_no_lung_no_nodule():
    volume = Volume(np.full((10, 60, 60), 40, np.int16), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0), np.arange(10, dtype=np.float64) * 3.0)
    assert nodules(volume, segment(volume)) == []
