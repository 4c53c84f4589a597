"""Diseases of the lungs as shapes and fields; one function each, named like its label.

Sizes and densities follow the Fleischner glossary (Hansell et al. 2008) unless a comment says otherwise.
"""

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.phantom.anatomy import EMPHYSEMA, MOSAIC, SEPTA
from sdx_domains.medicine.phantom.draft import ZONES, Draft, Lesion, either, site
from sdx_domains.medicine.phantom.organs import SIGN
from sdx_domains.medicine.phantom.shapes import DARKER, IN_LUNG, LIGHTER, Row, about, capsule, curve, ellipsoid, polyline, turned


def nodule(draft: Draft) -> None:
    """One to four, 6 to 28 mm; solid, part-solid, ground-glass or calcified."""
    rng = draft.rng
    count = int(rng.choice([1, 2, 3, 4], p=[0.62, 0.2, 0.12, 0.06]))
    home = either(draft, 0.0)[0]
    for number in range(count):
        side = home if number == 0 or rng.random() < 0.6 else ("left" if home == "right" else "right")
        radius = float(np.clip(rng.lognormal(1.75, 0.38), 3.0, 13.5))
        place = site(draft, side, radius, radius * rng.uniform(0.9, 1.6) + 1.0)
        if place is not None:
            _put_nodule(
                draft, place, radius, str(rng.choice(["solid", "part-solid", "ground-glass", "calcified"], p=[0.68, 0.12, 0.1, 0.1]))
            )


def _put_nodule(draft: Draft, place: NDArray[np.float64], radius: float, kind: str) -> None:
    rng = draft.rng
    axes = radius * rng.uniform(0.86, 1.12, 3)
    turn = turned(rng)
    hu = {
        "solid": rng.uniform(25, 75),
        "part-solid": rng.uniform(-620, -480),
        "ground-glass": rng.uniform(-620, -450),
        "calcified": rng.uniform(280, 750),
    }[kind]
    core = ellipsoid(place, axes, hu, "nodule", turn, IN_LUNG, LIGHTER, warp=(0.12 * radius, 0.9 * radius + 2))
    draft.within.append(core)
    descriptors = [kind]
    if kind == "part-solid":
        draft.within.append(
            ellipsoid(place + rng.normal(0, 0.15 * radius, 3), axes * rng.uniform(0.4, 0.6), 30.0, "nodule", turn, IN_LUNG, LIGHTER)
        )
    elif kind == "solid" and radius > 5 and rng.random() < 0.35:
        draft.within += _spicules(rng, place, radius, 0.55 * radius)
        descriptors.append("spiculated")
    draft.lesions.append(Lesion("nodule", core, tuple(descriptors)))


def _spicules(rng: np.random.Generator, place: NDArray[np.float64], radius: float, length: float) -> list[Row]:
    ways = rng.normal(size=(int(rng.integers(8, 18)), 3))
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    return [
        capsule(
            place + 0.7 * radius * way,
            place + (radius + length * rng.uniform(0.5, 1.2)) * way,
            0.12 * radius,
            0.25,
            10.0,
            clip=IN_LUNG,
            mode=LIGHTER,
        )
        for way in ways
    ]


def mass(draft: Draft) -> None:
    """One, 33 to 80 mm; lobulated, often spiculated, at times with a cavity."""
    rng = draft.rng
    side = either(draft, 0.0)[0]
    radius = float(rng.uniform(18.5, 36))
    place = site(draft, side, radius, float(rng.uniform(0.5, 0.9)) * radius)
    if place is None:
        return
    core = ellipsoid(
        place,
        radius * rng.uniform(0.95, 1.15, 3),
        rng.uniform(25, 65),
        "mass",
        turned(rng),
        IN_LUNG,
        LIGHTER,
        warp=(0.12 * radius, 0.8 * radius),
    )
    draft.within.append(core)
    descriptors = ["solid"]
    if rng.random() < 0.6:
        draft.within += _spicules(rng, place, radius, 0.45 * radius)
        descriptors.append("spiculated")
    if rng.random() < 0.25:
        draft.within.append(
            ellipsoid(
                place + rng.normal(0, 2, 3), radius * rng.uniform(0.35, 0.6, 3), -960.0, "mass", turned(rng), mode=DARKER, warp=(2.0, 9.0)
            )
        )
        descriptors.append("cavitary")
    draft.lesions.append(Lesion("mass", core, tuple(descriptors)))


def opacity(draft: Draft) -> None:
    """Ground glass, 20 to 60 mm, one to four patches, vessels still seen in it."""
    rng = draft.rng
    sides = either(draft, 0.4)
    for number in range(max(len(sides), int(rng.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.2, 0.1])))):
        radius = float(rng.uniform(12, 30))
        place = site(draft, sides[number % len(sides)], radius, 0.4 * radius)
        if place is not None:
            core = ellipsoid(
                place,
                radius * rng.uniform(0.75, 1.25, 3),
                rng.uniform(-680, -460),
                "opacity",
                turned(rng),
                IN_LUNG,
                LIGHTER,
                soft=6.0,
                warp=(0.3 * radius, 0.6 * radius),
            )
            draft.under.append(core)
            draft.lesions.append(Lesion("opacity", core, ("ground-glass",)))


def consolidation(draft: Draft) -> None:
    """24 to 80 mm, against the pleura, air in the bronchi within."""
    rng = draft.rng
    sides = either(draft, 0.2)
    for side in sides:
        radius = float(rng.uniform(14, 36))
        place = site(draft, side, radius, 0.45 * radius)
        if place is None:
            continue
        core = ellipsoid(
            place,
            radius * rng.uniform(0.8, 1.2, 3),
            rng.uniform(22, 48),
            "consolidation",
            turned(rng),
            IN_LUNG,
            LIGHTER,
            soft=3.0,
            warp=(0.28 * radius, 0.6 * radius),
        )
        draft.under.append(
            ellipsoid(
                place, core[4:7] + 7.0, -600.0, "", core[7:16].reshape(3, 3), IN_LUNG, LIGHTER, soft=9.0, warp=(0.3 * radius, 0.6 * radius)
            )
        )
        draft.under.append(core)
        hilum = np.array([SIGN[side] * 36, 20, -20.0])
        way = (place - hilum) / max(float(np.linalg.norm(place - hilum)), 1.0)
        for _ in range(int(rng.integers(3, 7))):
            aim = place + rng.normal(0, 0.45 * radius, 3)
            draft.within.append(
                capsule(
                    aim - way * radius * 0.8, aim + way * radius * rng.uniform(0, 0.5), rng.uniform(1.4, 2.4), 0.9, -900.0, clip=IN_LUNG
                )
            )
        draft.lesions.append(Lesion("consolidation", core))


def atelectasis(draft: Draft) -> None:
    """A plate at the base, or a wedge of collapsed lung along spine and diaphragm; also the lung under an effusion."""
    rng = draft.rng
    sides = either(draft, 0.35)
    kind = str(rng.choice(["plate", "wedge"], p=[0.65, 0.35]))
    for side in sides:
        at = 1 if side == "left" else 0
        if draft.pleura[at, 0] > 0 and rng.random() < 0.8:
            draft.pleura[at, 3] = rng.uniform(9, 20)
            continue
        zone = str(rng.choice(["lower", "mid"], p=[0.8, 0.2]))
        place = site(draft, side, 12, 10 if kind == "plate" else 6, zone)
        if place is None:
            continue
        tilt = about((0, 1, 0), SIGN[side] * rng.uniform(-0.5, 0.5)) @ about((1, 0, 0), rng.uniform(-0.35, 0.35))
        if kind == "plate":
            for _ in range(int(rng.integers(1, 4))):
                axes = (rng.uniform(18, 40), rng.uniform(14, 34), rng.uniform(1.6, 4.5))
                draft.within.append(ellipsoid(place, axes, 28.0, "atelectasis", tilt, IN_LUNG, LIGHTER, warp=(1.0, 14.0)))
                place = place + np.array([rng.normal(0, 14), rng.normal(0, 14), rng.uniform(7, 16)])
            draft.descriptors["atelectasis"] = ("linear",)
        else:
            base = np.array([SIGN[side] * 34, draft.body.spine_y - 6, place[2]])
            axes = (rng.uniform(16, 28), rng.uniform(14, 22), rng.uniform(24, 40))
            draft.under.append(ellipsoid(base, axes, 42.0, "atelectasis", tilt, IN_LUNG, LIGHTER, warp=(2.0, 12.0)))


def fibrotic_sequela(draft: Draft) -> None:
    """Irregular bands from the pleura inwards, mostly at the apices, with small calcified scars."""
    rng = draft.rng
    for side in either(draft, 0.45):
        zone = str(rng.choice(["upper", "lower", "mid"], p=[0.7, 0.2, 0.1]))
        place = site(draft, side, 14, 9, zone)
        if place is None:
            continue
        hub = place.copy()
        draft.within.append(
            ellipsoid(hub, rng.uniform(3.5, 8, 3), 20.0, "fibrotic_sequela", turned(rng), IN_LUNG, LIGHTER, warp=(2.5, 5.0))
        )
        for _ in range(int(rng.integers(6, 12))):
            way = rng.normal(size=3) + np.array([SIGN[side] * 0.6, 0.3, 0.9 if zone == "upper" else -0.2])
            way /= np.linalg.norm(way)
            points = curve([hub + rng.normal(0, 3, 3), hub + way * 10 + rng.normal(0, 2.5, 3), hub + way * rng.uniform(20, 38)], 3)
            draft.within += polyline(
                list(points),
                list(np.linspace(rng.uniform(1.1, 2.0), 0.8, len(points))),
                5.0,
                "fibrotic_sequela",
                clip=IN_LUNG,
                mode=LIGHTER,
            )
        if rng.random() < 0.5:
            draft.within += [
                ellipsoid(hub + rng.normal(0, 6, 3), rng.uniform(0.8, 1.6, 3), 500.0, "fibrotic_sequela", clip=IN_LUNG, mode=LIGHTER)
                for _ in range(3)
            ]


def emphysema(draft: Draft) -> None:
    """Holes, most in the upper zones."""
    rng = draft.rng
    strength, pattern = (
        rng.uniform(0.42, 0.78),
        np.array([[0.0, 0.55, 1.0], [0.45, 0.8, 1.0], [1.0, 0.5, 0.0]])[rng.choice(3, p=[0.65, 0.25, 0.1])],
    )
    for side in either(draft, 0.85):
        draft.amounts[EMPHYSEMA, 1 if side == "left" else 0] = strength * pattern
    draft.descriptors["emphysema"] = ("centrilobular", "mild" if strength < 0.53 else "moderate" if strength < 0.66 else "severe")


def mosaic(draft: Draft) -> None:
    """Lighter and darker areas side by side."""
    for side in either(draft, 0.85):
        draft.amounts[MOSAIC, 1 if side == "left" else 0] = (
            draft.rng.uniform(95, 170) * np.array([[1, 1, 1], [1, 1, 0.0], [0, 1, 1]])[draft.rng.choice(3, p=[0.6, 0.3, 0.1])]
        )


def septal_thickening(draft: Draft) -> None:
    """A mesh of thickened walls between lobules, most at the base."""
    pattern = np.array([[1, 0.0, 0], [1, 0.8, 0], [1, 1, 0.9], [0, 0, 1]])[draft.rng.choice(4, p=[0.45, 0.3, 0.15, 0.1])]
    for side in either(draft, 0.75):
        draft.amounts[SEPTA, 1 if side == "left" else 0] = draft.rng.uniform(1.0, 1.7) * pattern
    draft.descriptors["septal_thickening"] = ("smooth",)


def peribronchial_thickening(draft: Draft) -> None:
    """Walls of the bronchi 1.6 to 3 mm thicker."""
    more = float(draft.rng.uniform(1.6, 3.0))
    sides = either(draft, 0.65)
    for place, each in enumerate(draft.organs.airways):
        if each.side in sides and 2 <= each.generation <= 6:
            draft.thick_walls[place] = more * (1.0 if each.generation < 5 else 0.7)


def bronchiectasis(draft: Draft) -> None:
    """Clusters of bronchi wider than the vessel beside them."""
    rng = draft.rng
    sides = either(draft, 0.3)
    zone = str(rng.choice(list(ZONES), p=[0.55, 0.25, 0.2]))
    for side in sides:
        place = site(draft, side, 16, 14, zone)
        if place is None:
            continue
        hilum = np.array([SIGN[side] * 36, 20, -18.0])
        way = (place - hilum) / max(float(np.linalg.norm(place - hilum)), 1.0)
        aside = np.linalg.svd(way[None])[2][1:]
        walls, lumina = [], []
        for _ in range(int(rng.integers(5, 11))):
            middle = place + rng.uniform(-15, 15, 2) @ aside + way * rng.uniform(-8, 8)
            radius, lean = rng.uniform(2.6, 4.8), way + rng.normal(0, 0.22, 3)
            half = rng.uniform(6, 14)
            start, end = middle - lean * half, middle + lean * half
            walls.append(capsule(start, end, radius * 0.9 + 1.3, radius + 1.3, 5.0, "bronchiectasis", IN_LUNG, LIGHTER))
            lumina.append(capsule(start, end, radius * 0.9, radius, -970.0, "bronchiectasis", IN_LUNG, DARKER))
            beside = aside[0] * (radius + 2.6)
            walls.append(capsule(start + beside, end + beside, 1.5, 1.2, 40.0, "", IN_LUNG, LIGHTER))
        draft.within += walls + lumina
