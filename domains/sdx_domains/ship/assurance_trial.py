"""Does assurance ever let a bad order through, and how often does it stop a good one?

Random situations, random and adversarial orders; the truth is `oracle`'s one-second voyages and a second, scalar reading of the rules.

    python -m sdx_domains.ship.assurance_trial 10000 0

False accept: accepted or clipped, although the voyage passes inside the CPA limit (or breaks a rule) while an allowed manoeuvre of the
lattice keeps outside (for a broken rule: outside the danger distance). Keeping on towards a vessel that is not yet to be avoided is
right as long as an allowed manoeuvre begun two minutes later keeps outside.
False reject: rejected, although the voyage keeps outside the limit, breaks no rule, and stands the targets' worst case.
"""

import json
import sys
from dataclasses import dataclass
from math import cos, radians, sin
from random import Random
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from sdx_domains.contract import Proposal, Reading, Verdict
from sdx_domains.ship.assurance import assure
from sdx_domains.ship.geometry import KN_MS, NM_M, LocalPlane, wrap180, wrap360
from sdx_domains.ship.lattice import STARTS_S, Plans, Reference, kind_of, lattice, plans, reference
from sdx_domains.ship.oracle import Sailed, Voyages, sail, together, voyages
from sdx_domains.ship.perceive import ShipPerceiver
from sdx_domains.ship.picture import EnvironmentReading, OwnReading, RouteReading, ShipOption, ShipPicture, Target, TargetReading
from sdx_domains.ship.planner import DANGER_SHARE, FAR_RANGE_NM, FAR_S, LIMIT, NEAR_SHARE, SOFT_BREACH
from sdx_domains.ship.rules import AHEAD_SHARE_CROSSING, AHEAD_SHARE_OVERTAKING, AHEAD_SPARE_NM, AVOIDING_ROLES, foreseen

ORDERS_PER_PICTURE = 5
BATCH_ROWS = 12000
REPORTS_S = (-20.0, -10.0, 0.0)
SHOWN_EXAMPLES = 5


@dataclass(slots=True)
class _Trial:
    picture: ShipPicture
    ref: Reference
    option: ShipOption
    verdict: Verdict
    verdict_ms: float
    verdict_cpu_ms: float
    held_s: float
    """Leg that the verdict vouches for."""


def assurance_trial(n: int, seed: int = 0) -> dict[str, Any]:
    """Run n orders; counts, rates, examples of what went wrong, and the verdict's time with four targets (ms)."""
    rng = Random(seed)
    trials: list[_Trial] = []
    while len(trials) < n:
        picture = situation(rng)
        ref = reference(picture)
        trials += [_tried(picture, ref, option) for option in orders(picture, ref, rng)]
    del trials[n:]
    mine = together([_leg(t, t.held_s) for t in trials])
    sailed = _sail_all(mine)
    suspects = [i for i, t in enumerate(trials) if _bad(t, sailed, i)]
    feasible = _feasible({id(trials[i].picture): trials[i] for i in suspects if trials[i].verdict.order is not None})
    false_accepts = [i for i in suspects if trials[i].verdict.order is not None and _wrong(trials[i], sailed, i, feasible)]
    good = [i for i, t in enumerate(trials) if not _bad(t, sailed, i) and _stands_worst_case(t, sailed, i)]
    false_rejects = [i for i in good if trials[i].verdict.order is None]
    busy = [t for t in trials if len(t.picture.targets) >= 4] or trials
    times = [t.verdict_ms for t in busy]
    return {
        "trials": n,
        "seed": seed,
        "accepted": sum(t.verdict.kind == "accept" for t in trials),
        "clipped": sum(t.verdict.kind == "clip" for t in trials),
        "rejected": sum(t.verdict.kind == "reject" for t in trials),
        "good_orders": len(good),
        "false_accepts": len(false_accepts),
        "false_rejects": len(false_rejects),
        "false_reject_rate": round(len(false_rejects) / max(len(good), 1), 4),
        "manoeuvres_compared": len(lattice(trials[0].picture, trials[0].ref)),
        "verdict_ms_p50": round(float(np.percentile(times, 50)), 2),
        "verdict_ms_p95": round(float(np.percentile(times, 95)), 2),
        "verdict_ms_max": round(max(times), 2),
        "verdict_cpu_ms_p95": round(float(np.percentile([t.verdict_cpu_ms for t in busy], 95)), 2),
        "false_accept_examples": [_told(trials[i], sailed, i) for i in false_accepts[:SHOWN_EXAMPLES]],
        "false_reject_examples": [_told(trials[i], sailed, i) for i in false_rejects[:SHOWN_EXAMPLES]],
    }


def situation(rng: Random) -> ShipPicture:
    """A picture from readings: own ship on its route or on a leg off it, one to four targets, most of them on a near collision course."""
    plane = LocalPlane(35.0, 129.0)
    route_deg, planned = rng.uniform(0.0, 360.0), 12.0
    off = rng.choice((0.0, 0.0, 0.0, 30.0, 60.0, -45.0))
    heading = wrap360(route_deg + off)
    speed = planned if off or rng.random() < 0.8 else rng.uniform(5.0, 13.0)
    way = rng.uniform(8.0, 24.0) * NM_M
    goal = plane.to_geo(way * cos(radians(route_deg)), way * sin(radians(route_deg)))
    visibility = 1.0 if rng.random() < 0.1 else 10.0
    ships = [_target(rng, heading, speed) for _ in range(rng.randint(1, 4))]
    perceiver = ShipPerceiver()
    picture: ShipPicture | None = None
    for t in REPORTS_S:
        own_n, own_e = speed * KN_MS * t * cos(radians(heading)), speed * KN_MS * t * sin(radians(heading))
        lat, lon = plane.to_geo(own_n, own_e)
        own = OwnReading(
            t_s=t, source="trial", lat_deg=lat, lon_deg=lon, cog_deg=heading, sog_kn=speed, heading_deg=heading,
            rot_deg_min=0.0, rudder_deg=0.0, ordered_heading_deg=heading, ordered_speed_kn=speed,
        )  # fmt: skip
        readings: list[Reading] = [own, RouteReading(t_s=t, source="trial", waypoints=(goal,), planned_sog_kn=planned)]
        readings.append(EnvironmentReading(t_s=t, source="trial", visibility_nm=visibility))
        for number, (n0, e0, course, v) in enumerate(ships):
            place = plane.to_geo(n0 + v * KN_MS * t * cos(radians(course)), e0 + v * KN_MS * t * sin(radians(course)))
            report = TargetReading(
                t_s=t,
                source="ais",
                track_id=f"mmsi:{number}",
                lat_deg=place[0],
                lon_deg=place[1],
                cog_deg=course,
                sog_kn=v,
                heading_deg=course,
            )
            readings.append(report)
        picture = perceiver.take(readings, t)
    assert picture is not None
    return picture


def _target(rng: Random, heading: float, speed: float) -> tuple[float, float, float, float]:
    """(north m, east m, course deg, speed kn) that passes own ship's present track at a drawn distance and time."""
    course, v = rng.uniform(0.0, 360.0), rng.uniform(4.0, 18.0)
    minutes, miss = rng.uniform(3.0, 30.0), rng.gauss(0.0, 0.6) * NM_M
    t = 60.0 * minutes
    side = radians(rng.uniform(0.0, 360.0))
    n = (speed * cos(radians(heading)) - v * cos(radians(course))) * KN_MS * t + miss * cos(side)
    e = (speed * sin(radians(heading)) - v * sin(radians(course))) * KN_MS * t + miss * sin(side)
    return n, e, course, v


def orders(picture: ShipPicture, ref: Reference, rng: Random) -> list[ShipOption]:
    """Orders to be judged: any, from the lattice, at a target, just to one side of another's bow, a little off."""
    target = rng.choice(picture.targets)
    found: list[ShipOption] = []
    for _ in range(ORDERS_PER_PICTURE):
        minutes, speed = rng.choice((3.0, 5.0, 8.0, 12.0, 20.0, 30.0)), ref.planned_kn
        what = rng.choice(("any", "lattice", "lattice", "at target", "ahead of target", "small", "keep", "port"))
        if what == "any":
            course, speed = rng.uniform(0.0, 360.0), rng.uniform(0.0, 15.0)
        elif what == "lattice":
            pool = lattice(picture, ref)
            k = rng.choice([k for k in range(len(pool)) if pool.start_s[k] == 0.0])
            course, speed, minutes = float(pool.course_deg[k]), float(pool.speed_kn[k]), float(pool.duration_s[k]) / 60.0
        elif what == "at target":
            course = target.bearing_deg + rng.gauss(0.0, 3.0)
        elif what == "ahead of target":
            course = target.bearing_deg + rng.uniform(5.0, 40.0) * (1.0 if wrap180(target.cog_deg - target.bearing_deg) > 0 else -1.0)
        elif what == "small":
            course = ref.held_deg + rng.uniform(-25.0, 25.0)
        elif what == "port":
            course = ref.route_deg - rng.uniform(20.0, 100.0)
        else:
            course, minutes = ref.route_deg, 0.0
        found.append(_option(ref, wrap360(course), speed, 60.0 * minutes))
    return found


def _option(ref: Reference, course: float, speed: float, duration_s: float) -> ShipOption:
    kind = kind_of(ref, course, speed, duration_s)
    return ShipOption(
        id="X", label=kind, setpoints={"heading_deg": course, "speed_kn": speed}, course_deg=course, speed_kn=speed,
        turn_deg=wrap180(course - ref.held_deg), duration_s=duration_s, kind=kind, min_cpa_nm=9.0,
    )  # fmt: skip


def _tried(picture: ShipPicture, ref: Reference, option: ShipOption) -> _Trial:
    began, began_cpu = perf_counter(), thread_time()
    verdict = assure(picture, (option,), Proposal(option_id="X", source="fallback"))
    took, took_cpu = 1000.0 * (perf_counter() - began), 1000.0 * (thread_time() - began_cpu)
    return _Trial(picture, ref, option, verdict, took, took_cpu, float(verdict.margins.get("hold_s", option.duration_s)))


def _leg(t: _Trial, held_s: float) -> Voyages:
    speed = t.option.speed_kn
    own = t.picture.own.parameters
    speed = min(speed, own.max_speed_kn) if speed >= own.min_speed_kn or speed == 0.0 else own.min_speed_kn
    return voyages(t.picture, plans((t.ref.held_deg, t.ref.held_kn), t.option.course_deg, speed, 0.0, held_s))


def _sail_all(rows: Voyages) -> Sailed:
    """In batches, so that memory stays small."""
    parts: list[Sailed] = []
    for first in range(0, len(rows), BATCH_ROWS):
        cut = slice(first, first + BATCH_ROWS)
        part = Voyages(rows.pictures[cut], rows.course_deg[cut], rows.speed_kn[cut], rows.start_s[cut], rows.duration_s[cut],
                       rows.before_deg[cut], rows.before_kn[cut])  # fmt: skip
        parts.append(sail(part))
    return Sailed(*(_stack([getattr(part, name) for part in parts]) for name in ("cpa_nm", "tcpa_s", "near_nm", "ahead_nm")))


def _stack(parts: list[np.ndarray]) -> np.ndarray:
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=99.0) for part in parts])


def _engaged(target: Target) -> bool:
    return target.encounter != "none" and not target.past_and_clear


def _inside(t: _Trial, sailed: Sailed, i: int, limit: float) -> list[int]:
    """Targets that the voyage passes nearer than `limit`, of those that count: engaged, near, or soon."""
    return [
        j
        for j, target in enumerate(t.picture.targets)
        if sailed.cpa_nm[i, j] < limit and (_engaged(target) or target.range_nm <= FAR_RANGE_NM or sailed.tcpa_s[i, j] <= FAR_S)
    ]


def _stands(t: _Trial) -> bool:
    return t.option.kind in ("keep", "resume", "hold")


def _may_wait(t: _Trial, j: int, sailed: Sailed, i: int) -> bool:
    """Keeping on towards target j is in order for now."""
    target = t.picture.targets[j]
    due = target.stage >= (3 if target.role == "stand_on" else 1) and target.role != "none"
    if t.option.kind == "resume":
        return not _engaged(target) and bool(sailed.tcpa_s[i, j] > FAR_S - 60.0)  # by a minute, whose clock is right is open
    return not (_engaged(target) and due)


def _bad(t: _Trial, sailed: Sailed, i: int) -> bool:
    return bool(_inside(t, sailed, i, t.picture.cpa_limit_nm)) or bool(broken(t.picture, t.ref, t.option, sailed, i))


def _wrong(t: _Trial, sailed: Sailed, i: int, feasible: dict[int, "_Feasible"]) -> bool:
    """An accepted order that the truth condemns."""
    can = feasible[id(t.picture)]
    rules = broken(t.picture, t.ref, t.option, sailed, i)
    if rules:
        soft = all("19" in rule and t.picture.environment.restricted_visibility for rule in rules)
        return can.now_nm >= (1.0 - SOFT_BREACH / LIMIT if soft else DANGER_SHARE) * t.picture.cpa_limit_nm
    inside = _inside(t, sailed, i, t.picture.cpa_limit_nm)
    if _stands(t) and all(_may_wait(t, j, sailed, i) for j in inside):
        return can.later_nm < t.picture.cpa_limit_nm <= can.now_nm
    return can.now_nm >= t.picture.cpa_limit_nm


def _stands_worst_case(t: _Trial, sailed: Sailed, i: int) -> bool:
    return bool((sailed.near_nm[i] >= NEAR_SHARE * t.picture.cpa_limit_nm).all())


@dataclass(frozen=True, slots=True)
class _Feasible:
    """Largest least distance that an allowed manoeuvre attains, begun now or two minutes later, NM."""

    now_nm: float
    later_nm: float


def _feasible(suspects: dict[int, _Trial]) -> dict[int, _Feasible]:
    """By sailing the whole lattice of every suspect's picture."""
    if not suspects:
        return {}
    pools: dict[int, Plans] = {key: lattice(t.picture, t.ref) for key, t in suspects.items()}
    sailed = _sail_all(together([voyages(suspects[key].picture, pool) for key, pool in pools.items()]))
    found: dict[int, _Feasible] = {}
    first = 0
    for key, pool in pools.items():
        t, least = suspects[key], {True: 0.0, False: 0.0}
        for k in range(len(pool)):
            option = _option(t.ref, float(pool.course_deg[k]), float(pool.speed_kn[k]), float(pool.duration_s[k]))
            later = bool(pool.start_s[k] > 0.0)
            if (later and pool.start_s[k] != STARTS_S[0]) or broken(
                t.picture, t.ref, option, sailed, first + k, later=later, spare_nm=AHEAD_SPARE_NM
            ):
                continue
            least[later] = max(least[later], float(sailed.cpa_nm[first + k, : len(t.picture.targets)].min()))
        found[key] = _Feasible(least[False], least[True])
        first += len(pool)
    return found


def broken(
    picture: ShipPicture, ref: Reference, option: ShipOption, sailed: Sailed, i: int, later: bool = False, spare_nm: float = 0.0
) -> list[str]:
    """Rules that a manoeuvre breaks, read once more, one vessel after the other, on the sailed voyage.

    `spare_nm` is asked for in bow-cross ranges, so that what counts as feasible is clearly so.
    """
    turn, offset = wrap180(option.course_deg - ref.held_deg), wrap180(option.course_deg - ref.route_deg)
    stands = option.kind in ("keep", "resume", "hold")
    swing = wrap180(option.course_deg - picture.own.heading_deg)
    port = not stands and min(turn, swing) < -2.0 and offset < -5.0
    starboard = not stands and max(turn, swing) > 2.0 and offset > 5.0
    duty = any(_engaged(t) and t.role in AVOIDING_ROLES for t in picture.targets)
    limit, found = picture.cpa_limit_nm, []
    for j, t in enumerate(picture.targets):
        met = t.encounter if _engaged(t) else foreseen(picture, t)
        forward = abs(t.rel_bearing_deg) < 90.0
        overtaking = forward and abs(t.aspect_deg) > 112.5
        if port and (met in ("head_on", "crossing_give_way") or (met == "restricted_visibility" and forward and not overtaking)):
            found.append("R14/15/19(d)(i)")
        if met == "restricted_visibility" and not forward and (starboard if t.rel_bearing_deg > 0 else port):
            found.append("R19(d)(ii)")
        if port and met == "crossing_stand_on" and t.role != "give_way" and t.rel_bearing_deg < 0 and t.kind == "power":
            found.append("R17(c)")
        if not _engaged(t):
            continue
        ahead, cpa = float(sailed.ahead_nm[i, j]), float(sailed.cpa_nm[i, j])
        follows = option.kind in ("keep", "resume") or (option.kind == "hold" and ref.on_route)
        if t.role in AVOIDING_ROLES and t.stage >= 1 and follows and not later and cpa < limit:
            found.append("R16")
        if t.encounter == "crossing_give_way" and ahead < AHEAD_SHARE_CROSSING * limit + spare_nm:
            found.append("R15")
        if t.encounter == "overtaking" and ahead < AHEAD_SHARE_OVERTAKING * limit + spare_nm:
            found.append("R13")
        if t.role == "stand_on" and 1 <= t.stage <= 2 and not duty and not stands and not later:
            found.append("R17(a)(i)")
    small = abs(turn) < 29.0 and option.speed_kn > 0.5 * max(ref.held_kn, 0.1) + 0.01
    if option.speed_kn <= 0.5 * ref.planned_kn + 0.01 and abs(offset) <= 5.0:
        small = False
    if not stands and not later and small and any(_engaged(t) and t.stage >= 1 for t in picture.targets):
        found.append("R8(b)")
    return found


def _told(t: _Trial, sailed: Sailed, i: int) -> dict[str, Any]:
    return {
        "order": {**t.option.setpoints, "hold_s": t.held_s, "kind": t.option.kind},
        "held": [t.ref.held_deg, t.ref.held_kn, t.ref.route_deg],
        "verdict": [t.verdict.kind, *t.verdict.reasons],
        "margins": dict(t.verdict.margins),
        "sailed_cpa_nm": [round(float(x), 3) for x in sailed.cpa_nm[i, : len(t.picture.targets)]],
        "broken": broken(t.picture, t.ref, t.option, sailed, i),
        "targets": [
            [x.label, x.encounter, x.role, x.stage, round(x.range_nm, 2), round(x.rel_bearing_deg), round(x.tcpa_min, 1)]
            for x in t.picture.targets
        ],
    }


if __name__ == "__main__":
    count, first_seed = (int(text) for text in [*sys.argv[1:3], *("1000", "0")[len(sys.argv) - 1 :]])
    print(json.dumps(assurance_trial(count, first_seed), indent=1, default=float))
