"""What each plan costs, and which is best: safety first, then the rules, then seamanship. Deterministic, no state.

Cost in seconds of delay, in tiers far apart: danger of collision > a broken rule (so Rule 2(b) permits a departure exactly when
nothing allowed stays out of danger; Rule 19(d)'s turns, to be avoided "so far as possible", weigh as passing a quarter of the limit too
near) > passing inside the CPA limit > worst-case deviation of a target > margin, delay, changes.

A target that cannot be kept outside the limit by any plan (it is inside already) counts by how much worse a plan is than the best.
Keeping on towards a vessel that is not yet to be avoided (a stand-on vessel holds; a far give-way case may wait) is judged by
whether a way out is left when the present order stands two minutes more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdx_domains.ship.lattice import STARTS_S, Plans, Reference
from sdx_domains.ship.picture import ShipOption, ShipPicture
from sdx_domains.ship.rollout import HORIZON_S, RollOut, roll_out
from sdx_domains.ship.rules import Breach, Manoeuvres, action_due, breaches, engaged, manoeuvres

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

DANGER_SHARE = 0.5
"""Inside this share of the CPA limit there is danger of collision (0.25 NM at sea)."""
NEAR_SHARE = 0.4
"""A target that deviates by its worst case in the next minutes must not come inside this share of the limit."""
SPARE_NM = 0.02
"""The roll-out's own error: plans are held to the limit plus this, and up to SLOW_TURN_SPARE_NM more for long turns at low speed."""
SLOW_TURN_SPARE_NM = 0.12
MARGIN_NM = 0.04
"""Wished for beyond the limit, plus the target's own CPA uncertainty up to SIGMA_MARGIN_NM."""
RESUME_MARGIN_NM = 0.03
"""Wished for on top by a return to the route, so that it is not taken back."""
SIGMA_MARGIN_NM = 0.25
FAR_RANGE_NM = 6.0
"""A conflict with a vessel that is farther off, without risk yet, and later than FAR_S counts less (to 1/20 at VERY_FAR_S): it will be seen to in its time."""
FAR_S, VERY_FAR_S = 1200.0, 2400.0

DANGER, BREACH, LIMIT, FAR, NEAR = 1e7, 1e6, 2e5, 2e4, 2e4
SOFT_BREACH = 0.25 * LIMIT
MARGIN_S_PER_NM = 1500.0
NEW_ALTERATION_S, OTHER_SIDE_S, PORT_S, SLOWER_S, STOP_S, ROUND_S = 60.0, 600.0, 60.0, 150.0, 300.0, 240.0
LATER_S = 45.0
UNRESOLVED_S = 200.0
"""Leaving a conflict for after the return to the route: what another alteration is worth avoiding."""
TURN_S_PER_DEG = 0.3


@dataclass(frozen=True, slots=True)
class Evaluation:
    """K plans worked out for one picture."""

    plans: Plans
    outcome: RollOut
    moves_stand: Mask
    """Holds the present order or follows the route at once."""
    breaches: list[Breach]
    cpa_nm: Array
    """(K, T) that counts: as rolled out, but by the way out for plans that stand on towards a target not yet to be avoided."""
    counts: Mask
    """(K, T) a conflict with this target is this plan's to solve, not of a far vessel and a late hour."""
    short_nm: Array
    """(K,) by how much the plan passes avoidably inside the limit, worst target; 0 = clear."""
    danger_nm: Array
    """(K,) likewise inside the danger distance."""
    near_nm: Array
    """(K,) likewise for the worst case of the next minutes."""
    escape_cpa_nm: float | None
    """Smallest CPA of the best allowed plan that first holds the present order for two minutes; None without such plans."""
    hard: Array
    """(K,) the cost's part that is not seamanship: danger, rules, limit."""
    cost: Array

    def breached(self) -> Mask:
        """(K,) breaks at least one rule."""
        found = np.zeros(len(self.plans), dtype=np.bool_)
        for breach in self.breaches:
            found |= breach.mask
        return found

    def flags(self, k: int) -> tuple[str, ...]:
        return tuple(breach.flag for breach in self.breaches if breach.mask[k])


def evaluate(picture: ShipPicture, ref: Reference, plans: Plans, horizon_s: float = HORIZON_S, detail: int = 1) -> Evaluation:
    """Roll the plans out and judge them. `plans` holds the whole lattice: what is feasible is told from it."""
    outcome = roll_out(
        picture, plans.course_deg, plans.speed_kn, plans.start_s, plans.duration_s, plans.before, horizon_s=horizon_s, detail=detail
    )
    found = breaches(picture, ref, plans, outcome)
    broken = np.zeros(len(plans))
    weights = np.zeros(len(plans))
    for breach in found:
        broken += breach.mask
        weights += breach.mask * (SOFT_BREACH if breach.so_far_as_possible else BREACH)
    moves = manoeuvres(ref, plans)
    limit = picture.cpa_limit_nm
    spare = spare_nm(picture, ref, plans)[:, None]
    reachable = _reachable(outcome.cpa_nm - spare, limit) + spare
    weight = _weights(picture, outcome)
    cpa, escape = _with_way_out(picture, plans, outcome, moves, broken, reachable, weight)
    counts = weight >= 1.0
    inside = np.maximum(reachable - cpa, 0.0)
    short = (inside * counts).max(axis=1, initial=0.0)
    far = (inside * weight * ~counts).max(axis=1, initial=0.0)
    danger = (np.maximum(np.minimum(DANGER_SHARE * limit, reachable) - cpa, 0.0) * counts).max(axis=1, initial=0.0)
    near_at = _reachable(outcome.near_nm, NEAR_SHARE * limit)
    near = np.maximum(near_at - outcome.near_nm, 0.0).max(axis=1, initial=0.0)
    returns = ~(moves.follows & ref.on_route)
    wanted = limit + MARGIN_NM + np.minimum([t.cpa_sigma_nm for t in picture.targets], SIGMA_MARGIN_NM)
    margin = (np.maximum(wanted + RESUME_MARGIN_NM * returns[:, None] - cpa, 0.0) * weight).sum(axis=1)
    hard = DANGER * danger / (DANGER_SHARE * limit) + weights + LIMIT * short / limit
    at_once = returns & (plans.duration_s <= 0.0)
    clear = np.where(at_once[:, None], _reachable(outcome.cpa_nm, limit + MARGIN_NM), reachable)
    unresolved = returns & (outcome.cpa_nm < clear - 1e-6).any(axis=1)
    cost = hard + FAR * far / limit + NEAR * near / limit + MARGIN_S_PER_NM * margin + UNRESOLVED_S * unresolved
    cost = cost + np.maximum(outcome.extra_time_s, 0.0) + _seamanship(ref, plans, moves.stands)
    return Evaluation(plans, outcome, moves.stands, found, cpa, counts, short, danger, near, escape, hard, cost)


def best(picture: ShipPicture, options: Sequence[ShipOption]) -> ShipOption:
    """The option of least cost; among equals the smaller turn, then the first id. ValueError when there is none."""
    if not options:
        raise ValueError(f"no option to choose from in picture {picture.id}")
    return min(options, key=lambda option: (option.cost, abs(option.turn_deg), option.id))


def _reachable(distance: Array, wanted: float) -> Array:
    """(T,) what a plan is held against: `wanted`, or the best that any plan attains where that is less."""
    return np.minimum(wanted, distance.max(axis=0, initial=0.0))


def spare_nm(picture: ShipPicture, ref: Reference, plans: Plans) -> Array:
    """(K,) how far the closed-form roll-out may be off: steering is sluggish and uneven while the ship is slow, on the way out and back."""
    turn = np.abs((plans.course_deg - ref.held_deg + 180.0) % 360.0 - 180.0)
    offset = np.abs((plans.course_deg - ref.route_deg + 180.0) % 360.0 - 180.0)
    slow = np.clip(1.0 - plans.speed_kn / max(picture.own.parameters.service_speed_kn, 0.1), 0.0, 1.0)
    return SPARE_NM + SLOW_TURN_SPARE_NM * slow * np.clip(np.maximum(turn, offset) / 120.0, 0.0, 1.0)


def _weights(picture: ShipPicture, outcome: RollOut) -> Array:
    """(K, T) 1 for conflicts that count in full, less for far and late ones."""
    far = np.array([not engaged(t) and t.range_nm > FAR_RANGE_NM for t in picture.targets], dtype=np.bool_)
    late = np.interp(outcome.tcpa_s, [FAR_S, VERY_FAR_S], [1.0, 0.05])
    return np.where(far, late, 1.0)


def _with_way_out(
    picture: ShipPicture, plans: Plans, outcome: RollOut, moves: Manoeuvres, broken: Array, reachable: Array, weight: Array
) -> tuple[Array, float | None]:
    """CPA (K, T) that counts, and the escape's: a plan that stands on, and meets only targets not yet to be avoided, counts by the way
    out that remains, for all targets together."""
    later = (plans.start_s == STARTS_S[0]) & (broken == 0)
    if not later.any() or not picture.targets:
        return outcome.cpa_nm, None
    margin = outcome.cpa_nm - reachable
    margin = np.where(margin < 0.0, margin * weight, margin)
    worst = margin.min(axis=1)
    chosen = int(np.flatnonzero(later)[worst[later].argmax()])
    may_wait = np.array([not action_due(t) for t in picture.targets], dtype=np.bool_)
    no_risk = np.array([not engaged(t) for t in picture.targets], dtype=np.bool_)
    waits = np.where(moves.keeps[:, None], may_wait, no_risk & (outcome.tcpa_s > FAR_S))
    waiting = moves.stands & (waits | (margin >= 0.0)).all(axis=1) & (worst < worst[chosen])
    return np.where(waiting[:, None], outcome.cpa_nm[chosen], outcome.cpa_nm), float(outcome.cpa_nm[chosen].min())


def _seamanship(ref: Reference, plans: Plans, stands: Mask) -> Array:
    """(K,) seconds that a change is worth avoiding: one bold alteration and back, no fidgeting, no other side."""
    turn = (plans.course_deg - ref.held_deg + 180.0) % 360.0 - 180.0
    offset = (plans.course_deg - ref.route_deg + 180.0) % 360.0 - 180.0
    away = (ref.held_deg - ref.route_deg + 180.0) % 360.0 - 180.0
    changed = ~stands
    cost = np.where(changed, NEW_ALTERATION_S + TURN_S_PER_DEG * np.abs(offset), 0.0)
    cost += np.where(changed & (abs(away) > 10.0) & (offset * away < 0.0), OTHER_SIDE_S, 0.0)
    cost += np.where(changed & (turn < 0.0) & (offset < 0.0), PORT_S, 0.0)
    cost += np.where(changed & (np.abs(offset) > 100.0), ROUND_S, 0.0)
    slower = changed & (plans.speed_kn < 0.95 * ref.planned_kn)
    cost += np.where(slower, SLOWER_S, 0.0) + np.where(slower & (plans.speed_kn < 1.0), STOP_S, 0.0)
    return cost + np.where(plans.start_s > 0.0, LATER_S, 0.0)
