"""One imaginary patient: every random choice is made here, as plain frozen data; the same seed is the same patient. Start at scene()."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.contract import Closed
from sdx_domains.medicine.phantom.body import Body, Sex, body
from sdx_domains.medicine.phantom.draft import Draft, Lesion
from sdx_domains.medicine.phantom.extent import lung_extents
from sdx_domains.medicine.phantom.lesions import DISEASES
from sdx_domains.medicine.phantom.organs import airway_rows, fissures, organs
from sdx_domains.medicine.phantom.shapes import table
from sdx_domains.medicine.volume import Kernel

Purpose = Literal["train", "tuning", "held-out"]
SEEDS: Mapping[Purpose, range] = {
    "train": range(1_000_000, 500_000_000),
    "tuning": range(500_000_000, 900_000_000),
    "held-out": range(900_000_000, 1_000_000_000),
}
LATTICE = 64


class Prior(Closed):
    """How often diseases are there: priors.yaml."""

    normal: float
    label: Mapping[str, float]
    """Chance in a patient who is not normal."""
    partners: Mapping[str, Mapping[str, float]]
    """label -> partner -> added to the partner's chance."""


@dataclass(frozen=True, slots=True)
class Taking:
    """How the picture is taken: scanner and technique."""

    kernel: Kernel
    noise_hu: float
    """Of a voxel of 0.7 x 0.7 x 1.5 mm in the middle of the chest."""
    blur_mm: float
    """Sigma of the point spread."""
    sharpen: float
    """Overshoot at edges, 0..1."""
    kvp: float
    contrast: bool
    fov_mm: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A patient, drawn nowhere yet. Arrays are not to be written to."""

    seed: int
    labels: tuple[str, ...]
    """Keys of what is there, in the order of labels.yaml."""
    sex: Sex
    age_years: int
    taking: Taking
    body: Body
    lesions: tuple[Lesion, ...]
    descriptors: Mapping[str, tuple[str, ...]]
    before: NDArray[np.float64]
    """Shapes drawn before the pleura, in order."""
    after: NDArray[np.float64]
    amounts: NDArray[np.float64]
    pleura: NDArray[np.float64]
    pleura_hu: float
    extents: NDArray[np.float64]
    z_range_mm: tuple[float, float]

    def lattice(self) -> NDArray[np.float32]:
        """The noise that textures are made of, equal at every resolution."""
        return np.random.default_rng((self.seed, 1)).uniform(-1, 1, (LATTICE,) * 3).astype(np.float32)


@cache
def priors() -> Prior:
    return Prior.model_validate(yaml.safe_load((files(__package__ or "") / "priors.yaml").read_text(encoding="utf-8")))


def scene(seed: int, wanted: Iterable[str] | None = None, contrast: bool | None = None) -> Scene:
    """The patient of a seed; `wanted` names the diseases instead of chance (none: a normal chest).

    Raises ValueError for a label that is not known. A disease for which there is no room is left out: `labels` says what is there.
    """
    rng = np.random.default_rng((seed, 0))
    chance = drawn(rng)
    chosen = chance if wanted is None else frozenset(wanted)
    if unknown := chosen - DISEASES.keys():
        raise ValueError(f"no phantom has {', '.join(sorted(unknown))}; known: {', '.join(DISEASES)}")
    taking = _taking(rng, contrast)
    sex: Sex = "F" if rng.random() < 0.5 else "M"
    share = float(rng.uniform(0.56, 0.65) if "cardiomegaly" in chosen else rng.uniform(0.38, 0.475))
    patient = body(rng, sex, share, taking.contrast)
    if "pericardial_effusion" in chosen:
        patient = patient._replace(pericardial=float(rng.uniform(6, 15)))
    parts = organs(patient, rng, arms_down=bool(rng.random() < 0.12))
    draft = Draft(patient, parts, rng, lung_extents(patient, 6.0))
    for label, disease in DISEASES.items():
        if label in chosen:
            disease(draft)
    return _frozen(seed, chosen, draft, sex, taking)


def _frozen(seed: int, chosen: frozenset[str], draft: Draft, sex: Sex, taking: Taking) -> Scene:
    rng, parts, patient = draft.rng, draft.organs, draft.body
    walls, lumina = airway_rows(parts.airways, draft.thick_walls)
    return Scene(
        seed=seed,
        labels=tuple(key for key in DISEASES if key in chosen),
        sex=sex,
        age_years=int(rng.integers(28, 90)),
        taking=taking,
        body=patient,
        lesions=tuple(draft.lesions),
        descriptors=draft.descriptors,
        before=table(
            [*draft.under, *parts.great, *parts.bones, *fissures(patient, draft.extents), *parts.vessels, *walls, *lumina, *draft.within]
        ),
        after=table(draft.over),
        amounts=draft.amounts,
        pleura=draft.pleura,
        pleura_hu=float(rng.uniform(2, 18)),
        extents=draft.extents,
        z_range_mm=(float(draft.extents[:, 0].min() - rng.uniform(12, 40)), float(draft.extents[:, 1].max() + rng.uniform(10, 35))),
    )


def drawn(rng: np.random.Generator) -> frozenset[str]:
    """What chance gives: a quarter normal; partners raise each other, and each also comes alone."""
    table_, found = priors(), set[str]()
    normal, dice = rng.random() < table_.normal, {key: rng.random() for key in DISEASES}
    if normal:
        return frozenset()
    for key in DISEASES:
        raised = sum(more.get(key, 0.0) for partner, more in table_.partners.items() if partner in found)
        if dice[key] < table_.label[key] + raised:
            found.add(key)
    return frozenset(found or {min(dice, key=lambda key: dice[key])})


def _taking(rng: np.random.Generator, contrast: bool | None) -> Taking:
    sharp = rng.random() < 0.35
    chance = bool(rng.random() < 0.3)
    return Taking(
        kernel="lung" if sharp else "soft",
        noise_hu=float(rng.uniform(18, 55) if sharp else rng.uniform(7, 22)),
        blur_mm=float(rng.uniform(0.35, 0.5) if sharp else rng.uniform(0.55, 0.8)),
        sharpen=float(rng.uniform(0.3, 0.8) if sharp else 0.0),
        kvp=float(rng.choice([100, 120, 140], p=[0.25, 0.65, 0.1])),
        contrast=chance if contrast is None else contrast,
        fov_mm=float(rng.uniform(1.0, 1.12)),
    )
