import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_finetune.measure.evaluate import Figure
from sdx_finetune.measure.paired import paired, paired_all, verdict


def test_the_interval_agrees_with_theory_for_many_rows() -> None:
    rng = np.random.default_rng(5)
    before = rng.normal(0.5, 0.2, 800)
    after = before + rng.normal(0.05, 0.1, 800)
    found = paired(list(before), list(after))
    half = 1.96 * float(np.std(after - before, ddof=1)) / 800**0.5
    assert found.mean == pytest.approx(float(np.mean(after - before)), abs=1e-5)
    assert (found.mean - found.low, found.high - found.mean) == (pytest.approx(half, rel=0.05), pytest.approx(half, rel=0.05))
    assert verdict(found) == "better" and found == paired(list(before), list(after))
    assert verdict(paired(list(after), list(before))) == "worse"


def test_pairing_sees_what_two_single_intervals_hide() -> None:
    hardness = np.random.default_rng(6).random(60)
    apart = paired(list(hardness), list(hardness + 0.01))
    assert verdict(apart) == "better" and apart.low > 0.009


@settings(max_examples=15)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=40), st.integers(0, 3))
def test_an_interval_holds_its_mean_and_empty_cells_do_not_count(differences: list[float], empty: int) -> None:
    column = np.array([*differences, *[np.nan] * empty])
    one, nothing = paired_all(np.stack([column, np.full(len(column), np.nan)], axis=1))
    assert nothing is None and one is not None and one.rows == len(differences)
    assert one.low <= one.mean <= one.high


def test_few_rows_say_nothing() -> None:
    assert verdict(paired([0.0] * 9, [1.0] * 9)) == "too few rows"
    assert verdict(paired([0.0] * 10, [1.0] * 10)) == "better"
    assert verdict(Figure(0.0, 0.0, 0.0, 100)) == "no difference seen"


def test_unpaired_values_are_refused() -> None:
    with pytest.raises(ValueError, match="2 values before, 1 after"):
        paired([0.0, 1.0], [1.0])
