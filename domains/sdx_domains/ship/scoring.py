"""Scoring a run on the ground truth: safety, COLREG score, forbidden actions, efficiency, decisiveness; and summing up a suite.

The formulas of the COLREG score are in colreg_score.py. It is a measure for comparing behaviour, not a proof of legal compliance.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from sdx_domains.contract import Closed, Order
from sdx_domains.ship.colreg_score import EncounterScore, find, score_encounter
from sdx_domains.ship.geometry import NM_M, LocalPlane, bearing_range
from sdx_domains.ship.limits import limits
from sdx_domains.ship.scenarios.feasible import feasible
from sdx_domains.ship.scenarios.scenario import Scenario
from sdx_domains.ship.simulator.pilot import RoutePilot
from sdx_domains.ship.simulator.trace import Trace
from sdx_domains.ship.truth import Array, Pair, pairs_of, wrap180_all

REVERSAL_DEG = 5.0
GIVE_WAY_KINDS = ("head_on", "crossing_give_way", "overtaking", "restricted_visibility")


class CaseScore(Closed):
    """One run. Distances NM, times minutes; `colreg_score` None = no encounter with risk came up."""

    case: str
    repeats: str = ""
    """The case whose geometry this one repeats, if any."""
    min_cpa_nm: float | None
    """Between samples; None without targets."""
    cpa_limit_nm: float
    collision: bool
    passed: bool
    """No collision and min_cpa_nm at or above 0.5 NM."""
    feasible: bool
    """Passed, or a search finds a single-leg manoeuvre that would have (targets holding course)."""
    forbidden: int
    forbidden_actions: tuple[str, ...] = ()
    colreg_score: float | None
    colreg_score_strict: float | None
    extra_time_min: float
    """To the goal against the undisturbed route; what is left of the route at the end of the run is reckoned at planned speed."""
    extra_distance_nm: float
    reversals: int
    """Ordered course changes of more than 5 degrees against the one before that do not lead back to the route."""
    apparent: bool | None
    """First action readily apparent in every encounter that asked for one; None if none did."""
    duration_s: float
    per_encounter: tuple[EncounterScore, ...] = ()


def score(scenario: Scenario, trace: Trace, orders: Sequence[tuple[float, Order]] | None = None) -> CaseScore:
    """Score one run; `orders` only for a trace whose own list was not kept. ValueError: the trace is empty or not this scenario's."""
    if trace.targets and len(trace.targets) != len(scenario.targets):
        raise ValueError(f"{scenario.name} has {len(scenario.targets)} targets, the trace {len(trace.targets)}: not the same run")
    if orders is not None:
        trace.orders = list(orders)
    own = scenario.own.parameters
    pairs = pairs_of(trace, (own.length_m, own.beam_m), [(target.length_m, target.beam_m) for target in scenario.targets])
    route_deg = _route_courses(scenario, trace)
    encounters = _encounters(scenario, pairs, route_deg)
    least = min((pair.least_range_m for pair in pairs), default=None)
    collision = any(pair.touched for pair in pairs)
    wanted = limits().cpa_limit_open_nm
    passed = not collision and (least is None or least >= wanted * NM_M - 0.5)
    extra_s, extra_m = _detour(scenario, trace)
    asked = [e.apparent for e in encounters if e.apparent is not None]
    texts = tuple(text for e in encounters for text in e.forbidden)
    return CaseScore(
        case=scenario.name,
        repeats=next((label.removeprefix("same as ") for label in scenario.labels if label.startswith("same as ")), ""),
        min_cpa_nm=None if least is None else round(least / NM_M, 4),
        cpa_limit_nm=cpa_limit_nm(scenario),
        collision=collision,
        passed=passed,
        feasible=passed or feasible(scenario, wanted),
        forbidden=len(texts),
        forbidden_actions=texts,
        colreg_score=_mean([e.score for e in encounters]),
        colreg_score_strict=_mean([e.strict for e in encounters]),
        extra_time_min=round(extra_s / 60.0, 3),
        extra_distance_nm=round(extra_m / NM_M, 3),
        reversals=_reversals(trace, route_deg),
        apparent=all(asked) if asked else None,
        duration_s=trace.times_s[-1] - trace.times_s[0],
        per_encounter=tuple(encounters),
    )


def is_restricted(scenario: Scenario) -> bool:
    """Does Rule 19 apply?"""
    around = scenario.environment
    return around.restricted_visibility or around.visibility_nm < limits().restricted_visibility_nm


def cpa_limit_nm(scenario: Scenario) -> float:
    """Risk of collision exists below this."""
    return limits().cpa_limit_restricted_visibility_nm if is_restricted(scenario) else limits().cpa_limit_open_nm


def _encounters(scenario: Scenario, pairs: list[Pair], route_deg: Array) -> list[EncounterScore]:
    limit, fog, length = cpa_limit_nm(scenario), is_restricted(scenario), scenario.own.parameters.length_m
    found = [find(i, pair, route_deg, scenario.targets[i].nav_status, length, limit, fog) for i, pair in enumerate(pairs)]
    real = [item for item in found if item is not None]
    return [score_encounter(item, [other for other in real if other is not item]) for item in real]


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def _pilot(scenario: Scenario, trace: Trace) -> RoutePilot:
    plane = LocalPlane(scenario.own.lat_deg, scenario.own.lon_deg)
    waypoints = [plane.to_plane(*point) for point in scenario.route]
    return RoutePilot(trace.own[0], waypoints, [scenario.planned_speed_kn] * len(waypoints))


def _detour(scenario: Scenario, trace: Trace) -> tuple[float, float]:
    """Extra seconds and metres against the undisturbed route at planned speed."""
    pilot = _pilot(scenario, trace)
    planned_m = pilot.distance_left_m(trace.own[0])
    for state in trace.own:
        pilot.steer(state)
    left_m = pilot.distance_left_m(trace.own[-1])
    track = np.array([(state.north_m, state.east_m) for state in trace.own])
    sailed_m = float(np.hypot(*np.diff(track, axis=0).T).sum()) if len(track) > 1 else 0.0
    speed = scenario.planned_speed_kn * NM_M / 3600.0
    return trace.times_s[-1] - trace.times_s[0] + (left_m - planned_m) / speed, sailed_m + left_m - planned_m


def _route_courses(scenario: Scenario, trace: Trace) -> Array:
    """(T, 2) courses that lead along the route from where own ship is: to the next waypoint, and back to the leg as the pilot steers it."""
    pilot = _pilot(scenario, trace)
    courses = np.zeros((len(trace.own), 2))
    for i, state in enumerate(trace.own):
        courses[i] = pilot.steer(state)[0]
        if pilot.waypoints:
            north, east = pilot.waypoints[0]
            courses[i, 0] = bearing_range(north - state.north_m, east - state.east_m)[0]
    return courses


def _reversals(trace: Trace, route_deg: Array) -> int:
    """Turning points of the ordered course (hysteresis 5 deg) after which it leads away from the route, or to its other side."""
    if not trace.orders:
        return 0
    both = wrap180_all(np.array(trace.ordered_heading_deg)[:, None] - route_deg)
    offsets = np.where(np.abs(both[:, 0]) <= np.abs(both[:, 1]), both[:, 0], both[:, 1])

    def leads_away(a: int, b: int) -> bool:
        before, after = offsets[a], offsets[b]
        crosses = before * after < 0.0 and abs(before) > REVERSAL_DEG
        return bool(abs(after) > REVERSAL_DEG and (crosses or abs(after) > abs(before) + REVERSAL_DEG))

    return sum(leads_away(a, b) for a, b in _swings(trace.ordered_heading_deg)[1:])


def _swings(headings_deg: list[float]) -> list[tuple[int, int]]:
    """(from, to) samples of alternating swings of more than 5 degrees."""
    unwrapped = np.degrees(np.unwrap(np.radians(headings_deg)))
    swings: list[tuple[int, int]] = []
    low = high = 0
    side = 0
    for i, value in enumerate(unwrapped):
        if value > unwrapped[high]:
            high = i
        if value < unwrapped[low]:
            low = i
        if side <= 0 and value - unwrapped[low] > REVERSAL_DEG:
            swings.append((low, i))
            side, high = 1, i
        elif side >= 0 and unwrapped[high] - value > REVERSAL_DEG:
            swings.append((high, i))
            side, low = -1, i
        elif side > 0 and high == i or side < 0 and low == i:
            swings[-1] = (swings[-1][0], i)
        if side > 0:
            low = high
        elif side < 0:
            high = low
    return swings


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion; (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    p, n = successes / trials, trials
    centre, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - spread) / (1 + z * z / n)), min(1.0, (centre + spread) / (1 + z * z / n))


def _rate(successes: int, trials: int) -> dict[str, float | int | None]:
    low, high = wilson(successes, trials)
    return {
        "n": successes,
        "of": trials,
        "rate": round(successes / trials, 4) if trials else None,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def summarise(scores: list[CaseScore]) -> dict[str, Any]:
    """A suite in figures; rates with 95 % Wilson intervals. `distinct` leaves out cases that repeat another's geometry."""
    summary = _summary(scores)
    distinct = [case for case in scores if not case.repeats]
    if len(distinct) < len(scores):
        summary["distinct"] = _summary(distinct)
    return summary


def _summary(scores: list[CaseScore]) -> dict[str, Any]:
    encounters = [e for case in scores for e in case.per_encounter]
    avoiding = [e for e in encounters if e.apparent is not None]
    hard = [case for case in scores if case.feasible]
    distances = [case.min_cpa_nm for case in scores if case.min_cpa_nm is not None]
    return {
        "cases": len(scores),
        "collisions": _rate(sum(case.collision for case in scores), len(scores)),
        "collisions_where_feasible": _rate(sum(case.collision for case in hard), len(hard)),
        "cpa_pass": _rate(sum(case.passed for case in scores), len(scores)),
        "cpa_pass_where_feasible": _rate(sum(case.passed for case in hard), len(hard)),
        "min_cpa_nm": min(distances, default=None),
        "forbidden": sum(case.forbidden for case in scores),
        "colreg_score": _mean([e.score for e in encounters]),
        "colreg_score_strict": _mean([e.strict for e in encounters]),
        "by_class": _by_class(encounters),
        "first_action_apparent": _rate(sum(bool(e.apparent) for e in avoiding), len(avoiding)),
        "first_action_in_time": _rate(sum(bool(e.in_time) for e in avoiding), len(avoiding)),
        "extra_time_min_mean": _mean([case.extra_time_min for case in scores]),
        "extra_time_min_max": max((case.extra_time_min for case in scores), default=None),
        "extra_distance_nm_mean": _mean([case.extra_distance_nm for case in scores]),
        "reversals_max": max((case.reversals for case in scores), default=0),
        "reversals_mean": _mean([float(case.reversals) for case in scores]),
    }


def _by_class(encounters: list[EncounterScore]) -> dict[str, dict[str, float | int | None]]:
    """Mean score per encounter class, and over all give-way and all stand-on duties."""
    groups: dict[str, list[EncounterScore]] = {}
    for encounter in encounters:
        groups.setdefault(encounter.kind, []).append(encounter)
        if encounter.role in ("give_way", "stand_on"):
            groups.setdefault(f"role_{encounter.role}", []).append(encounter)
    return {
        name: {"n": len(group), "score": _mean([e.score for e in group]), "strict": _mean([e.strict for e in group])}
        for name, group in sorted(groups.items())
    }
