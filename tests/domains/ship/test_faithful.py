"""Texts of our own pass; a changed number, side, label or rule is caught."""

import re
from typing import get_args

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdx_domains.contract import Language
from sdx_domains.ship.faithful import unsupported_numbers
from sdx_domains.ship.language import advise, answer, compact, describe, reason
from sdx_domains.ship.picture import ShipOption, ShipPicture

LANGUAGES: tuple[Language, ...] = get_args(Language)
relaxed = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def texts(picture: ShipPicture, option: ShipOption, language: Language) -> list[str]:
    return [describe(picture, language), *(say(picture, option, language) for say in (answer, advise, compact, reason))]


@pytest.mark.parametrize("language", LANGUAGES)
@relaxed
@given(data=st.data())
def test_our_own_texts_pass(language: Language, situations: st.SearchStrategy, data: st.DataObject) -> None:
    picture, options = data.draw(situations)
    for option in options:
        for text in texts(picture, option, language):
            assert unsupported_numbers(text, picture, [option]) == [], text
            assert unsupported_numbers(text, picture, options) == [], text


def numbers_of(value: object) -> list[float]:
    """Every number anywhere in a dumped picture or option, of whatever kind."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [float(value)]
    if isinstance(value, str):
        return [float(digits) for digits in re.findall(r"\d+", value)]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [number for child in children for number in numbers_of(child)]


@pytest.mark.parametrize("language", LANGUAGES)
@relaxed
@given(data=st.data())
def test_any_changed_number_is_caught(language: Language, situations: st.SearchStrategy, data: st.DataObject) -> None:
    picture, options = data.draw(situations)
    option = options[0]
    text = data.draw(st.sampled_from(texts(picture, option, language)))
    places = list(re.finditer(r"\d+(?:\.\d+)?", text))
    assume(places)
    place = data.draw(st.sampled_from(places))
    decimals = len(place.group().partition(".")[2])
    changed = float(place.group()) + data.draw(st.sampled_from([-1, 1])) * data.draw(st.floats(2.5, 120.0))
    # Nowhere in the facts, whatever it would mean there: minutes from seconds, either sign, counts and signals included.
    facts = [number for number in numbers_of([picture.model_dump(mode="json"), option.model_dump(mode="json")])]
    facts += [number / 60 for number in facts] + [
        0.0,
        1.0,
        2.0,
        3.0,
        5.0,
        6.0,
        7.0,
        8.0,
        13.0,
        16.0,
        34.0,
        35.0,
        len(picture.targets),
        len(picture.targets) - 1,
    ]
    assume(changed >= 0 and all(abs((changed - sign * fact + 180) % 360 - 180) > 2.0 for fact in facts for sign in (1, -1)))
    width = len(place.group()) if place.group().startswith("0") and decimals == 0 else 0
    tampered = text[: place.start()] + f"{changed:0{width}.{decimals}f}" + text[place.end() :]
    assert unsupported_numbers(tampered, picture, [option]) != [], tampered


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("T1 crosses from starboard, 45 deg to starboard", "T1 crosses from starboard, 45 deg to port"),
        ("45 deg to starboard", "47 deg to starboard"),
        ("Turn 30 deg to starboard", "Turn 30 deg to port"),
        ("우현으로 30도 변침", "좌현으로 30도 변침"),
        ("우현 45도", "좌현 45도"),
        ("8.5 NM", "8.7 NM"),
        ("CPA 0.12 NM", "CPA 0.18 NM"),
        ("CPA of T1 is 0.12", "CPA of T1 is 0.18"),
        ("in 30.0 min", "in 30.2 min"),
        ("TCPA 30", "TCPA 31"),
        ("course 270", "course 280"),
        ("침로 270도", "침로 280도"),
        ("12.0 kn", "12.2 kn"),
        ("12노트", "13노트"),
        ("Rule 15", "Rule 14"),
        ("Rules 15 and 16", "Rules 15 and 17"),
        ("제15조, 제16조", "제15조, 제14조"),
        ("(R15, R16)", "(R15, R13)"),
        ("T1 gives", "T2 gives"),
        ("1 ship", "3 ships"),
        ("타선 1척", "타선 3척"),
        ("1 short blast", "2 short blasts"),
        ("VHF channel 16", "VHF channel 17"),
        ("Rule 8", "Rule 88"),
        ("T1 at 8.5 NM with COG 270 deg", "T1 at 8.5 NM, 42 of something"),
    ],
)
def test_a_changed_word_or_number_is_caught(said: str, changed: str, small_case: tuple[ShipPicture, ShipOption]) -> None:
    picture, option = small_case
    assert unsupported_numbers(said, picture, [option]) == []
    assert len(unsupported_numbers(changed, picture, [option])) == 1


def test_a_figure_of_another_target_is_caught(small_case: tuple[ShipPicture, ShipOption]) -> None:
    picture, option = small_case
    other = picture.targets[0].model_copy(update={"label": "T2", "range_nm": 3.3, "cpa_nm": 1.5, "tcpa_min": 9.0})
    both = picture.model_copy(update={"targets": (*picture.targets, other)})
    assert unsupported_numbers("T2 is at 3.3 NM, CPA 1.50 NM in 9.0 min.", both, [option]) == []
    assert len(unsupported_numbers("T1 is at 3.3 NM, CPA 1.50 NM in 9.0 min.", both, [option])) == 3


def test_the_complaint_says_what_is_true(small_case: tuple[ShipPicture, ShipOption]) -> None:
    picture, option = small_case
    assert unsupported_numbers("T1 passes with a CPA of 0.40 NM", picture, [option]) == [
        "0.40 NM CPA is not a figure of T1; nearest: 0.50, 0.12, 1.23"
    ]


@relaxed
@given(text=st.text(max_size=200))
def test_any_text_is_read_without_error(text: str, small_case: tuple[ShipPicture, ShipOption]) -> None:
    picture, option = small_case
    assert isinstance(unsupported_numbers(text, picture, [option]), list)
