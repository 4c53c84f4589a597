"""DICOM SEG: the region of every stated finding as a segment, on the slices that show it. Start at write()."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.out.images import as_acquired, as_stored, image
from sdx_domains.medicine.out.instances import (
    PRODUCT,
    WARNING,
    codes,
    equipment,
    finding_code,
    identify,
    made_uid,
    needs_dicom,
    save,
    site_code,
    unlogged,
)
from sdx_domains.medicine.out.results import Results
from sdx_domains.medicine.volume import Series, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SERIES_NUMBER = 9002


def write(series: Series, results: Results, path: Path) -> Path | None:
    """The SEG at this path, whole or not at all; None (and no file) when nothing stated has a region.

    Findings are outlined by density inside their box (regions.yaml).

    Raises:
        ValueError: the study came without DICOM instances, was put straight on the way in, or is one multi-frame file.
    """
    with unlogged():
        made = document(series, results)
    return save(made, path) if made is not None else None


def document(series: Series, results: Results) -> "Dataset | None":
    """The SEG as a pydicom Dataset; None when there is no voxel to show."""
    import highdicom as hd

    header = needs_dicom(series)
    if not as_acquired(series):
        raise ValueError(
            "the volume was put straight against its images (tilt or shift), so its voxels are not theirs: the SR names the slices"
        )
    if series.frames:
        raise ValueError("the study is one multi-frame file, whose frames a SEG of this project cannot name: the SR names them")
    numbers, findings = label_map(series.volume, [each.finding for each in results.stated])
    slices = np.flatnonzero(numbers.any(axis=(1, 2)))
    if not findings or not slices.size:
        return None
    study = str(header.StudyInstanceUID)
    made = hd.seg.Segmentation(
        source_images=[image(series, int(index)) for index in slices],
        pixel_array=np.stack([as_stored(header, numbers[index]) for index in slices]),
        segmentation_type="BINARY",
        segment_descriptions=[_segment(series, results, number, each) for number, each in enumerate(findings, 1)],
        series_instance_uid=made_uid("SEG series", study),
        series_number=SERIES_NUMBER,
        sop_instance_uid=made_uid("SEG", study, results.content),
        instance_number=1,
        content_label="FINDINGS" if results.final else "AI_DRAFT",
        content_description="Regions of findings" if results.final else f"{WARNING}, not verified"[:64],
        content_creator_name=results.signature.signer if results.signature and "^" in results.signature.signer else "SDx^",
        series_description=f"{PRODUCT} regions{'' if results.final else ', AI DRAFT, not verified'}",
        specific_character_set="ISO_IR 192",
        **equipment(results.made_by),
    )
    identify(made, header, results.made)
    return made


def label_map(volume: Volume, findings: Sequence[Finding]) -> tuple[NDArray[np.uint8], list[Finding]]:
    """(slices, rows, columns) with 0 or 1 + the place in the list of findings that have a voxel; smaller ones lie over larger ones."""
    found: list[tuple[int, Finding, tuple[slice, slice, slice], NDArray[np.bool_]]] = []
    for each in findings:
        box, inside = region(volume, each)
        if inside.any():
            found.append((int(inside.sum()), each, box, inside))
    numbers = np.zeros(volume.hu.shape, np.uint8)
    kept = [each for _, each, _, _ in found]
    for _, each, box, inside in sorted(found, key=lambda row: -row[0]):
        numbers[box][inside] = kept.index(each) + 1
    seen = set(np.unique(numbers).tolist())
    if len(seen - {0}) < len(kept):  # one lies wholly under smaller ones: number anew without it
        return label_map(volume, [each for number, each in enumerate(kept, 1) if number in seen])
    return numbers, kept


def region(volume: Volume, finding: Finding) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
    """A finding's box in the volume and its voxels in it."""
    x0, y0, z0, x1, y1, z1 = finding.bbox_lps_mm
    low, high = volume.index((x0, y0, z0)), volume.index((x1, y1, z1))
    box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    voxels = volume.hu[box]
    if finding.label in _ranges():
        bottom, top = _ranges()[finding.label]
        return box, (voxels >= bottom) & (voxels <= top)  # pyright: ignore[reportReturnType]
    return box, _ellipsoid(voxels.shape)  # pyright: ignore[reportReturnType]


def _ellipsoid(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The largest ellipsoid in a box of voxels."""
    axes = [((np.arange(n) + 0.5) / n * 2.0 - 1.0) ** 2 for n in shape]
    return axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] <= 1.0


@cache
def _ranges() -> dict[str, tuple[int, int]]:
    return yaml.safe_load((files(__package__ or "") / "regions.yaml").read_text(encoding="utf-8"))


def _segment(series: Series, results: Results, number: int, finding: Finding) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept

    def concept(code: Sequence[str]) -> CodedConcept:
        return CodedConcept(value=code[0], scheme_designator=code[1], meaning=code[2])

    name, sha = results.made_by
    side = codes()["sides"].get(finding.laterality)
    made = SegmentDescription(
        segment_number=number,
        segment_label=f"{finding.id} {finding.label}"[:64],
        segmented_property_category=concept(codes()["fixed"]["category"]),
        segmented_property_type=concept(finding_code(finding.label)),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(name=name, family=concept(codes()["fixed"]["intelligence"]), version=sha),
        tracking_uid=made_uid("tracking", str(series.header.SeriesInstanceUID), finding.id),
        tracking_id=finding.id,
        anatomic_regions=[concept(site_code(finding))],
    )
    if side:
        made.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [concept(side)]
    return made
