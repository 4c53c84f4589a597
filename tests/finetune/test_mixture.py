"""Rows of several generators in one data set."""

from itertools import islice

import pytest

from sdx_domains.ship.drills import derive as ship_drills
from sdx_finetune.mixture import derive, rows

TOY, SHIP = "toy_rows:rows", "sdx_domains.ship.examples:rows"


def test_shares_are_kept_and_the_rows_take_turns() -> None:
    made = list(rows(12, 1_000_000, **{TOY: 0.75, SHIP: 0.25}))
    of_ship = ["COLREG" in row["messages"][0]["content"] or "당직" in row["messages"][0]["content"] for row in made]
    assert len(made) == 12 and sum(of_ship) == 3 and of_ship[:4] == [False, True, False, True]
    assert made == list(rows(12, 1_000_000, **{TOY: 0.75, SHIP: 0.25}))


def test_exactly_as_many_rows_as_asked_whatever_the_shares() -> None:
    assert [len(list(rows(count, 7, **{TOY: 1.0}))) for count in (1, 2, 5)] == [1, 2, 5]


@pytest.mark.parametrize("shares", [{TOY: 0.0}, {TOY: 1.0, "x:y": -0.5}, {}])
def test_shares_that_make_nothing_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares of generators"):
        list(islice(rows(3, 1, **shares), 1))


def test_each_row_is_derived_as_its_generator_says() -> None:
    made = list(rows(8, 1_000_000, **{TOY: 0.5, SHIP: 0.5}))
    of_ship = [row for row in made if row["meta"]["made_by"] == SHIP]
    assert [derive(row) for row in of_ship] == [ship_drills(row) for row in of_ship] and any(derive(row) for row in of_ship)
    assert not any(derive(row) for row in made if row["meta"]["made_by"] == TOY)
