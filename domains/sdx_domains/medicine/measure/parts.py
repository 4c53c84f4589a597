"""What was measured, as things with a place: a mask, a value that decides, what is told of it. Start at parts()."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.measure.anatomy import Anatomy
from sdx_domains.medicine.measure.calcium import Speck, calcium, metal
from sdx_domains.medicine.measure.heart import heart, pericardial_mm
from sdx_domains.medicine.measure.measure import EMPHYSEMA_HU
from sdx_domains.medicine.measure.pleura import fluid, free_air
from sdx_domains.medicine.measure.thresholds import thresholds
from sdx_domains.medicine.picture import Measurements
from sdx_domains.medicine.volume import Volume


@dataclass(frozen=True, slots=True)
class Part:
    """Of one label, on the reduced grid."""

    mask: NDArray[np.bool_]
    value: float
    """That thresholds.yaml turns into a probability."""
    measure: Mapping[str, float]
    descriptors: tuple[str, ...] = ()
    weight: NDArray[np.float32] | None = field(default=None, repr=False)
    """How much of it lies in each cell; None: as much in each."""


def parts(volume: Volume, anatomy: Anatomy, measured: Measurements) -> dict[str, Part]:
    """By label key; only labels that measurement can speak for, and only what could be measured."""
    of = heart(anatomy)
    coronary, arterial = calcium(volume, anatomy, of) if (anatomy.lungs > 0).any() else ([], [])
    out = {
        "medical_material": _dense(metal(volume, anatomy), anatomy, "metal_ml", measured.metal_ml),
        "arterial_calcification": _dense(arterial, anatomy, "calcium_ml", measured.arterial_calcium_ml),
        "coronary_calcification": _dense(coronary, anatomy, "calcium_ml", measured.coronary_calcium_ml),
        "pleural_effusion": _amount("pleural_effusion", fluid(anatomy) > 0, "fluid_ml", measured.pleural_fluid_ml),
        "pneumothorax": _amount("pneumothorax", free_air(anatomy) > 0, "pneumothorax_ml", measured.pneumothorax_ml),
        "emphysema": _emphysema(anatomy, measured.emphysema_index_pct),
    }
    if of is not None:
        levels = np.zeros((len(anatomy.grid.hu), 1, 1), dtype=bool)
        levels[of.first : of.last + 1] = True
        mask = anatomy.mediastinum & levels
        out["cardiomegaly"] = _of_heart(mask, None, "cardiothoracic_ratio", measured.cardiothoracic_ratio)
        out["pericardial_effusion"] = _of_heart(mask, pericardial_mm(anatomy, of)[1], "pericardial_fluid_mm", measured.pericardial_fluid_mm)
    return {key: part for key, part in out.items() if part is not None}


def _dense(found: Sequence[Speck], anatomy: Anatomy, key: str, ml: float | None) -> Part | None:
    if ml is None:
        return None
    steps, shape = anatomy.grid.steps, anatomy.grid.hu.shape
    weight = np.zeros(shape, dtype=np.float32)
    for speck in found:
        at = [
            slice(min(low // step, n - 1), high // step + 1) for low, high, step, n in zip(speck.low, speck.high, steps, shape, strict=True)
        ]
        at[0] = (
            slice(min(speck.largest // steps[0], shape[0] - 1), speck.largest // steps[0] + 1)
            if speck.high[0] - speck.low[0] > 4 * steps[0]
            else at[0]
        )
        weight[tuple(at)] += speck.ml / max(weight[tuple(at)].size, 1)
    return Part(mask=weight > 0, value=ml, measure={key: round(ml, 3)}, weight=weight)


def _amount(label: str, mask: NDArray[np.bool_], key: str, ml: tuple[float, float] | None) -> Part | None:
    if ml is None:
        return None
    moderate, large = thresholds().amounts[label]
    total = sum(ml)
    word = "large" if total >= large else "moderate" if total >= moderate else "small"
    return Part(mask=mask, value=total, measure={key: round(total, 1)}, descriptors=(word,))


def _emphysema(anatomy: Anatomy, index: float | None) -> Part | None:
    if index is None:
        return None
    mild, moderate, severe = thresholds().emphysema
    word = ("severe",) if index >= severe else ("moderate",) if index >= moderate else ("mild",) if index >= mild else ()
    return Part(
        mask=(anatomy.lungs > 0) & (anatomy.grid.hu < EMPHYSEMA_HU), value=index, measure={"emphysema_index_pct": index}, descriptors=word
    )


def _of_heart(mask: NDArray[np.bool_], level: int | None, key: str, value: float | None) -> Part | None:
    if value is None:
        return None
    weight = mask.astype(np.float32)
    if level is not None:
        weight[level] *= 3
    return Part(mask=mask, value=value, measure={key: value}, weight=weight)
