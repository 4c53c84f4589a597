"""A named figure is the picture's, said of its own target, in its own words and unit; anything else is refused."""

from itertools import pairwise

import pytest

from sdx_domains.ship.figures import fill, fill_so_far
from sdx_domains.ship.language import fmt_cpa, fmt_range
from sdx_domains.ship.picture import ShipOption, ShipPicture

Case = tuple[ShipPicture, ShipOption]


def test_names_become_figures_in_the_texts_language(small_case: Case) -> None:
    picture, _ = small_case
    assert (
        fill("T1 is {T1.range} NM off, CPA {T1.cpa} NM.", picture)
        == f"T1 is {fmt_range(picture.targets[0].range_nm)} NM off, CPA {fmt_cpa(picture.targets[0].cpa_nm)} NM."
    )
    assert "우현" in fill("T1은 {T1.relative}에 있다.", picture) and "starboard" in fill("T1 is {T1.relative}.", picture)
    assert "우현" in fill("T1: {T1.relative}.", picture, language="ko")


@pytest.mark.parametrize(
    "text",
    [
        "T1 crosses, CPA {min_cpa} NM.",
        "T1 closest approach {T1.range} NM.",
        "T1 {T1.range} NM CPA.",
        "T1 최근접거리 {T1.range} NM.",
        "T1 crosses; CPA {T2.cpa} NM.",
        "T1 course {T1.bearing} deg.",
        "T1 course {T1.range} deg.",
        "T1 crosses, CPA {T1.cpa} km.",
        "T1: TCPA {T1.tcpa} hours.",
        "T1 is {T1.relative} deg off.",
        "CPA {cpa} NM.",
        "CPA {T9.cpa} NM.",
        "T1: CPA {T1.cpa NM.",
        "T1: {risk}",
    ],
)
def test_a_name_that_is_said_of_something_else_is_refused(text: str, small_case: Case) -> None:
    picture, option = small_case
    with pytest.raises(ValueError, match="."):
        fill(text, picture, option)


def test_an_option_that_holds_course_has_no_alteration_and_one_without_ships_no_distance(small_case: Case) -> None:
    picture, option = small_case
    hold = option.model_copy(update={"turn_deg": 0.2, "by_target": (), "min_cpa_nm": 99.0, "escape_cpa_nm": None})
    for text in ("Turn {alteration}.", "Min CPA {min_cpa} NM; min CPA {min_cpa} NM."):
        with pytest.raises(ValueError, match="names no figure"):
            fill(text, picture, hold)


def test_a_growing_text_holds_back_what_is_not_whole(small_case: Case) -> None:
    picture, _ = small_case
    whole = "T1: CPA {T1.cpa} NM in {T1.tcpa} min, {T1.relative}."
    seen = [fill_so_far(whole[:end], picture) for end in range(len(whole) + 1)]
    assert all(not set("{}") & set(text) for text in seen)
    assert all(later.startswith(earlier) for earlier, later in pairwise(seen))
    assert seen[-1] == fill(whole, picture)


def test_a_broken_name_is_told_at_once(small_case: Case) -> None:
    picture, _ = small_case
    with pytest.raises(ValueError, match="not closed"):
        fill_so_far("CPA {T1.cpa NM, but", picture)
