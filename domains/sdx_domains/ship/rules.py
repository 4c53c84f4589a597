"""What the Collision Regulations forbid of a manoeuvre, given each target's locked encounter, role and stage.

Pure functions over arrays of K manoeuvres. A port or starboard alteration is judged against both the present order and the route:
coming back to the route after an avoiding leg is no alteration for a vessel (whether it is safe, the roll-out says).

Conflicting duties: a vessel that must keep out of the way of one and stand on for another keeps out of the way; Rule 17(a)(i)
is then not held against her. Where nothing allowed keeps clear, Rule 2(b) permits the departure: that is decided in `planner`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdx_domains.ship.encounter import Geometry, classify
from sdx_domains.ship.lattice import SAME_COURSE_DEG, SAME_SPEED_KN, Plans, Reference
from sdx_domains.ship.limits import limits
from sdx_domains.ship.picture import Encounter, ShipPicture, Target
from sdx_domains.ship.rollout import RollOut

Mask = NDArray[np.bool_]

AVOIDING_ROLES = ("give_way", "both_give_way", "r19")
AHEAD_SHARE_CROSSING = 3.0
"""Crossing ahead nearer than this many CPA limits breaks Rule 15."""
AHEAD_SHARE_OVERTAKING = 1.5
"""Cutting in ahead of an overtaken vessel, likewise (Rule 13(d))."""
AHEAD_SPARE_NM = 0.04
"""The roll-out's own error in a bow-cross range."""
APPARENT_SPEED_SHARE = 0.5
FORESEEN_MIN = 31.0
"""A turn to the wrong side for a vessel on a collision course is not made for another's sake either, this long before."""
HELD_DEG, HELD_KN = 2.0, 0.5
"""A stand-on vessel keeps her course and speed within these."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One prohibition for one target: which manoeuvres break it."""

    rule: str
    target: str
    text: str
    mask: Mask

    @property
    def so_far_as_possible(self) -> bool:
        """Rule 19(d) asks to avoid a turn "so far as possible"; the others forbid."""
        return self.rule in ("R19(d)(i)", "R19(d)(ii)")

    @property
    def flag(self) -> str:
        return f"{self.rule} {self.text}"


@dataclass(frozen=True, slots=True)
class Manoeuvres:
    """What the prohibitions look at. (K,) each."""

    turn_deg: NDArray[np.float64]
    """Against the present order, + to starboard."""
    port: Mask
    """To port of the present order or heading, and of the route."""
    starboard: Mask
    changes: Mask
    """Neither holds the present order nor follows the route."""
    apparent: Mask
    stands: Mask
    """Holds the present order or follows the route at once."""
    keeps: Mask
    """Changes nothing: holds the present order, be it the route's."""
    follows: Mask
    """Follows the route at once."""
    at_once: Mask


def manoeuvres(ref: Reference, plans: Plans) -> Manoeuvres:
    turn = (plans.course_deg - ref.held_deg + 180.0) % 360.0 - 180.0
    swing = (plans.course_deg - ref.heading_deg + 180.0) % 360.0 - 180.0
    offset = (plans.course_deg - ref.route_deg + 180.0) % 360.0 - 180.0
    resumes = (plans.duration_s <= 0.0) | ((np.abs(offset) <= SAME_COURSE_DEG) & (np.abs(plans.speed_kn - ref.planned_kn) <= SAME_SPEED_KN))
    holds = (np.abs(turn) <= HELD_DEG) & (np.abs(plans.speed_kn - ref.held_kn) <= HELD_KN)
    slowed = plans.speed_kn <= APPARENT_SPEED_SHARE * max(ref.held_kn, 0.1) + 0.01
    stopped = plans.speed_kn <= APPARENT_SPEED_SHARE * max(ref.planned_kn, 0.1) + 0.01
    return Manoeuvres(
        turn_deg=turn,
        port=~(resumes | holds) & ((turn < -HELD_DEG) | (swing < -HELD_DEG)) & (offset < -SAME_COURSE_DEG),
        starboard=~(resumes | holds) & ((turn > HELD_DEG) | (swing > HELD_DEG)) & (offset > SAME_COURSE_DEG),
        changes=~(resumes | holds),
        apparent=(np.abs(turn) >= limits().apparent_turn_deg - 1.0) | slowed | (stopped & (np.abs(offset) <= SAME_COURSE_DEG)),
        stands=resumes | holds,
        keeps=holds | (resumes & ref.on_route),
        follows=resumes | (holds & ref.on_route),
        at_once=plans.start_s <= 0.0,
    )


def engaged(target: Target) -> bool:
    """Is there a locked encounter that is not over? Its stage may be 0: own ship acts already and there is no risk as long as she does."""
    return target.encounter != "none" and not target.past_and_clear


def foreseen(picture: ShipPicture, target: Target) -> Encounter:
    """The class that a vessel on a collision course will have, before risk is taken to exist; "none" without such a course."""
    if engaged(target) or not (target.cpa_nm < picture.cpa_limit_nm and 0.0 < target.tcpa_min <= FORESEEN_MIN):
        return "none"
    if picture.environment.restricted_visibility and not target.in_sight:
        return "restricted_visibility"
    own = picture.own
    geometry = Geometry(
        own_heading_deg=own.heading_deg,
        own_sog_kn=own.sog_kn,
        target_heading_deg=target.heading_deg,
        target_sog_kn=target.sog_kn,
        bearing_deg=target.bearing_deg,
        range_nm=target.range_nm,
        range_rate_kn=target.range_rate_kn,
        relative_speed_kn=-target.range_rate_kn,
        cpa_nm=target.cpa_nm,
        cpa_sigma_nm=target.cpa_sigma_nm,
        tcpa_min=target.tcpa_min,
        heading_sigma_deg=target.cog_sigma_deg,
    )
    return classify(geometry)


def must_avoid(target: Target) -> bool:
    return engaged(target) and target.role in AVOIDING_ROLES


def action_due(target: Target) -> bool:
    """Is it for own ship to act now? Keeping out of the way: as soon as there is risk (Rules 8(a), 16: early); standing on: from
    stage 3 on, when she may (17(a)(ii))."""
    if not engaged(target):
        return False
    return target.stage >= (3 if target.role == "stand_on" else 1) and target.role != "none"


def breaches(picture: ShipPicture, ref: Reference, plans: Plans, outcome: RollOut) -> list[Breach]:
    """Every prohibition that some of the manoeuvres break."""
    moves = manoeuvres(ref, plans)
    duty = any(must_avoid(target) for target in picture.targets)
    found = [breach for j, target in enumerate(picture.targets) for breach in _for_target(picture, target, j, moves, outcome, duty)]
    if any(engaged(target) and target.stage >= 1 for target in picture.targets):
        small = moves.changes & moves.at_once & ~moves.apparent
        found.append(Breach("R8(b)", "", "not large enough to be readily apparent", small))
    return [breach for breach in found if breach.mask.any()]


def _for_target(picture: ShipPicture, target: Target, j: int, moves: Manoeuvres, outcome: RollOut, duty: bool) -> Iterator[Breach]:
    if not engaged(target):
        yield from _wrong_side(target, foreseen(picture, target), moves)
        return
    name, limit = target.label, picture.cpa_limit_nm
    ahead = outcome.ahead_nm[:, j]
    if must_avoid(target) and action_due(target):
        late = moves.follows & moves.at_once & (outcome.cpa_nm[:, j] < limit)
        yield Breach("R19(d)" if target.role == "r19" else "R16", name, f"no early action for {name}", late)
    if target.encounter == "crossing_give_way":
        yield Breach("R15", name, f"crosses ahead of {name}", ahead < AHEAD_SHARE_CROSSING * limit + AHEAD_SPARE_NM)
    elif target.encounter == "overtaking":
        yield Breach("R13", name, f"cuts in ahead of {name}", ahead < AHEAD_SHARE_OVERTAKING * limit + AHEAD_SPARE_NM)
    if target.role == "stand_on" and 1 <= target.stage <= 2 and not duty:
        yield Breach("R17(a)(i)", name, f"does not keep course and speed for {name}", moves.changes & moves.at_once)
    yield from _wrong_side(target, target.encounter, moves)


def _wrong_side(target: Target, encounter: Encounter, moves: Manoeuvres) -> Iterator[Breach]:
    name = target.label
    if encounter == "head_on":
        yield Breach("R14", name, f"port turn in a head-on meeting with {name}", moves.port)
    elif encounter == "crossing_give_way":
        yield Breach("R15", name, f"port turn for {name} on the starboard side", moves.port)
    elif encounter == "crossing_stand_on" and target.role != "give_way" and target.rel_bearing_deg < 0.0 and target.kind == "power":
        yield Breach("R17(c)", name, f"port turn for {name} on the port side", moves.port)
    elif encounter == "restricted_visibility":
        yield from _restricted(target, moves)


def _restricted(target: Target, moves: Manoeuvres) -> Iterator[Breach]:
    """Rule 19(d): nobody stands on."""
    name = target.label
    forward = abs(target.rel_bearing_deg) < 90.0
    being_overtaken = forward and abs(target.aspect_deg) > limits().overtaking_sector_deg
    if forward and not being_overtaken:
        yield Breach("R19(d)(i)", name, f"port turn for {name} forward of the beam", moves.port)
    elif not forward:
        toward = moves.starboard if target.rel_bearing_deg > 0.0 else moves.port
        yield Breach("R19(d)(ii)", name, f"turn toward {name} abeam or abaft the beam", toward)
