"""The fast clock: holds the last verified order, checks it on every tick, falls back when it must.

Deterministic, no model, no network, any domain. One thread calls it. Two times come in: `now_s` is the plant's
clock (orders and pictures are stamped with it), `steady_s` a clock that never jumps (the agent's sign of life is
measured with it); where a caller gives one only, it serves as both.

Precedence, highest first: stop, human override, the agent's verified order, the domain's fallback.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sdx_domains.contract import Closed, Domain, Order, Proposal, Verdict

Mode = Literal["agent", "fallback", "override", "stopped"]

REMEMBERED_PICTURES = 120
"""How many pictures that were given out are kept, so that a proposal's words can be held to the one they were said of."""
FALLBACK_HOLD_S = 1.0
"""A fallback order stands at least this long: where nothing is safe it is the least bad, and thrashing helps nobody."""


class GuardTick(Closed):
    """What the equipment is told now, and why."""

    order: Order | None
    """None: say nothing; equipment brings itself into its safe state after its own watchdog."""
    verdict: Verdict | None
    """The verdict that stands behind `order`; None exactly when there is no order."""
    mode: Mode
    reason: str = ""
    """Why it is this mode and order, one sentence."""
    check: Verdict | None = None
    """This tick's check of the standing order against the picture, with live margins."""
    changed: bool = False
    """The order is another one than on the last tick, or the mode changed."""


@dataclass(frozen=True, slots=True)
class _Held:
    order: Order
    verdict: Verdict
    salience: str
    of_agent: bool = False


@dataclass(frozen=True, slots=True)
class _Override:
    setpoints: dict[str, float]
    valid_for_s: float


class Guard:
    """Simplex switch between the agent's orders and the domain's deterministic fallback.

    Args:
        watchdog_s: an agent silent for longer loses the con, seconds of the steady clock.
    """

    def __init__(self, domain: Domain, watchdog_s: float = 3.0) -> None:
        if not watchdog_s > 0:
            raise ValueError(f"watchdog_s must be above 0, got {watchdog_s}")
        self._domain = domain
        self._watchdog_s = watchdog_s
        self._refresh_s = domain.pace.fallback_refresh_s
        self._held: _Held | None = None
        self._human: _Override | None = None
        self._stopped: str | None = None
        self._agent_seen_s: float | None = None
        self._why = "no order yet"
        self._last: tuple[str, Mode] = ("", "fallback")
        self._given_out: dict[str, Any] = {}

    @property
    def stopped(self) -> str | None:
        """Why it is stopped; None when it is not."""
        return self._stopped

    @property
    def overridden(self) -> bool:
        """A human has the con."""
        return self._human is not None

    def remember(self, picture: Any) -> None:
        """This picture is given to the agent now."""
        self._given_out[picture.id] = picture
        while len(self._given_out) > REMEMBERED_PICTURES:
            del self._given_out[next(iter(self._given_out))]

    def offer(self, picture: Any, options: Sequence[Any], proposal: Proposal) -> Verdict:
        """Assure a proposal against the fresh picture; hold its order if accepted or clipped. Never raises."""
        verdict = self.assure(picture, options, proposal)
        self._hold(picture, verdict)
        return verdict

    def assure(self, picture: Any, options: Sequence[Any], proposal: Proposal) -> Verdict:
        """As offer(), but holds nothing: what a human is asked to approve. Never raises.

        The words are held to the picture they were said of, the manoeuvre to the fresh one; the agent's own verdict counts for nothing.
        Where its words cost the proposal its option, the one that stands in is held to the fresh picture.
        """
        if self._stopped is not None:
            return self._turned_down(picture, "reject", f"stopped: {self._stopped}; reset first")
        if self._human is not None:
            return self._turned_down(picture, "override", "a human has the con; release first")
        origin = picture if proposal.picture_id in ("", picture.id) else self._given_out.get(proposal.picture_id)
        if origin is None:
            return self._turned_down(picture, "reject", f"made from picture {proposal.picture_id!r}, which was not given out here lately")
        try:
            if origin is picture:
                return self._domain.assure(picture, options, proposal)
            said = self._domain.assure(origin, options, proposal)
            return said if said.kind == "reject" else self._now(picture, options, proposal, said)
        except Exception as error:  # noqa: BLE001  whatever the domain raises, the guard goes on
            return self._turned_down(picture, "reject", f"assurance failed on this proposal: {type(error).__name__}: {error}")

    def _now(self, picture: Any, options: Sequence[Any], proposal: Proposal, said: Verdict) -> Verdict:
        """Of the fresh picture; `said`: of the picture that the words are about."""
        stands_in = said.order.option_id if said.order else ""
        if stands_in in ("", proposal.option_id):
            return self._domain.assure(picture, options, proposal)
        verdict = self._domain.assure(picture, options, proposal.model_copy(update={"option_id": stands_in}))
        kind = "clip" if verdict.kind == "accept" else verdict.kind
        return verdict.model_copy(update={"kind": kind, "reasons": (*said.reasons, *verdict.reasons)})

    def hold(self, picture: Any, verdict: Verdict, now_s: float) -> Verdict:
        """Hold the very order of an earlier assure(), if it is in time and still safe from here. Never raises.

        Returns:
            `verdict` itself when its order is held now; else the rejection that says why not.
        """
        if self._stopped is not None or self._human is not None:
            return self._turned_down(picture, "reject", self._stopped or "a human has the con; release first")
        if verdict.order is None or verdict.kind not in ("accept", "clip"):
            return self._turned_down(picture, "reject", f"a verdict of kind {verdict.kind} has no order to hold")
        if verdict.order.expired(now_s):
            return self._turned_down(picture, "reject", f"the order expired {now_s - verdict.order.issued_s:.0f} s after it was made")
        check = self._checked(picture, verdict.order)
        if check.kind != "accept":
            return check
        self._hold(picture, verdict)
        return verdict

    def _hold(self, picture: Any, verdict: Verdict) -> None:
        if verdict.kind in ("accept", "clip") and verdict.order is not None:
            self._held = _Held(verdict.order, verdict, _salience(picture), of_agent=True)
            self._why = "the agent's order was verified"

    def tick(self, picture: Any | None, now_s: float, steady_s: float | None = None) -> GuardTick:
        """Decide what stands now. Call at 1-10 Hz. Never raises: a failure inside the domain ends in no order.

        Args:
            picture: the newest; None while there is none.
        """
        if self._stopped is not None:
            return self._answer(None, "stopped", self._stopped)
        if picture is None:
            return self._answer(None, "override" if self._human else "fallback", "no picture yet")
        if now_s - picture.t_s > self._watchdog_s:
            return self._answer(None, "override" if self._human else "fallback", f"the picture is {now_s - picture.t_s:.1f} s old")
        try:
            return self._decide(picture, now_s, now_s if steady_s is None else steady_s)
        except Exception as error:  # noqa: BLE001  whatever the domain raises, the guard goes on
            self._held = None
            return self._answer(None, "fallback", f"the domain failed: {type(error).__name__}: {error}")

    def stop(self, reason: str) -> None:
        """Latch the stop: no order leaves until reset(). Drops the held order and any override."""
        self._stopped = reason or "stop"
        self._held = self._human = None

    def reset(self) -> None:
        """End the stop. The fallback has the con until the agent's next order is verified."""
        if self._stopped is not None:
            self._stopped, self._why = None, "the stop was reset"

    def override(self, setpoints: Mapping[str, float], valid_for_s: float) -> None:
        """A human takes over with these set-points from the next tick, for `valid_for_s` of the plant's clock.

        Raises:
            ValueError: a set-point or the time is not a finite number, or there is no set-point.
        """
        if not setpoints or not all(math.isfinite(value) for value in setpoints.values()):
            raise ValueError(f"override needs finite set-points, got {dict(setpoints)}")
        if not (math.isfinite(valid_for_s) and valid_for_s > 0):
            raise ValueError(f"override needs a time above 0 s, got {valid_for_s}")
        self._human = _Override(dict(setpoints), valid_for_s)
        self._held = None

    def release(self) -> None:
        """The human gives the con back."""
        if self._human is not None:
            self._human, self._held, self._why = None, None, "the human gave the con back"

    def agent_seen(self, now_s: float) -> None:
        """The agent gave a sign of life. Same clock as tick's `steady_s`."""
        self._agent_seen_s = now_s

    def _decide(self, picture: Any, now_s: float, steady_s: float) -> GuardTick:
        if self._human is not None:
            answer = self._overridden(self._human, picture, now_s)
            if answer is not None:
                return answer
        check = self._still_good(picture, now_s, steady_s)
        if check is None:
            self._fall_back(picture)
        assert self._held is not None  # _fall_back raises when it finds nothing
        return self._answer(self._held, "agent" if self._held.of_agent else "fallback", self._why, check)

    def _overridden(self, human: _Override, picture: Any, now_s: float) -> GuardTick | None:
        """The human's order, made on the first tick after override(); None when its time is over."""
        if self._held is None:
            order = Order(
                domain=self._domain.name,
                setpoints=human.setpoints,
                issued_s=now_s,
                valid_for_s=human.valid_for_s,
                source="human",
                picture_id=picture.id,
                label="human override",
            )
            warned = self._checked(picture, order)
            reasons = ("a human has the con", *(warned.reasons if warned.kind == "reject" else ()))
            verdict = Verdict(kind="override", picture_id=picture.id, reasons=reasons, margins=warned.margins, order=order)
            self._held = _Held(order, verdict, _salience(picture))
        if self._held.order.expired(now_s):
            self._human, self._held, self._why = None, None, "the override's time is over"
            return None
        return self._answer(self._held, "override", "a human has the con")

    def _still_good(self, picture: Any, now_s: float, steady_s: float) -> Verdict | None:
        """The check of the held order; None, and why in self._why, when it may not stand."""
        held = self._held
        if held is None:
            return None
        if held.order.expired(now_s):
            self._why = "the agent's order expired" if held.of_agent else self._why
            return None
        if held.of_agent and not self._alive(steady_s):
            self._why = f"the agent has been silent for more than {self._watchdog_s:g} s"
            return None
        if not held.of_agent and (now_s - held.order.issued_s >= self._refresh_s or held.salience != _salience(picture)):
            return None
        check = self._checked(picture, held.order)
        if check.kind in ("accept", "fallback"):
            return check
        if held.of_agent:
            self._why = "the standing order is no longer safe: " + ("; ".join(check.reasons) or check.kind)
            return None
        return check if now_s - held.order.issued_s < FALLBACK_HOLD_S else None

    def _checked(self, picture: Any, order: Order) -> Verdict:
        """The domain's check; a check that fails to run is a rejection, so that the fallback follows in the same tick."""
        try:
            return self._domain.check(picture, order)
        except Exception as error:  # noqa: BLE001  whatever the domain raises, the guard goes on
            return self._turned_down(picture, "reject", f"the check failed: {type(error).__name__}: {error}")

    def _fall_back(self, picture: Any) -> None:
        self._held = None
        verdict = self._domain.fallback(picture, None)
        if verdict.order is None:
            raise RuntimeError("the fallback gave no order: " + "; ".join(verdict.reasons))
        self._held = _Held(verdict.order, verdict, _salience(picture))

    def _alive(self, steady_s: float) -> bool:
        return self._agent_seen_s is not None and -1.0 <= steady_s - self._agent_seen_s <= self._watchdog_s

    def _answer(self, held: _Held | None, mode: Mode, reason: str, check: Verdict | None = None) -> GuardTick:
        now: tuple[str, Mode] = (held.order.id if held else "", mode)
        changed, self._last = now != self._last, now
        order, verdict = (held.order, held.verdict) if held else (None, None)
        return GuardTick(order=order, verdict=verdict, mode=mode, reason=reason, check=check, changed=changed)

    def _turned_down(self, picture: Any, kind: Literal["reject", "override"], reason: str) -> Verdict:
        return Verdict(kind=kind, picture_id=picture.id, reasons=(reason,))


def _salience(picture: Any) -> str:
    return str(picture.salience)
