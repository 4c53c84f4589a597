"""The prohibitions, one by one, on pictures of the Imazu cases; each has an order that breaks it and one that does not."""

import numpy as np
import pytest

from sdx_domains.ship.lattice import Plans, plans, reference
from sdx_domains.ship.perceive import ShipPerceiver
from sdx_domains.ship.picture import ShipPicture
from sdx_domains.ship.rollout import roll_out
from sdx_domains.ship.rules import action_due, breaches, engaged, foreseen
from sdx_domains.ship.scenarios import scenario
from sdx_domains.ship.simulator.world import ShipWorld


def at_sea(name: str, after_s: int) -> ShipPicture:
    """What is seen when own ship has kept on for so long."""
    world, perceiver = ShipWorld(scenario(name, 0), 0), ShipPerceiver()
    picture = perceiver.take(world.readings(), 0.0)
    for _ in range(after_s // 10):
        for _ in range(10):
            world.step(1.0)
        picture = perceiver.take(world.readings(), world.t_s)
    return picture


def changed(picture: ShipPicture, **fields: object) -> ShipPicture:
    """The same with fields of its only target replaced."""
    target = picture.targets[0].model_copy(update=fields)
    return picture.model_copy(update={"targets": (target,)})


def rules_broken(picture: ShipPicture, turn: float, speed: float = 12.0, minutes: float = 8.0, start_s: float = 0.0) -> set[str]:
    ref = reference(picture)
    one: Plans = plans((ref.held_deg, ref.held_kn), ref.held_deg + turn, speed, start_s, 60.0 * minutes)
    outcome = roll_out(picture, one.course_deg, one.speed_kn, one.start_s, one.duration_s, one.before)
    return {breach.rule for breach in breaches(picture, ref, one, outcome)}


HEAD_ON, GIVE_WAY, OVERTAKING, STAND_ON = (
    at_sea(name, t) for name, t in (("imazu-01", 900), ("imazu-02", 900), ("imazu-03", 60), ("imazu-04", 900))
)


def test_the_pictures_are_what_they_should_be() -> None:
    assert [p.targets[0].encounter for p in (HEAD_ON, GIVE_WAY, OVERTAKING, STAND_ON)] == [
        "head_on",
        "crossing_give_way",
        "overtaking",
        "crossing_stand_on",
    ]


@pytest.mark.parametrize(
    ("picture", "turn", "broken"),
    [
        (HEAD_ON, -40.0, {"R14"}),
        (HEAD_ON, 40.0, set()),
        (GIVE_WAY, -40.0, {"R15"}),
        (GIVE_WAY, 40.0, set()),
        (OVERTAKING, -40.0, set()),
        (OVERTAKING, 40.0, set()),
        (STAND_ON, 40.0, {"R17(a)(i)"}),
        (STAND_ON, -40.0, {"R17(a)(i)", "R17(c)"}),
        (STAND_ON, 0.0, set()),
    ],
)
def test_side_of_the_turn(picture: ShipPicture, turn: float, broken: set[str]) -> None:
    assert rules_broken(picture, turn) - {"R13"} == broken


def test_give_way_vessel_must_not_keep_on_nor_alter_a_little() -> None:
    assert "R16" in rules_broken(GIVE_WAY, 0.0, minutes=0.0)
    close = changed(GIVE_WAY, stage=2)
    assert "R8(b)" in rules_broken(close, 12.0)
    assert "R8(b)" not in rules_broken(close, 32.0)
    assert "R8(b)" not in rules_broken(close, 0.0, speed=5.9)


def test_crossing_ahead_is_seen_from_the_roll_out() -> None:
    assert "R15" in rules_broken(GIVE_WAY, 0.0, speed=14.0, minutes=20.0)
    assert "R15" not in rules_broken(GIVE_WAY, 0.0, speed=4.0, minutes=20.0)


def test_overtaking_ship_does_not_cut_in() -> None:
    abeam = changed(OVERTAKING, range_nm=0.7, bearing_deg=300.0, rel_bearing_deg=-60.0, sog_kn=4.0)
    assert "R13" in rules_broken(abeam, -30.0, minutes=12.0)
    assert "R13" not in rules_broken(abeam, 30.0, minutes=12.0)


def test_stand_on_vessel_may_act_from_stage_3_but_not_to_port() -> None:
    later = changed(STAND_ON, stage=3)
    assert rules_broken(later, 60.0) == set()
    assert rules_broken(later, -60.0) == {"R17(c)"}
    assert rules_broken(STAND_ON, 60.0, start_s=240.0) == set()  # a later begin is not a departure now


def test_duty_to_keep_clear_of_another_frees_the_stand_on_vessel() -> None:
    other = GIVE_WAY.targets[0].model_copy(update={"label": "T2"})
    both = STAND_ON.model_copy(update={"targets": (STAND_ON.targets[0], other)})
    assert "R17(a)(i)" not in rules_broken(both, 40.0)


def test_restricted_visibility_has_no_stand_on_vessel() -> None:
    fog = {"encounter": "restricted_visibility", "role": "r19", "in_sight": False}
    assert rules_broken(changed(STAND_ON, **fog), -40.0) == {"R19(d)(i)"}
    assert rules_broken(changed(STAND_ON, **fog), 40.0) == set()
    abaft = changed(STAND_ON, **fog, rel_bearing_deg=120.0, stage=1)
    assert rules_broken(abaft, 40.0) == {"R19(d)(ii)"}
    assert "R19(d)(ii)" not in rules_broken(abaft, -40.0)
    overtaken_ahead = changed(STAND_ON, **fog, rel_bearing_deg=5.0, aspect_deg=175.0)
    assert "R19(d)(i)" not in rules_broken(overtaken_ahead, -40.0)


def test_past_and_clear_binds_no_more() -> None:
    over = changed(HEAD_ON, past_and_clear=True)
    assert not engaged(over.targets[0])
    assert rules_broken(changed(HEAD_ON, past_and_clear=True, cpa_nm=1.0), -40.0) == set()


def test_a_turn_to_the_wrong_side_is_foreseen() -> None:
    """A vessel on a collision course binds before there is risk: no port turn for another's sake."""
    far = {"encounter": "none", "role": "none", "stage": 0, "tcpa_min": 28.0}
    assert foreseen(HEAD_ON, changed(HEAD_ON, **far).targets[0]) == "head_on"
    assert rules_broken(changed(HEAD_ON, **far), -40.0) == {"R14"}
    assert rules_broken(changed(HEAD_ON, **far), 40.0) == set()
    assert rules_broken(changed(HEAD_ON, **{**far, "tcpa_min": 40.0}), -40.0) == set()


def test_port_is_port_of_the_heading_too() -> None:
    """In mid-turn to starboard, an order beyond the route on the other side is a port turn, whatever the order before said."""
    own = HEAD_ON.own.model_copy(update={"heading_deg": 30.0, "cog_deg": 30.0, "ordered_heading_deg": 75.0})
    assert "R14" in rules_broken(HEAD_ON.model_copy(update={"own": own}), 165.0)


@pytest.mark.parametrize(
    ("role", "stage", "due"), [("give_way", 0, False), ("give_way", 1, True), ("stand_on", 2, False), ("stand_on", 3, True)]
)
def test_when_action_is_due(role: str, stage: int, due: bool) -> None:
    assert action_due(GIVE_WAY.targets[0].model_copy(update={"role": role, "stage": stage})) is due


def test_flags_name_rule_and_target() -> None:
    ref = reference(HEAD_ON)
    port = plans((ref.held_deg, ref.held_kn), [320.0, 40.0], 12.0, 0.0, 480.0)
    found = breaches(HEAD_ON, ref, port, roll_out(HEAD_ON, port.course_deg, port.speed_kn, port.start_s, port.duration_s))
    flag = next(b for b in found if b.rule == "R14")
    assert flag.flag == "R14 port turn in a head-on meeting with T1"
    assert np.array_equal(flag.mask, [True, False])
