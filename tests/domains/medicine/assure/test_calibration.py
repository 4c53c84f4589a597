"""Operating points, abstention bands, calibration error: against brute force and known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.medicine.assure.calibration import as_rows, band, best_point, calibrate, calibration_error, f1, risk_at


def sample(seed: int, count: int = 300):
    rng = np.random.default_rng(seed)
    truths = rng.random(count) < 0.3
    scores = np.clip(np.where(truths, 0.65, 0.35) + rng.normal(0.0, 0.15, count), 0.0, 1.0)
    return scores, truths


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]), st.booleans()), min_size=2, max_size=30))
@settings(max_examples=40, deadline=None)
def test_no_other_threshold_has_a_larger_f1(pairs):
    scores, truths = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    if not 0 < truths.sum() < len(truths):
        return
    best = f1(scores >= best_point(scores, truths), truths)
    assert best >= max(f1(scores >= t, truths) for t in (0.05, 0.15, 0.3, 0.7, 0.95)) - 1e-12


def test_of_what_is_stated_enough_is_there_where_that_can_be():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    truths = np.array([1, 1, 0, 0, 0, 1, 1, 1], dtype=bool)
    assert best_point(scores, truths) < 0.2 and best_point(scores, truths, 0.65) == pytest.approx(0.75)
    assert calibrate(scores, truths, 0.9, 0.65).point == pytest.approx(0.75)
    assert best_point(scores, ~truths, 0.9) == best_point(scores, ~truths)  # no point is so precise


def test_the_band_lowers_the_risk_within_its_budget():
    scores, truths = sample(1)
    found = calibrate(scores, truths, coverage=0.9)
    assert found.low <= found.point <= found.high and found.coverage >= 0.9
    assert found.selective_risk < found.risk and found.f1_decided > found.f1
    assert calibrate(scores, truths, coverage=1.0).coverage == 1.0


def test_a_perfect_score_needs_no_band():
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    found = calibrate(scores, scores > 0.5)
    assert (found.f1, found.risk, found.coverage) == (1.0, 0.0, 1.0) and found.low == found.point == found.high == 0.5


def test_the_band_takes_in_errors_only():
    scores = np.array([0.1, 0.2, 0.45, 0.48, 0.52, 0.9, 0.95, 0.97, 0.98, 0.99])
    truths = np.array([False, False, True, False, True, True, True, True, True, True])
    low, high = band(scores, truths, 0.5, 0.8)
    assert low == 0.45 and high == 0.5


def test_calibration_error_of_known_cases():
    assert calibration_error(np.array([0.75] * 4), np.array([True, True, True, False])) == pytest.approx(0.0)
    assert calibration_error(np.array([0.95, 0.95]), np.array([False, False])) == pytest.approx(0.95)


def test_selective_risk_falls_with_coverage():
    scores, truths = sample(2)
    point = best_point(scores, truths)
    assert risk_at(scores, truths, point, 0.5) <= risk_at(scores, truths, point, 1.0)


@pytest.mark.parametrize("scores, truths", [([0.5], [True]), ([0.1, 0.2], [True, True]), ([0.1, 1.2], [True, False]), ([], [])])
def test_what_cannot_be_calibrated_is_refused(scores, truths):
    with pytest.raises(ValueError):
        calibrate(np.array(scores), np.array(truths, dtype=bool))


def test_rows_fit_the_thresholds_file():
    from sdx_domains.medicine.assure.thresholds import Point

    rows = as_rows({"nodule": calibrate(*sample(3)), "mass": calibrate(*sample(4), coverage=1.0)})
    assert all(Point.model_validate(row).low <= row["point"] for row in rows.values())
