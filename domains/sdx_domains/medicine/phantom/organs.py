"""Vessels, airways, gullet, shoulder blades and other normal parts of a patient as shapes. Start at organs()."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.phantom.body import Body
from sdx_domains.medicine.phantom.grow import depths, tree
from sdx_domains.medicine.phantom.shapes import DARKER, DISPLACES, IN_LUNG, LIGHTER, Row, about, capsule, curve, ellipsoid, polyline

Side = str
"""right or left."""
SIGN: Mapping[Side, float] = {"right": -1.0, "left": 1.0}
WALL_HU = 10.0
TIP_MM = 0.82
"""Radius of the finest vessels drawn."""
FISSURE_MM = 1.0
BRONCHUS_LEAST_MM = 0.9


@dataclass(frozen=True, slots=True)
class Airway:
    """One piece of an airway."""

    side: Side
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    radius: float
    """Of the lumen, mm."""
    wall: float
    generation: int


@dataclass(frozen=True, slots=True)
class Organs:
    """Normal parts, for lesions to be put on."""

    vessels: tuple[Row, ...]
    """Of the lungs."""
    great: tuple[Row, ...]
    """Great vessels, gullet and what else fills the mediastinum; drawn before the lungs' vessels."""
    bones: tuple[Row, ...]
    airways: tuple[Airway, ...]
    aorta: NDArray[np.float64]
    """(n, 3) line of its middle, from the heart down."""
    aorta_radius: float
    coronaries: tuple[NDArray[np.float64], ...]
    gullet: NDArray[np.float64]


def organs(body: Body, rng: np.random.Generator, arms_down: bool) -> Organs:
    """Of one patient."""
    great, aorta, radius = great_vessels(body, rng)
    gullet = curve(
        [
            (2, 8, body.apex_z + 30),
            (4, 24, 40),
            (2, body.spine_y - 25, -10),
            (6, body.spine_y - 27, -70),
            (14, body.spine_y - 34, body.dome_left_z - 20),
        ],
        6,
    )
    gullet_wall = polyline(list(gullet), [rng.uniform(6, 9)] * len(gullet), 40.0)
    if rng.random() < 0.3:
        at = rng.integers(4, len(gullet) - 8)
        gullet_wall.append(capsule(gullet[at], gullet[at + 2], 2.4, 2.0, -900.0))
    coronaries = coronary_lines(body)
    chambers = _chambers(body) if body.blood_hu > 100 else []
    arteries = [row for line in coronaries for row in polyline(list(line), [1.7] * len(line), min(body.blood_hu, 220.0))]
    vessels: list[Row] = []
    airways: list[Airway] = list(_trachea(body, rng))
    for side in ("right", "left"):
        grown, tubes = _lung_trees(body, rng, side)
        vessels += grown
        airways += tubes
    return Organs(
        vessels=tuple(vessels),
        great=(*_soft(body, rng), *great, *gullet_wall, *chambers, *arteries),
        bones=tuple(_bones(body, rng, arms_down)),
        airways=tuple(airways),
        aorta=aorta,
        aorta_radius=radius,
        coronaries=coronaries,
        gullet=gullet,
    )


def great_vessels(body: Body, rng: np.random.Generator) -> tuple[list[Row], NDArray[np.float64], float]:
    """(shapes, line of the aorta, its radius)."""
    radius = float(np.clip(rng.normal(13.0, 1.6) * body.half_width / 135, 10, 18))
    down = body.spine_y - 22.0
    arch = float(rng.uniform(34, 50))
    aorta = curve(
        [
            (2, -16, -32),
            (-16, -28, -4),
            (-14, -24, arch - 16),
            (0, -4, arch),
            (15, 16, arch - 4),
            (22, down - 4, arch - 22),
            (22, down, -30),
            (17, down + 2, -90),
            (9, down - 2, body.base_z - 30),
        ],
        8,
    )
    taper = np.interp(np.arange(len(aorta)), [0, 16, 40, len(aorta)], [1.25, 1.12, 0.92, 0.82]) * radius
    rows = polyline(list(aorta), list(taper), body.blood_hu, clip=DISPLACES)
    trunk = radius * rng.uniform(0.85, 1.0)
    hu = body.blood_hu * (1.25 if body.blood_hu > 100 else 1.0)
    rows += polyline(list(curve([(14, -30, -34), (16, -26, -16), (16, -6, -6)], 4)), [trunk] * 9, hu, clip=DISPLACES)
    rows += polyline(
        list(curve([(14, -12, -8), (-8, -2, -10), (-34, 4, -14)], 4)), list(np.linspace(trunk * 0.85, trunk * 0.62, 9)), hu, clip=DISPLACES
    )
    rows += polyline(
        list(curve([(16, -8, -6), (26, 8, -2), (36, 16, -6)], 4)), list(np.linspace(trunk * 0.9, trunk * 0.62, 9)), hu, clip=DISPLACES
    )
    cava = curve([(-30, -10, 62), (-27, -12, 30), (-25, -12, 0), (-24, -10, -34)], 4)
    rows += polyline(list(cava), [rng.uniform(7, 10)] * len(cava), body.blood_hu * rng.uniform(0.9, 1.1), clip=DISPLACES)
    rows += polyline([(-20, 6, -70), (-24, 12, body.dome_right_z - 40)], [11, 12], body.blood_hu, clip=DISPLACES)
    rows += polyline(list(curve([(30, -26, 78), (6, -34, 62), (-26, -16, 54)], 4)), [5.5] * 9, body.blood_hu)
    for foot, head in (((-8, -14, arch), (-22, -8, 110)), ((2, -6, arch), (18, -2, 115)), ((10, 4, arch), (30, 4, 108))):
        rows += polyline([foot, head], [5.0, 3.8], body.blood_hu)
    rows += polyline(list(curve([(-6, body.spine_y - 24, -90), (-8, body.spine_y - 22, 8), (-24, -4, 12)], 5)), [3.0] * 11, body.blood_hu)
    atrium = (body.heart_x - 14, body.heart_y + 0.62 * body.heart_b + 8, body.heart_z + 0.42 * body.heart_c)
    rows.append(ellipsoid(atrium, (32, 15, 19), body.blood_hu, clip=DISPLACES))
    rows.append(ellipsoid((-26, body.heart_y + 8, body.heart_z + 8), (20, 24, 28), body.blood_hu, clip=DISPLACES))
    return rows, aorta, radius


def coronary_lines(body: Body) -> tuple[NDArray[np.float64], ...]:
    """Left anterior descending, circumflex, right: on the heart's surface."""
    angles = (
        [(0.0, -75, 50), (0.2, -60, 32), (0.5, -48, 8), (0.8, -36, -18)],
        [(0.0, -80, 50), (0.2, -10, 42), (0.4, 40, 20), (0.5, 70, -10)],
        [(0.0, -110, 42), (0.3, -150, 28), (0.6, -175, 0), (0.8, 160, -30)],
    )
    return tuple(curve([on_heart(body, np.radians(turn), np.radians(lift), 1.5) for _, turn, lift in line], 5) for line in angles)


def on_heart(body: Body, turn: float, lift: float, above: float) -> NDArray[np.float64]:
    """A point `above` mm over the heart's surface; turn 0 is along its long axis, -90 degrees its front."""
    local = np.array([np.cos(lift) * np.cos(turn), np.cos(lift) * np.sin(turn), np.sin(lift)])
    p, q, r = local * (np.array([body.heart_a, body.heart_b, body.heart_c]) + above)
    c, s = body.heart_cos, body.heart_sin
    return np.array([body.heart_x + c * p + s * q, body.heart_y - s * p + c * q, body.heart_z + r - 0.30 * p])


def spread(
    body: Body, rng: np.random.Generator, side: Side, count: int, depth: float, low: float = 0.0, high: float = 1.0
) -> NDArray[np.float64]:
    """(count, 3) points of one lung, at least `depth` mm under its surface, between two shares of its height."""
    found = np.zeros((0, 3))
    bottom, height = body.base_z, body.apex_z - body.base_z
    for _ in range(60):
        tried = rng.uniform((0, -1.1, low), (1.1, 1.1, high), (4 * count + 40, 3))
        tried *= (SIGN[side] * body.half_width, body.half_depth, height)
        tried[:, 2] += bottom
        found = np.vstack([found, tried[depths(body, tried) > depth]])
        if len(found) >= count:
            break
    return found[:count]


def _trachea(body: Body, rng: np.random.Generator) -> list[Airway]:
    radius = float(rng.uniform(7.0, 9.5))
    line = curve([(0, 2, body.apex_z + 32), (1, 8, 60), (0, 20, 4)], 3)
    pieces = [Airway("midline", a, b, radius, 1.4, 0) for a, b in pairwise(line)]
    fork = line[-1]
    for side, end, share in (("right", (-30, 24, -20), 0.78), ("left", (36, 30, -22), 0.68)):
        pieces.append(Airway(side, fork, np.array(end, dtype=float), radius * share, 1.2, 1))
    return pieces


def _lung_trees(body: Body, rng: np.random.Generator, side: Side) -> tuple[list[Row], list[Airway]]:
    """Arteries with the bronchi beside them, and veins between."""
    sign = SIGN[side]
    count = int(rng.integers(210, 310))
    ends = spread(body, rng, side, count, 3.0)
    hilum = np.array([sign * (34 if side == "right" else 38), 22, -18 if side == "right" else -16], dtype=float)
    pieces = tree(body, ends, hilum, rng.uniform(0.38, 0.62, len(ends)), rng.normal(size=(2 * len(ends), 3)))
    power, tip = 1 / 2.7, TIP_MM * rng.uniform(0.9, 1.25)
    radii = np.minimum(tip * pieces[:, 6] ** power, 7.0)
    offset = np.array([sign * 2.2, 3.0, 1.0])
    rows = [
        capsule(
            piece[:3] + offset,
            piece[3:6] + offset * (piece[6] > 1),
            radius * 1.08,
            radius,
            _vessel_hu(body),
            clip=DISPLACES if radius > 3.5 else IN_LUNG,
            mode=LIGHTER,
        )
        for piece, radius in zip(pieces, radii, strict=True)
    ]
    tubes = [
        Airway(side, piece[:3], piece[3:6], float(radius * 0.86), float(0.45 + 0.16 * radius), int(piece[7]) + 2)
        for piece, radius in zip(pieces, radii, strict=True)
        if radius * 0.86 > BRONCHUS_LEAST_MM and piece[8] > 12
    ]
    ends = spread(body, rng, side, int(0.7 * count), 4.0)
    atrium = np.array([sign * 32, 6, -44], dtype=float)
    pieces = tree(body, ends, atrium, rng.uniform(0.38, 0.62, len(ends)), rng.normal(size=(2 * len(ends), 3)))
    for piece in pieces:
        radius = min(tip * piece[6] ** power, 5.5)
        rows.append(capsule(piece[:3], piece[3:6], radius * 1.08, radius, _vessel_hu(body), clip=IN_LUNG, mode=LIGHTER))
    return rows, tubes


def fissures(body: Body, extents: NDArray[np.float64]) -> list[Row]:
    """The oblique fissure of each lung, where measure.anatomy takes it to be, as a faint plane: a look-alike of bands and plates."""
    rows = []
    for side, (low, high, front, back) in zip(("right", "left"), extents, strict=True):
        start, end = np.array([0, front, low + 0.05 * (high - low)]), np.array([0, back, low + 0.70 * (high - low)])
        along = (end - start) / np.linalg.norm(end - start)
        turn = np.stack([(1.0, 0.0, 0.0), along, np.cross((1.0, 0.0, 0.0), along)], axis=1)
        centre = (start + end) / 2 + np.array([SIGN[side] * 0.5 * body.half_width, 0, 0])
        axes = (0.62 * body.half_width, 0.56 * float(np.linalg.norm(end - start)), FISSURE_MM / 2)
        rows.append(ellipsoid(centre, axes, -640.0, turn=turn, clip=IN_LUNG, mode=LIGHTER, warp=(3.0, 45.0)))
    return rows


def _vessel_hu(body: Body) -> float:
    return min(body.blood_hu, 260.0)


def _soft(body: Body, rng: np.random.Generator) -> list[Row]:
    """Thymus, thyroid, muscle of the neck and small lymph nodes: normal, and like enlarged ones."""
    rows = [ellipsoid((sign * 16, -6, body.apex_z + 18), (9, 12, 22), 95.0) for sign in (-1, 1)]
    for sign in (-1, 1):
        rows.append(capsule((sign * 36, -14, body.apex_z + 4), (sign * 46, -4, body.apex_z + 36), 13, 11, 50.0))
    for _ in range(int(rng.integers(2, 9))):
        centre = (rng.uniform(-22, 20), rng.uniform(-30, 30), rng.uniform(-30, 60))
        rows.append(ellipsoid(centre, rng.uniform(1.6, 3.6, 3), 40.0))
    return rows


def _chambers(body: Body) -> list[Row]:
    """With contrast the septum of the heart is seen."""
    middle = on_heart(body, 0.0, 0.0, 0.0) * 0.4 + np.array([body.heart_x, body.heart_y, body.heart_z]) * 0.6
    turn = about((0, 0, 1), -float(np.arctan2(body.heart_sin, body.heart_cos)))
    return [ellipsoid(middle, (0.5 * body.heart_a, 4.5, 0.55 * body.heart_c), 95.0, turn=turn)]


def _bones(body: Body, rng: np.random.Generator, arms_down: bool) -> list[Row]:
    """Shoulder blades, collar bones, heads of the arms."""
    rows: list[Row] = []
    top, back = body.apex_z, body.half_depth
    for sign in (-1, 1):
        tip = np.array([sign * 0.80 * body.half_width, 0.82 * back + 16, -6.0])
        neck = np.array([sign * (0.98 * body.half_width + 14), 0.30 * back, top - 8])
        spine = np.array([sign * 0.52 * body.half_width, 0.92 * back + 24, top - 22])
        rows += [capsule(tip, neck, 3.2, 6.5, 420.0), capsule(tip, spine, 3.0, 2.6, 420.0), capsule(spine, neck, 3.2, 7.0, 380.0)]
        for share in (0.25, 0.5, 0.75):
            rows.append(capsule(tip + share * (neck - tip), tip + share * (spine - tip), 2.0, 2.0, 330.0))
        head = np.array([sign * (body.half_width + 30), 0.16 * back, top + 22])
        rows += [ellipsoid(head, (23, 23, 25), 480.0), ellipsoid(head, (20, 20, 22), body.bone_hu)]
        rows += polyline(
            list(
                curve(
                    [(sign * 18, -0.42 * back, top - 22), (sign * 60, -0.52 * back, top), (sign * (body.half_width + 20), 0, top + 22)], 4
                )
            ),
            [6.0] * 9,
            560.0,
        )
        if arms_down:
            x, y = sign * (body.half_width + body.fat + body.muscle + 62), float(rng.uniform(0, 30))
            low, high = (x, y, body.base_z - 40), (x, y, top + 10)
            for radius, hu in ((44.0, -105.0), (34.0, 52.0), (11.0, 900.0), (6.5, 60.0)):
                rows.append(capsule(low, high, radius, radius, hu))
    return rows


def airway_rows(airways: tuple[Airway, ...], thickened: Mapping[int, float]) -> tuple[list[Row], list[Row]]:
    """(walls, lumina); `thickened`: mm added to the wall of the airway with this place in the tuple."""
    walls, lumina = [], []
    for place, each in enumerate(airways):
        more = thickened.get(place, 0.0)
        outer = each.radius + each.wall + more
        label = "peribronchial_thickening" if more else ""
        walls.append(capsule(each.start, each.end, outer, outer, WALL_HU, label, mode=LIGHTER))
        lumina.append(capsule(each.start, each.end, each.radius, each.radius, -985.0, mode=DARKER))
    return walls, lumina
