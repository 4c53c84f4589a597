"""Candidate findings: what was measured and what the encoder's maps say, put together, with place, slices and size. Start at find()."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.evidence import Evidence
from sdx_domains.medicine.findings import Finding, FoundBy, Size
from sdx_domains.medicine.labels import Label, labels
from sdx_domains.medicine.measure.anatomy import Anatomy, Side
from sdx_domains.medicine.measure.distance import depth_mm
from sdx_domains.medicine.measure.nodules import Blob, lung_room, measured_at, nodules, pointed_nodules
from sdx_domains.medicine.measure.parts import Part, parts
from sdx_domains.medicine.measure.place import placed
from sdx_domains.medicine.measure.seen import half, on_grid, seen, sides
from sdx_domains.medicine.measure.thresholds import thresholds
from sdx_domains.medicine.picture import Measurements
from sdx_domains.medicine.volume import StudyFacts, Volume

MAP_ODDS = 4.0
"""Log odds that a blob gains between a cold and a hot place of the encoder's map; judgement."""
WARM = 0.2
"""Share of the map's peak down to which a thing may grow; judgement."""
POINTED = 0.35
"""Share of the map's peak at the best blob below which the map means something else: that is then grown from the map."""
UNSURE = 0.03
"""A measurement is never surer than so when it is weighed against the encoder: consolidation can be as dense as fluid."""
SUREST = np.float32(1 - 1e-5)
"""A cell of a map is never surer than so when its odds are taken."""
LEAST_BLOB = 0.3
"""Probability of a blob that is counted, with the map's word; the first always is."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Study:
    """What every label is looked for in."""

    volume: Volume
    anatomy: Anatomy
    evidence: Evidence | None
    facts: StudyFacts

    def heard(self, label: Label) -> float | None:
        """The encoder's probability; None without one, and for a label that it cannot tell."""
        if self.evidence is None or label.key in thresholds().unheard:
            return None
        return self.evidence.probability.get(label.key, 0.0)


def find(volume: Volume, anatomy: Anatomy, measured: Measurements, evidence: Evidence | None, facts: StudyFacts) -> tuple[Finding, ...]:
    """At most one finding a label, ids F1.. in the order of the table. Works without an encoder: then only what code measures is found."""
    study = Study(volume, anatomy, evidence, facts)
    own = parts(volume, anatomy, measured)
    round_things = nodules(volume, anatomy)
    found: list[Finding] = []
    for label in labels():
        if label.key in ("nodule", "mass"):
            finding = _of_blobs(label, study, round_things)
        else:
            finding = _of_region(label, study, own.get(label.key))
        if finding is not None:
            found.append(finding.model_copy(update={"id": f"F{len(found) + 1}"}))
    return tuple(found)


def _of_region(label: Label, study: Study, part: Part | None) -> Finding | None:
    """Measured part, or the hot part of the encoder's map where the measurement has nothing to show."""
    by_encoder = study.heard(label)
    odds = thresholds().measured.get(label.key)
    by_measure = odds.probability(part.value) if odds and part else None
    probability, found_by = _together(by_encoder, by_measure, odds.weight if odds else 0.0)
    if probability < thresholds().bar and max(by_encoder or 0.0, by_measure or 0.0) < 2 * thresholds().bar:
        return None
    shown = part is not None and bool(part.mask.any())
    mask, weight, clear, blob = (part.mask if part and shown else None), (part.weight if part else None), None, None
    if not shown or by_measure is None or (by_measure < 0.3 and found_by != "measurement"):
        area = seen(label.key, study.evidence, study.anatomy) if study.evidence else None
        if area is not None:
            mask, weight = area
            clear = weight / (np.float32(1) - np.minimum(weight, SUREST))
            blob = _grown(label, study, mask, weight) if label.key in ("nodule", "mass") else None
    if mask is None:
        return None
    named = _sides(label, study) if not shown or (by_encoder or 0.0) >= 0.5 else ()
    if named:
        mask = _on(named, mask, study)
    where = _placing(placed(mask, label, study.anatomy, study.facts, weight, clear))
    if named:
        where["laterality"] = named[0] if len(named) == 1 else "bilateral"
    return Finding(
        id="F1",
        label=label.key,
        **where,
        size=_size(blob) if blob else None,
        hu_mean=round(float(study.anatomy.grid.hu[mask].mean()), 1),
        descriptors=part.descriptors if part and by_measure and by_measure >= 0.3 else (),
        measure=dict(part.measure) if part and by_measure is not None else {},
        probability=round(probability, 4),
        found_by=found_by,
    )


def _sides(label: Label, study: Study) -> tuple[Side, ...]:
    return sides(label.key, study.evidence, study.anatomy) if study.evidence and study.heard(label) is not None else ()


def _on(named: tuple[Side, ...], mask: Mask, study: Study) -> Mask:
    """What of a mask lies on the sides named; all of it where nothing does."""
    own = mask & np.any([half(side, study.anatomy) for side in named], axis=0)
    return own if own.any() else mask


def _of_blobs(label: Label, study: Study, blobs: Sequence[Blob]) -> Finding | None:
    """Nodules or masses: the blobs of its size, those that the map points at first."""
    table = thresholds()
    map_, by_encoder = None, study.heard(label)
    if study.evidence and label.key in study.evidence.maps:
        map_ = on_grid(study.evidence.maps[label.key], study.evidence, study.anatomy)
        if by_encoder and by_encoder >= table.bar and float(map_.max()) > 0:
            blobs = [*blobs, *pointed_nodules(study.volume, study.anatomy, map_ >= table.hot * float(map_.max()))]
    fits = [blob for blob in blobs if _fits(blob, label)]
    pointed = {blob: _pointed(blob, study, map_) for blob in fits}
    rated = sorted(
        ((_odds(blob) + MAP_ODDS * (pointed[blob] - 0.5) * (map_ is not None), blob) for blob in fits), key=lambda each: -each[0]
    )
    by_measure = _chance(max((_odds(blob) for blob in fits), default=-9.0))
    probability, found_by = _together(by_encoder, by_measure, table.blob_weight)
    if probability < table.bar:
        return None
    if not rated or pointed[rated[0][1]] < POINTED:
        return _of_region(label, study, None)
    chosen = [blob for odds, blob in rated if _chance(odds) >= LEAST_BLOB] or [rated[0][1]]
    main = max(chosen, key=lambda blob: blob.long_mm)
    mask = _cells(chosen, study)
    where = _placing(placed(mask, label, study.anatomy, study.facts))
    shown = [min(blob.low[0] for blob in chosen), max(blob.high[0] for blob in chosen)]
    where["slices"] = where["slices"].model_copy(
        update={"first": shown[0], "last": shown[1], "key": main.key, "key_uid": study.facts.slice_uids[main.key]}
    )
    return Finding(
        id="F1",
        label=label.key,
        **where,
        size=_size(main),
        hu_mean=round(main.hu_mean, 1),
        count=len(chosen),
        descriptors=(main.kind, "cavitary") if main.cavity and label.key == "mass" else (main.kind,),
        measure={"solid_mm": round(main.solid_mm, 1)} if main.kind == "part-solid" else {},
        probability=round(probability, 4),
        found_by=found_by,
    )


def _fits(blob: Blob, label: Label) -> bool:
    """By size, and a mass is no ground glass."""
    table = thresholds()
    if label.key == "mass":
        return blob.long_mm > table.mass_above_mm and blob.kind != "ground-glass"
    return table.nodule_from_mm <= blob.long_mm <= table.mass_above_mm


def _together(by_encoder: float | None, by_measure: float | None, weight: float) -> tuple[float, FoundBy]:
    """Mean of log odds, the measurement's `weight` against the encoder's; one alone where there is one."""
    if by_encoder is None or by_measure is None:
        alone = by_measure if by_encoder is None else by_encoder
        return alone or 0.0, "measurement" if by_encoder is None else "encoder"
    held = min(max(by_measure, UNSURE), 1 - UNSURE)
    both = _chance(weight * _log_odds(held) + (1 - weight) * _log_odds(by_encoder))
    if by_encoder >= 0.5 and by_measure >= 0.5:
        return both, "both"
    return both, "measurement" if by_measure > by_encoder else "encoder"


def _odds(blob: Blob) -> float:
    """Log odds that a blob is a nodule or a mass, by its shape and what it is joined to."""
    weights = thresholds().blob["ground-glass" if blob.kind == "ground-glass" else "solid"]
    return sum(weight if name == "constant" else weight * float(getattr(blob, name)) for name, weight in weights.items())


def _pointed(blob: Blob, study: Study, map_: NDArray[np.float32] | None) -> float:
    """How hot the encoder's map is at a blob, as a share of its peak; 1 without a map.

    Anywhere in it: of a mass the map often shows one end alone.
    """
    if map_ is None or float(map_.max()) <= 0.0:
        return 1.0
    return float(map_[_box(blob, study)].max() / map_.max())


def _chance(log_odds: float) -> float:
    return 1 / (1 + exp(-max(-20.0, min(20.0, log_odds))))


def _log_odds(probability: float) -> float:
    held = min(max(probability, 1e-4), 1 - 1e-4)
    return log(held / (1 - held))


def _grown(label: Label, study: Study, mask: Mask, map_: NDArray[np.float32]) -> Blob | None:
    """A nodule or mass that lies where no blob was found, grown from the deepest point of its region, no further than the map is warm.

    In the lungs as they are outlined; a mass that the outline leaves out, in the whole room inside the ribs.
    """
    grid = study.anatomy.grid
    deep = depth_mm(np.pad(mask, 1), grid.spacing_mm)[1:-1, 1:-1, 1:-1]
    at = np.unravel_index(int(deep.argmax()), deep.shape)
    seed, warm = grid.lps_mm((float(at[0]), float(at[1]), float(at[2]))), map_ >= WARM * float(map_.max())
    best = None
    for room in (lung_room(study.anatomy), study.anatomy.inside):
        blob = measured_at(study.volume, study.anatomy, room & warm, seed, max(float(deep.max()), 3.0), False)
        if blob and _fits(blob, label) and (best is None or best.long_mm < 0.5 * blob.long_mm):
            best = blob
    return best


def _cells(blobs: Sequence[Blob], study: Study) -> Mask:
    """Boxes of blobs on the reduced grid."""
    mask = np.zeros(study.anatomy.grid.hu.shape, dtype=bool)
    for blob in blobs:
        mask[_box(blob, study)] = True
    return mask


def _box(blob: Blob, study: Study) -> tuple[slice, ...]:
    """Of a blob on the reduced grid."""
    grid = study.anatomy.grid
    return tuple(
        slice(min(low // step, n - 1), high // step + 1)
        for low, high, step, n in zip(blob.low, blob.high, grid.steps, grid.hu.shape, strict=True)
    )


def _size(blob: Blob) -> Size:
    return Size(long_mm=round(blob.long_mm, 1), short_mm=round(blob.short_mm, 1), volume_ml=round(blob.ml, 2))


def _placing(where: Any) -> dict[str, Any]:
    """Fields of a Place, as those of a Finding."""
    return {name: getattr(where, name) for name in where.__slots__}
