"""What a trace says of own ship and each target: geometry over time, the closest approach between samples, and whether hulls touched.

Arrays are (T,), one value per sample. SI inside; relative quantities are target minus own.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sdx_domains.ship.dynamics import MotionState
from sdx_domains.ship.geometry import closest_approach
from sdx_domains.ship.simulator.trace import Trace

Array = NDArray[np.float64]
TOUCH_SUBSTEPS = 20
"""Hulls are compared this many times between two samples that are near."""


@dataclass(frozen=True, slots=True)
class Motion:
    """One ship over the whole run, over ground."""

    north: Array
    east: Array
    heading_deg: Array
    speed_kn: Array
    vn: Array
    ve: Array


@dataclass(frozen=True, slots=True)
class Pair:
    """Own ship and one target."""

    t_s: Array
    own: Motion
    target: Motion
    range_m: Array
    dcpa_m: Array
    """If both went straight on from here; the present range when past or not closing."""
    tcpa_s: Array
    rel_bearing_deg: Array
    """Of the target from own heading, signed, + to starboard."""
    aspect_deg: Array
    """Of own ship from the target's heading, signed: the contact angle."""
    least_range_m: float
    """Between samples too."""
    nearest: int
    """Sample nearest to the closest approach."""
    touched: bool


def motion_of(times_s: Array, states: list[MotionState]) -> Motion:
    """Columns of a track; velocity over ground from the positions."""
    table = np.array(states, dtype=np.float64)
    if len(states) > 1:
        vn, ve = np.gradient(table[:, 0], times_s), np.gradient(table[:, 1], times_s)
    else:
        vn, ve = np.zeros(1), np.zeros(1)
    return Motion(table[:, 0], table[:, 1], table[:, 2], table[:, 3], vn, ve)


def pairs_of(trace: Trace, own_hull_m: tuple[float, float], hulls_m: list[tuple[float, float]]) -> list[Pair]:
    """Own ship with each target, in the trace's order. Hulls are (length, beam).

    Raises:
        ValueError: the trace is empty.
    """
    if not trace.times_s:
        raise ValueError("the trace has no sample; step the world before scoring")
    times = np.array(trace.times_s)
    own = motion_of(times, trace.own)
    return [_pair(times, own, motion_of(times, track), own_hull_m, hull) for track, hull in zip(trace.targets, hulls_m, strict=True)]


def _pair(times: Array, own: Motion, target: Motion, own_hull: tuple[float, float], hull: tuple[float, float]) -> Pair:
    dn, de = target.north - own.north, target.east - own.east
    distance = np.hypot(dn, de)
    dcpa, tcpa = closest_approach(dn, de, target.vn - own.vn, target.ve - own.ve)
    bearing = np.degrees(np.arctan2(de, dn))
    least, nearest = least_range(dn, de)
    return Pair(
        t_s=times,
        own=own,
        target=target,
        range_m=distance,
        dcpa_m=dcpa,
        tcpa_s=tcpa,
        rel_bearing_deg=wrap180_all(bearing - own.heading_deg),
        aspect_deg=wrap180_all(bearing + 180.0 - target.heading_deg),
        least_range_m=least,
        nearest=nearest,
        touched=_touched(own, target, distance, own_hull, hull),
    )


def wrap180_all(deg: Array) -> Array:
    """The same angles in [-180, 180)."""
    return (deg + 180.0) % 360.0 - 180.0


def least_range(dn: Array, de: Array) -> tuple[float, int]:
    """Smallest distance along the broken line through the relative positions, and the sample nearest to it."""
    distance = np.hypot(dn, de)
    i = int(np.argmin(distance))
    least = float(distance[i])
    for a, b in pairwise(range(max(i - 1, 0), min(i + 2, len(dn)))):
        sn, se = dn[b] - dn[a], de[b] - de[a]
        length2 = sn * sn + se * se
        share = 0.0 if length2 == 0.0 else min(1.0, max(0.0, -(dn[a] * sn + de[a] * se) / length2))
        least = min(least, float(np.hypot(dn[a] + share * sn, de[a] + share * se)))
    return least, i


def _touched(own: Motion, target: Motion, distance: Array, own_hull: tuple[float, float], hull: tuple[float, float]) -> bool:
    """Did the hulls (rectangles) ever overlap, between samples too?"""
    reach = 0.5 * (np.hypot(*own_hull) + np.hypot(*hull))
    step = np.hypot(np.diff(target.north - own.north), np.diff(target.east - own.east))
    if len(distance) == 1:
        return bool(distance[0] <= reach) and _overlap(own, target, 0, 0.0, own_hull, hull)
    near = np.flatnonzero(np.minimum(distance[:-1], distance[1:]) <= reach + step)
    shares = np.linspace(0.0, 1.0, TOUCH_SUBSTEPS + 1)
    return any(_overlap(own, target, int(i), float(share), own_hull, hull) for i in near for share in shares)


def _overlap(own: Motion, target: Motion, i: int, share: float, own_hull: tuple[float, float], hull: tuple[float, float]) -> bool:
    """Separating-axis test of two rectangles, `share` of the way from sample i to the next."""
    j = min(i + 1, len(own.north) - 1)

    def between(values: Array) -> float:
        return float(values[i] + share * (values[j] - values[i]))

    def heading(values: Array) -> float:
        turn = float((values[j] - values[i] + 180.0) % 360.0 - 180.0)
        return float(np.radians(values[i] + share * turn))

    dn, de = between(target.north) - between(own.north), between(target.east) - between(own.east)
    h1, h2 = heading(own.heading_deg), heading(target.heading_deg)
    axes = [(np.cos(h), np.sin(h)) for h in (h1, h1 + np.pi / 2.0, h2, h2 + np.pi / 2.0)]
    for cn, ce in axes:
        apart = abs(dn * cn + de * ce)
        extent = sum(
            0.5 * (size[0] * abs(np.cos(h) * cn + np.sin(h) * ce) + size[1] * abs(-np.sin(h) * cn + np.cos(h) * ce))
            for size, h in ((own_hull, h1), (hull, h2))
        )
        if apart > extent:
            return False
    return True
