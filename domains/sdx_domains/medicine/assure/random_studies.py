"""Random pictures and statements, consistent in themselves: what the injected-error trial renders and spoils. Start at study()."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sdx_domains.medicine.findings import Finding, Laterality, Lobe, Presence, Size, Slices, Zone
from sdx_domains.medicine.labels import Label, labels
from sdx_domains.medicine.picture import Measurements, MedicinePicture, Prior, Saw, Statement
from sdx_domains.medicine.volume import StudyFacts

LOBES: Mapping[Lobe, tuple[Laterality, Zone]] = {
    "RUL": ("right", "upper"),
    "RML": ("right", "mid"),
    "RLL": ("right", "lower"),
    "LUL": ("left", "upper"),
    "LLL": ("left", "lower"),
}
SIZES_MM: Mapping[str, tuple[float, float]] = {
    "nodule": (5.0, 29.0), "mass": (31.0, 80.0), "opacity": (15.0, 60.0), "consolidation": (20.0, 80.0), "atelectasis": (15.0, 70.0),
    "fibrotic_sequela": (10.0, 50.0), "lymphadenopathy": (11.0, 30.0), "hiatal_hernia": (20.0, 60.0),
}  # fmt: skip
"""Long axis of what has a size."""
MEASURES: Mapping[str, tuple[str, float, float]] = {
    "emphysema": ("emphysema_index_pct", 5.0, 40.0),
    "cardiomegaly": ("cardiothoracic_ratio", 0.51, 0.68),
    "coronary_calcification": ("calcium_ml", 0.02, 2.0),
    "arterial_calcification": ("calcium_ml", 0.05, 5.0),
    "pleural_effusion": ("fluid_ml", 30.0, 1500.0),
    "pericardial_effusion": ("pericardial_fluid_mm", 4.5, 25.0),
    "pneumothorax": ("pneumothorax_ml", 20.0, 900.0),
    "medical_material": ("metal_ml", 0.06, 5.0),
}
DESCRIPTORS: Mapping[str, tuple[str, ...]] = {
    "nodule": ("solid", "part-solid", "ground-glass", "calcified"), "mass": ("solid", "spiculated"), "pleural_effusion": ("small", "moderate", "large"),
    "opacity": ("patchy",), "atelectasis": ("linear",),
}  # fmt: skip
SEVERAL = ("nodule", "opacity", "consolidation", "lymphadenopathy")
"""Labels of which a study may have more than one finding."""


@dataclass(frozen=True, slots=True)
class Study:
    """What a report is made of."""

    picture: MedicinePicture
    statements: tuple[Statement, ...]


def study(seed: int) -> Study:
    """The same seed gives the same study; about one in twelve has nothing, one in five has a prior."""
    rng = np.random.default_rng(seed)
    facts = _facts(rng, seed)
    rate = 0.0 if rng.random() < 0.08 else rng.uniform(0.1, 0.45)
    findings: list[Finding] = []
    for kind in labels():
        many = int(rng.integers(1, 5)) if kind.key in SEVERAL and rng.random() < 0.4 else 1
        for _ in range(many if rng.random() < rate else 0):
            findings.append(_finding(rng, f"F{len(findings) + 1}", kind, facts))
    prior = (
        Prior(study_uid=f"2.25.{seed}9", days_before=int(rng.integers(20, 900)), findings=tuple(findings[::2]))
        if rng.random() < 0.2
        else None
    )
    saw = Saw(
        handle="0" * 16, model="sdx-random", model_sha256="0" * 64, probability={kind.key: 0.5 for kind in labels()}, unlike_training=0.3
    )
    picture = MedicinePicture(t_s=0.0, study=facts, measured=Measurements(), saw=saw, findings=tuple(findings), prior=prior)
    said: tuple[Presence, ...] = tuple(rng.choice(["yes", "uncertain", "no"], p=[0.75, 0.15, 0.1]) for _ in findings)
    return Study(picture, tuple(Statement(finding=each, present=present) for each, present in zip(findings, said, strict=True)))


def _facts(rng: np.random.Generator, seed: int) -> StudyFacts:
    slices = int(rng.integers(40, 400))
    return StudyFacts(
        study_uid=f"2.25.{seed}1", series_uid=f"2.25.{seed}2", slice_uids=tuple(f"2.25.{seed}3{n}" for n in range(slices)), slices=slices,
        spacing_mm=(round(300.0 / slices, 2), 0.7, 0.7), age_years=int(rng.integers(20, 90)), source="phantom",
    )  # fmt: skip


def _finding(rng: np.random.Generator, name: str, kind: Label, facts: StudyFacts) -> Finding:
    side, zone, lobe = _place(rng, kind)
    count = int(rng.integers(2, 7)) if kind.key in SEVERAL and rng.random() < 0.2 else 1
    side = "bilateral" if count > 1 and kind.sided and rng.random() < 0.5 else side  # place and size are those of the largest
    first = int(rng.integers(0, facts.slices - 12))
    key = first + int(rng.integers(0, 6))
    measure = {}
    if kind.key in MEASURES:
        what, low, high = MEASURES[kind.key]
        measure = {what: round(float(rng.uniform(low, high)), 3)}
    x, y, z = (float(value) for value in rng.uniform(-80.0, 80.0, 3))
    choices = DESCRIPTORS.get(kind.key, ())
    descriptors = (str(rng.choice(choices)),) if choices and rng.random() < 0.8 else ()
    return Finding(
        id=name, label=kind.key, laterality=side, zone=zone, lobe=lobe,
        slices=Slices(first=first, last=first + 8, key=key, key_uid=facts.slice_uids[key]),
        centroid_lps_mm=(x, y, z), bbox_lps_mm=(x - 5.0, y - 5.0, z - 5.0, x + 5.0, y + 5.0, z + 5.0), size=_size(rng, kind.key),
        descriptors=descriptors, measure=measure, probability=0.9, found_by="both", count=count,
    )  # fmt: skip


def _place(rng: np.random.Generator, kind: Label) -> tuple[Laterality, Zone, Lobe]:
    """One lobe, or a zone of both lungs, or diffuse; what has no size and no measure is diffuse, as grounding asks."""
    if not kind.sided:
        return "n/a", "n/a", "n/a"
    if not kind.zoned:
        return str(rng.choice(["right", "left", "bilateral"])), "n/a", "n/a"  # pyright: ignore[reportReturnType]
    if kind.key not in SIZES_MM and kind.key not in MEASURES:
        return "bilateral", "diffuse", "several"
    if kind.key in SEVERAL or kind.key in ("mass", "atelectasis") or rng.random() < 0.7:
        lobe: Lobe = str(rng.choice(list(LOBES)))  # pyright: ignore[reportAssignmentType]
        return *LOBES[lobe], lobe
    return "bilateral", str(rng.choice(["upper", "mid", "lower", "diffuse"])), "several"  # pyright: ignore[reportReturnType]


def _size(rng: np.random.Generator, key: str) -> Size | None:
    if key not in SIZES_MM:
        return None
    long_mm = float(rng.uniform(*SIZES_MM[key]))
    short_mm = long_mm * float(rng.uniform(0.6, 0.98))
    return Size(long_mm=round(long_mm, 2), short_mm=round(short_mm, 2), volume_ml=round(long_mm * short_mm**2 * 0.5236e-3, 3))
