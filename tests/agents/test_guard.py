"""The guard against a tank: one set-point (level_m), safe below a limit that the picture carries."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_agents.guard import REMEMBERED_PICTURES, Guard
from sdx_domains.contract import Closed, Option, Order, Pace, Picture, Proposal, Verdict


class TankPicture(Picture):
    domain: str = "tank"
    limit_m: float = 5.0


class Tank:
    """As much of a domain as the guard asks for. Whatever `breaks` names raises."""

    name = "tank"
    pace = Pace()

    def __init__(self) -> None:
        self.breaks: set[str] = set()
        self.fallbacks = 0

    def _order(self, picture: TankPicture, level_m: float, source: Any, option_id: str) -> Order:
        return Order(
            domain="tank",
            setpoints={"level_m": level_m},
            issued_s=picture.t_s,
            valid_for_s=90.0,
            source=source,
            picture_id=picture.id,
            option_id=option_id,
        )

    def options(self, picture: TankPicture) -> Sequence[Option]:
        return (Option(id="A", label="one", setpoints={"level_m": 1.0}), Option(id="B", label="four", setpoints={"level_m": 4.0}))

    def assure(self, picture: TankPicture, options: Sequence[Option], proposal: Proposal) -> Verdict:
        if "assure" in self.breaks:
            raise RuntimeError("planted")
        chosen = next((option for option in options if option.id == proposal.option_id), None)
        if chosen is None or chosen.setpoints["level_m"] >= picture.limit_m:
            return Verdict(kind="reject", picture_id=picture.id, reasons=("unsafe",))
        return Verdict(kind="accept", picture_id=picture.id, order=self._order(picture, chosen.setpoints["level_m"], "model", chosen.id))

    def check(self, picture: TankPicture, order: Order) -> Verdict:
        if "check" in self.breaks:
            raise RuntimeError("planted")
        margin = picture.limit_m - order.setpoints["level_m"]
        return Verdict(
            kind="accept" if margin > 0 else "reject", picture_id=picture.id, reasons=("limit near",), margins={"level_m": margin}
        )

    def fallback(self, picture: TankPicture, options: Sequence[Option]) -> Verdict:
        if "fallback" in self.breaks:
            raise RuntimeError("planted")
        self.fallbacks += 1
        return Verdict(kind="fallback", picture_id=picture.id, order=self._order(picture, 0.5, "fallback", ""))


def picture(t_s: float, limit_m: float = 5.0, salience: str = "") -> TankPicture:
    return TankPicture(t_s=t_s, limit_m=limit_m, salience=salience)


def guard_with_order(tank: Any, t_s: float = 0.0) -> Guard:
    guard = Guard(tank)
    assert guard.offer(picture(t_s), tank.options(picture(t_s)), Proposal(option_id="B")).kind == "accept"
    guard.agent_seen(t_s)
    return guard


def test_a_verified_order_stands_while_the_agent_lives() -> None:
    guard = guard_with_order(Tank())
    first = guard.tick(picture(0.1), 0.1)
    assert first.mode == "agent" and first.order and first.order.option_id == "B" and first.verdict and first.changed
    second = guard.tick(picture(0.2), 0.2)
    assert second.order == first.order and not second.changed and second.check and second.check.margins == {"level_m": 1.0}


def test_a_silent_agent_loses_the_con_and_gets_it_back_with_a_new_proposal() -> None:
    tank = Tank()
    guard = guard_with_order(tank)
    assert guard.tick(picture(3.0), 3.0).mode == "agent"
    silent = guard.tick(picture(3.1), 3.1)
    assert silent.mode == "fallback" and "silent" in silent.reason and silent.order and silent.order.source == "fallback"
    guard.agent_seen(4.0)
    assert guard.tick(picture(4.0), 4.0).mode == "fallback", "life alone brings no dropped order back"
    guard.offer(picture(4.1), tank.options(picture(4.1)), Proposal(option_id="B"))
    assert guard.tick(picture(4.2), 4.2).mode == "agent"


def test_the_watchdog_counts_on_the_steady_clock_while_orders_age_on_the_plants() -> None:
    guard = guard_with_order(Tank())
    assert guard.tick(picture(60.0), 60.0, steady_s=2.0).mode == "agent"
    assert "expired" in guard.tick(picture(90.1), 90.1, steady_s=2.5).reason


def test_an_order_that_becomes_unsafe_falls_back_within_the_tick() -> None:
    guard = guard_with_order(Tank())
    tick = guard.tick(picture(1.0, limit_m=3.9), 1.0)
    assert tick.mode == "fallback" and "no longer safe: limit near" in tick.reason


def test_a_rejected_proposal_leaves_the_standing_order() -> None:
    tank = Tank()
    guard = guard_with_order(tank)
    guard.tick(picture(0.5), 0.5)
    assert guard.offer(picture(1.0, limit_m=0.9), tank.options(picture(1.0)), Proposal(option_id="A")).kind == "reject"
    tick = guard.tick(picture(1.1), 1.1)
    assert tick.order and tick.order.option_id == "B"


def test_the_stop_is_latched_whatever_comes_after() -> None:
    tank = Tank()
    guard = guard_with_order(tank)
    guard.override({"level_m": 2.0}, 60.0)
    guard.stop("button")
    assert guard.offer(picture(1.0), tank.options(picture(1.0)), Proposal(option_id="A")).kind == "reject"
    guard.agent_seen(1.0)
    guard.release()
    for t_s in (1.0, 50.0, 500.0):
        tick = guard.tick(picture(t_s), t_s)
        assert (tick.mode, tick.order, tick.reason) == ("stopped", None, "button")
    guard.reset()
    assert guard.tick(picture(501.0), 501.0).mode == "fallback"


def test_a_human_overrides_even_the_check_and_the_time_runs_out() -> None:
    tank = Tank()
    guard = guard_with_order(tank)
    guard.override({"level_m": 6.0}, 30.0)
    tick = guard.tick(picture(1.0), 1.0)
    assert tick.mode == "override" and tick.order and tick.order.source == "human" and dict(tick.order.setpoints) == {"level_m": 6.0}
    assert tick.verdict and tick.verdict.kind == "override" and "limit near" in tick.verdict.reasons, (
        "the human is told what the check says"
    )
    assert guard.offer(picture(2.0), tank.options(picture(2.0)), Proposal(option_id="A")).kind == "override"
    assert guard.tick(picture(30.9), 30.9).order == tick.order
    late = guard.tick(picture(31.1), 31.1)
    assert late.mode == "fallback" and "time is over" in late.reason


def test_a_second_override_replaces_the_first() -> None:
    guard = guard_with_order(Tank())
    guard.override({"level_m": 1.0}, 30.0)
    guard.tick(picture(1.0), 1.0)
    guard.override({"level_m": 2.0}, 30.0)
    tick = guard.tick(picture(2.0), 2.0)
    assert tick.order and tick.order.setpoints["level_m"] == 2.0


@pytest.mark.parametrize(
    ("setpoints", "valid_for_s"), [({}, 10.0), ({"level_m": float("nan")}, 10.0), ({"level_m": 1.0}, 0.0), ({"level_m": 1.0}, float("inf"))]
)
def test_a_senseless_override_is_an_error_and_changes_nothing(setpoints: dict[str, float], valid_for_s: float) -> None:
    guard = guard_with_order(Tank())
    with pytest.raises(ValueError, match="override needs"):
        guard.override(setpoints, valid_for_s)
    assert guard.tick(picture(0.1), 0.1).mode == "agent"


def test_the_fallback_is_refreshed_in_time_and_on_salience_only() -> None:
    tank = Tank()
    guard = Guard(tank)  # type: ignore[arg-type]
    for t_s in range(10):
        guard.tick(picture(float(t_s)), float(t_s))
    assert tank.fallbacks == 1
    guard.tick(picture(Tank.pace.fallback_refresh_s), Tank.pace.fallback_refresh_s)
    assert tank.fallbacks == 2
    guard.tick(picture(11.0, salience="new target"), 11.0)
    assert tank.fallbacks == 3


def test_where_nothing_is_safe_the_least_bad_stands_for_a_second() -> None:
    tank = Tank()
    guard = Guard(tank)  # type: ignore[arg-type]
    for tenth in range(20):
        tick = guard.tick(picture(tenth / 10, limit_m=0.1), tenth / 10)
        assert tick.order is not None
    assert tank.fallbacks == 2


def test_without_a_fresh_picture_nothing_is_said() -> None:
    guard = guard_with_order(Tank())
    assert guard.tick(None, 1.0).order is None
    stale = guard.tick(picture(1.0), 4.1)
    assert stale.order is None and "3.1 s old" in stale.reason


def test_an_approved_order_is_held_as_it_was_shown_or_not_at_all() -> None:
    tank = Tank()
    guard = Guard(tank)  # type: ignore[arg-type]
    guard.agent_seen(0.0)
    shown = guard.assure(picture(0.0), tank.options(picture(0.0)), Proposal(option_id="B"))
    assert guard.tick(picture(0.1), 0.1).mode == "fallback", "what is only shown is not held"
    assert guard.hold(picture(1.0, limit_m=3.0), shown, 1.0).kind == "reject"
    assert "expired" in guard.hold(picture(91.0), shown, 91.0).reasons[0]
    assert guard.hold(picture(2.0), shown, 2.0) is shown
    assert guard.tick(picture(2.1), 2.1).order == shown.order
    guard.stop("button")
    assert guard.hold(picture(2.0), shown, 2.0).reasons == ("button",)
    rejected = Verdict(kind="reject", picture_id="x", order=None)
    guard.reset()
    assert "no order to hold" in guard.hold(picture(2.0), rejected, 2.0).reasons[0]


def test_an_order_of_the_planner_that_was_offered_counts_as_the_agents() -> None:
    tank = Tank()
    guard = Guard(tank)  # type: ignore[arg-type]
    shown = guard.assure(picture(0.0), tank.options(picture(0.0)), Proposal(option_id="B"))
    assert shown.order
    guard.hold(picture(0.0), shown.model_copy(update={"order": shown.order.model_copy(update={"source": "fallback"})}), 0.0)
    guard.agent_seen(0.0)
    assert guard.tick(picture(1.0), 1.0).mode == "agent"


@pytest.mark.parametrize("broken", ["check", "fallback", "assure"])
def test_a_domain_that_raises_never_takes_the_guard_down(broken: str) -> None:
    tank = Tank()
    guard = guard_with_order(tank)
    tank.breaks = {broken}
    verdict = guard.offer(picture(1.0), (), Proposal(option_id="A"))
    assert verdict.kind == "reject"
    guard.agent_seen(50.0)
    tick = guard.tick(picture(50.0), 50.0)
    if broken in ("assure", "check"):
        assert tick.mode == ("agent" if broken == "assure" else "fallback") and tick.order
        assert broken == "assure" or "planted" in tick.reason
    else:
        guard.agent_seen(91.0)
        tick = guard.tick(picture(91.0), 91.0)
        assert tick.order is None and "planted" in tick.reason
    tank.breaks = set()
    assert guard.tick(picture(92.0), 92.0).order is not None


def test_a_clock_that_jumps_back_drops_the_order() -> None:
    guard = guard_with_order(Tank(), t_s=100.0)
    tick = guard.tick(picture(50.0), 50.0)
    assert tick.mode == "fallback" and tick.order and tick.order.issued_s == 50.0


class Step(Closed):
    act: str
    value: float


STEPS = st.lists(
    st.builds(
        Step, act=st.sampled_from(["offer", "seen", "stop", "reset", "override", "release", "break", "mend"]), value=st.floats(0.0, 9.0)
    ),
    max_size=40,
)


@given(STEPS)
def test_in_any_history_no_order_lacks_a_verdict_and_none_of_the_machine_is_unsafe(steps: list[Step]) -> None:
    tank = Tank()
    guard = Guard(tank)  # type: ignore[arg-type]
    stopped = False
    for index, step in enumerate(steps):
        now = picture(float(index), limit_m=max(step.value, 0.6))
        match step.act:
            case "offer":
                guard.offer(now, tank_options(), Proposal(option_id="B" if step.value > 4.5 else "A"))
            case "seen":
                guard.agent_seen(float(index))
            case "stop":
                guard.stop("planted")
                stopped = True
            case "reset":
                guard.reset()
                stopped = False
            case "override":
                guard.override({"level_m": step.value}, 5.0)
            case "release":
                guard.release()
            case "break":
                tank.breaks = {"check"}
            case _:
                tank.breaks = set()
        tick = guard.tick(now, float(index))
        assert (tick.order is None) == (tick.verdict is None)
        assert not (stopped and tick.order)
        if tick.order and tick.verdict:
            assert tick.verdict.order == tick.order
            assert tick.order.source == "human" or tick.order.setpoints["level_m"] < now.limit_m


def tank_options() -> Sequence[Option]:
    return Tank().options(picture(0.0))


def test_a_proposal_is_held_to_the_picture_it_was_made_from() -> None:
    """It would pass on the fresh picture; it was wrong on its own, or its own is not known."""
    tank, low, fresh = Tank(), picture(0.0, limit_m=3.0), picture(3.0)
    guard = Guard(tank)
    made = Proposal(option_id="B", picture_id=low.id)
    unknown = guard.offer(fresh, tank.options(fresh), made)
    assert unknown.kind == "reject" and "not given out here" in unknown.reasons[0]
    guard.remember(low)
    assert guard.offer(fresh, tank.options(fresh), made).reasons == ("unsafe",)
    guard.remember(picture(1.0))
    assert guard.offer(fresh, tank.options(fresh), Proposal(option_id="B", picture_id=picture(1.0).id)).kind == "accept"


class Corrector(Tank):
    """Takes the option from whoever gives a reason of its own picture."""

    def assure(self, picture: TankPicture, options: Sequence[Option], proposal: Proposal) -> Verdict:
        if proposal.reason and proposal.picture_id == picture.id:
            verdict = super().assure(picture, options, proposal.model_copy(update={"option_id": "A"}))
            return verdict.model_copy(update={"kind": "clip", "reasons": ("misread: A stands in",)})
        return super().assure(picture, options, proposal)


def test_what_stands_in_for_a_misread_option_is_held_to_the_fresh_picture() -> None:
    tank, told, fresh = Corrector(), picture(0.0), picture(3.0)
    guard = Guard(tank)
    guard.remember(told)
    made = Proposal(option_id="B", picture_id=told.id, reason="four is fine")
    verdict = guard.offer(fresh, tank.options(fresh), made)
    assert verdict.kind == "clip" and verdict.reasons == ("misread: A stands in",)
    assert verdict.order is not None and verdict.order.option_id == "A" and verdict.picture_id == fresh.id
    guard.agent_seen(3.0)
    assert guard.tick(fresh, 3.0, 3.0).order == verdict.order
    low = guard.offer(picture(4.0, limit_m=0.9), tank.options(fresh), made)
    assert low.kind == "reject" and low.reasons == ("misread: A stands in", "unsafe")


def test_only_the_newest_pictures_are_remembered() -> None:
    tank, fresh = Tank(), picture(900.0)
    guard = Guard(tank)
    for t_s in range(REMEMBERED_PICTURES + 1):
        guard.remember(picture(float(t_s)))
    assert guard.offer(fresh, tank.options(fresh), Proposal(option_id="B", picture_id=picture(0.0).id)).kind == "reject"
    assert guard.offer(fresh, tank.options(fresh), Proposal(option_id="B", picture_id=picture(1.0).id)).kind == "accept"
