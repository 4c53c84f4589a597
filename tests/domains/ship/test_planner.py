"""What is chosen, and what is shown: by rule and margin, early, boldly, to the right side, and back without a new risk."""

import numpy as np
import pytest

from sdx_domains.ship.geometry import wrap180
from sdx_domains.ship.lattice import kind_of, lattice, reference
from sdx_domains.ship.options import SHOWN, all_options, shown_options
from sdx_domains.ship.perceive import ShipPerceiver
from sdx_domains.ship.picture import ShipOption, ShipPicture
from sdx_domains.ship.planner import SPARE_NM, best, evaluate
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


def steering(picture: ShipPicture, heading: float, speed: float = 12.0) -> ShipPicture:
    """As if own ship were already on that order."""
    own = picture.own.model_copy(
        update={"heading_deg": heading, "cog_deg": heading, "ordered_heading_deg": heading, "ordered_speed_kn": speed, "sog_kn": speed}
    )
    return picture.model_copy(update={"own": own})


def chosen(picture: ShipPicture) -> ShipOption:
    return best(picture, all_options(picture))


@pytest.mark.parametrize("name", ["imazu-01", "imazu-02", "imazu-05"])
def test_gives_way_by_one_bold_turn_to_starboard(name: str) -> None:
    option = chosen(at_sea(name, 660))
    assert option.kind == "turn" and option.turn_deg >= 30.0
    assert not option.flags and option.min_cpa_nm >= 0.5


@pytest.mark.parametrize("name", ["imazu-06", "imazu-12", "imazu-14"])
def test_acts_at_once_where_two_minutes_are_all_there_is(name: str) -> None:
    option = chosen(at_sea(name))
    assert option.turn_deg >= 30.0 and option.start_s == 0.0
    assert option.min_cpa_nm >= 0.5 and not option.flags


def test_stands_on_while_a_way_out_remains() -> None:
    option = chosen(at_sea("imazu-04", 600))
    assert option.kind == "keep" and not option.flags
    assert option.min_cpa_nm < 0.1 and option.escape_cpa_nm is not None and option.escape_cpa_nm > 0.5


def test_stand_on_vessel_acts_when_the_other_does_not() -> None:
    option = chosen(at_sea("imazu-04", 1450))
    assert option.kind not in ("keep", "hold") and not option.flags
    assert option.min_cpa_nm >= 0.5 and option.turn_deg >= 0.0


def test_holds_the_leg_until_the_return_is_clear_then_returns() -> None:
    under_way = steering(at_sea("imazu-01", 660), 30.0)
    assert chosen(under_way).kind == "hold"
    clear = under_way.model_copy(
        update={"targets": (under_way.targets[0].model_copy(update={"past_and_clear": True, "bearing_deg": 200.0}),)}
    )
    assert chosen(clear).kind == "resume"


def test_does_not_swing_to_the_other_side() -> None:
    held = steering(at_sea("imazu-03", 60), 30.0)  # overtaking: either side is allowed
    assert chosen(held).kind == "hold"


def test_nothing_to_do_without_others() -> None:
    empty = at_sea("imazu-01").model_copy(update={"targets": ()})
    assert chosen(empty).kind == "keep"
    assert chosen(steering(empty, 40.0)).kind == "resume"


def test_departs_from_the_rules_only_in_danger() -> None:
    """Rule 2(b): with every starboard turn blocked, the least bad is taken, allowed or not, before a collision."""
    picture = at_sea("imazu-01", 1560)  # head-on, about two minutes to go, never acted
    wall = [
        picture.targets[0].model_copy(
            update={"label": f"T{i + 2}", "encounter": "none", "role": "none", "stage": 0, "cog_deg": 0.0, "sog_kn": 12.0,
                    "bearing_deg": 50.0 + 10.0 * i, "range_nm": 0.45}
        )
        for i in range(6)
    ]  # fmt: skip
    option = chosen(picture.model_copy(update={"targets": (picture.targets[0], *wall)}))
    assert option.min_cpa_nm > 0.1


def test_the_lattice_is_wide_and_has_no_small_alterations() -> None:
    for picture in (at_sea("imazu-22"), steering(at_sea("imazu-22"), 45.0)):
        options = all_options(picture)
        assert len(options) >= 60
        assert len({option.id for option in options}) == len(options)
        turns = [o for o in options if o.kind == "turn" and o.start_s == 0.0]
        assert min(abs(o.turn_deg) for o in turns) >= 24.0
        assert {o.kind for o in options} >= {"turn", "slow", "stop", "turn_slow"}
        assert {0.0, 120.0, 240.0} == {o.start_s for o in options}


@pytest.mark.parametrize(("name", "after_s"), [("imazu-01", 0), ("imazu-05", 900), ("imazu-06", 0), ("imazu-13", 300), ("imazu-22", 120)])
def test_shown_options(name: str, after_s: int) -> None:
    picture = at_sea(name, after_s)
    every = all_options(picture)
    shown = shown_options(picture, every)
    assert 4 <= len(shown) <= SHOWN
    assert [o.id for o in shown] == list("ABCDEFGH"[: len(shown)])
    assert any(o.kind in ("keep", "resume") for o in shown)
    assert any(o.flags or o.min_cpa_nm < picture.cpa_limit_nm for o in shown)
    assert len({(round(o.course_deg), round(o.speed_kn, 1)) for o in shown}) == len(shown)
    assert [round(o.turn_deg) for o in shown] == sorted(round(o.turn_deg) for o in shown)
    the_best, among_shown = best(picture, [o for o in every if o.start_s == 0.0]), best(picture, shown)
    assert (the_best.setpoints, the_best.cost) == (among_shown.setpoints, among_shown.cost)


def test_the_best_has_no_fixed_place() -> None:
    places = set()
    for name in ("imazu-01", "imazu-02", "imazu-06", "imazu-13", "imazu-20", "imazu-04"):
        picture = at_sea(name, 60)
        shown = shown_options(picture, all_options(picture))
        places.add(best(picture, shown).id)
    assert len(places) >= 3


def test_the_same_picture_gives_the_same_options() -> None:
    picture = at_sea("imazu-16", 120)
    assert all_options(picture) == all_options(picture)


def test_best_of_nothing_says_so() -> None:
    with pytest.raises(ValueError, match="no option to choose from"):
        best(at_sea("imazu-01"), [])


def test_cost_puts_rules_before_delay_and_danger_before_rules() -> None:
    picture = at_sea("imazu-02", 900)
    ref = reference(picture)
    evaluation = evaluate(picture, ref, lattice(picture, ref))
    broken, clear = evaluation.breached(), evaluation.short_nm <= 0.0
    assert evaluation.cost[~broken & clear].max() < evaluation.cost[broken].min()
    danger = evaluation.danger_nm > 0.2
    assert evaluation.cost[danger].min() > evaluation.cost[~broken & clear].max()
    assert np.isfinite(evaluation.cost).all()


@pytest.mark.parametrize(
    ("course", "speed", "minutes", "kind"),
    [(0, 12, 0, "keep"), (40, 12, 8, "turn"), (0, 6, 8, "slow"), (40, 6, 8, "turn_slow"), (0, 0, 8, "stop"), (2, 12, 8, "keep")],
)
def test_kind_of_a_plan(course: float, speed: float, minutes: float, kind: str) -> None:
    assert kind_of(reference(at_sea("imazu-01")), course, speed, 60.0 * minutes) == kind


def test_turns_are_told_against_the_present_heading_and_the_route() -> None:
    picture = steering(at_sea("imazu-22"), 45.0)
    for option in all_options(picture):
        assert option.turn_deg == pytest.approx(wrap180(option.course_deg - 45.0), abs=0.11)
        assert option.offset_deg == pytest.approx(wrap180(option.course_deg), abs=0.6)


@pytest.mark.parametrize("name", ["imazu-05", "imazu-13", "imazu-16", "imazu-22"])
def test_judgement_does_not_depend_on_the_sample_step(name: str) -> None:
    """Twice the nodes: the same rules broken, the same plans clear, but for those within the roll-out's error of the limit."""
    picture = at_sea(name, 700)
    ref = reference(picture)
    coarse, fine = (evaluate(picture, ref, lattice(picture, ref), detail=detail) for detail in (1, 2))
    border = np.abs(coarse.cpa_nm - picture.cpa_limit_nm - SPARE_NM).min(axis=1) < 0.01
    assert np.array_equal((coarse.short_nm > 0.0)[~border], (fine.short_nm > 0.0)[~border])
    assert [b.flag for b in coarse.breaches] == [b.flag for b in fine.breaches]
    assert np.mean(coarse.breached() == fine.breached()) > 0.98
    assert int(coarse.cost.argmin()) == int(fine.cost.argmin()) or abs(coarse.cost.min() - fine.cost.min()) < 30.0
