"""What may be said of a DICOM series: StudyFacts, from tags whose values are known words or numbers. Free text is never taken over."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Literal

from sdx_domains.medicine.ingest.headers import Plane
from sdx_domains.medicine.ingest.rules import contrast_of, kernel_of, limits, manufacturer_of
from sdx_domains.medicine.volume import Coverage, Kernel, StudyFacts, Volume

AGE_CAP = 90
"""Ages above 89 identify (45 CFR 164.514(b)(2)(i)(C), HIPAA Safe Harbor)."""


def facts_of(
    kept: Sequence[Plane],
    header: Any,
    volume: Volume,
    covered: Coverage,
    pseudonym: Callable[[str], str],
    corrections: tuple[str, ...],
    warnings: tuple[str, ...],
) -> StudyFacts:
    """Of the planes that were read, feet to head."""
    first = kept[0]
    kernel, thickness = kernel_of(first.kernel), first.thickness if first.thickness and first.thickness > 0 else None
    if not first.image_type:
        warnings += ("ImageType is missing: that these are original axial images is not said.",)
    return StudyFacts(
        study_uid=pseudonym(str(header.StudyInstanceUID)),
        series_uid=pseudonym(str(header.SeriesInstanceUID)),
        slice_uids=tuple(_slice_uid(plane, str(header.SeriesInstanceUID), pseudonym) for plane in kept),
        slices=len(kept),
        spacing_mm=volume.spacing_mm,
        thickness_mm=thickness,
        kernel=kernel,
        contrast=contrast_of(_said(header, "ContrastBolusAgent")),
        coverage=covered,
        manufacturer=manufacturer_of(_said(header, "Manufacturer") or ""),
        kvp=_kvp(header),
        age_years=age_of(_said(header, "PatientAge"), _said(header, "PatientBirthDate"), _said(header, "StudyDate")),
        sex=sex_of(_said(header, "PatientSex")),
        source="dicom",
        synthetic=_said(header, "SyntheticData") == "YES",
        corrections=corrections,
        warnings=(*warnings, *cautions(volume, kernel, thickness)),
    )


def cautions(volume: Volume, kernel: Kernel, thickness_mm: float | None) -> tuple[str, ...]:
    """What a reader must know of slices and kernel, a sentence each."""
    said = []
    spacing = volume.spacing_mm[0]
    if max(spacing, thickness_mm or 0.0) > limits().thick_mm:
        said.append(f"Thick slices ({max(spacing, thickness_mm or 0.0):.1f} mm): small nodules can be missed and sizes along z are coarse.")
    if thickness_mm is not None and spacing > thickness_mm * 1.1:
        said.append(f"Slices of {thickness_mm:.1f} mm lie {spacing:.1f} mm apart: what lies between was not seen.")
    if kernel == "lung":
        said.append("Sharp kernel: noise makes emphysema and calcium look like more.")
    return tuple(said)


def age_of(age: str | None, born: str | None, studied: str | None) -> int | None:
    """Whole years from PatientAge ("053Y", "018M"), else from the dates; above 89 given as 90; None where it cannot be known."""
    found = re.fullmatch(r"(\d{1,3})([DWMY])", (age or "").strip().upper())
    if found:
        years = int(found[1]) // {"D": 365, "W": 52, "M": 12, "Y": 1}[found[2]]
        return min(years, AGE_CAP) if years <= 120 else None
    try:
        day, birth = date.fromisoformat((studied or "").strip()), date.fromisoformat((born or "").strip())
    except ValueError:
        return None
    years = day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
    return min(years, AGE_CAP) if 0 <= years <= 120 else None


def sex_of(text: str | None) -> Literal["F", "M", "O", ""]:
    match (text or "").strip().upper():
        case "F":
            return "F"
        case "M":
            return "M"
        case "O":
            return "O"
        case _:
            return ""


def _slice_uid(plane: Plane, series_uid: str, pseudonym: Callable[[str], str]) -> str:
    """Frames of one file share its UID: the frame's number, from 1, is put behind it. A file without a UID has the series' and its number."""
    uid = pseudonym(plane.sop_uid or f"{series_uid}.{plane.entry.number}")
    return f"{uid}.{plane.frame + 1}" if plane.frames > 1 else uid


def _kvp(header: Any) -> float | None:
    try:
        value = float(_said(header, "KVP") or "")
    except ValueError:
        return None
    return value if 20.0 <= value <= 200.0 else None


def _said(header: Any, keyword: str) -> str | None:
    """The value as text; None where the tag is absent or unreadable."""
    try:
        value = header.get(keyword)
    except Exception:  # noqa: BLE001 -- pydicom converts on access and raises what the converter raises
        return None
    return None if value is None else str(value)
