"""What the ship can do now: the whole lattice as options, and the few that are worth showing.

Ids say nothing: the shown ones are sorted by turn and speed, so the best is not given away by its place.
"""

from collections.abc import Iterable

import numpy as np

from sdx_domains.ship.geometry import wrap180, wrap360
from sdx_domains.ship.lattice import Kind, Reference, kind_of, lattice, reference
from sdx_domains.ship.picture import ShipOption, ShipPicture, TargetOutcome
from sdx_domains.ship.planner import Evaluation, best, evaluate

SHOWN = 8
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CROSSES_AHEAD_SHARE = 3.0
"""`crosses_ahead` is told for crossings of the bow within this many CPA limits."""


def all_options(picture: ShipPicture) -> tuple[ShipOption, ...]:
    """The whole lattice (150 to 200), rolled out, flagged and costed."""
    ref = reference(picture)
    evaluation = evaluate(picture, ref, lattice(picture, ref))
    return tuple(_option(picture, ref, evaluation, k, _id(k)) for k in range(len(evaluation.plans)))


def shown_options(picture: ShipPicture, all: Iterable[ShipOption]) -> tuple[ShipOption, ...]:
    """At most eight, different in what they tell the autopilot: the best, keep or resume, hold, others, one to be avoided."""
    now = [option for option in all if option.start_s <= 0.0]
    chosen = best(picture, now)
    by_order: dict[tuple[float, float], ShipOption] = {}
    for option in sorted(now, key=lambda o: (o.cost, abs(o.turn_deg), o.id)):
        by_order.setdefault((round(option.course_deg), round(option.speed_kn, 1)), option)
    ranked = list(by_order.values())
    picked = [chosen, *(o for o in ranked if o.kind in ("keep", "resume", "hold") and o is not chosen)][:3]
    for kinds, count in ((("turn",), 3), (("slow", "stop", "turn_slow"), 1)):
        picked += _first(ranked, picked, lambda o, kinds=kinds: o.kind in kinds, count)
    picked += _first(ranked[::-1], picked, lambda o: bool(o.flags) or o.min_cpa_nm < picture.cpa_limit_nm, 1)
    picked += _first(ranked, picked, lambda o: True, SHOWN - len(picked)) if len(picked) < 6 else []
    ordered = sorted(picked[:SHOWN], key=lambda o: (round(o.turn_deg), o.speed_kn, o.id))
    return tuple(option.model_copy(update={"id": LETTERS[i]}) for i, option in enumerate(ordered))


def _first(ranked: list[ShipOption], taken: list[ShipOption], wanted, count: int) -> list[ShipOption]:
    found: list[ShipOption] = []
    for option in ranked:
        if len(found) == count:
            break
        if wanted(option) and all(option is not other for other in taken):
            found.append(option)
    return found


def _id(k: int) -> str:
    return LETTERS[k % 26] + (str(k // 26 + 1) if k >= 26 else "")


def _option(picture: ShipPicture, ref: Reference, evaluation: Evaluation, k: int, id_: str) -> ShipOption:
    plans, outcome = evaluation.plans, evaluation.outcome
    course, speed = wrap360(round(float(plans.course_deg[k]), 1)), round(float(plans.speed_kn[k]), 2)
    start, duration = float(plans.start_s[k]), float(plans.duration_s[k])
    kind = kind_of(ref, course, speed, duration, start)
    cpa = outcome.cpa_nm[k]
    turn = wrap180(course - picture.own.heading_deg)
    by_target = tuple(
        TargetOutcome.model_construct(
            label=target.label,
            min_cpa_nm=round(float(cpa[j]), 3),
            t_min=round(float(outcome.tcpa_s[k, j]) / 60.0, 2),
            crosses_ahead=bool(outcome.ahead_nm[k, j] < CROSSES_AHEAD_SHARE * picture.cpa_limit_nm),
        )
        for j, target in enumerate(picture.targets)
    )
    stands = bool(evaluation.moves_stand[k])
    # Values are computed here, so validating some two hundred options would only cost time.
    return ShipOption.model_construct(
        id=id_,
        label=_label(kind, turn, course, speed, start),
        setpoints={"heading_deg": course, "speed_kn": speed},
        flags=evaluation.flags(k),
        course_deg=course,
        speed_kn=speed,
        turn_deg=round(turn, 1),
        offset_deg=round(wrap180(course - ref.route_deg), 1),
        start_s=start,
        duration_s=duration,
        kind=kind,
        min_cpa_nm=round(float(np.min(cpa, initial=99.0)), 3),
        escape_cpa_nm=None if evaluation.escape_cpa_nm is None or not stands else round(evaluation.escape_cpa_nm, 3),
        by_target=by_target,
        extra_time_s=round(float(outcome.extra_time_s[k]), 1),
        cost=round(float(evaluation.cost[k]), 2),
    )


def _label(kind: Kind, turn: float, course: float, speed: float, start: float) -> str:
    side = f"{'starboard' if turn > 0 else 'port'} {abs(turn):.0f} deg to {course:03.0f}"
    words = {
        "keep": "keep course and speed",
        "hold": f"hold {course:03.0f} at {speed:.1f} kn",
        "resume": f"resume the route on {course:03.0f}",
        "turn": side,
        "slow": f"slow to {speed:.1f} kn",
        "turn_slow": f"{side}, slow to {speed:.1f} kn",
        "stop": "stop",
    }[kind]
    return f"in {start / 60.0:.0f} min: {words}" if start > 0.0 else words
