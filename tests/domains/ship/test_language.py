"""Description, advice and reason: form, wording by situation, figures."""

import re
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_domains.contract import Language
from sdx_domains.ship.figures import fill
from sdx_domains.ship.language import (
    advise,
    answer,
    compact,
    decisive,
    describe,
    fmt_bearing,
    fmt_course,
    fmt_cpa,
    fmt_range,
    fmt_speed,
    fmt_tcpa,
    reason,
    reason_form,
    relative,
)
from sdx_domains.ship.picture import Environment, OwnShip, Route, ShipOption, ShipPicture, Target, TargetOutcome

LANGUAGES: tuple[Language, ...] = get_args(Language)
relaxed = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)

CROSSING = Target(
    track_id="csv:1",
    label="T1",
    lat_deg=35.1,
    lon_deg=129.1,
    cog_deg=270.0,
    sog_kn=12.0,
    heading_deg=270.0,
    age_s=1.0,
    range_nm=8.485,
    bearing_deg=45.0,
    rel_bearing_deg=45.0,
    aspect_deg=-45.0,
    bearing_rate_deg_min=0.0,
    range_rate_kn=-17.0,
    cpa_nm=0.0,
    cpa_sigma_nm=0.05,
    tcpa_min=30.0,
    bcr_nm=0.0,
    bct_min=30.0,
    passes="ahead",
    encounter="crossing_give_way",
    role="give_way",
    rules=("R7", "R8", "R15", "R16"),
    stage=2,
    risk=0.9,
)
TURN = ShipOption(
    id="B",
    label="starboard 30",
    setpoints={"heading_deg": 30.0, "speed_kn": 12.0},
    course_deg=30.0,
    speed_kn=12.0,
    turn_deg=30.0,
    offset_deg=30.0,
    duration_s=600.0,
    kind="turn",
    min_cpa_nm=1.234,
    by_target=(TargetOutcome(label="T1", min_cpa_nm=1.234, t_min=24.04),),
)


def picture_of(*targets: Target, **environment: object) -> ShipPicture:
    return ShipPicture(
        t_s=0.0,
        own=OwnShip(lat_deg=35.0, lon_deg=129.0, heading_deg=0.0, cog_deg=0.0, sog_kn=12.0),
        route=Route(
            waypoints=((35.2, 129.0),), leg_course_deg=0.0, course_to_steer_deg=0.0, xte_m=0.0, planned_sog_kn=12.0, distance_nm=12.0
        ),
        environment=Environment.model_validate(environment),
        targets=targets,
    )


def test_figures_have_one_printed_form() -> None:
    assert [fmt_range(8.485), fmt_cpa(0.004), fmt_tcpa(-0.04), fmt_speed(12), fmt_bearing(45.2)] == ["8.5", "0.00", "0.0", "12.0", "45"]
    assert [fmt_course(deg) for deg in (0, 359.6, -1, 45.4, 360)] == ["000", "000", "359", "045", "000"]


@pytest.mark.parametrize(
    ("deg", "en", "ko"),
    [
        (45.0, "45 deg to starboard", "우현 45도"),
        (-10.4, "10 deg to port", "좌현 10도"),
        (0.3, "right ahead", "정선수"),
        (-179.8, "right astern", "정선미"),
    ],
)
def test_relative_bearing_names_the_side(deg: float, en: str, ko: str) -> None:
    assert (relative(deg, "en"), relative(deg, "ko")) == (en, ko)


def test_reason_names_target_figures_duty_act_and_result() -> None:
    picture = picture_of(CROSSING)
    assert reason(picture, TURN, "en") == (
        "T1 crosses from starboard, 45 deg to starboard, 8.5 NM, CPA 0.00 NM in 30.0 min; we give way (R15, R16). Turn 30 deg to starboard; min CPA 1.23 NM."
    )
    assert reason(picture, TURN, "ko") == (
        "T1 우현에서 횡단, 우현 45도, 8.5 NM, CPA 0.00 NM, TCPA 30.0분, 본선 피항선(제15조, 제16조). 우현 30도 변침, 최소 CPA 1.23 NM."
    )


def test_reason_turns_on_the_ship_that_own_ship_gives_way_to_and_counts_the_others() -> None:
    stand_on = CROSSING.model_copy(
        update={
            "label": "T2",
            "encounter": "crossing_stand_on",
            "role": "stand_on",
            "rel_bearing_deg": -45.0,
            "rules": ("R15", "R17(a)(i)"),
        }
    )
    picture = picture_of(stand_on, CROSSING)
    assert decisive(picture, TURN) == CROSSING and decisive(picture) == stand_on
    assert reason(picture, TURN, "en").endswith("min CPA 1.23 NM. 1 other ship.")


def test_description_and_advice_in_full() -> None:
    picture = picture_of(CROSSING)
    assert describe(picture, "en") == (
        "Visibility is 10.0 NM by day and 1 ship is tracked. The most urgent, T1, bears 045 (45 deg to starboard) at 8.5 NM, 100 m long and 16 m wide, "
        "course 270, 12.0 kn. Own ship is on course 000 at 12.0 kn; CPA 0.00 NM, TCPA 30.0 min. T1 crosses from starboard, own ship gives way and the risk "
        "of collision is high.\n\nUnder Rules 7, 8, 15 and 16 own ship acts early and substantially, does not cross ahead of T1, and a turn to port is barred."
    )
    assert advise(picture, TURN, "en") == (
        "Under Rules 15 and 16: turn 30 deg to starboard to course 030, speed 12.0 kn. Do not turn to port. "
        "The expected CPA is 1.23 NM, with T1 in 24.0 min. Sound 1 short blast and tell T1 on VHF."
    )
    assert advise(picture, TURN, "ko") == (
        "제15조, 제16조에 따라 우현으로 30도 변침하여 침로 030도, 속력 12.0 kn으로 항행한다. 좌현 변침은 하지 않는다. "
        "예상 최근접점(CPA)은 1.23 NM으로, 24.0분 후 T1 선박과의 거리이다. 단음 1회를 울리고 VHF로 T1 선박에 의도를 알린다."
    )
    assert compact(picture, TURN, "en") == "keep speed 12.0 kn / turn 30 deg to starboard / R15, R16"
    assert compact(picture, TURN, "ko") == "속력 12.0 kn 유지 / 우현 30도 변침 / 제15조, 제16조"


def test_standing_on_names_the_cpa_that_stays_attainable() -> None:
    picture = picture_of(
        CROSSING.model_copy(update={"encounter": "crossing_stand_on", "role": "stand_on", "rules": ("R7", "R15", "R17(a)(i)")})
    )
    hold = TURN.model_copy(update={"kind": "hold", "turn_deg": 0.0, "min_cpa_nm": 0.0, "escape_cpa_nm": 0.87})
    assert reason(picture, hold, "en").endswith("we stand on (R15, R17). Hold course and speed; attainable CPA 0.87 NM.")
    assert reason(picture, hold, "ko").endswith("본선 유지선(제15조, 제17조). 침로와 속력 유지, 확보 가능 CPA 0.87 NM.")
    assert "The attainable CPA is 0.87 NM." in advise(picture, hold, "en")
    assert "we stand on but act now (R15, R17). Turn 30 deg" in reason(picture, TURN, "en")


@pytest.mark.parametrize(
    ("target", "option", "environment", "expected"),
    [
        ({}, {"turn_deg": -30.0}, {}, "2 short blasts"),
        ({}, {"kind": "stop", "speed_kn": 2.0}, {}, "3 short blasts"),
        ({"role": "stand_on", "stage": 3}, {"kind": "hold", "turn_deg": 0.0}, {}, "5 short blasts"),
        ({"in_sight": False}, {}, {"restricted_visibility": True}, "1 prolonged blast"),
        ({}, {"kind": "slow", "speed_kn": 6.0, "turn_deg": 0.0}, {}, "Tell T1 on VHF"),
        ({"stage": 0, "encounter": "none", "role": "none"}, {"kind": "keep", "turn_deg": 0.0}, {}, "proper look-out"),
    ],
)
def test_signal_fits_the_action(
    target: dict[str, object], option: dict[str, object], environment: dict[str, object], expected: str
) -> None:
    picture = picture_of(CROSSING.model_copy(update=target), **environment)
    assert expected in advise(picture, TURN.model_copy(update=option), "en")


@pytest.mark.parametrize(("rel_bearing_deg", "barred"), [(60.0, True), (-120.0, False)])
def test_port_turn_ban_in_fog_holds_for_ships_forward_of_the_beam(rel_bearing_deg: float, barred: bool) -> None:
    target = CROSSING.model_copy(
        update={"encounter": "restricted_visibility", "role": "r19", "rules": ("R19",), "rel_bearing_deg": rel_bearing_deg}
    )
    assert ("Do not turn to port" in advise(picture_of(target, restricted_visibility=True), TURN, "en")) is barred


@pytest.mark.parametrize("language", LANGUAGES)
@relaxed
@given(data=st.data())
def test_every_text_keeps_its_form(language: Language, situations: st.SearchStrategy, data: st.DataObject) -> None:
    picture, options = data.draw(situations)
    for text in (describe(picture, language), answer(picture, options[0], language)):
        paragraphs = text.split("\n\n")
        assert len(paragraphs) == 2 and all(paragraphs)
        assert 150 <= len(text) <= 700, (len(text), text)
        assert not re.search(r"^\s*([-*•]|\d+[.)])\s", text, re.MULTILINE)
    assert "\n" not in advise(picture, options[0], language) + compact(picture, options[0], language) + reason(
        picture, options[0], language
    )
    assert fill(reason_form(picture, options[0], language), picture, options[0]) == reason(picture, options[0], language)
    if language == "en":
        assert len(reason(picture, options[0], language).split()) <= 45
    for word in ("{", "}", "  ", "None", " ."):
        assert word not in answer(picture, options[0], language) + reason(picture, options[0], language)
