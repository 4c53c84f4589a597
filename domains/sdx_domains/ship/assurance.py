"""The safety layer: a proposal becomes an order only through here; a standing order is watched; the fallback always has an order.

assure(): is the option one of those offered, are the proposal's words true (classes, roles, rules, numbers), is the manoeuvre
allowed, and does it keep clear in a forward simulation made anew from the set-points. Nothing stored in the option is believed.
Invariant: no order inside the CPA limit is accepted while an allowed one outside it exists. See `assurance_trial` for the measure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import Order, Proposal, Verdict, VerdictKind
from sdx_domains.ship.faithful import unsupported_numbers
from sdx_domains.ship.geometry import wrap360
from sdx_domains.ship.lattice import DURATIONS_MIN, Plans, Reference, lattice, plans, reference, way_out
from sdx_domains.ship.limits import limits
from sdx_domains.ship.options import all_options
from sdx_domains.ship.picture import ShipOption, ShipPicture, Target
from sdx_domains.ship.planner import LIMIT, NEAR_SHARE, Evaluation, best, evaluate, spare_nm
from sdx_domains.ship.rollout import RollOut, present_order, roll_out
from sdx_domains.ship.rules import engaged

GENERAL_RULES = frozenset({"R5", "R6", "R7", "R8"})
"""May be cited of any target."""
NEARLY_NM = 0.05
"""Where nothing keeps clear, this close to the best is as good; also the gain that makes an interruption worth it."""
CHECK_WAIT_S = 45.0
"""A standing order is left alone while a way out remains after this long (a tick, a decision, and some)."""
STALE_SPEED_SHARE = 0.5
UNDERSTOOD_TARGETS = 4
"""A model must tell its understanding of the most urgent ones, up to this many."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the forward simulation says of one plan among the lattice."""

    safe: bool
    reasons: tuple[str, ...]
    margins: dict[str, float]


def assure(picture: ShipPicture, options: Sequence[ShipOption], proposal: Proposal) -> Verdict:
    """accept or clip with an order, or reject with every reason found at the first failing step. Pure and deterministic.

    Margins: cpa_nm above the limit (negative = inside), tcpa_min of that approach, domain_nm in the worst case of the next
    minutes, hold_s for which the leg was found safe.
    """
    option = next((o for o in options if o.id == proposal.option_id), None)
    if option is None:
        offered = ", ".join(o.id for o in options) or "none"
        what = "the proposal abstains" if proposal.option_id is None else f"option {proposal.option_id!r} was not offered ({offered})"
        return _verdict(picture, "reject", (what,))
    reasons = (*_unfit_data(picture), *_untrue(picture, option, proposal), *_unfit_setpoints(option))
    if reasons:
        return _verdict(picture, "reject", reasons)
    heading, speed, clipped = _within_limits(picture, option)
    ref = reference(picture)
    if option.start_s > 0.0:  # until then the present order stands
        return _assure_later(picture, ref, option, (heading, speed), clipped, proposal)
    held = _same_order(ref, heading, speed)
    shorter = {60.0 * m for m in DURATIONS_MIN if _turn_s(picture, ref, heading) <= 60.0 * m < option.duration_s}
    durations = sorted({option.duration_s, *shorter}, reverse=True)
    mine = plans((ref.held_deg, ref.held_kn), heading, speed, 0.0, durations if not held or option.duration_s > 0.0 else [0.0])
    evaluation = evaluate(picture, ref, lattice(picture, ref).and_also(mine))
    first = len(evaluation.plans) - len(mine)
    judged = [_judge(picture, evaluation, first + i) for i in range(len(mine))]
    for i, result in enumerate(judged):
        if result.safe:
            if i:
                clipped = (*clipped, f"the leg is safe for {durations[i] / 60.0:.0f} min, not for {option.duration_s / 60.0:.0f}")
            valid_s = min(limits().order_valid_s, durations[i] or limits().order_valid_s)
            order = _order(picture, heading, speed, valid_s, proposal, option)
            return _verdict(picture, "clip" if clipped else "accept", (*clipped, *result.reasons), result.margins, order)
    return _verdict(picture, "reject", judged[0].reasons, judged[0].margins)


def check(picture: ShipPicture, order: Order) -> Verdict:
    """May this standing order go on standing? accept or reject; a few milliseconds.

    Accepted while some continuation (hold it, then resume or manoeuvre) keeps clear, or nothing better is known. An order is not
    interrupted for less (Rule 8: positive action, no succession of small alterations).
    """
    reasons = _unfit_data(picture)
    setpoints = order.setpoints
    if set(setpoints) != {"heading_deg", "speed_kn"} or not all(isfinite(v) for v in setpoints.values()):
        reasons = (*reasons, f"set-points {dict(setpoints)} are not a heading and a speed")
    if reasons:
        return _verdict(picture, "reject", reasons)
    if not picture.targets:
        return _verdict(picture, "accept", ("no other vessel",))
    held = (wrap360(setpoints["heading_deg"]), setpoints["speed_kn"])
    ref = reference(picture)
    going_on = plans(held, held[0], held[1], 0.0, [CHECK_WAIT_S, *(60.0 * m for m in DURATIONS_MIN[1::2])])
    candidates = going_on.and_also(way_out(ref, held, (CHECK_WAIT_S,)))
    standing = _roll(picture, candidates)
    margin, tcpa, near = _margins(picture, standing)
    k = int(margin.argmax())
    margins = {"cpa_nm": float(margin[k]), "tcpa_min": float(tcpa[k]), "domain_nm": float(near[k])}
    if margin[k] >= 0.0 and near[k] >= 0.0:
        return _verdict(picture, "accept", (), margins)
    evaluation = evaluate(picture, ref, lattice(picture, ref))
    best_margin, _, best_near = _margins(picture, evaluation.outcome)
    allowed = (evaluation.plans.start_s <= 0.0) & ~evaluation.breached()
    pool = allowed if allowed.any() else evaluation.plans.start_s <= 0.0
    gain = np.minimum(best_margin, 0.0) - min(margin[k], 0.0)
    gain_near = np.minimum(best_near, 0.0) - min(near[k], 0.0)
    better = pool & (np.maximum(gain, gain_near) > NEARLY_NM) & (gain > -0.01) & (gain_near > -0.01)
    if better.any():
        what = (
            f"no continuation keeps the limit of {picture.cpa_limit_nm:.2f} NM: {margins['cpa_nm']:+.2f} NM, and a better manoeuvre exists"
        )
        return _verdict(picture, "reject", (what,), margins)
    return _verdict(picture, "accept", ("no manoeuvre is better from here",), margins)


def fallback(picture: ShipPicture, options: Sequence[ShipOption]) -> Verdict:
    """The planner's best as an order, always there. From `options`, or from the whole lattice where none is given.

    Stale own-ship data: keep the heading and slow down, whatever the options say.
    """
    stale = _unfit_data(picture)
    if stale:
        heading, speed = present_order(picture)
        slow = max(picture.own.parameters.min_speed_kn, STALE_SPEED_SHARE * min(speed, picture.own.parameters.service_speed_kn))
        order = _order(picture, heading, min(speed, slow), limits().order_valid_s, None, None, "keep the heading and slow down")
        return _verdict(picture, "fallback", stale, {}, order)
    chosen = best(picture, options or all_options(picture))
    heading, speed, _ = _within_limits(picture, chosen)
    order = _order(picture, heading, speed, limits().order_valid_s, None, chosen)
    reasons = tuple(f"departure under R2(b), nothing allowed keeps clear: {flag}" for flag in chosen.flags)
    if chosen.min_cpa_nm < picture.cpa_limit_nm and not (chosen.escape_cpa_nm or 0.0) >= picture.cpa_limit_nm:
        reasons = (
            *reasons,
            f"nothing keeps outside the limit of {picture.cpa_limit_nm:.2f} NM; the best passes at {chosen.min_cpa_nm:.2f} NM",
        )
    return _verdict(picture, "fallback", reasons, {"cpa_nm": round(chosen.min_cpa_nm - picture.cpa_limit_nm, 3)}, order)


def _unfit_data(picture: ShipPicture) -> tuple[str, ...]:
    age, oldest = picture.own.age_s, limits().own_max_age_s
    return (f"own-ship data are {age:.1f} s old, over {oldest:.0f} s",) if not age <= oldest else ()


def _untrue(picture: ShipPicture, option: ShipOption, proposal: Proposal) -> tuple[str, ...]:
    """What the proposal's words get wrong. Rules and figures are held to the picture that it was made from, which may be older."""
    reasons: list[str] = []
    own_picture = proposal.picture_id in ("", picture.id)
    targets = {target.label: target for target in picture.targets}
    for said in proposal.understanding:
        target = targets.get(said.subject)
        if target is None:
            reasons += [f"{said.subject!r} is not a target of the picture"] if own_picture else []
        elif (said.kind, said.role) != (target.encounter, target.role):
            reasons.append(f"{target.label} is {target.encounter}, own ship {target.role}; the proposal says {said.kind}, {said.role}")
        elif own_picture:
            wrong = sorted(set(said.rules) - set(target.rules) - GENERAL_RULES)
            reasons += [f"{', '.join(wrong)} cited for {target.label}, where {', '.join(target.rules)} apply"] if wrong else []
    if not own_picture:
        return tuple(reasons)
    if proposal.source == "model":
        said_of = {said.subject for said in proposal.understanding}
        missing = [t.label for t in picture.targets[:UNDERSTOOD_TARGETS] if engaged(t) and t.label not in said_of]
        reasons += [f"nothing is said of {label}, where there is risk" for label in missing]
    if proposal.reason:
        reasons += unsupported_numbers(proposal.reason, picture, [option])
    return tuple(reasons)


def _unfit_setpoints(option: ShipOption) -> tuple[str, ...]:
    wrong = [f"{name} is {value!r}" for name, value in option.setpoints.items() if not isfinite(value)]
    if set(option.setpoints) != {"heading_deg", "speed_kn"}:
        wrong.append(f"set-points are {sorted(option.setpoints)}, not heading_deg and speed_kn")
    elif option.setpoints["speed_kn"] < 0.0:
        wrong.append(f"speed_kn is {option.setpoints['speed_kn']}: going astern is not an option")
    if not (isfinite(option.start_s) and isfinite(option.duration_s) and option.start_s >= 0.0 and option.duration_s >= 0.0):
        wrong.append(f"start {option.start_s!r} s and duration {option.duration_s!r} s are not times from now")
    return tuple(wrong)


def _within_limits(picture: ShipPicture, option: ShipOption) -> tuple[float, float, tuple[str, ...]]:
    """Heading and speed that the ship can do, and what was clipped."""
    own = picture.own.parameters
    heading, speed = wrap360(option.setpoints["heading_deg"]), option.setpoints["speed_kn"]
    if speed > own.max_speed_kn:
        return heading, own.max_speed_kn, (f"speed {speed:.1f} kn clipped to the ship's {own.max_speed_kn:.1f} kn",)
    if 0.0 < speed < own.min_speed_kn:
        return heading, own.min_speed_kn, (f"speed {speed:.1f} kn raised to steerage way, {own.min_speed_kn:.1f} kn",)
    return heading, speed, ()


def _turn_s(picture: ShipPicture, ref: Reference, heading: float) -> float:
    """Time after which a turn from the present order is over: a leg is not cut shorter than that."""
    turn = abs((heading - ref.held_deg + 180.0) % 360.0 - 180.0)
    return 60.0 * turn / picture.own.parameters.max_rot_deg_min + 60.0


def _same_order(ref: Reference, heading: float, speed: float) -> bool:
    return abs((heading - ref.route_deg + 180.0) % 360.0 - 180.0) <= 1.0 and abs(speed - ref.planned_kn) <= 0.1


def _assure_later(
    picture: ShipPicture, ref: Reference, option: ShipOption, setpoints: tuple[float, float], clipped: tuple[str, ...], proposal: Proposal
) -> Verdict:
    """A manoeuvre that begins later: the order for now is the present one until then, if the whole plan is safe."""
    held = (ref.held_deg, ref.held_kn)
    mine = plans(held, setpoints[0], setpoints[1], option.start_s, option.duration_s)
    evaluation = evaluate(picture, ref, lattice(picture, ref).and_also(mine))
    result = _judge(picture, evaluation, len(evaluation.plans) - 1)
    if not result.safe:
        return _verdict(picture, "reject", result.reasons, result.margins)
    valid_s = min(limits().order_valid_s, option.start_s)
    reason = f"the manoeuvre begins in {option.start_s / 60.0:.0f} min; until then the present order stands"
    return _verdict(picture, "clip", (*clipped, reason), result.margins, _order(picture, *held, valid_s, proposal, option))


def _judge(picture: ShipPicture, evaluation: Evaluation, k: int) -> _Judged:
    """Danger, rules, limit, in the planner's own tiers; where nothing is allowed and clear, nearly the best is good enough."""
    limit = picture.cpa_limit_nm
    margins = _plan_margins(picture, evaluation, k)
    at_once = evaluation.plans.start_s <= 0.0
    least = float(evaluation.hard[at_once].min())
    nearly = NEARLY_NM if least > LIMIT * NEARLY_NM / limit else 0.005
    good_enough = least + LIMIT * nearly / limit
    as_planned = evaluation.cost[k] <= evaluation.cost[at_once].min() + 1e-6
    flags = evaluation.flags(k)
    if evaluation.hard[k] > good_enough and not as_planned:
        return _Judged(False, flags or _too_close(picture, evaluation, k), margins)
    near = float(evaluation.near_nm[k])
    among = at_once & (evaluation.hard <= good_enough)
    if near > float(evaluation.near_nm[among].min(initial=near)) + NEARLY_NM / 2 and not as_planned:
        what = (
            f"a target that deviates could come within {NEAR_SHARE * limit - near:.2f} NM in the next minutes; another manoeuvre is safer"
        )
        return _Judged(False, (what,), margins)
    reasons = tuple(f"departure under R2(b), nothing allowed keeps clear: {flag}" for flag in flags)
    if evaluation.short_nm[k] > 0.0:
        reasons = (*reasons, f"nothing allowed keeps outside {limit:.2f} NM; this is among the best")
    return _Judged(True, reasons, margins)


def _too_close(picture: ShipPicture, evaluation: Evaluation, k: int) -> tuple[str, ...]:
    """One sentence per target that the plan brings inside the limit."""
    limit = picture.cpa_limit_nm
    spare = float(spare_nm(picture, reference(picture), evaluation.plans)[k])
    told = tuple(
        f"passes {target.label} at {evaluation.cpa_nm[k, j]:.2f} NM in {evaluation.outcome.tcpa_s[k, j] / 60.0:.1f} min,"
        f" limit {limit:.2f} NM and {spare:.2f} NM for the roll-out's own error"
        for j, target in enumerate(picture.targets)
        if evaluation.cpa_nm[k, j] < limit + spare
    )
    return told or ("another manoeuvre keeps a larger distance",)


def _plan_margins(picture: ShipPicture, evaluation: Evaluation, k: int) -> dict[str, float]:
    margins = {"hold_s": round(float(evaluation.plans.duration_s[k]), 1)}
    if not picture.targets:
        return margins
    j = int(evaluation.cpa_nm[k].argmin())
    margins["cpa_nm"] = round(float(evaluation.cpa_nm[k, j]) - picture.cpa_limit_nm, 3)
    margins["tcpa_min"] = round(float(evaluation.outcome.tcpa_s[k, j]) / 60.0, 2)
    near = float(evaluation.outcome.near_nm[k].min())
    if isfinite(near):
        margins["domain_nm"] = round(near - NEAR_SHARE * picture.cpa_limit_nm, 3)
    return margins


def _roll(picture: ShipPicture, candidates: Plans) -> RollOut:
    return roll_out(
        picture, candidates.course_deg, candidates.speed_kn, candidates.start_s, candidates.duration_s, candidates.before, extra_time=False
    )


def _margins(picture: ShipPicture, outcome: RollOut) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(K,) margin above the limit NM of the worst target that matters now, its time min, worst-case margin NM.

    Targets inside the limit already count by what is left to lose; far ones without risk do not count.
    """
    limit = picture.cpa_limit_nm
    counts = np.array([_counts(target) for target in picture.targets])
    ranges = np.array([target.range_nm for target in picture.targets])
    wanted = np.minimum(limit, ranges - 0.01)
    margin = np.where(counts, outcome.cpa_nm - wanted, np.inf)
    margin = np.minimum(margin, 99.0)
    j = margin.argmin(axis=1)
    near_wanted = np.minimum(NEAR_SHARE * limit, ranges - 0.02)
    near = np.minimum((outcome.near_nm - near_wanted).min(axis=1), 99.0)
    return margin.min(axis=1), outcome.tcpa_s[np.arange(len(j)), j] / 60.0, near


def _counts(target: Target) -> bool:
    return engaged(target) or target.range_nm <= limits().give_way_act_range_nm


def _order(
    picture: ShipPicture,
    heading: float,
    speed: float,
    valid_s: float,
    proposal: Proposal | None,
    option: ShipOption | None,
    label: str = "",
) -> Order:
    return Order(
        domain=picture.domain,
        setpoints={"heading_deg": wrap360(heading), "speed_kn": speed},
        issued_s=picture.t_s,
        valid_for_s=valid_s,
        source="fallback" if proposal is None else proposal.source,
        picture_id=picture.id,
        option_id=option.id if option else "",
        label=option.label if option else label,
    )


def _verdict(
    picture: ShipPicture,
    kind: VerdictKind,
    reasons: tuple[str, ...] = (),
    margins: dict[str, float] | None = None,
    order: Order | None = None,
) -> Verdict:
    rounded = {name: round(value, 3) for name, value in (margins or {}).items() if isfinite(value)}
    return Verdict(kind=kind, picture_id=picture.id, reasons=reasons, margins=rounded, order=order)
