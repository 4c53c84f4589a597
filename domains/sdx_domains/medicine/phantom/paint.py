"""Draws a table of shapes into a volume, mixed voxels included. Compiled. Start at paint()."""

from math import cos, sin, sqrt

import numpy as np

from sdx_domains.medicine.phantom.anatomy import noise
from sdx_domains.medicine.phantom.compiled import njit
from sdx_domains.medicine.phantom.shapes import (
    AX,
    AY,
    AZ,
    BOX,
    CLIP,
    CONE,
    DARKER,
    DISPLACES,
    HU,
    IN_LUNG,
    KIND,
    LABEL,
    LIGHTER,
    MATRIX,
    MODE,
    OPACITY,
    R0,
    R1,
    SOFT,
    WARP,
    WARP_MM,
    X,
    Y,
    Z,
)

MARKED = 0.3
"""A voxel belongs to a lesion's mask from this share on."""


@njit
def shape_distance(row, lattice, half, x, y, z):
    """(signed distance, factor): a shape thinner than a voxel is drawn a voxel thick and fainter, so that its mass is kept."""
    dx, dy, dz = x - row[X], y - row[Y], z - row[Z]
    if row[KIND] == CONE:
        bx, by, bz = row[MATRIX] - row[X], row[MATRIX + 1] - row[Y], row[MATRIX + 2] - row[Z]
        t = (dx * bx + dy * by + dz * bz) / max(bx * bx + by * by + bz * bz, 1e-9)
        t = min(max(t, 0.0), 1.0)
        dx, dy, dz = dx - t * bx, dy - t * by, dz - t * bz
        radius = row[R0] + (row[R1] - row[R0]) * t
        thick = radius * radius - half * half / 3.0
        factor = 1.0
        if thick < half * half:
            factor = min(1.0, 0.75 * (radius / half) ** 2)
            thick = half * half
        return sqrt(dx * dx + dy * dy + dz * dz) - sqrt(thick), factor
    p = row[MATRIX] * dx + row[MATRIX + 3] * dy + row[MATRIX + 6] * dz
    q = row[MATRIX + 1] * dx + row[MATRIX + 4] * dy + row[MATRIX + 7] * dz
    r = row[MATRIX + 2] * dx + row[MATRIX + 5] * dy + row[MATRIX + 8] * dz
    thin = min(row[AX], min(row[AY], row[AZ]))
    factor, grow = 1.0, 0.0
    if thin < half:
        factor, grow = max(thin / half, 0.05), half - thin
    a, b, c = row[AX] + grow * (row[AX] == thin), row[AY] + grow * (row[AY] == thin), row[AZ] + grow * (row[AZ] == thin)
    if row[KIND] == BOX:
        distance = max(abs(p) - a, max(abs(q) - b, abs(r) - c))
    else:
        p, q, r = p / a, q / b, r / c
        k0 = sqrt(p * p + q * q + r * r)
        p, q, r = p / a, q / b, r / c
        k1 = sqrt(p * p + q * q + r * r)
        distance = -min(a, min(b, c)) if k1 < 1e-9 else k0 * (k0 - 1.0) / k1
    if row[WARP] > 0.0:
        w = row[WARP_MM]
        dent = noise(lattice, x / w + 3.7, y / w + 1.9, z / w + 8.1) + 0.5 * noise(lattice, 2.1 * x / w, 2.1 * y / w, 2.1 * z / w)
        distance += row[WARP] * dent
    return distance, factor


@njit
def reach(row, half):
    """(centre x, y, z, half-lengths of the box around the shape) in body coordinates."""
    if row[KIND] == CONE:
        wide = max(max(row[R0], row[R1]), half) + 2.0 * half
        cx, cy, cz = 0.5 * (row[X] + row[MATRIX]), 0.5 * (row[Y] + row[MATRIX + 1]), 0.5 * (row[Z] + row[MATRIX + 2])
        return cx, cy, cz, abs(row[X] - cx) + wide, abs(row[Y] - cy) + wide, abs(row[Z] - cz) + wide
    far = 2.0 * half + 1.5 * row[WARP] + row[SOFT] + max(half - min(row[AX], min(row[AY], row[AZ])), 0.0)
    a, b, c = row[AX], row[AY], row[AZ]
    m = row[MATRIX : MATRIX + 9]
    return (
        row[X],
        row[Y],
        row[Z],
        abs(m[0]) * a + abs(m[1]) * b + abs(m[2]) * c + far,
        abs(m[3]) * a + abs(m[4]) * b + abs(m[5]) * c + far,
        abs(m[6]) * a + abs(m[7]) * b + abs(m[8]) * c + far,
    )


@njit
def paint(shapes, lattice, turn, shift_x, shift_y, z_mm, y_mm, x_mm, half, hu, lung, bits):
    """Draws shapes, in their order, into hu, lung (share of lung) and bits (a bit each label), all (slices, rows, columns)."""
    turn_c, turn_s = cos(turn), sin(turn)
    px, py, pz = x_mm[1] - x_mm[0], y_mm[1] - y_mm[0], z_mm[1] - z_mm[0] if len(z_mm) > 1 else 1.0
    for n in range(len(shapes)):
        row = shapes[n]
        cx, cy, cz, wx, wy, wz = reach(row, half)
        vx, vy = turn_c * cx - turn_s * cy + shift_x, turn_s * cx + turn_c * cy + shift_y
        ex, ey = abs(turn_c) * wx + abs(turn_s) * wy, abs(turn_s) * wx + abs(turn_c) * wy
        k0, k1 = max(int(np.ceil((cz - wz - z_mm[0]) / pz)), 0), min(int((cz + wz - z_mm[0]) / pz), len(z_mm) - 1)
        if cz + wz < z_mm[0] or k1 < k0:
            continue
        j0, j1 = max(int((vy - ey - y_mm[0]) / py), 0), min(int((vy + ey - y_mm[0]) / py) + 1, len(y_mm) - 1)
        i0, i1 = max(int((vx - ex - x_mm[0]) / px), 0), min(int((vx + ex - x_mm[0]) / px) + 1, len(x_mm) - 1)
        edge = half + 0.5 * row[SOFT]
        mark = np.uint32(0) if row[LABEL] < 0 else np.uint32(1) << np.uint32(row[LABEL])
        for k in range(k0, k1 + 1):
            for j in range(j0, j1 + 1):
                for i in range(i0, i1 + 1):
                    dx, dy = x_mm[i] - shift_x, y_mm[j] - shift_y
                    x, y = turn_c * dx + turn_s * dy, turn_c * dy - turn_s * dx
                    distance, factor = shape_distance(row, lattice, half, x, y, z_mm[k])
                    if distance >= edge:
                        continue
                    share = min(0.5 - 0.5 * distance / edge, 1.0) * factor
                    if row[CLIP] == IN_LUNG:
                        share *= lung[k, j, i]
                    elif row[CLIP] == DISPLACES:
                        lung[k, j, i] *= 1.0 - share
                    if share > MARKED:
                        bits[k, j, i] |= mark
                    value = hu[k, j, i] + (row[HU] - hu[k, j, i]) * share * row[OPACITY]
                    if row[MODE] == LIGHTER:
                        value = max(value, hu[k, j, i])
                    elif row[MODE] == DARKER:
                        value = min(value, hu[k, j, i])
                    hu[k, j, i] = value
