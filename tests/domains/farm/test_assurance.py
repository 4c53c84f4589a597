"""The verdict: what was not offered, is outside the box, untrue or worse in the simulation gets no order; the rules always have one."""

from math import nan

import pytest
from readings import picture_of

from sdx_domains.contract import Order, Proposal, Understanding
from sdx_domains.equipment import Alarm
from sdx_domains.farm.assurance import assure, check, fallback
from sdx_domains.farm.control.limits import outside
from sdx_domains.farm.options import shown_options
from sdx_domains.farm.picture import FarmOption, FarmPicture
from sdx_domains.farm.plan import Plan
from sdx_domains.farm.planner import CLOSE_EUR_M2, planned, worth_eur_m2


@pytest.fixture(scope="module")
def picture() -> FarmPicture:
    return picture_of(2.0)


@pytest.fixture(scope="module")
def options(picture: FarmPicture) -> tuple[FarmOption, ...]:
    return shown_options(picture)


def accepted(picture: FarmPicture, options: tuple[FarmOption, ...]) -> Order:
    order = assure(picture, options, planned(picture, options)).order
    assert order is not None
    return order


def test_what_the_planner_proposes_is_accepted(picture: FarmPicture, options: tuple[FarmOption, ...]) -> None:
    verdict = assure(picture, options, planned(picture, options))
    assert verdict.kind == "accept" and verdict.order is not None and verdict.picture_id == picture.id
    assert verdict.order.valid_for_s == 8 * 3600.0 and verdict.margins["temp_low_k"] > 0.0
    assert assure(picture, options, planned(picture, options)) == verdict
    assert check(picture, verdict.order).kind == "accept"


@pytest.mark.parametrize("option_id", [None, "Z", "", "a"])
def test_what_was_not_offered_is_rejected(picture: FarmPicture, options: tuple[FarmOption, ...], option_id: str | None) -> None:
    verdict = assure(picture, options, Proposal(option_id=option_id))
    assert verdict.kind == "reject" and verdict.order is None
    assert ("abstains" if option_id is None else "not offered") in verdict.reasons[0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("heat_temp_c@0", 293.15, "outside"),
        ("heat_temp_c@3", -5.0, "outside"),
        ("co2_ppm@1", 5000.0, "outside"),
        ("start_s", -90000.0, "starts"),
        ("start_s", 9e6, "starts"),
        ("vent_temp_c@2", nan, "finite"),
        ("surprise", 1.0, "unknown"),
    ],
)
def test_a_plan_that_was_tampered_with_is_rejected(
    picture: FarmPicture, options: tuple[FarmOption, ...], name: str, value: float, said: str
) -> None:
    option = options[0].model_copy(update={"setpoints": {**options[0].setpoints, name: value}})
    verdict = assure(picture, (option,), Proposal(option_id=option.id, source="fallback"))
    assert verdict.kind == "reject" and any(said in reason for reason in verdict.reasons), verdict.reasons
    order = accepted(picture, options).model_copy(update={"setpoints": option.setpoints})
    assert check(picture, order).kind == "reject"


def test_a_stored_outcome_is_not_believed(picture: FarmPicture, options: tuple[FarmOption, ...]) -> None:
    """A plan that chills the house stays rejected however good the option says it is."""
    cold = picture_of(2.0, temp_c=-12.0, solar_w_m2=0.0)
    setpoints = dict(options[0].setpoints)
    setpoints |= {name: 15.0 for name in setpoints if name.startswith("heat_temp_c")}
    setpoints |= {name: 16.0 for name in setpoints if name.startswith("vent_temp_c")}
    setpoints |= {name: 60.0 for name in setpoints if name.startswith("rh_max_pct")}
    setpoints |= {name: -30.0 for name in setpoints if name.startswith("screen_out_temp_c")}
    lie = options[0].model_copy(update={"setpoints": {**setpoints, "start_s": cold.t_s}})
    verdict = assure(cold, (lie,), Proposal(option_id=lie.id, source="fallback"))
    assert verdict.margins["gain_eur_m2"] != lie.outcome.gain_eur_m2
    assert verdict.kind == "reject" and "out of bounds" in verdict.reasons[0], verdict


def test_words_are_held_to_the_picture(picture: FarmPicture, options: tuple[FarmOption, ...]) -> None:
    good = planned(picture, options)
    lie = good.model_copy(update={"reason": "It is 31.7 °C inside and the wind blows at 27 m/s.", "picture_id": picture.id})
    assert assure(picture, options, lie).kind == "reject"
    elsewhere = Understanding(subject="barn", kind="frost", role="risk")
    put_right = assure(picture, options, good.model_copy(update={"understanding": (elsewhere,)}))
    assert put_right.kind == "clip" and "barn" in put_right.reasons[0]
    silent = Proposal(option_id=good.option_id, source="model")
    assert any("nothing is said" in reason for reason in assure(picture, options, silent).reasons)


def test_who_misreads_the_house_keeps_no_worse_plan_than_the_planners(picture: FarmPicture, options: tuple[FarmOption, ...]) -> None:
    best = planned(picture, options)
    worth = {option.id: worth_eur_m2(option.outcome) for option in options}
    worse = min(options, key=lambda option: worth[option.id])
    assert worth[worse.id] < worth[str(best.option_id)] - CLOSE_EUR_M2
    silent = assure(picture, options, Proposal(option_id=worse.id, source="model"))
    assert silent.kind == "clip" and silent.order is not None and silent.order.option_id == best.option_id
    assert silent.reasons[-1] == f"the planner's plan {best.option_id} stands in for {worse.id}"
    as_good = assure(picture, options, Proposal(option_id=best.option_id, source="model"))
    assert as_good.kind == "clip" and as_good.order is not None and as_good.order.option_id == best.option_id
    assert "stands" in as_good.reasons[-1] and "stands in" not in as_good.reasons[-1]
    read = [best.model_copy(update={"option_id": option.id, "reason": ""}) for option in options]
    assert {assure(picture, options, each).kind for each in read} <= {"accept", "reject"}  # who reads it rightly is not put right


@pytest.mark.parametrize("missing", ["forecast", "prices", "twin"])
def test_without_what_a_plan_needs_the_rules_hold(picture: FarmPicture, options: tuple[FarmOption, ...], missing: str) -> None:
    blind = picture.model_copy(update={missing: () if missing == "twin" else None})
    verdict = assure(blind, options, planned(picture, options).model_copy(update={"picture_id": ""}))
    assert verdict.kind == "reject" and f"no {missing}" in verdict.reasons[0]
    fallen = fallback(blind)
    assert fallen.kind == "fallback" and fallen.order is not None and outside(Plan.of_setpoints(fallen.order.setpoints)) == []


def test_a_standing_plan_is_watched(picture: FarmPicture, options: tuple[FarmOption, ...]) -> None:
    order = accepted(picture, options)
    assert check(picture.model_copy(update={"t_s": picture.t_s + 6 * 3600.0}), order).kind == "accept"
    over = check(picture.model_copy(update={"t_s": picture.t_s + 9 * 3600.0}), order)
    assert over.kind == "reject" and any("over" in reason or "starts" in reason for reason in over.reasons)
    alarm = Alarm(kind="frost", severity="critical", since_s=picture.t_s, detail="4.1 C inside, limit 5 C")
    alarmed = picture.model_copy(update={"alarms": (alarm,)})
    assert check(alarmed, order).kind == "reject" and "frost" in check(alarmed, order).reasons[0]
    fallen = fallback(alarmed).order
    assert fallen is not None and check(alarmed, fallen).kind == "accept"
