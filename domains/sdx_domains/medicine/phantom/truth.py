"""What is true of a drawn phantom, as findings: one each label, places and slices from the mask, sizes from the geometry. Start at truth()."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.findings import Finding, Laterality, Lobe, Size, Slices, Zone
from sdx_domains.medicine.labels import Label, labels
from sdx_domains.medicine.phantom.anatomy import section
from sdx_domains.medicine.phantom.draft import Lesion
from sdx_domains.medicine.phantom.extent import measured, tally
from sdx_domains.medicine.phantom.scene import Scene
from sdx_domains.medicine.phantom.shapes import AX, AZ
from sdx_domains.medicine.volume import StudyFacts, Volume

SIDE_SHARE = 0.08
"""A side with less of a lesion's mask than this is not named."""
MAIN_SHARE = 0.6
"""A third or lobe with so much of it is where it is; else it is diffuse or in several."""
ZONES: tuple[Zone, ...] = ("lower", "mid", "upper")
LOBES: tuple[Lobe, ...] = ("RUL", "RML", "RLL", "LUL", "LLL")
AMOUNTS: Mapping[str, tuple[str, float, float]] = {
    "pleural_effusion": ("fluid_ml", 300.0, 1000.0),
    "pericardial_effusion": ("fluid_ml", 100.0, 500.0),
    "pneumothorax": ("air_ml", 150.0, 500.0),
}
"""Measure, and from where it is moderate and large. Pleura: Moy et al. 2013; pericardium: Klein et al. 2013 (ASE); air: judgement."""
VOLUMES: Mapping[str, str] = {
    "arterial_calcification": "calcium_ml",
    "coronary_calcification": "calcium_ml",
    "medical_material": "metal_ml",
}


def truth(scene: Scene, volume: Volume, facts: StudyFacts, masks: NDArray[np.uint32]) -> tuple[Finding, ...]:
    """Findings in the order of labels.yaml; a disease of which no voxel lies in the volume is not there."""
    if not scene.labels:
        return ()
    body, lattice = scene.body, scene.lattice()
    y, x = (volume.origin_lps_mm[1 - axis] + np.arange(volume.hu.shape[axis + 1]) * volume.spacing_mm[axis + 1] for axis in (0, 1))
    tallied = tally(masks, volume.hu, len(labels()), body.turn, body.shift_x, body.shift_y, scene.extents, volume.z_mm, y, x)
    found: list[Finding] = []
    for place, label in enumerate(labels()):
        if label.key in scene.labels and tallied[0][place].any():
            found.append(_finding(f"F{len(found) + 1}", label, scene, volume, facts, lattice, *(each[place] for each in tallied)))
    return tuple(found)


def cardiothoracic_ratio(scene: Scene) -> float:
    """Widest heart with its fat to widest inner chest, of the geometry."""
    body = scene.body
    heart = float(np.hypot(body.heart_a * body.heart_cos, body.heart_b * body.heart_sin)) + body.epicardial
    return heart / max(section(body, z)[0] for z in np.arange(body.base_z, body.heart_z, 5.0))


def _finding(
    name: str,
    label: Label,
    scene: Scene,
    volume: Volume,
    facts: StudyFacts,
    lattice: NDArray[np.float32],
    slices: NDArray[np.int64],
    sums: NDArray[np.float64],
    box: NDArray[np.float64],
    thirds: NDArray[np.int64],
    lobes: NDArray[np.int64],
) -> Finding:
    shown, total = np.flatnonzero(slices), int(slices.sum())
    ml = total * float(np.prod(volume.spacing_mm)) / 1000
    own = [
        (each, measured(each.core, lattice, scene.body, float(each.core[AX : AZ + 1].max()) / 10))
        for each in scene.lesions
        if each.label == label.key
    ]
    own.sort(key=lambda each: -each[1][0])
    key = int(slices.argmax())
    return Finding(
        id=name,
        label=label.key,
        laterality=_laterality(thirds.sum(axis=1)) if label.sided else "midline" if label.region == "mediastinum" else "n/a",
        zone=_zone(thirds.sum(axis=0)) if label.zoned else "n/a",
        lobe=_lobe(lobes) if label.zoned else "n/a",
        slices=Slices(first=int(shown[0]), last=int(shown[-1]), key=key, key_uid=facts.slice_uids[key]),
        centroid_lps_mm=_three(sums[:3] / total),
        bbox_lps_mm=(*_three(box[:3]), *_three(box[3:])),
        size=Size(long_mm=round(own[0][1][0], 1), short_mm=round(own[0][1][1], 1), volume_ml=round(sum(each[1][2] for each in own), 2))
        if own
        else None,
        hu_mean=round(float(sums[3] / total), 1),
        count=max(1, len(own)),
        descriptors=_descriptors(label, scene, [each[0] for each in own], ml),
        measure=_measure(label, scene, ml),
        probability=1.0,
        found_by="radiologist",
    )


def _laterality(sides: NDArray[np.int64]) -> Laterality:
    right, left = sides / sides.sum()
    return "right" if left < SIDE_SHARE else "left" if right < SIDE_SHARE else "bilateral"


def _zone(thirds: NDArray[np.int64]) -> Zone:
    return ZONES[int(thirds.argmax())] if thirds.max() >= MAIN_SHARE * thirds.sum() else "diffuse"


def _lobe(lobes: NDArray[np.int64]) -> Lobe:
    return LOBES[int(lobes.argmax())] if lobes.max() >= MAIN_SHARE * lobes.sum() else "several"


def _descriptors(label: Label, scene: Scene, own: list[Lesion], ml: float) -> tuple[str, ...]:
    """Of the largest object, else of the disease as a whole, else how much it is."""
    if own:
        return own[0].descriptors
    if label.key in AMOUNTS:
        _, moderate, large = AMOUNTS[label.key]
        return ("large" if ml >= large else "moderate" if ml >= moderate else "small",)
    return scene.descriptors.get(label.key, ())


def _measure(label: Label, scene: Scene, ml: float) -> dict[str, float]:
    if label.key in AMOUNTS:
        thickness = {"pericardial_fluid_mm": round(scene.body.pericardial, 1)} if label.key == "pericardial_effusion" else {}
        return {AMOUNTS[label.key][0]: round(ml, 1), **thickness}
    if label.key in VOLUMES:
        return {VOLUMES[label.key]: round(ml, 3)}
    return {"cardiothoracic_ratio": round(cardiothoracic_ratio(scene), 3)} if label.key == "cardiomegaly" else {}


def _three(values: NDArray[Any]) -> tuple[float, float, float]:
    return round(float(values[0]), 1), round(float(values[1]), 1), round(float(values[2]), 1)
