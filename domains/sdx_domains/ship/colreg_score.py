"""The COLREG score of one encounter, from the truth: the S13-S17 family of Hagen, Vasstein et al., Ocean Engineering 2023.

The family (doi 10.1016/j.oceaneng.2023.115991) refines Woerner et al., Autonomous Robots 2018 (doi 10.1007/s10514-018-9765-y). It is taken here
in the form of its public reconstruction in colav-simulator, which says of itself that it is not numerically confirmed against the paper:

    S_safety   = S_r + (1 - S_r) S_theta, 0 when hulls touch                       range 1 / .8 / .5 / 0 at R_pref / R_min / R_nm / R_col
    S_theta    = .25 contact + .75 bearing, each (1 - cos)/(1 - cos 90) below 90 deg, else 1
    P_course   = 1 up to the detectable 2 deg, 0 from the apparent 30 deg, 1 - x^2 between; P_speed alike with 7 % and 25 %
    P_delay    = 0 if the first detectable action comes outside R_3, else (entry range - action range) / entry range
    S16        = S_safety S_apparent (1 - P_delay)                                 give-way, and every other avoiding duty
    S14        = S16 (1 - .4 P_non-starboard - .6 P_starboard-to-starboard)        head-on; course only counts as apparent
    S13        = S16 - .3 if it passes ahead of the overtaken (|contact angle| < 45 deg)
    S15        = S16 - .5 if it passes ahead (-25 < contact angle < 165 deg)
    S17        = S_safety (1 - P_stage2)(1 - P_stage3)(1 - P_port-turn)            stand-on

Distances for a 100 m ship, growing with own length: R_pref 0.5, R_min 0.25, R_nm 0.1 NM, R_col touching hulls; R_3 2 NM. In restricted
visibility, where the CPA limit is 1 NM, they double.

`score` departs from the listed formulas in three points, each because a rule says so; `strict` is without them:
- S_apparent = 1 - min(P_course, P_speed): Rule 8(b) asks for course and/or speed, 8(c) may prefer course alone. Strict: 1 - .5 P_course - .5 P_speed,
  by which the best pure turn gets 0.5.
- P_stage3 = 0 while the other does not give way: Rule 17(a)(ii) lets the stand-on vessel act then.
- P_stage2 = 0 when own ship leaves her course while she must keep out of a third vessel's way: that duty cannot wait.
S14 takes S_safety in (the reconstruction leaves it out): a head-on collision shall not score. Rule 19 has no published formula: S16, and 0 after
an alteration that Rule 19(d) forbids.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import Closed
from sdx_domains.ship.geometry import NM_M
from sdx_domains.ship.limits import limits
from sdx_domains.ship.picture import Encounter, Role
from sdx_domains.ship.truth import Array, Pair, wrap180_all

RISK_TCPA_S = 31 * 60.0
"""Encounters are recognised this long before the closest approach: half an hour is a situation's usual length (DNV, Imazu)."""
STEADY_DEG_MIN = 3.0
PREFERRED_NM, LEAST_NM, NEAR_MISS_NM = 0.5, 0.25, 0.1
FORBIDDEN_TURN_DEG = 5.0
AHEAD_CPA_LIMITS = 2.0
"""Crossing a bow nearer than this many CPA limits is a forbidden action for the give-way vessel."""
FIRST_ACTION_S = 180.0
"""Within this of its beginning the first action must be readily apparent: a ship of 200 m needs two minutes for 30 degrees."""
SETTLED_DEG = 1.0
"""A turn counts as made within this of its course."""
STOPPED_KN = 0.5
PRIVILEGED_STATUS = (1, 2, 3, 4, 5, 6, 7)
"""AIS status of a vessel that own ship, under power, keeps clear of (Rule 18, or because it does not move)."""

Kind = Literal["head_on", "crossing_give_way", "crossing_stand_on", "overtaking", "overtaken", "restricted_visibility"]


class EncounterScore(Closed):
    """How own ship behaved towards one target, from first risk to the closest approach."""

    target: int
    """Row in the scenario."""
    kind: Encounter
    role: Role
    since_s: float
    cpa_nm: float
    score: float
    strict: float
    safety: float
    parts: dict[str, float]
    """Penalties and part scores by their names in the formulas."""
    apparent: bool | None = None
    """First action >= 30 deg within three minutes, or speed halved within five; None for a stand-on duty, False without any action."""
    action_tcpa_min: float | None = None
    in_time: bool | None = None
    """First action at TCPA >= 10 min, or within 2 min of first risk when that came later; None for a stand-on duty."""
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """An encounter as recognised from the truth; `first` and `end` are samples."""

    target: int
    pair: Pair
    first: int
    end: int
    kind: Encounter
    role: Role
    limit_m: float
    route_deg: Array
    """(T, 2) courses that lead along the route: to the next waypoint, and back to the leg."""
    scale: float
    """Of the distances: own length / 100 m, doubled in restricted visibility."""

    @property
    def span(self) -> slice:
        return slice(self.first, self.end + 1)


def find(
    target: int, pair: Pair, route_deg: Array, nav_status: int, own_length_m: float, limit_nm: float, restricted: bool
) -> Found | None:
    """The first risk of collision with a target; class and duty as the geometry is then."""
    limit = limit_nm * NM_M
    risk = (pair.dcpa_m < limit) & (pair.tcpa_s > 0.0) & (pair.tcpa_s <= RISK_TCPA_S)
    first = _first_risk(pair, risk)
    if first is None:
        return None
    kind = _kind(pair, first, restricted)
    stopped = pair.target.speed_kn[first] < STOPPED_KN or nav_status in PRIVILEGED_STATUS
    role = _role(kind, stopped)
    scale = own_length_m / 100.0 * limit_nm / limits().cpa_limit_open_nm
    return Found(target, pair, first, max(pair.nearest, first), kind, role, limit, route_deg, scale)


def _first_risk(pair: Pair, risk: NDArray[np.bool_]) -> int | None:
    """First sample of risk at which own ship is steady: while she swings, her course sweeps over vessels that are no risk.

    A risk in which the ships reach their closest approach counts from its first sample in any case.
    """
    turned = np.abs(wrap180_all(np.diff(pair.own.heading_deg, prepend=pair.own.heading_deg[0])))
    steady = turned * 60.0 <= STEADY_DEG_MIN * np.diff(pair.t_s, prepend=pair.t_s[0] - 1.0)
    for begin in np.flatnonzero(risk & ~np.concatenate(([False], risk[:-1]))):
        ends = np.flatnonzero(~risk[begin:])
        end = begin + int(ends[0]) if ends.size else len(risk)
        settled = np.flatnonzero(steady[begin:end])
        if settled.size:
            return int(begin + settled[0])
        if begin <= pair.nearest <= end:
            return int(begin)
    return None


def _kind(pair: Pair, i: int, restricted: bool) -> Kind:
    """Encounter class by the rules' own sectors; abaft the beam goes first (13(c)), then the head-on in doubt (14(c))."""
    relative, aspect = float(pair.rel_bearing_deg[i]), float(pair.aspect_deg[i])
    own_speed, target_speed = float(pair.own.speed_kn[i]), float(pair.target.speed_kn[i])
    sector, ahead = limits().overtaking_sector_deg, limits().head_on_deg
    if restricted:
        return "restricted_visibility"
    if abs(aspect) > sector and own_speed > target_speed:
        return "overtaking"
    if abs(relative) > sector and target_speed > own_speed:
        return "overtaken"
    course_difference = abs(float(wrap180_all(pair.target.heading_deg[i] - pair.own.heading_deg[i])))
    if abs(relative) <= ahead and course_difference >= 180.0 - limits().head_on_hysteresis_deg:
        return "head_on"
    return "crossing_give_way" if relative >= 0.0 else "crossing_stand_on"


def _role(kind: Kind, keeps_clear_of: bool) -> Role:
    if kind == "restricted_visibility":
        return "r19"
    if kind == "head_on" and not keeps_clear_of:
        return "both_give_way"
    if kind in ("crossing_stand_on", "overtaken") and not keeps_clear_of:
        return "stand_on"
    return "give_way"


def score_encounter(found: Found, others: list[Found]) -> EncounterScore:
    """Score own ship's behaviour; `others` are the encounters with the other targets in the same run."""
    pair, end = found.pair, found.end
    safety = _safety(found)
    forbidden = _forbidden(found)
    if found.role == "stand_on":
        parts = _stand_on_parts(found, others)
        parts["P_port_turn"] = float(any(text.startswith("R17(c)") for text in forbidden))
        hold = (1.0 - parts["P_stage2"]) * (1.0 - parts["P_stage3"]) * (1.0 - parts["P_port_turn"])
        strict = (1.0 - parts["P_stage2_strict"]) * (1.0 - parts["P_stage3_strict"]) * (1.0 - parts["P_port_turn"])
        return _result(found, safety, safety * hold, safety * strict, parts, forbidden)
    turns = wrap180_all(pair.own.heading_deg[found.span] - pair.own.heading_deg[found.first])
    speeds = pair.own.speed_kn[found.span]
    parts = _action_parts(found, turns, speeds)
    timely = safety * (1.0 - parts["P_delay"])
    score = timely * (1.0 - min(parts["P_course"], parts["P_speed"]))
    strict = timely * (1.0 - 0.5 * parts["P_course"] - 0.5 * parts["P_speed"])
    contact = float(pair.aspect_deg[end])
    if found.kind == "head_on":
        parts["P_non_starboard"] = _fading(max(0.0, float(turns.max())), 10.0, limits().apparent_turn_deg)
        parts["P_starboard_to_starboard"] = _starboard_to_starboard(contact, float(pair.rel_bearing_deg[end]))
        side = 1.0 - 0.4 * parts["P_non_starboard"] - 0.6 * parts["P_starboard_to_starboard"]
        score = strict = timely * (1.0 - parts["P_course"]) * side
    elif found.kind == "overtaking":
        parts["P_ahead"] = 0.3 * float(abs(contact) < 45.0)
    elif found.kind == "crossing_give_way":
        parts["P_ahead"] = 0.5 * float(-25.0 < contact < 165.0)
    elif found.kind == "restricted_visibility" and forbidden:
        score = strict = 0.0
    ahead = parts.get("P_ahead", 0.0)
    return _result(found, safety, max(0.0, score - ahead), max(0.0, strict - ahead), parts, forbidden, turns, speeds)


def _result(
    found: Found,
    safety: float,
    score: float,
    strict: float,
    parts: dict[str, float],
    forbidden: tuple[str, ...],
    turns: Array | None = None,
    speeds: Array | None = None,
) -> EncounterScore:
    apparent, tcpa, in_time = (None, None, None) if turns is None or speeds is None else _first_action(found, turns, speeds)
    return EncounterScore(
        target=found.target,
        kind=found.kind,
        role=found.role,
        since_s=float(found.pair.t_s[found.first]),
        cpa_nm=found.pair.least_range_m / NM_M,
        score=score,
        strict=strict,
        safety=safety,
        parts={name: round(value, 4) for name, value in parts.items()},
        apparent=apparent,
        action_tcpa_min=tcpa,
        in_time=in_time,
        forbidden=forbidden,
    )


def _safety(found: Found) -> float:
    pair, end = found.pair, found.end
    if pair.touched:
        return 0.0
    ranges = np.array([0.0, NEAR_MISS_NM, LEAST_NM, PREFERRED_NM]) * found.scale * NM_M
    by_range = float(np.interp(pair.least_range_m, ranges, [0.0, 0.5, 0.8, 1.0]))
    contact, bearing = (abs(float(x)) for x in (pair.aspect_deg[end], pair.rel_bearing_deg[end]))
    pose = 0.25 * _pose(contact) + 0.75 * _pose(bearing)
    return by_range + (1.0 - by_range) * pose if by_range > 0.0 else 0.0


def _pose(angle_deg: float) -> float:
    return 1.0 - float(np.cos(np.radians(angle_deg))) if angle_deg < 90.0 else 1.0


def _fading(value: float, detectable: float, apparent: float) -> float:
    """1 up to `detectable`, 0 from `apparent`, 1 - x^2 between."""
    share = min(1.0, max(0.0, (value - detectable) / (apparent - detectable)))
    return 1.0 - share * share


def _growing(value: float, detectable: float, apparent: float) -> float:
    """0 up to `detectable`, 1 from `apparent`, straight between."""
    return min(1.0, max(0.0, (value - detectable) / (apparent - detectable)))


def _acted(turns: Array, speeds: Array) -> NDArray[np.bool_]:
    """Samples at which a ship has detectably left its course or speed."""
    bounds = limits()
    change = np.abs(speeds - speeds[0]) / max(float(speeds[0]), 1e-9)
    return (np.abs(turns) >= bounds.detectable_turn_deg) | (change >= bounds.detectable_speed_fraction)


def _action_parts(found: Found, turns: Array, speeds: Array) -> dict[str, float]:
    bounds, distance = limits(), found.pair.range_m[found.span]
    slowed = float((speeds[0] - speeds.min()) / max(float(speeds[0]), 1e-9))
    acted = np.flatnonzero(_acted(turns, speeds))
    at = float(distance[acted[0]] if acted.size else distance[-1])
    late_inside = bounds.stand_on_may_act_range_nm * NM_M * found.scale
    entry = max(float(distance[0]), 1e-9)
    return {
        "P_course": _fading(float(np.abs(turns).max()), bounds.detectable_turn_deg, bounds.apparent_turn_deg),
        "P_speed": _fading(slowed, bounds.detectable_speed_fraction, bounds.apparent_speed_fraction),
        "P_delay": 0.0 if at > late_inside else min(1.0, max(0.0, (entry - at) / entry)),
    }


def _starboard_to_starboard(contact_deg: float, bearing_deg: float) -> float:
    """0 for a pass port to port, 1 for starboard to starboard."""
    contact, bearing = (((np.sin(np.radians(x)) - 1.0) / 2.0) ** 2 for x in (contact_deg, bearing_deg))
    return float(1.0 - contact * bearing)


def _first_action(found: Found, turns: Array, speeds: Array) -> tuple[bool, float | None, bool]:
    """(readily apparent, TCPA then in min, in time) of the first detectable action."""
    acted = np.flatnonzero(_acted(turns, speeds))
    if not acted.size:
        return False, None, False
    first = int(acted[0])
    t = found.pair.t_s[found.span]
    soon = (t >= t[first]) & (t <= t[first] + FIRST_ACTION_S)
    apparent = bool(np.abs(turns[soon]).max() >= limits().apparent_turn_deg - SETTLED_DEG)
    if not apparent:  # the engine answers slowly: give it two minutes more to halve the speed
        later = (t >= t[first]) & (t <= t[first] + FIRST_ACTION_S + 120.0)
        apparent = bool(speeds[later].min() <= 0.5 * speeds[0] + 0.1)
    before = found.pair.tcpa_s[found.span][max(first - 1, 0)]
    return apparent, float(before) / 60.0, bool(before >= 600.0 or t[first] - t[0] <= 120.0)


def _stand_on_parts(found: Found, others: list[Found]) -> dict[str, float]:
    """P_stage2 and P_stage3, as scored and strict."""
    pair, bounds, span = found.pair, limits(), found.span
    risk = pair.dcpa_m[span] < found.limit_m
    tcpa, distance = pair.tcpa_s[span], pair.range_m[span]
    three = (tcpa < bounds.stand_on_may_act_tcpa_min * 60.0) | (distance < bounds.stand_on_may_act_range_nm * NM_M * found.scale)
    four = (tcpa < bounds.stand_on_must_act_tcpa_min * 60.0) | (distance < bounds.stand_on_must_act_range_nm * NM_M * found.scale)
    stage = np.maximum.accumulate(np.where(risk & four, 4, np.where(risk & three, 3, 2)))
    strict2, begin2 = _left_course(found, stage == 2)
    strict3, _ = _left_course(found, stage == 3)
    excused = begin2 is not None and any(_busy(other, begin2) for other in others)
    target_turns = wrap180_all(pair.target.heading_deg[span] - pair.target.heading_deg[found.first])
    gives_way = bool(_acted(target_turns, pair.target.speed_kn[span])[stage <= 3].any())
    return {
        "P_stage2": 0.0 if excused else strict2,
        "P_stage3": strict3 if gives_way else 0.0,
        "P_stage2_strict": strict2,
        "P_stage3_strict": strict3,
    }


def _left_course(found: Found, mask: NDArray[np.bool_]) -> tuple[float, int | None]:
    """Penalty for leaving course and speed while `mask` holds, and the sample at which it began."""
    where = np.flatnonzero(mask)
    if not where.size:
        return 0.0, None
    bounds, own = limits(), found.pair.own
    rows = where + found.first
    turns = np.abs(wrap180_all(own.heading_deg[rows] - own.heading_deg[rows[0]]))
    changes = np.abs(own.speed_kn[rows] - own.speed_kn[rows[0]]) / max(float(own.speed_kn[rows[0]]), 1e-9)
    penalty = 0.5 * _growing(float(turns.max()), bounds.detectable_turn_deg, bounds.apparent_turn_deg)
    penalty += 0.5 * _growing(float(changes.max()), bounds.detectable_speed_fraction, bounds.apparent_speed_fraction)
    began = np.flatnonzero((turns >= bounds.detectable_turn_deg) | (changes >= bounds.detectable_speed_fraction))
    return penalty, int(rows[began[0]]) if began.size else None


def _busy(other: Found, sample: int) -> bool:
    """Does own ship have to keep out of this other vessel's way at a sample?"""
    return other.role in ("give_way", "both_give_way", "r19") and other.first <= sample <= other.end


def _forbidden(found: Found) -> tuple[str, ...]:
    """Actions that a rule forbids outright: port turns of Rules 14, 17(c), 19(d), crossing ahead of Rule 15."""
    name, relative = f"target {found.target + 1}", float(found.pair.rel_bearing_deg[found.first])
    port, starboard = _alters(found, -1.0), _alters(found, 1.0)
    texts: list[str] = []
    if found.kind == "head_on" and port:
        texts.append(f"R14 port turn in a head-on meeting with {name}")
    if found.role == "stand_on" and found.kind == "crossing_stand_on" and port:
        texts.append(f"R17(c) port turn for {name} on the port side")
    if found.kind == "crossing_give_way" and not found.pair.touched and (ahead := _crosses_ahead(found)) is not None:
        texts.append(f"R15 crosses {ahead:.2f} NM ahead of {name}")
    if found.kind == "restricted_visibility":
        overtaking = abs(float(found.pair.aspect_deg[found.first])) > limits().overtaking_sector_deg
        if abs(relative) < 90.0 and port and not overtaking:
            texts.append(f"R19(d)(i) port turn for {name} forward of the beam")
        if abs(relative) >= 90.0 and (starboard if relative > 0.0 else port):
            texts.append(f"R19(d)(ii) turn towards {name} abeam or abaft the beam")
    return tuple(texts)


def _alters(found: Found, side: float) -> bool:
    """Did own ship, for this risk, turn from her course at first risk, and from her route, to one side (+1 starboard)?

    Coming back to the route is no alteration for this vessel; nor is a course beyond it after the risk was resolved, while it stays so.
    """
    pair = found.pair
    turns = side * wrap180_all(pair.own.heading_deg[found.span] - pair.own.heading_deg[found.first])
    off_route = side * wrap180_all(pair.own.heading_deg[found.span, None] - found.route_deg[found.span])
    coming = pair.tcpa_s[found.span] > 0.0
    beyond = np.flatnonzero((turns >= FORBIDDEN_TURN_DEG) & (off_route >= FORBIDDEN_TURN_DEG).all(axis=1) & coming)
    if not beyond.size:
        return False
    risk = pair.dcpa_m[found.span] < found.limit_m
    inside = np.flatnonzero(turns[: beyond[0]] < limits().detectable_turn_deg)
    began = int(inside[-1]) if inside.size else 0
    return bool(risk[began] or risk[beyond].any())


def _crosses_ahead(found: Found) -> float | None:
    """Bow-cross range (NM) if own ship passes the target's heading line ahead of it, near, up to the closest approach."""
    pair = found.pair
    aspect, distance = np.radians(pair.aspect_deg[found.span]), pair.range_m[found.span]
    across, along = distance * np.sin(aspect), distance * np.cos(aspect)
    crossing = np.flatnonzero((across[:-1] * across[1:] <= 0.0) & (across[:-1] != across[1:]) & (along[1:] > 0.0))
    near = [float(along[i + 1]) for i in crossing if along[i + 1] < AHEAD_CPA_LIMITS * found.limit_m]
    return min(near) / NM_M if near else None
