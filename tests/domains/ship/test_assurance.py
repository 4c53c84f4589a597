"""Each invariant with an order that breaks it, then the trial against the stepped truth."""

import statistics
import time

import pytest

from sdx_domains.contract import Order, Proposal, Understanding
from sdx_domains.ship.assurance import assure, check, fallback
from sdx_domains.ship.assurance_trial import assurance_trial
from sdx_domains.ship.limits import limits
from sdx_domains.ship.options import all_options, shown_options
from sdx_domains.ship.perceive import ShipPerceiver
from sdx_domains.ship.picture import ShipOption, ShipPicture
from sdx_domains.ship.planner import best
from sdx_domains.ship.scenarios import scenario
from sdx_domains.ship.simulator.world import ShipWorld


def at_sea(name: str, after_s: int = 0) -> ShipPicture:
    world, perceiver = ShipWorld(scenario(name, 0), 0), ShipPerceiver()
    picture = perceiver.take(world.readings(), 0.0)
    for _ in range(after_s // 10):
        for _ in range(10):
            world.step(1.0)
        picture = perceiver.take(world.readings(), world.t_s)
    return picture


CROSSING = at_sea("imazu-02", 780)
OPTIONS = shown_options(CROSSING, all_options(CROSSING))
BEST = best(CROSSING, OPTIONS)


def proposal(option_id: str | None = BEST.id, **fields: object) -> Proposal:
    target = CROSSING.targets[0]
    said = (Understanding(subject=target.label, kind=target.encounter, role=target.role, rules=target.rules),)
    return Proposal.model_validate({"option_id": option_id, "understanding": said, **fields})


def option(course: float, speed: float = 12.0, minutes: float = 8.0, start_s: float = 0.0) -> ShipOption:
    """An order as if it had been offered, with a flattering record that must not be believed."""
    return ShipOption(
        id="X", label="x", setpoints={"heading_deg": course, "speed_kn": speed}, course_deg=course, speed_kn=speed, turn_deg=course,
        start_s=start_s, duration_s=60.0 * minutes, kind="turn", min_cpa_nm=9.0, cost=-1.0,
    )  # fmt: skip


def tried(picture: ShipPicture, course: float, speed: float = 12.0, minutes: float = 8.0, start_s: float = 0.0):
    return assure(picture, (option(course, speed, minutes, start_s),), Proposal(option_id="X", source="fallback"))


def test_the_best_is_accepted_with_an_order_and_margins() -> None:
    verdict = assure(CROSSING, OPTIONS, proposal())
    assert verdict.kind == "accept" and verdict.order is not None
    assert verdict.order.setpoints == BEST.setpoints
    assert verdict.order.valid_for_s == limits().order_valid_s and verdict.order.source == "model"
    assert verdict.margins["cpa_nm"] > 0.0 and verdict.margins["tcpa_min"] > 0.0
    assert verdict.picture_id == verdict.order.picture_id == CROSSING.id
    assert assure(CROSSING, OPTIONS, proposal()) == verdict


@pytest.mark.parametrize("option_id", [None, "Z", ""])
def test_unknown_option_and_abstention_are_rejected(option_id: str | None) -> None:
    verdict = assure(CROSSING, OPTIONS, proposal(option_id))
    assert verdict.kind == "reject" and verdict.order is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Understanding(subject="T1", kind="head_on", role="both_give_way", rules=("R14",)), "the proposal says head_on"),
        (Understanding(subject="T1", kind="crossing_give_way", role="stand_on"), "the proposal says crossing_give_way, stand_on"),
        (Understanding(subject="T1", kind="crossing_give_way", role="give_way", rules=("R19",)), "R19 cited for T1"),
        (Understanding(subject="T9", kind="none", role="none"), "'T9' is not a target"),
    ],
)
def test_wrong_understanding_is_rejected(said: Understanding, reason: str) -> None:
    verdict = assure(CROSSING, OPTIONS, proposal(understanding=(said,)))
    assert verdict.kind == "reject"
    assert any(reason in text for text in verdict.reasons)


def test_a_model_must_speak_of_every_risk() -> None:
    verdict = assure(CROSSING, OPTIONS, proposal(understanding=()))
    assert verdict.kind == "reject" and "nothing is said of T1" in verdict.reasons[0]
    assert assure(CROSSING, OPTIONS, proposal(understanding=(), source="fallback")).kind == "accept"


def test_wrong_numbers_are_rejected_and_right_ones_are_not() -> None:
    target = CROSSING.targets[0]
    right = f"T1 is {target.range_nm:.1f} NM off."
    assert assure(CROSSING, OPTIONS, proposal(reason=right)).kind == "accept"
    wrong = f"T1 is {target.range_nm + 2.0:.1f} NM off."
    assert assure(CROSSING, OPTIONS, proposal(reason=wrong)).kind == "reject"
    assert assure(CROSSING, OPTIONS, proposal(reason=wrong, picture_id="0123456789abcdef")).kind == "accept"  # held to the older picture


def test_forbidden_and_unsafe_orders_are_rejected_whatever_the_option_says() -> None:
    for course, speed, minutes, rule in (
        (320.0, 12.0, 8.0, "R15"),
        (0.0, 14.5, 20.0, "R15"),
        (10.0, 12.0, 8.0, "R8(b)"),
        (0.0, 12.0, 0.0, "R16"),
    ):
        verdict = tried(CROSSING, course, speed, minutes)
        assert verdict.kind == "reject" and any(rule in reason for reason in verdict.reasons), (course, verdict.reasons)


def test_too_short_a_leg_is_rejected_too_long_a_one_is_clipped() -> None:
    short = tried(CROSSING, 30.0, minutes=2.0)
    assert short.kind == "reject" and short.margins["cpa_nm"] < 0.02
    picture = at_sea("imazu-13", 90)
    long = [tried(picture, c, minutes=30.0) for c in (60.0, 75.0, 90.0)]
    assert {v.kind for v in long} <= {"accept", "clip", "reject"}
    for verdict in long:
        assert (verdict.order is None) == (verdict.kind == "reject")


def test_set_points_are_kept_within_the_ship() -> None:
    fast = tried(CROSSING, 60.0, speed=40.0)
    assert fast.kind == "clip" and fast.order is not None and fast.order.setpoints["speed_kn"] == 15.0
    slow = tried(CROSSING, 60.0, speed=1.0)
    assert slow.order is None or slow.order.setpoints["speed_kn"] == 2.0
    for course, speed in ((float("nan"), 12.0), (60.0, float("inf")), (60.0, -3.0)):
        assert tried(CROSSING, course, speed).kind == "reject"
    assert tried(CROSSING, 60.0 + 720.0).order is not None
    assert tried(CROSSING, 60.0, minutes=float("nan")).kind == "reject"


def test_a_later_manoeuvre_leaves_the_present_order_until_then() -> None:
    picture = at_sea("imazu-02", 300)
    verdict = tried(picture, 60.0, minutes=8.0, start_s=120.0)
    assert verdict.kind == "clip" and verdict.order is not None
    assert verdict.order.setpoints["heading_deg"] == pytest.approx(0.0, abs=0.5)
    assert verdict.order.valid_for_s == limits().order_valid_s


def test_stale_own_data_reject_and_slow_the_fallback_down() -> None:
    stale = CROSSING.model_copy(update={"own": CROSSING.own.model_copy(update={"age_s": 5.0})})
    assert assure(stale, OPTIONS, proposal()).kind == "reject"
    verdict = fallback(stale, OPTIONS)
    assert verdict.kind == "fallback" and verdict.order is not None
    assert verdict.order.setpoints["heading_deg"] == pytest.approx(0.0, abs=0.5)
    assert verdict.order.setpoints["speed_kn"] <= 6.0
    assert check(stale, verdict.order).kind == "reject"


def test_fallback_always_has_an_order() -> None:
    for picture in (CROSSING, at_sea("imazu-01").model_copy(update={"targets": ()}), at_sea("imazu-04", 1770)):
        for options in ((), shown_options(picture, all_options(picture))):
            verdict = fallback(picture, options)
            assert verdict.kind == "fallback" and verdict.order is not None
            assert verdict.order.source == "fallback"
            assert verdict.order.valid_for_s > 0.0


def test_fallback_agrees_with_assurance() -> None:
    for name, after_s in (("imazu-01", 700), ("imazu-05", 700), ("imazu-06", 0), ("imazu-13", 60), ("imazu-21", 0)):
        picture = at_sea(name, after_s)
        options = shown_options(picture, all_options(picture))
        chosen = fallback(picture, options).order
        assert chosen is not None
        assert assure(picture, options, Proposal(option_id=chosen.option_id, source="fallback")).kind in ("accept", "clip")


def order(picture: ShipPicture, heading: float, speed: float = 12.0) -> Order:
    return Order(
        domain="ship", setpoints={"heading_deg": heading, "speed_kn": speed}, issued_s=picture.t_s, valid_for_s=90.0, source="model",
        picture_id=picture.id,
    )  # fmt: skip


def test_check_leaves_a_good_leg_alone_and_stops_a_bad_one() -> None:
    assert check(CROSSING, order(CROSSING, 45.0)).kind == "accept"
    near = at_sea("imazu-01", 1650)  # head-on, two and a half minutes to go
    assert check(near, order(near, 0.0)).kind == "reject"
    assert check(near, order(near, 90.0)).kind == "accept"
    assert check(CROSSING.model_copy(update={"targets": ()}), order(CROSSING, 200.0)).kind == "accept"
    assert (
        check(CROSSING, Order(domain="ship", setpoints={"rudder_deg": 3.0}, issued_s=0, valid_for_s=9, source="model", picture_id="")).kind
        == "reject"
    )


def test_check_does_not_interrupt_when_nothing_is_better() -> None:
    lost = at_sea("imazu-01", 1750)
    touching = lost.model_copy(update={"targets": (lost.targets[0].model_copy(update={"range_nm": 0.08}),)})
    least_bad = fallback(touching, ()).order
    assert least_bad is not None
    assert check(touching, least_bad).kind == "accept"


def test_speed_of_verdict_and_check() -> None:
    """Generous bounds: the measured figures are the bench's; a shared machine must not fail this."""
    picture = at_sea("imazu-16", 700)
    options = all_options(picture)
    assert len(options) >= 60
    held = order(picture, 45.0)
    verdicts, checks = [], []
    for _ in range(15):
        began = time.thread_time()
        assure(picture, options, Proposal(option_id=options[0].id, source="fallback"))
        verdicts.append(time.thread_time() - began)
        began = time.thread_time()
        check(picture, held)
        checks.append(time.thread_time() - began)
    assert statistics.median(verdicts) < 0.040
    assert statistics.median(checks) < 0.015


def test_no_bad_order_passes_and_few_good_ones_are_stopped() -> None:
    result = assurance_trial(300, seed=7)
    assert result["false_accepts"] == 0, result["false_accept_examples"]
    assert result["false_reject_rate"] <= 0.05, result["false_reject_examples"]
    assert result["accepted"] > 50 and result["rejected"] > 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_orders() -> None:
    result = assurance_trial(10_000, seed=0)
    assert result["false_accepts"] == 0, result["false_accept_examples"]
    assert result["false_reject_rate"] <= 0.05, result["false_reject_examples"]
