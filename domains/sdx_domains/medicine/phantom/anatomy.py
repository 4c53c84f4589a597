"""Anatomy of a normal chest as compiled functions of a point: what tissue lies there, how dense, and how much of it is lung. Start at fill().

All compiled code of a patient's body is in this one file, because numba recompiles a kept function only when its own file changes.
Distances are signed, negative inside, and approximate: right near the surface, where they decide about mixed voxels.
"""

from math import atan2, cos, exp, sin, sqrt

import numpy as np

from sdx_domains.medicine.phantom.compiled import njit

AIR_HU, FAT_HU, MUSCLE_HU, SKIN_HU, CORTEX_HU = -1000.0, -105.0, 52.0, 30.0, 620.0
HEART_FAT_HU = -90.0
TABLE_HU, FOAM_HU = 60.0, -930.0
RIB_HALF_HEIGHT, RIB_HALF_THICK, RIB_DEPTH = 5.4, 3.5, 5.2
RIB_FALL, CARTILAGE_FROM, RIB_END = 85.0, 2.25, 2.95
"""A rib falls so many mm from the spine to the front; angles from the spine, radians, where cartilage begins and where it ends."""
FIELDS = 3
"""Of disease in the parenchyma: emphysema, mosaic, septa."""
EMPHYSEMA, MOSAIC, SEPTA, HEART, FLUID = 0, 1, 2, 3, 4
"""Places in the table of marks: the bits that a mask gets."""
MARKS = 5


@njit
def smooth(low, high, value):
    """0 below `low`, 1 above `high`, without a kink between."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit
def cover(distance, half):
    """Share of a voxel of half-width `half` that lies inside a surface."""
    return min(max(0.5 - 0.5 * distance / half, 0.0), 1.0)


@njit
def noise(lattice, x, y, z):
    """Smooth noise, -1..1, of a lattice (N, N, N), N a power of two, repeated without end; coordinates in lattice steps."""
    n = lattice.shape[0] - 1
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    i, j, k = int(fx) & n, int(fy) & n, int(fz) & n
    i1, j1, k1 = (i + 1) & n, (j + 1) & n, (k + 1) & n
    u, v, w = x - fx, y - fy, z - fz
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    low = (lattice[k, j, i] * (1 - u) + lattice[k, j, i1] * u) * (1 - v) + (lattice[k, j1, i] * (1 - u) + lattice[k, j1, i1] * u) * v
    high = (lattice[k1, j, i] * (1 - u) + lattice[k1, j, i1] * u) * (1 - v) + (lattice[k1, j1, i] * (1 - u) + lattice[k1, j1, i1] * u) * v
    return low * (1 - w) + high * w


@njit
def squircle(x, y, a, b, squareness):
    """Distance to an ellipse of half-axes a, b that is blown towards a rectangle."""
    u, v = x / a, y / b
    u2, v2 = u * u, v * v
    total = u2 + v2
    inner = total * total - 4.0 * squareness * squareness * u2 * v2
    radius = sqrt(0.5 * (total + sqrt(max(inner, 0.0))))
    if radius < 1e-6:
        return -min(a, b)
    return sqrt(x * x + y * y) * (1.0 - 1.0 / radius)


@njit
def section(body, z):
    """Half-width, half-depth and y of the middle of the space inside the ribs at a height."""
    t = min(max((z - 5.0) / (body.apex_z - 5.0), 0.0), 1.35)
    low = smooth(0.0, -110.0, z)
    width = body.half_width * (0.95 + 0.05 * low) * (1.0 - 0.40 * t * t)
    depth = body.half_depth * (0.97 + 0.03 * low) * (1.0 - 0.40 * t * t)
    return width, depth, 0.16 * body.half_depth * t * t


@njit
def heart_distance(body, x, y, z):
    """To the surface of the heart's muscle."""
    dx, dy, dz = x - body.heart_x, y - body.heart_y, z - body.heart_z
    c, s = body.heart_cos, body.heart_sin
    along, across = c * dx - s * dy, s * dx + c * dy
    dz2 = dz + 0.30 * along
    p, q, r = along / body.heart_a, across / body.heart_b, dz2 / body.heart_c
    k0 = sqrt(p * p + q * q + r * r)
    p, q, r = p / body.heart_a, q / body.heart_b, r / body.heart_c
    k1 = sqrt(p * p + q * q + r * r)
    return -body.heart_c if k1 < 1e-9 else k0 * (k0 - 1.0) / k1


@njit
def pericardium(body, y, z):
    """Thickness of fluid: it gathers behind and below the heart of someone who lies."""
    if body.pericardial <= 0.0:
        return 0.0
    back = min(max((y - body.heart_y) / body.heart_b, -1.0), 1.0)
    down = min(max((body.heart_z - z) / body.heart_c, -1.0), 1.0)
    return body.pericardial * (1.0 + 0.45 * back + 0.30 * down)


@njit
def mediastinum_distance(body, x, y, z, front):
    """To what lies between the lungs; `front` is y of the inner side of the sternum."""
    lean = 3.0 + 5.0 * smooth(10.0, -60.0, z)
    wide = body.mediastinum * (0.30 + 0.70 * smooth(front + 4.0, front + 42.0, y))
    wide += (27.0 - body.mediastinum) * smooth(18.0, 40.0, y)
    wide += 6.0 * smooth(body.apex_z - 45.0, body.apex_z - 5.0, z)
    column = (abs(x - lean) - wide) * 0.92
    shell = heart_distance(body, x, y, z) - body.epicardial - pericardium(body, y, z) - 1.5
    h = min(max(0.5 + 0.5 * (shell - column) / 14.0, 0.0), 1.0)
    return shell * (1.0 - h) + column * h - 14.0 * h * (1.0 - h)


@njit
def diaphragm(body, x, y):
    """Height of the diaphragm."""
    side = 1.0 if x > 0 else -1.0
    top = body.dome_left_z if x > 0 else body.dome_right_z
    u = (x - side * 0.50 * body.half_width) / (0.50 * body.half_width)
    v = (y + 0.18 * body.half_depth) / (0.98 * body.half_depth)
    q = u * u * (0.55 if u * side < 0 else 1.0) + v * v
    return top - body.dome_fall * q * (0.55 + 0.45 * min(q, 1.6)) - 0.10 * (y + 0.2 * body.half_depth)


@njit
def roof(body, x, y):
    """Height of the lung's upper end: a dome on each side."""
    u = (abs(x) - 0.40 * body.half_width) / (0.44 * body.half_width)
    v = (y - 0.18 * body.half_depth) / (0.62 * body.half_depth)
    return body.apex_z - 34.0 * (u * u + v * v)


@njit
def lung_distance(body, x, y, z):
    """To the surface of the lung on this side (x < 0: right)."""
    width, depth, middle = section(body, z)
    wall = squircle(x, y - middle, width, depth, body.squareness)
    return lung_within(body, x, y, z, wall, middle - depth, diaphragm(body, x, y))


@njit
def lung_within(body, x, y, z, wall, front, floor):
    """lung_distance where the distance to the ribs, y of the inner side of the sternum and the diaphragm's height are known."""
    spine = sqrt((x / 26.0) ** 2 + ((y - body.spine_y) / 24.0) ** 2)
    inner = -mediastinum_distance(body, x, y, z, front)
    return max(max(wall, inner), max(max((1.0 - spine) * 24.0, (z - roof(body, x, y)) * 0.75), (floor - z) * 0.75))


@njit
def over(hu, value, share):
    return hu + (value - hu) * share


@njit
def wall_tissue(body, lattice, x, y, z, outside, depth, half):
    """Fat, muscle and ribs; `outside` mm from the inner side of the ribs, `depth` mm under the skin."""
    back = exp(-(((abs(x) - 30.0) / 26.0) ** 2)) * 22.0 * smooth(0.0, 40.0, y)
    pectoral = 12.0 * exp(-(((abs(x) - 62.0) / 38.0) ** 2)) * smooth(0.0, -30.0, y) * smooth(-40.0, 20.0, z)
    flank = 14.0 * smooth(-10.0, 30.0, y) * smooth(50.0, 90.0, abs(x)) * smooth(-90.0, 0.0, z)
    shoulder = 26.0 * smooth(0.45, 1.1, z / body.apex_z) * smooth(30.0, 80.0, abs(x))
    thick = body.muscle + back + pectoral + flank + shoulder
    wobble = noise(lattice, x / 9.0, y / 9.0, z / 14.0)
    edge = max(outside - thick - 2.5 * wobble, 0.30 * body.fat + 2.0 - depth)
    hu = over(FAT_HU + 8.0 * wobble, MUSCLE_HU + 10.0 * wobble, cover(edge, half + 0.6))
    plane = abs(outside - 12.5 - 0.30 * thick * (wobble * 0.5 + 0.4))
    if thick > 16.0 and outside > 11.0:
        hu = over(hu, -70.0, cover(plane - 1.1, half + 0.4) * 0.8)
    hu = over(hu, SKIN_HU, cover(depth - 1.8, half))
    return hu


@njit
def rib(body, hu, x, y, z, outside, width, length, middle, half):
    """A rib where one passes; cartilage in front."""
    angle = atan2(abs(x) / width, (y - middle) / length)
    if angle > RIB_END or z > body.apex_z + 18.0:
        return hu
    fall = RIB_FALL * (angle / 2.4) ** 1.3
    phase = (z + fall) / body.rib_pitch + body.rib_phase
    dz = (phase - np.floor(phase) - 0.5) * body.rib_pitch * 0.86
    radius = sqrt((dz / RIB_HALF_HEIGHT) ** 2 + ((outside - RIB_DEPTH) / RIB_HALF_THICK) ** 2)
    distance = (radius - 1.0) * RIB_HALF_THICK
    if distance > half:
        return hu
    if angle > CARTILAGE_FROM:
        return over(hu, 95.0, cover(distance, half))
    hu = over(hu, CORTEX_HU, cover(distance, half))
    return over(hu, body.bone_hu, cover(distance + 1.5, half))


@njit
def sternum(body, hu, x, y, z, front, half):
    """Breastbone, wider at the top."""
    if z > body.apex_z - 26.0 or z < -78.0 or abs(x) > 34.0:
        return hu
    wide = 15.0 + 12.0 * smooth(body.apex_z - 66.0, body.apex_z - 44.0, z)
    radius = sqrt((x / wide) ** 2 + ((y - front + 8.0) / 5.6) ** 2)
    distance = (radius - 1.0) * 5.6
    hu = over(hu, CORTEX_HU * 0.75, cover(distance, half))
    return over(hu, body.bone_hu * 0.75, cover(distance + 1.3, half))


@njit
def spine(body, lattice, hu, x, y, z, half):
    """Vertebra, disc, canal, arch and processes."""
    dy = y - body.spine_y
    if abs(x) > 46.0 or dy < -24.0 or dy > 62.0:
        return hu
    phase = z / (body.rib_pitch * 0.98) + body.disc_phase
    place = phase - np.floor(phase)
    waist = 1.0 - 0.10 * sin(3.14159 * place)
    trabecula = body.bone_hu + 45.0 * noise(lattice, x / 2.6, y / 2.6, z / 2.6)
    arch = (sqrt((x / 19.0) ** 2 + ((dy - 24.0) / 15.0) ** 2) - 1.0) * 15.0
    spinous = max(abs(x) - 3.6, max(34.0 - dy, dy - 46.0 - 12.0 * place))
    flat = abs(place - 0.45) * body.rib_pitch
    across = max(abs(x) - 34.0 + 0.2 * max(dy - 20.0, 0.0), max(abs(dy - 24.0 - 0.25 * abs(x)) - 4.5, flat - 7.0))
    bone = min(min(arch, spinous), across)
    hu = over(hu, CORTEX_HU * 0.8, cover(bone, half))
    hu = over(hu, body.bone_hu + 60.0, cover(bone + 2.0, half))
    canal = (sqrt((x / 11.0) ** 2 + ((dy - 23.0) / 8.5) ** 2) - 1.0) * 8.5
    hu = over(hu, 22.0, cover(canal, half))
    centrum = (sqrt((x / (20.5 * waist)) ** 2 + (dy / (16.0 * waist)) ** 2) - 1.0) * 16.0
    if place > 0.87 or place < 0.02:
        return over(hu, 85.0, cover(centrum, half))
    hu = over(hu, CORTEX_HU * 0.85, cover(centrum, half))
    inner = trabecula if 0.06 < place < 0.83 else CORTEX_HU * 0.7
    return over(hu, inner, cover(centrum + 1.4, half))


@njit
def belly(body, lattice, x, y, z, half):
    """Below the diaphragm: liver, stomach, spleen, fat."""
    wobble = noise(lattice, x / 22.0, y / 22.0, z / 22.0)
    hu = FAT_HU + 12.0 * noise(lattice, x / 6.0, y / 6.0, z / 6.0)
    u = (x - 0.62 * body.half_width) / (0.30 * body.half_width)
    v = (y - 0.42 * body.half_depth) / (0.34 * body.half_depth)
    w = (z - body.dome_left_z + 52.0) / 44.0
    hu = over(hu, body.spleen_hu, cover((sqrt(u * u + v * v + w * w) - 1.0) * 32.0 + 2.0 * wobble, half))
    u = (x - 0.46 * body.half_width) / (0.34 * body.half_width)
    v = (y + 0.26 * body.half_depth) / (0.44 * body.half_depth)
    w = (z - body.dome_left_z + 50.0) / 46.0
    gut = (sqrt(u * u + v * v + w * w) - 1.0) * 38.0 + 2.0 * wobble
    hu = over(hu, 45.0, cover(gut, half))
    inner = body.stomach_hu + 30.0 * noise(lattice, x / 4.0, y / 4.0, z / 4.0)
    level = y + 0.26 * body.half_depth - (2.0 * body.gas - 1.0) * 0.44 * body.half_depth
    inner = over(inner, -990.0, cover(level, half))
    hu = over(hu, inner, cover(gut + 4.0, half))
    edge = x - 0.10 * body.half_width - 0.25 * (z + 130.0) + 10.0 * wobble + 0.35 * max(y, 0.0)
    edge = max(edge, 0.9 * (y - 0.80 * body.half_depth))
    hu = over(hu, body.liver_hu + 4.0 * noise(lattice, x / 3.0, y / 3.0, z / 3.0), cover(edge, half))
    return hu


@njit
def septa(lattice, x, y, z, cell):
    """How far from the nearest wall of a foam of cells of `cell` mm: 0 on the wall."""
    u, v, w = x / cell, y / cell, z / cell
    i, j, k = np.floor(u), np.floor(v), np.floor(w)
    n = lattice.shape[0] - 1
    nearest, second = 9.0, 9.0
    for a in range(-1, 2):
        for b in range(-1, 2):
            for c in range(-1, 2):
                p, q, r = i + a, j + b, k + c
                ip, iq, ir = int(p) & n, int(q) & n, int(r) & n
                px = p + 0.5 + 0.42 * lattice[ir, iq, ip]
                py = q + 0.5 + 0.42 * lattice[iq, ip, (ir + 7) & n]
                pz = r + 0.5 + 0.42 * lattice[ip, (iq + 13) & n, ir]
                d = sqrt((u - px) ** 2 + (v - py) ** 2 + (w - pz) ** 2)
                if d < nearest:
                    second, nearest = nearest, d
                elif d < second:
                    second = d
    return (second - nearest) * 0.5 * cell


@njit
def weight(amounts, field, x, height):
    """How strong a field is at a place: amounts are given for (field, side, third), blended over a narrow band."""
    side = 1 if x > 0 else 0
    low = smooth(0.31, 0.36, height)
    high = smooth(0.64, 0.69, height)
    return amounts[field, side, 0] * (1.0 - low) + amounts[field, side, 1] * low * (1.0 - high) + amounts[field, side, 2] * high


@njit
def parenchyma(body, lattice, amounts, marks, x, y, z, depth, half):
    """(HU, bits) of aerated lung, `depth` mm under its surface (positive inside)."""
    hu = body.lung_hu + body.gradient_hu * (0.5 + 0.5 * y / body.half_depth)
    hu += body.texture_hu * (noise(lattice, x / 3.1, y / 3.1, z / 3.1) + 0.8 * noise(lattice, x / 17.0, y / 17.0, z / 17.0))
    if body.dependent_hu > 0.0:
        hu += body.dependent_hu * exp(-depth / 7.0) * smooth(0.25, 0.8, y / body.half_depth)
    bits = np.uint32(0)
    height = (z - body.base_z) / (body.apex_z - body.base_z)
    strong = weight(amounts, MOSAIC, x, height)
    if strong > 0.0:
        patch = noise(lattice, x / 19.0 + 5.3, y / 19.0, z / 19.0) + 0.35 * noise(lattice, x / 8.0, y / 8.0 + 3.1, z / 8.0)
        share = smooth(-0.12, 0.12, patch)
        hu += strong * share
        if share > 0.5 and strong > 25.0:
            bits |= marks[MOSAIC]
    strong = weight(amounts, SEPTA, x, height)
    if strong > 0.0 and depth < 38.0:
        line = septa(lattice, x, y, z, 13.0)
        share = cover(line - 0.55 * strong, half) * smooth(38.0, 26.0, depth)
        hu = over(hu, -280.0, share * min(1.0, 0.9 * strong / half))
        if line < half and strong > 0.4 and depth < 32.0:
            bits |= marks[SEPTA]
    strong = weight(amounts, EMPHYSEMA, x, height)
    if strong > 0.0:
        hole = noise(lattice, x / 5.2, y / 5.2, z / 5.2 + 9.7) + 0.5 * noise(lattice, x / 12.0, y / 12.0 + 2.2, z / 12.0)
        share = smooth(0.0, 0.16, hole - 0.75 + strong)
        hu = over(hu, -982.0, share)
        if share > 0.5:
            bits |= marks[EMPHYSEMA]
    return hu, bits


@njit
def inside(body, lattice, marks, x, y, z, floor, half):
    """(HU, bits) between the lungs or under the diaphragm, without vessels."""
    bits = np.uint32(0)
    if z < floor - 2.5 and heart_distance(body, x, y, z) > 6.0 + body.epicardial + pericardium(body, y, z):
        return belly(body, lattice, x, y, z, half), bits
    wobble = noise(lattice, x / 8.0, y / 8.0, z / 8.0)
    hu = body.mediastinum_fat_hu + 14.0 * wobble
    heart = heart_distance(body, x, y, z)
    if heart < 40.0:
        fluid = pericardium(body, y, z)
        sac = heart - body.epicardial - 1.5 * max(wobble, 0.0)
        hu = over(hu, 15.0, cover(sac - fluid - 1.2, half))
        hu = over(hu, body.pericardial_hu, cover(sac - fluid, half) if fluid > 0.0 else 0.0)
        hu = over(hu, HEART_FAT_HU, cover(sac, half))
        hu = over(hu, 48.0 if body.blood_hu < 100 else 95.0, cover(heart, half))
        hu = over(hu, body.blood_hu + 3.0 * wobble, cover(heart + 9.0, half + 1.0))
        if heart < 0.0:
            bits = marks[HEART]
        elif fluid > 0.0 and 0.0 < sac < fluid:
            bits = marks[FLUID]
        if sac < fluid + 3.0:
            return hu, bits
    return over(hu, 45.0, cover(abs(z - floor) - 2.0, half)), bits


@njit
def breast_distance(body, x, y, z, front):
    """To a breast that lies flat on the chest."""
    u = (abs(x) - 0.56 * body.half_width) / body.breast
    v = (y - front - 6.0) / (0.46 * body.breast)
    w = (z + 42.0) / (1.15 * body.breast)
    return (sqrt(u * u + v * v + w * w) - 1.0) * 0.46 * body.breast


@njit
def table_hu(body, x, y, bottom, half):
    """Air, or the table under the patient; `bottom` is y of the patient's back."""
    if body.table == 0.0:
        return AIR_HU
    top = bottom + body.table_y
    if body.table == 1.0:
        top -= min(x * x / 900.0, 200.0)
    if abs(x) > 225.0 or y < top - 3.0 or y > top + 34.0:
        return AIR_HU
    hu = over(AIR_HU, FOAM_HU, cover(abs(y - top - 16.0) - 16.0, half))
    return over(hu, TABLE_HU, cover(min(abs(y - top), abs(y - top - 30.0)) - 1.0, half))


@njit
def fill(body, lattice, amounts, marks, z_mm, y_mm, x_mm, half, hu, lung, bits):
    """Draws the normal chest and diffuse disease into hu, lung (share that is lung) and bits, all (slices, rows, columns)."""
    turn_c, turn_s = cos(body.turn), sin(body.turn)
    wall = body.fat + body.muscle
    for k in range(len(z_mm)):
        z = z_mm[k]
        width, length, middle = section(body, z)
        high = smooth(0.50, 1.25, z / body.apex_z)
        outer_w = width + 0.9 * wall + 8.0 + high * (60.0 + 0.30 * body.half_width)
        outer_l = length + 0.62 * wall + 16.0 + 10.0 * high
        front = middle - length
        centre_y = middle + 7.0
        skin_front = centre_y - outer_l
        for j in range(len(y_mm)):
            for i in range(len(x_mm)):
                dx, dy = x_mm[i] - body.shift_x, y_mm[j] - body.shift_y
                x, y = turn_c * dx + turn_s * dy, turn_c * dy - turn_s * dx
                skin = squircle(x, y - centre_y, outer_w, outer_l, 0.80)
                gland = False
                if body.breast > 0.0 and skin > -25.0 and y < -20.0 and abs(x) < body.half_width * 1.2:
                    chest = breast_distance(body, x, y, z, skin_front)
                    gland = chest < -9.0
                    skin = min(skin, chest)
                if skin > half:
                    hu[k, j, i] = table_hu(body, dx, dy, centre_y + outer_l - 2.0, half)
                    continue
                outside = squircle(x, y - middle, width, length, body.squareness)
                tissue = 0.0
                if outside > -half:
                    tissue = wall_tissue(body, lattice, x, y, z, outside, -skin, half)
                    if gland and outside > body.muscle + 6.0:
                        tissue = over(tissue, body.gland_hu, smooth(-0.1, 0.3, noise(lattice, x / 7.0, y / 7.0, z / 7.0)))
                    if outside < 13.0:
                        tissue = rib(body, tissue, x, y, z, outside, width, length, middle, half)
                    if y < 0.0:
                        tissue = sternum(body, tissue, x, y, z, front, half)
                share = 0.0
                if outside < half:
                    floor = diaphragm(body, x, y)
                    deep = -lung_within(body, x, y, z, outside, front, floor)
                    share = cover(-deep, half)
                    if share < 1.0:
                        soft, found = inside(body, lattice, marks, x, y, z, floor, half)
                        tissue = over(tissue, soft, cover(outside, half))
                        if share < 0.5:
                            bits[k, j, i] = found
                        if z > body.apex_z - 30.0 and deep < 0.0:
                            neck = smooth(body.apex_z - 30.0, body.apex_z + 5.0, z) * smooth(
                                -0.5, 0.4, noise(lattice, x / 14.0, y / 14.0, z / 22.0) + 0.1
                            )
                            tissue = over(tissue, MUSCLE_HU, neck)
                    if share > 0.0:
                        air, found = parenchyma(body, lattice, amounts, marks, x, y, z, deep, half)
                        if share > 0.5:
                            bits[k, j, i] = found
                        tissue = over(tissue, air, share)
                if y > body.spine_y - 25.0:
                    before = tissue
                    tissue = spine(body, lattice, tissue, x, y, z, half)
                    if before != tissue:
                        share = 0.0
                lung[k, j, i] = share
                hu[k, j, i] = over(table_hu(body, dx, dy, centre_y + outer_l - 2.0, half), tissue, cover(skin, half))
