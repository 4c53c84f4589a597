"""The manoeuvres that are looked at: courses and speeds relative to the route and to the present order, with start and duration.

A plan is numbers only; what it leads to is rollout's, what the rules say of it rules', which one is best planner's.
"""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdx_domains.ship.geometry import wrap180
from sdx_domains.ship.picture import ShipPicture
from sdx_domains.ship.rollout import present_order, resume_course

Array = NDArray[np.float64]
Kind = Literal["keep", "turn", "slow", "turn_slow", "stop", "resume", "hold"]

OFFSETS_DEG = (30.0, 45.0, 60.0, 75.0, 90.0, 120.0)
"""To either side of the route's course; never under the readily apparent 30 degrees (Rule 8(b))."""
DURATIONS_MIN = (3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0)
SPEED_SHARES = (0.75, 0.5, 0.25, 0.0)
SLOW_DURATIONS_MIN = (4.0, 8.0, 12.0, 20.0, 30.0)
STARTS_S = (120.0, 240.0)
"""Later beginnings; the first also shows whether holding the present order for one more decision leaves a way out."""
SAME_COURSE_DEG = 5.0
SAME_SPEED_KN = 0.5
MAX_TURN_DEG = 150.0
"""Nearer to a full reversal it is open to which side the ship turns."""
SMALL_CHANGE_DEG = 25.0
"""On an avoiding leg, courses nearer than this to the present one are left out: no succession of small alterations."""


@dataclass(frozen=True, slots=True)
class Plans:
    """K plans. `before` is the order that holds until `start_s`; duration 0 = resume the route at `start_s`."""

    course_deg: Array
    speed_kn: Array
    start_s: Array
    duration_s: Array
    before: tuple[float, float]

    def __len__(self) -> int:
        return self.course_deg.size

    def and_also(self, other: "Plans") -> "Plans":
        """Both sets after one another; `before` must be the same."""
        columns = [np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)[:4]]
        return Plans(columns[0], columns[1], columns[2], columns[3], self.before)


@dataclass(frozen=True, slots=True)
class Reference:
    """What alterations are measured against: the route's heading and planned speed, the present order."""

    route_deg: float
    planned_kn: float
    held_deg: float
    held_kn: float
    heading_deg: float

    @property
    def on_route(self) -> bool:
        return abs(wrap180(self.held_deg - self.route_deg)) <= SAME_COURSE_DEG and abs(self.held_kn - self.planned_kn) <= SAME_SPEED_KN


def reference(picture: ShipPicture) -> Reference:
    held_deg, held_kn = present_order(picture)
    return Reference(resume_course(picture), picture.route.planned_sog_kn, held_deg, held_kn, picture.own.heading_deg)


def plans(before: tuple[float, float], courses: ArrayLike, speeds: ArrayLike, starts: ArrayLike, durations: ArrayLike) -> Plans:
    """Every combination of the four lists."""
    grids = np.meshgrid(*(np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (courses, speeds, starts, durations)), indexing="ij")
    flat = [g.ravel() for g in grids]
    return Plans(flat[0] % 360.0, flat[1], flat[2], flat[3], before)


def lattice(picture: ShipPicture, ref: Reference) -> Plans:
    """All plans worth a look from here: 150 to 200, always with resume, and hold when off the route."""
    held = (ref.held_deg, ref.held_kn)
    minutes = 60.0 * np.array(DURATIONS_MIN)
    slow_minutes = 60.0 * np.array(SLOW_DURATIONS_MIN)
    half = 0.5 * ref.planned_kn
    parts = [plans(held, ref.route_deg, ref.planned_kn, 0.0, 0.0)]
    if not ref.on_route:
        parts.append(plans(held, ref.held_deg, ref.held_kn, 0.0, [120.0, *minutes]))
    parts.append(plans(held, _courses(ref), ref.planned_kn, 0.0, minutes))
    parts.append(plans(held, ref.route_deg, ref.planned_kn * np.array(SPEED_SHARES), 0.0, slow_minutes))
    slow_courses = np.round(ref.route_deg + np.array([30.0, 60.0, 90.0, -60.0]))
    parts.append(plans(held, slow_courses, half, 0.0, slow_minutes[1:4]))
    parts.append(way_out(ref, held, STARTS_S))
    all_parts = parts[0]
    for part in parts[1:]:
        all_parts = all_parts.and_also(part)
    return all_parts


def way_out(ref: Reference, before: tuple[float, float], starts_s: tuple[float, ...]) -> Plans:
    """A coarse set of manoeuvres that begin later, after `before` has been held until then."""
    courses = np.round(ref.route_deg + np.array([30.0, 60.0, 90.0, -60.0]))
    turning = plans(before, courses, ref.planned_kn, starts_s, 60.0 * np.array([6.0, 12.0, 20.0, 30.0]))
    slowing = plans(before, ref.route_deg, 0.5 * ref.planned_kn, starts_s, 60.0 * np.array([8.0, 16.0, 30.0]))
    return turning.and_also(slowing)


def _courses(ref: Reference) -> Array:
    """Whole degrees, both sides of the route, and farther round from the present order."""
    offsets = np.array(OFFSETS_DEG)
    courses = np.round(ref.route_deg + np.concatenate([offsets, -offsets]))
    courses = courses[np.abs((courses - ref.heading_deg + 180.0) % 360.0 - 180.0) <= MAX_TURN_DEG]
    if ref.on_route:
        return courses
    away = wrap180(ref.held_deg - ref.route_deg)
    courses = courses[np.abs((courses - ref.held_deg + 180.0) % 360.0 - 180.0) >= SMALL_CHANGE_DEG]
    further = np.round(ref.held_deg + np.sign(away or 1.0) * np.array([30.0, 45.0, 60.0]))
    further = further[np.abs((further - ref.route_deg + 180.0) % 360.0 - 180.0) <= max(OFFSETS_DEG)]
    return np.concatenate([courses, further])


def kind_of(ref: Reference, course_deg: float, speed_kn: float, duration_s: float, start_s: float = 0.0) -> Kind:
    """What a plan is, from its numbers alone."""
    same_course = abs(wrap180(course_deg - ref.route_deg)) <= SAME_COURSE_DEG
    if duration_s <= 0.0 or (same_course and abs(speed_kn - ref.planned_kn) <= SAME_SPEED_KN):
        return "keep" if ref.on_route else "resume"
    if start_s <= 0.0 and abs(wrap180(course_deg - ref.held_deg)) <= 2.0 and abs(speed_kn - ref.held_kn) <= SAME_SPEED_KN:
        return "hold"
    if speed_kn <= 0.5:
        return "stop"
    slower = speed_kn < ref.planned_kn - SAME_SPEED_KN
    if slower:
        return "slow" if same_course else "turn_slow"
    return "turn"
