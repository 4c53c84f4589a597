"""Fluid and air between lung and chest wall, drawn over a finished lung. Compiled. Start at overlay()."""

from math import cos, exp, sin

from sdx_domains.medicine.phantom.anatomy import cover, diaphragm, noise, over, section, smooth, squircle
from sdx_domains.medicine.phantom.compiled import njit

LEAST_MM = 1.5
"""A thinner layer is not drawn: the tail of a smooth shape would line the whole pleura."""


@njit
def fluid_distance(body, amounts, lattice, x, y, z):
    """To the fluid on this side, negative inside; amounts: (side, [fluid mm, share of the height it reaches, air mm])."""
    side = 1 if x > 0 else 0
    thick, share = amounts[side, 0], amounts[side, 1]
    if thick <= 0.0:
        return 99.0
    width, length, middle = section(body, z)
    outside = squircle(x, y - middle, width, length, body.squareness)
    top = body.base_z + share * (body.apex_z - body.base_z)
    back = smooth(-0.35 - 0.006 * thick, 0.75, y / body.half_depth)
    rise = smooth(top, top - 75.0, z)
    spine = smooth(20.0, 55.0, abs(x)) * 0.45 + 0.55
    local = thick * back * rise * spine * (1.0 + 0.10 * noise(lattice, x / 30.0, y / 30.0, z / 30.0))
    under = thick * 0.35 * rise * back - (z - diaphragm(body, x, y))
    if max(local, under) < LEAST_MM:
        return 99.0
    return -max(outside + local, min(under, local))


@njit
def air_distance(body, amounts, x, y, z):
    """To free air in the pleura, which rises to the front of someone who lies."""
    side = 1 if x > 0 else 0
    thick = amounts[side, 2]
    if thick <= 0.0:
        return 99.0
    width, length, middle = section(body, z)
    outside = squircle(x, y - middle, width, length, body.squareness)
    front = smooth(0.55, -0.75, y / body.half_depth)
    height = (z - body.base_z) / (body.apex_z - body.base_z)
    local = thick * (front * (0.35 + 0.65 * smooth(0.05, 0.45, height)) + 0.8 * smooth(0.70, 1.0, height))
    return -(outside + local) if local > LEAST_MM else 99.0


@njit
def overlay(body, lattice, amounts, hu_fluid, marks, z_mm, y_mm, x_mm, half, hu, lung, bits):
    """Draws effusion (marks[0]), the lung pressed together by it (marks[1]) and pneumothorax (marks[2])."""
    turn_c, turn_s = cos(body.turn), sin(body.turn)
    for k in range(len(z_mm)):
        for j in range(len(y_mm)):
            for i in range(len(x_mm)):
                share = lung[k, j, i]
                if share <= 0.0:
                    continue
                dx, dy = x_mm[i] - body.shift_x, y_mm[j] - body.shift_y
                x, y, z = turn_c * dx + turn_s * dy, turn_c * dy - turn_s * dx, z_mm[k]
                side = 1 if x > 0 else 0
                fluid = fluid_distance(body, amounts, lattice, x, y, z)
                pressed = amounts[side, 3]
                if fluid < pressed + half and pressed > 0.0:
                    part = cover(fluid - pressed - 3.0 * noise(lattice, x / 6.0, y / 6.0, z / 6.0), half + 1.5) * share
                    hu[k, j, i] = max(hu[k, j, i], over(hu[k, j, i], 38.0, part))
                    if fluid > half and part > 0.5:
                        bits[k, j, i] |= marks[1]
                if fluid < half:
                    part = cover(fluid, half) * share
                    hu[k, j, i] = over(hu[k, j, i], hu_fluid, part)
                    lung[k, j, i] = share * (1.0 - part)
                    if part > 0.5:
                        bits[k, j, i] = marks[0]
                air = air_distance(body, amounts, x, y, z)
                if air < 3.0 + half:
                    edge = exp(-(((air - 0.8) / 1.2) ** 2)) if air > 0 else 0.0
                    hu[k, j, i] = over(hu[k, j, i], -250.0, edge * share * 0.8)
                    part = cover(air, half) * lung[k, j, i]
                    hu[k, j, i] = over(hu[k, j, i], -1000.0, part)
                    lung[k, j, i] *= 1.0 - part
                    if part > 0.5:
                        bits[k, j, i] = marks[2]
