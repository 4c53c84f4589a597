"""Scores of drafts against phantoms: what the field's formulas say of reports that are perfect, empty, or wrong in one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_domains.medicine.labels import ct_rate
from sdx_domains.medicine.scoring import CRG_FLOOR, CaseScore, Placed, crg, summarise, zone_agrees

KEYS = [label.key for label in ct_rate()]


def case(truth=(), said=(), said_ko=None, **more):
    read = dict.fromkeys(said, "yes")
    return CaseScore(
        case="x", truth=tuple(truth), stated=read, stated_ko=read if said_ko is None else dict.fromkeys(said_ko, "yes"), seconds=1.0, **more
    )


TRUTHS = st.lists(st.sets(st.sampled_from(KEYS), max_size=5), min_size=1, max_size=12).filter(lambda truths: any(truths))


@given(TRUTHS)
def test_a_perfect_report_scores_one_and_an_all_normal_one_the_floor(truths):
    perfect = [case(truth, truth) for truth in truths]
    silent = [case(truth) for truth in truths]
    assert crg(perfect, KEYS) == pytest.approx(1.0)
    assert crg(silent, KEYS) == pytest.approx(CRG_FLOOR)
    assert summarise(perfect)["macro_f1"] == 1.0 and summarise(silent)["macro_f1"] == 0.0


@given(TRUTHS, st.sampled_from(KEYS))
def test_a_finding_too_many_or_too_few_lowers_both_scores(truths, key):
    right = [case(truth, truth) for truth in truths]
    wrong = [case(truth, set(truth) ^ {key}) for truth in truths]
    assert crg(wrong, KEYS) < crg(right, KEYS)
    assert summarise(wrong)["micro_f1"] < 1.0


def test_a_nodule_below_the_scored_size_counts_for_nothing():
    scores = [case(spared=("nodule",), said=("nodule",)), case(["mass"], ["mass"])]
    found = summarise(scores)
    assert found["micro_f1"] == 1.0 and found["normal_cases"] == 0


def test_what_is_uncertain_is_not_stated():
    score = CaseScore(case="x", truth=("nodule",), stated={"nodule": "uncertain"}, stated_ko={"nodule": "uncertain"}, seconds=1.0)
    found = summarise([score])
    assert found["labels"]["nodule"] == {"f1": 0.0, "there": 1, "found": 0, "false": 0}
    assert found["abstained_per_case"] == 1.0 and found["en_equals_ko"] == 1.0


def test_places_sizes_and_languages_are_shares_of_what_was_found():
    right = Placed(label="nodule", side_right=True, zone_right=True, key_slice_inside=True, size_error_mm=0.4)
    wrong = Placed(label="emphysema", side_right=False, zone_right=None, key_slice_inside=True)
    found = summarise([case(["nodule", "emphysema"], ["nodule", "emphysema"], said_ko=["nodule"], placed=(right, wrong))])
    assert (found["laterality"], found["zone"], found["key_slice_inside"]) == (0.5, 1.0, 1.0)
    assert (found["size_error_mm_median"], found["sizes_within_2mm"], found["en_equals_ko"]) == (0.4, 1.0, 0.0)


def test_an_empty_suite_has_no_shares():
    found = summarise([])
    assert found["cases"] == 0 and found["macro_f1"] is None and found["laterality"] is None


def test_diffuse_agrees_with_every_zone():
    assert zone_agrees("diffuse", "upper") and zone_agrees("upper", "upper") and not zone_agrees("upper", "lower")
