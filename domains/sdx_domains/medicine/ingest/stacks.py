"""Planes sorted into stacks: one acquisition each, judged by what their headers say, and the one to read chosen."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sdx_domains.medicine.ingest import geometry
from sdx_domains.medicine.ingest.headers import CT_CLASSES, Plane
from sdx_domains.medicine.ingest.pixels import DECODED, decoded_by
from sdx_domains.medicine.ingest.rules import Refused, kernel_of, limits, modality_of
from sdx_domains.medicine.volume import Kernel


@dataclass(frozen=True, slots=True)
class Stack:
    """Planes of one series that belong together, from feet to head where they are in order."""

    key: str
    """"S1".. in the order of series number: what it is called in messages and lists."""
    planes: tuple[Plane, ...] = field(repr=False)
    refused: Refused | None
    kernel: Kernel
    spacing_mm: float | None
    extent_mm: float
    duplicates_mm: tuple[float, ...] = ()
    """Positions at which a second copy of a slice was dropped."""

    @property
    def name(self) -> str:
        first = self.planes[0]
        number = f"series {first.series_number}" if first.series_number is not None else "series without a number"
        gap = f", {self.spacing_mm:.1f} mm" if self.spacing_mm else ""
        return f"{number} ({len(self.planes)} slices{gap}, {self.kernel} kernel)"


def stacks(planes: Iterable[Plane]) -> list[Stack]:
    """All, judged. Refused: planes of several patients or studies."""
    held = list(planes)
    _one_study(held)
    groups: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in held:
        groups[_belongs(plane)].append(plane)
    ordered = sorted(groups.values(), key=lambda group: (group[0].series_number or 0, -len(group), group[0].entry.number))
    made = [made for group in ordered for made in _stacks_of(group)]
    return [_named(stack, f"S{number}") for number, stack in enumerate(made, 1)]


def preference(stack: Stack, kernel: Kernel) -> tuple[object, ...]:
    """Sorts what may be read, best first: long enough, the wanted kernel, thin slices, then the longest."""
    wanted = {"unknown": 1}.get(stack.kernel, 0 if stack.kernel == kernel else 2)
    enough = min(stack.extent_mm, limits().extent_good_mm)
    return -round(enough, -1), wanted, round(stack.spacing_mm or 99.0, 1), -stack.extent_mm, stack.key


def _one_study(planes: Sequence[Plane]) -> None:
    images = [plane for plane in planes if plane.modality == "CT"]
    patients = len({plane.patient for plane in images})
    if patients > 1:
        raise Refused("one study", f"Images of {patients} patients (PatientID, PatientName) are mixed: give one study at a time.")
    studies = len({plane.study_uid for plane in images})
    if studies > 1:
        raise Refused("one study", f"Images of {studies} studies (StudyInstanceUID) are mixed: give one study at a time.")


def _belongs(plane: Plane) -> Hashable:
    return (
        plane.series_uid,
        plane.modality,
        plane.sop_class,
        plane.image_type[:3],
        plane.rows,
        plane.columns,
        plane.kernel,
        tuple(round(each, 3) + 0.0 for each in plane.orientation or ()),
        tuple(round(each, 4) for each in plane.spacing or ()),
    )


def _stacks_of(group: list[Plane]) -> list[Stack]:
    try:
        _judge(group)
        parts, repeated = _split(group)
    except Refused as refused:
        return [Stack("", tuple(group), refused, kernel_of(group[0].kernel), None, 0.0)]
    made = [_ordered(part, repeated) for part in parts]
    whole = [stack for stack in made if len(stack.planes) >= limits().slices_min]
    if not whole or len(whole) == len(made):
        return made
    dropped = tuple(float(each) for stack in made if stack not in whole for each in geometry.along(stack.planes))
    first = whole[0]
    return [Stack("", first.planes, first.refused, first.kernel, first.spacing_mm, first.extent_mm, repeated + dropped), *whole[1:]]


def _ordered(part: list[Plane], repeated: tuple[float, ...]) -> Stack:
    at = geometry.along(part)
    order = np.argsort(at, kind="stable")
    planes = tuple(part[index] for index in order)
    extent = float(at.max() - at.min())
    spacing = float(np.median(np.diff(np.sort(at)))) if len(part) > 1 else None
    refused: Refused | None = None
    try:
        if len(part) < limits().slices_min:
            raise Refused(
                "size", f"{len(part)} slice{'s' * (len(part) > 1)}, fewer than {limits().slices_min}: give the whole chest series."
            )
        geometry.lie(planes)
    except Refused as error:
        refused = error
    return Stack("", planes, refused, kernel_of(part[0].kernel), spacing, extent, repeated)


def _named(stack: Stack, key: str) -> Stack:
    return Stack(key, stack.planes, stack.refused, stack.kernel, stack.spacing_mm, stack.extent_mm, stack.duplicates_mm)


def _judge(group: Sequence[Plane]) -> None:
    """The rules that need no order and no pixels, by the first plane that breaks one."""
    for plane in group:
        _judge_kind(plane)
        _judge_pixels(plane)
        _judge_place(plane)


def _judge_kind(plane: Plane) -> None:
    if plane.modality != "CT":
        raise Refused("modality", f"Modality is {modality_of(plane.modality)}, not CT: give a chest CT.")
    if plane.sop_class not in CT_CLASSES:
        raise Refused("modality", "SOPClassUID is not CT Image or Enhanced CT Image (a secondary capture or a report?): give the images.")
    kind = tuple(each.upper() for each in plane.image_type)
    if "LOCALIZER" in kind or "SCOUT" in kind:
        raise Refused("image type", "ImageType says LOCALIZER: a scout view, not the axial series.")
    if kind[:1] not in ((), ("ORIGINAL",)):
        raise Refused("image type", "ImageType is not ORIGINAL (a reformat or another derived image): give the original axial series.")
    if kind[1:2] not in ((), ("PRIMARY",)):
        raise Refused("image type", "ImageType is not PRIMARY (a reformat or a screenshot): give the original axial series.")
    if kind[2:3] not in ((), ("",), ("AXIAL",), ("VOLUME",)):
        raise Refused("image type", "ImageType is not AXIAL: give the original axial series.")
    if plane.lossy:
        raise Refused("hounsfield", "LossyImageCompression is 01: Hounsfield units are no longer exact. Give the uncompressed series.")


def _judge_pixels(plane: Plane) -> None:
    held = limits()
    if not 16 <= plane.rows <= held.matrix or not 16 <= plane.columns <= held.matrix:
        raise Refused("size", f"Rows x Columns is {plane.rows} x {plane.columns}, outside 16..{held.matrix}: not a CT slice.")
    if plane.samples != 1 or plane.photometric != "MONOCHROME2":
        raise Refused("pixels", "Not one grey value a pixel (SamplesPerPixel 1, PhotometricInterpretation MONOCHROME2): not a CT slice.")
    top = plane.high_bit == plane.bits_stored - 1
    if plane.bits_allocated not in (8, 16) or not 1 <= plane.bits_stored <= plane.bits_allocated or not top:
        raise Refused(
            "pixels",
            f"BitsAllocated {plane.bits_allocated}, BitsStored {plane.bits_stored}, HighBit {plane.high_bit} do not fit together: export again.",
        )
    if plane.syntax not in DECODED:
        raise Refused("pixels", "The transfer syntax (0002,0010) is not one that is decoded: export as Explicit VR Little Endian.")
    if decoded_by(plane.syntax) is None:
        raise Refused("pixels", f"No decoder is installed for {DECODED[plane.syntax]}: export as Explicit VR Little Endian.")
    if plane.slope is None or plane.intercept is None or plane.slope == 0:
        raise Refused(
            "hounsfield", "RescaleSlope or RescaleIntercept is missing or no number: values cannot be turned into Hounsfield units."
        )
    if plane.rescale_type.upper() not in ("", "HU", "HU_MOD"):
        raise Refused("hounsfield", "RescaleType is not HU: values are no Hounsfield units (a spectral map?). Give the CT images.")


def _judge_place(plane: Plane) -> None:
    if plane.position is None:
        raise Refused("spacing", "ImagePositionPatient is missing or no three numbers: slices cannot be put in order. Export again.")
    if plane.orientation is None:
        raise Refused("orientation", "ImageOrientationPatient is missing or no six numbers: sides are unknown. Export again.")
    if plane.spacing is None or not all(0.05 <= each <= 5.0 for each in plane.spacing):
        raise Refused("spacing", "PixelSpacing is missing or outside 0.05..5 mm: sizes cannot be measured. Export again.")


def _split(group: list[Plane]) -> tuple[list[list[Plane]], tuple[float, ...]]:
    """Parts with one plane at each position, and the positions of files that were there twice."""
    seen: dict[Hashable, Plane] = {}
    repeated: list[Plane] = []
    for plane in group:
        key = (plane.sop_uid, plane.frame) if plane.sop_uid else plane.entry.number
        if key in seen:
            repeated.append(plane)
        seen.setdefault(key, plane)
    once = list(seen.values())
    at = tuple(sorted(float(each) for each in geometry.along([group[0], *repeated])[1:]))
    return _acquisitions(once), at


def _acquisitions(planes: list[Plane]) -> list[list[Plane]]:
    """Told apart by acquisition number, temporal position or time where that leaves no position doubled, else by the order of instances."""
    most = _most(planes)
    if most == 1:
        return [planes]
    for field_index in range(len(planes[0].acquisition)):
        parts: dict[str, list[Plane]] = defaultdict(list)
        for plane in planes:
            parts[plane.acquisition[field_index]].append(plane)
        if 2 <= len(parts) <= most + 2 and all(_most(part) == 1 for part in parts.values()):
            return sorted(parts.values(), key=len, reverse=True)
    rank: Counter[int] = Counter()
    turns: dict[int, list[Plane]] = defaultdict(list)
    for plane, cell in sorted(zip(planes, _cells(planes), strict=True), key=lambda each: each[0].instance):
        turns[rank[cell]].append(plane)
        rank[cell] += 1
    return [turns[turn] for turn in sorted(turns)]


def _most(planes: list[Plane]) -> int:
    return max(Counter(_cells(planes)).values())


def _cells(planes: list[Plane]) -> list[int]:
    """A number for each position; planes nearer than the duplicate distance share it."""
    at = geometry.along(planes)
    order = np.argsort(at, kind="stable")
    new = np.concatenate([[0], np.cumsum(np.diff(at[order]) > limits().duplicate_mm)])
    cells = np.empty(len(planes), dtype=int)
    cells[order] = new
    return [int(each) for each in cells]
