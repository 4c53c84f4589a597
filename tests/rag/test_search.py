"""Fusion of two rankings."""

import pytest

from sdx_rag.search import fused

OWN = {id: ("a.txt", f"#{id}") for id in (1, 2, 3)}


def test_what_both_sides_find_comes_first() -> None:
    score = fused((([(1, 9.0), (2, 8.0)], 1.0), ([(3, 0.9), (2, 0.8)], 1.0)), 60, OWN)
    assert max(score, key=lambda id: score[id]) == 2
    assert score[1] == score[3] == pytest.approx(0.5)


def test_the_first_of_every_side_has_one_also_when_a_side_is_silent() -> None:
    assert fused((([(1, 9.0)], 1.0), ([(1, 0.9)], 2.0)), 60, OWN)[1] == pytest.approx(1)
    assert fused((([(1, 9.0)], 1.0), ([], 2.0)), 60, OWN)[1] == pytest.approx(1)


def test_a_side_counts_by_its_weight() -> None:
    score = fused((([(1, 9.0)], 1.0), ([(2, 0.9)], 3.0)), 60, OWN)
    assert score[2] == pytest.approx(3 * score[1])


def test_what_may_not_be_found_has_no_score() -> None:
    assert fused((([(1, 9.0), (2, 1.0)], 1.0),), 60, {2: OWN[2]}).keys() == {2}


def test_both_languages_of_a_passage_share_a_score() -> None:
    both = {1: ("colreg.yaml", "R15"), 2: ("colreg.yaml", "R15"), 3: ("colreg.yaml", "R16")}
    score = fused((([(1, 9.0), (3, 8.0)], 1.0), ([(2, 0.9)], 1.0)), 60, both)
    assert score[1] == score[2] == pytest.approx(1) and score[1] > score[3]
