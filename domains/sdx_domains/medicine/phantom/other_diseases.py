"""Diseases of pleura, heart, mediastinum and vessels, and devices; one function each, named like its label."""

import numpy as np

from sdx_domains.medicine.phantom.draft import Draft, Lesion, either
from sdx_domains.medicine.phantom.organs import on_heart
from sdx_domains.medicine.phantom.shapes import DISPLACES, LIGHTER, capsule, curve, ellipsoid, polyline, turned


def pleural_effusion(draft: Draft) -> None:
    """Crescent along the back, 8 to 60 mm."""
    rng = draft.rng
    thick = float(rng.choice([rng.uniform(10, 18), rng.uniform(18, 34), rng.uniform(34, 62)], p=[0.35, 0.4, 0.25]))
    for side in either(draft, 0.4):
        here = thick * rng.uniform(0.75, 1.1)
        draft.pleura[1 if side == "left" else 0, :2] = here, np.clip(0.40 + 0.011 * here + rng.normal(0, 0.05), 0.4, 0.98)


def pneumothorax(draft: Draft) -> None:
    """Air in front and at the apex, 8 to 45 mm."""
    side = either(draft, 0.0)[0]
    thick = float(np.clip(draft.rng.lognormal(2.8, 0.5), 8, 45))
    draft.pleura[1 if side == "left" else 0, 2] = thick


def pericardial_effusion(draft: Draft) -> None:
    """6 to 20 mm of fluid; the body's own number, so it is set before the organs are made."""


def cardiomegaly(draft: Draft) -> None:
    """The heart's share of the chest is the body's own number too."""


def lymphadenopathy(draft: Draft) -> None:
    """Two to six nodes, short axis 11 to 26 mm, beside the windpipe, under its fork, in the aortic window, at the hila."""
    rng = draft.rng
    stations = [(-19, 8, 26), (-17, 2, 46), (14, 6, 12), (2, 30, -18), (-40, 22, -34), (40, 24, -34), (4, -40, 34), (26, -12, 14)]
    for at in rng.permutation(len(stations))[: int(rng.integers(2, 7))]:
        short = rng.uniform(5.8, 11)
        axes = short * np.array([1.0, rng.uniform(1.0, 1.25), rng.uniform(1.1, 1.5)])
        place = np.array(stations[at]) + rng.normal(0, 2.0, 3)
        core = ellipsoid(
            place,
            axes,
            rng.uniform(35, 55) + (30 if draft.body.blood_hu > 100 else 0),
            "lymphadenopathy",
            turned(rng, 0.5),
            DISPLACES,
            warp=(0.6, 8.0),
        )
        draft.under.append(core)
        draft.lesions.append(Lesion("lymphadenopathy", core))


def hiatal_hernia(draft: Draft) -> None:
    """Stomach behind the heart, most with air in it."""
    rng, body = draft.rng, draft.body
    radius = float(rng.uniform(12, 25))
    place = np.array([rng.uniform(-4, 16), body.spine_y - 20 - 0.85 * radius, body.dome_left_z + rng.uniform(4, 14)])
    core = ellipsoid(place, radius * np.array([1.15, 0.9, 1.0]), 42.0, "hiatal_hernia", turned(rng, 0.3), DISPLACES, warp=(1.2, 14.0))
    draft.within.append(core)
    draft.within.append(ellipsoid(place, radius * np.array([1.0, 0.75, 0.85]), rng.uniform(5, 40), "hiatal_hernia", warp=(1.0, 12.0)))
    if rng.random() < 0.75:
        up = np.array([0, -0.32 * radius, 0])
        draft.within.append(ellipsoid(place + up, radius * np.array([0.75, 0.34, 0.6]), -970.0, "hiatal_hernia", warp=(1.0, 10.0)))
    draft.lesions.append(Lesion("hiatal_hernia", core))


def arterial_calcification(draft: Draft) -> None:
    """Flat plates on the wall of the aorta and the roots of its branches."""
    rng, line = draft.rng, draft.organs.aorta
    for _ in range(int(rng.choice([rng.integers(3, 7), rng.integers(7, 22)]))):
        at = int(rng.integers(10, len(line) - 6))
        along = line[at + 1] - line[at - 1]
        along /= np.linalg.norm(along)
        out = np.cross(along, rng.normal(size=3))
        out /= np.linalg.norm(out)
        radius = draft.organs.aorta_radius * np.interp(at, [0, 16, 40, len(line)], [1.25, 1.12, 0.92, 0.82])
        turn = np.stack([along, np.cross(out, along), out], axis=1)
        axes = (rng.uniform(2.5, 8), rng.uniform(2.0, 5), rng.uniform(0.9, 1.7))
        draft.over.append(ellipsoid(line[at] + out * radius, axes, rng.uniform(500, 1000), "arterial_calcification", turn, mode=LIGHTER))


def coronary_calcification(draft: Draft) -> None:
    """Beads along the coronary arteries."""
    rng = draft.rng
    for _ in range(int(rng.choice([rng.integers(3, 6), rng.integers(6, 16)]))):
        line = draft.organs.coronaries[int(rng.choice(3, p=[0.5, 0.2, 0.3]))]
        at = int(rng.integers(1, len(line) - 2))
        draft.over.append(
            capsule(
                line[at],
                line[at] + (line[at + 1] - line[at]) * rng.uniform(0.2, 0.9),
                rng.uniform(1.1, 2.0),
                rng.uniform(1.1, 2.0),
                rng.uniform(400, 950),
                "coronary_calcification",
                mode=LIGHTER,
            )
        )


def medical_material(draft: Draft) -> None:
    """Sternal wires, a port, a pacemaker, a valve or a central line."""
    rng, body = draft.rng, draft.body
    kinds = rng.permutation(["wires", "port", "pacemaker", "valve", "line"])[: int(rng.choice([1, 2], p=[0.75, 0.25]))]
    front = -body.half_depth
    cava = [(-27, -12, 40), (-25, -12, 4), (-24, -10, -24)]
    for kind in kinds:
        if kind == "wires":
            for z in np.linspace(body.apex_z - 52, -58, int(rng.integers(4, 7))):
                y = front - 8 + 0.40 * body.half_depth * max(0.0, z / body.apex_z) ** 2 * 1.3
                ring = curve([(-13, y, z), (0, y - 7, z + 2), (13, y, z), (0, y + 7, z - 2), (-13, y, z)], 3)
                draft.over += polyline(list(ring), [0.7] * len(ring), 3000.0, "medical_material")
        elif kind in ("port", "pacemaker"):
            sign = float(rng.choice([-1, 1])) if kind == "port" else 1.0
            middle = np.array([sign * 0.52 * body.half_width, 0.84 * front - body.muscle - 4, body.apex_z - 42])
            axes = (11, 6, 11) if kind == "port" else (21, 4.5, 23)
            draft.over.append(ellipsoid(middle, axes, 2300.0 if kind == "port" else 3000.0, "medical_material", box=kind == "pacemaker"))
            lead = [middle, (sign * 34, -22, body.apex_z - 6), (-14, -16, 66), *cava]
            if kind == "pacemaker":
                lead += [(-18, body.heart_y, body.heart_z + 4), on_heart(body, -0.3, -0.5, -12)]
            line = curve(lead, 5)
            draft.over += polyline(list(line), [1.0] * len(line), 1400.0 if kind == "port" else 2600.0, "medical_material")
        elif kind == "valve":
            middle = np.array([body.heart_x - 12, body.heart_y - 2, body.heart_z + 0.55 * body.heart_c])
            turn = turned(rng, 1.0)
            ring = [middle + turn @ np.array([11 * np.cos(a), 11 * np.sin(a), 0]) for a in np.linspace(0, 2 * np.pi, 13)]
            draft.over += polyline(ring, [1.5] * 13, 2800.0, "medical_material")
        else:
            sign = float(rng.choice([-1, 1]))
            line = curve([(sign * 30, -18, body.apex_z + 34), (-10, -18, 72), *cava], 5)
            draft.over += polyline(list(line), [1.1] * len(line), 1800.0, "medical_material")
