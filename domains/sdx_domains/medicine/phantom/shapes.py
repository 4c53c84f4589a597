"""What is drawn into a patient: round-ended cones and ellipsoids as rows of one table, in the order of drawing. Start at capsule() and ellipsoid()."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.labels import labels

COLUMNS = 24
KIND, X, Y, Z, AX, AY, AZ, MATRIX, HU, LABEL, OPACITY, SOFT, WARP, WARP_MM, CLIP, MODE = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    16,
    17,
    18,
    19,
    20,
    21,
    22,
    23,
)
R0, R1 = AX, AY
"""Of a cone, whose other end stands where an ellipsoid has its matrix."""
CONE, ELLIPSOID, BOX = 0.0, 1.0, 2.0
EVERYWHERE, IN_LUNG, DISPLACES = 0.0, 1.0, 2.0
"""Where a shape may be: everywhere, only in lung, or everywhere while what it covers is lung no more."""
OVER, LIGHTER, DARKER = 0.0, 1.0, 2.0
"""How it is blended: replaces, only makes denser, only makes thinner."""

Point = Sequence[float] | NDArray[np.float64]
Row = NDArray[np.float64]


def bit(label: str) -> int:
    """Number of a label's bit in a mask: its place in labels.yaml."""
    return next(place for place, each in enumerate(labels()) if each.key == label)


def capsule(
    start: Point,
    end: Point,
    r0: float,
    r1: float,
    hu: float,
    label: str = "",
    clip: float = EVERYWHERE,
    mode: float = OVER,
    opacity: float = 1.0,
) -> Row:
    """A cone with round ends of radii r0 and r1, mm."""
    row = _row(CONE, hu, label, clip, mode, opacity)
    row[[X, Y, Z]] = start
    row[MATRIX : MATRIX + 3] = end
    row[R0], row[R1] = r0, r1
    return row


def ellipsoid(
    centre: Point,
    axes: Point,
    hu: float,
    label: str = "",
    turn: NDArray[np.float64] | None = None,
    clip: float = EVERYWHERE,
    mode: float = OVER,
    opacity: float = 1.0,
    soft: float = 0.0,
    warp: tuple[float, float] = (0.0, 10.0),
    box: bool = False,
) -> Row:
    """Half-axes in mm along the columns of `turn`; `warp`: how deep and how wide the surface is dented, mm; `soft`: width of its edge, mm."""
    row = _row(BOX if box else ELLIPSOID, hu, label, clip, mode, opacity)
    row[[X, Y, Z]] = centre
    row[[AX, AY, AZ]] = axes
    row[MATRIX : MATRIX + 9] = (np.eye(3) if turn is None else turn).ravel()
    row[SOFT], row[WARP], row[WARP_MM] = soft, warp[0], warp[1]
    return row


def polyline(
    points: Sequence[Point], radii: Sequence[float], hu: float, label: str = "", clip: float = EVERYWHERE, mode: float = OVER
) -> list[Row]:
    """Cones end to end."""
    pairs = zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True)
    return [capsule(start, end, r0, r1, hu, label, clip, mode) for start, end, r0, r1 in pairs]


def curve(points: Sequence[Point], steps: int) -> NDArray[np.float64]:
    """A smooth line through points (Catmull and Rom), `steps` to each piece."""
    p = np.asarray(points, dtype=float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.arange(steps)[:, None] / steps
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    return np.vstack([*pieces, p[-2][None]])


def turned(rng: np.random.Generator, most: float = np.pi) -> NDArray[np.float64]:
    """A random rotation; `most` limits the angle, radians."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    return about(axis, float(rng.uniform(-most, most)))


def about(axis: Point, angle: float) -> NDArray[np.float64]:
    """Rotation about a unit axis."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def table(rows: Sequence[Row]) -> NDArray[np.float64]:
    return np.array(rows) if rows else np.zeros((0, COLUMNS))


def _row(kind: float, hu: float, label: str, clip: float, mode: float, opacity: float) -> Row:
    row = np.zeros(COLUMNS)
    row[KIND], row[HU], row[LABEL], row[CLIP], row[MODE], row[OPACITY] = kind, hu, bit(label) if label else -1.0, clip, mode, opacity
    row[WARP_MM] = 10.0
    return row
