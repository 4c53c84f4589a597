"""How far each lung of a patient reaches, and how large a shape really is: measured on the geometry itself, not on a rendered volume. Compiled."""

from math import cos, pi, sin

import numpy as np

from sdx_domains.medicine.phantom.anatomy import lung_distance
from sdx_domains.medicine.phantom.compiled import njit
from sdx_domains.medicine.phantom.paint import reach, shape_distance
from sdx_domains.medicine.phantom.shapes import CLIP, IN_LUNG

ANGLES = 36


@njit
def lung_extents(body, step):
    """(2, 4): lowest and highest z, front and back y of the right and the left lung, to `step` mm."""
    out = np.empty((2, 4))
    for side in range(2):
        low, high, front, back = 1e9, -1e9, 1e9, -1e9
        sign = 1.0 if side else -1.0
        z = body.base_z - 20.0
        while z < body.apex_z + 10.0:
            y = -1.1 * body.half_depth
            while y < 1.1 * body.half_depth:
                x = 2.0
                while x < 1.1 * body.half_width:
                    if lung_distance(body, sign * x, y, z) < -1.0:
                        low, high, front, back = min(low, z), max(high, z), min(front, y), max(back, y)
                    x += step
                y += step
            z += step
        out[side] = np.array([low, high, front, back])
    return out


@njit
def holds(row, lattice, body, x, y, z):
    """Whether a point lies in a shape as it is drawn: what may only be in lung ends at the pleura."""
    if shape_distance(row, lattice, 1e-3, x, y, z)[0] >= 0.0:
        return False
    return row[CLIP] != IN_LUNG or lung_distance(body, x, y, z) < 0.0


@njit
def measured(row, lattice, body, step):
    """(long, short, ml, lowest z, highest z, centre x y z) of one shape, searched in steps of `step` mm.

    Axes are those of its largest axial section, by callipers turned in steps of 5 degrees over points a quarter of a step apart.
    """
    cx, cy, cz, wx, wy, wz = reach(row, step)
    best, level, total, low, high = 0, 0, 0, 1e9, -1e9
    sx, sy, sz = 0.0, 0.0, 0.0
    for k in range(int(2 * wz / step) + 1):
        z, count = cz - wz + k * step, 0
        for j in range(int(2 * wy / step) + 1):
            for i in range(int(2 * wx / step) + 1):
                x, y = cx - wx + i * step, cy - wy + j * step
                if holds(row, lattice, body, x, y, z):
                    count += 1
                    sx, sy, sz = sx + x, sy + y, sz + z
        total += count
        if count:
            low, high = min(low, z), max(high, z)
        if count > best:
            best, level = count, k
    long, short = callipers(row, lattice, body, cz - wz + level * step, 0.25 * step)
    count = max(total, 1)
    return long, short, total * step**3 / 1000.0, low, high, sx / count, sy / count, sz / count


@njit
def callipers(row, lattice, body, z, step):
    """(long, short) of a section: its greatest width, and the width across that."""
    cx, cy, _, wx, wy, _ = reach(row, step)
    least, most = np.full(ANGLES, 1e9), np.full(ANGLES, -1e9)
    for j in range(int(2 * wy / step) + 1):
        for i in range(int(2 * wx / step) + 1):
            x, y = cx - wx + i * step, cy - wy + j * step
            if holds(row, lattice, body, x, y, z):
                for n in range(ANGLES):
                    along = x * cos(n * pi / ANGLES) + y * sin(n * pi / ANGLES)
                    least[n], most[n] = min(least[n], along), max(most[n], along)
    widths = most - least + step
    wide = int(np.argmax(widths))
    return widths[wide], widths[(wide + ANGLES // 2) % ANGLES]


@njit
def tally(masks, hu, labels, turn, shift_x, shift_y, extents, z_mm, y_mm, x_mm):
    """Of each label, in one pass over the volume.

    Returns (voxels in each slice (labels, slices); sums of x, y, z and HU (labels, 4); box x0 y0 z0 x1 y1 z1 (labels, 6);
    voxels by side and third (labels, 2, 3); by lobe RUL RML RLL LUL LLL (labels, 5)). Side, third and lobe as measure.anatomy has them.
    """
    slices = np.zeros((labels, len(z_mm)), np.int64)
    sums, box = np.zeros((labels, 4)), np.empty((labels, 6))
    box[:, :3], box[:, 3:] = 1e9, -1e9
    thirds, lobes = np.zeros((labels, 2, 3), np.int64), np.zeros((labels, 5), np.int64)
    turn_c, turn_s = cos(turn), sin(turn)
    for k in range(len(z_mm)):
        for j in range(len(y_mm)):
            for i in range(len(x_mm)):
                found = masks[k, j, i]
                if found == 0:
                    continue
                dx, dy = x_mm[i] - shift_x, y_mm[j] - shift_y
                x, y = turn_c * dx + turn_s * dy, turn_c * dy - turn_s * dx
                side = 1 if x > 0 else 0
                row = extents[side]
                height = (z_mm[k] - row[0]) / (row[1] - row[0])
                behind = (y - row[2]) / (row[3] - row[2])
                third = 0 if height < 1 / 3 else 1 if height < 2 / 3 else 2
                lobe = 3 if side else 0
                if height < 0.05 + 0.65 * behind:
                    lobe = 4 if side else 2
                elif height < 0.5 and not side:
                    lobe = 1
                for n in range(labels):
                    if found >> np.uint32(n) & np.uint32(1):
                        slices[n, k] += 1
                        sums[n] += np.array([x_mm[i], y_mm[j], z_mm[k], float(hu[k, j, i])])
                        box[n, 0], box[n, 3] = min(box[n, 0], x_mm[i]), max(box[n, 3], x_mm[i])
                        box[n, 1], box[n, 4] = min(box[n, 1], y_mm[j]), max(box[n, 4], y_mm[j])
                        box[n, 2], box[n, 5] = min(box[n, 2], z_mm[k]), max(box[n, 5], z_mm[k])
                        thirds[n, side, third] += 1
                        lobes[n, lobe] += 1
    return slices, sums, box, thirds, lobes
