"""De-identification after DICOM PS3.15 Annex E, Basic Application Level Confidentiality Profile, with three options:
clean descriptors, retain patient characteristics (age above 89 as 90), and modified dates. Start at deidentify().

Recognizable visual features (PS3.15 E.3.2) are not removed: a surface rendered from slices through face and neck may be recognised.
Chest CT seldom shows more than the chin; where the header says head or neck, (0028,0302) says YES and surface_note() says what to do.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from sdx_domains.medicine.privacy.files import write_whole
from sdx_domains.medicine.privacy.identity import words_of
from sdx_domains.medicine.privacy.profile import action, profile
from sdx_domains.medicine.privacy.quiet import unchecked
from sdx_domains.medicine.privacy.text import scrub
from sdx_domains.medicine.privacy.vault import Vault
from sdx_domains.medicine.privacy.vocabulary import cleaned, coded

STANDARD_UIDS = "1.2.840.10008."
"""UIDs below this root name classes and syntaxes, nobody's instance (PS3.6 annex A)."""
IMPLEMENTATION_UID = "2.25.185711226940474285163713286183040137291"
OLDEST_YEARS = 89
"""Above, ages are one group (45 CFR 164.514(b)(2)(i)(C))."""
METHODS = {
    "basic": ("113100", "Basic Application Confidentiality Profile"),
    "descriptors": ("113105", "Clean Descriptors Option"),
    "dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "characteristics": ("113108", "Retain Patient Characteristics Option"),
}
"""Codes of PS3.16 CID 7050."""
_DUMMIES = {"DA": "19000101", "DT": "19000101000000", "TM": "000000", "AS": "000Y", "DS": "0", "IS": "0", "CS": "REMOVED"}
_WITH_TEXT_BURNED_IN = (
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.6",
    "1.2.840.10008.5.1.4.1.1.3",
    "1.2.840.10008.5.1.4.1.1.104",
)
"""Secondary Capture, Ultrasound (single and multi-frame), encapsulated documents: people type names into these pictures."""
_RECOGNIZABLE = re.compile("HEAD|NECK|BRAIN|FACE|SKULL|SINUS|ORBIT|WHOLE ?BODY", re.IGNORECASE)

Dates = Literal["shift", "remove"]
Pixels = Literal["refuse", "remove"]


NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


class CannotDeidentify(ValueError):
    """The picture itself may carry a name, or the instance says not what it is. The message names nobody."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How one data set is being treated."""

    vault: Vault
    patient_id: str = field(repr=False)
    days: int | None
    known: frozenset[str] = field(repr=False)


def deidentify(dataset: Any, vault: Vault, *, dates: Dates = "shift", pixels: Pixels = "refuse") -> Any:
    """A new pydicom Dataset that names nobody; the given one is left as it is. UIDs and patient are the vault's pseudonyms.

    Args:
        dates: moved by a number of days of the patient's own, or all removed. Times of day go in either case.
        pixels: what to do with a picture that may have text burned in (Secondary Capture, ultrasound, "YES" in (0028,0301)).

    Raises:
        CannotDeidentify: it may, and `pixels` is "refuse"; or a UID is missing without which nothing can be written.
    """
    missing = [keyword for keyword in NEEDED if not str(dataset.get(keyword, "") or "")]
    if missing:
        raise CannotDeidentify(f"it has no {', '.join(missing)}: no DICOM image can be made of it. Ask its sender for the original")
    burned = may_have_text(dataset)
    if burned and pixels == "refuse":
        raise CannotDeidentify(
            f"{burned}: text in the picture is not looked for here. Leave these instances out, or ask for the pixels to be removed"
        )
    patient_id = str(dataset.get("PatientID", "") or dataset.get("StudyInstanceUID", ""))
    way = _Way(vault, patient_id, vault.shift_days(patient_id) if dates == "shift" else None, words_of(dataset))
    with unchecked():
        made = _treated(dataset, way)
        if burned:
            made.pop("PixelData", None)
        _declare(made, dates, burned, surface_note(dataset))
        made.file_meta = _meta(dataset, made)
    return made


def deidentify_files(
    paths: Iterable[Path],
    folder: Path,
    vault: Vault,
    *,
    dates: Dates = "shift",
    pixels: Pixels = "refuse",
    say: Callable[[str], None] = print,
) -> int:
    """Write a de-identified copy of each file below `folder`, one folder a series, named by pseudonyms; the vault remembers each series.

    Files that cannot be treated are named by their number in the list, with the reason, and left out. Again is harmless.

    Returns:
        How many were written.
    """
    from pydicom import dcmread

    written, remembered = 0, set[str]()
    for number, path in enumerate(paths, 1):
        try:
            with unchecked():
                dataset = dcmread(path)
            made = deidentify(dataset, vault, dates=dates, pixels=pixels)
        except Exception as error:  # noqa: BLE001 - a hostile file may raise anything, and its words may name somebody
            reason = str(error) if isinstance(error, CannotDeidentify) else f"not readable as DICOM ({type(error).__name__})"
            say(f"file {number} left out: {reason}")
            continue
        if made.SeriesInstanceUID not in remembered:
            vault.remember(dataset)
            remembered.add(made.SeriesInstanceUID)
        target = folder / made.StudyInstanceUID / made.SeriesInstanceUID / f"{made.SOPInstanceUID}.dcm"
        write_whole(target, lambda file, made=made: made.save_as(file, enforce_file_format=True))
        written += 1
    return written


def may_have_text(dataset: Any) -> str:
    """Why a picture may have text burned into it; "" where nothing says so."""
    sop_class = str(dataset.get("SOPClassUID", ""))
    if any(sop_class == root or sop_class.startswith(f"{root}.") for root in _WITH_TEXT_BURNED_IN):
        return "a secondary capture, an ultrasound picture or a document"
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        return "(0028,0301) says that text is burned in"
    if str(dataset.get("Modality", "")) in ("US", "OT", "SC", "XC", "DOC"):
        return "its modality often has text burned in"
    return ""


def surface_note(dataset: Any) -> str:
    """A warning where slices pass through a face; "" for the rest."""
    said = " ".join(
        str(dataset.get(keyword, "")) for keyword in ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")
    )
    if not _RECOGNIZABLE.search(said):
        return ""
    return "a surface rendered from these slices may show a face: leave out those above the chin before handing the series on"


def _treated(dataset: Any, way: _Way) -> Any:
    from pydicom import Dataset

    made = Dataset()
    scheme = str(dataset.get("CodingSchemeDesignator", "")) if "CodeValue" in dataset else None
    for tag in list(dataset.keys()):
        kept = _safely_kept(dataset, tag, way, scheme)
        if kept is not None:
            made.add(kept)
    if scheme is not None and "CodeValue" not in made:
        for keyword in ("CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning"):
            made.pop(keyword, None)
    return made


def _safely_kept(dataset: Any, tag: Any, way: _Way, scheme: str | None) -> Any:
    try:
        return _kept(dataset[tag], way, scheme)
    except Exception:  # noqa: BLE001 - a value that cannot be read cannot be judged: it goes
        return None


def _kept(element: Any, way: _Way, scheme: str | None) -> Any:
    """The element as it may stay; None: not at all."""
    from pydicom import DataElement, Sequence

    keyword, vr = element.keyword, element.VR
    if keyword == "SpecificCharacterSet":
        return None
    match action(int(element.tag), keyword, vr):
        case "remove":
            return None
        case "empty":
            value: Any = Sequence() if vr == "SQ" else ""
        case "dummy":
            value = _DUMMIES.get(vr, "REMOVED")
        case "inside":
            value = Sequence([made for item in element.value or () if len(made := _treated(item, way))])
        case "patient":
            value = way.vault.patient(way.patient_id)
        case "age":
            value = _age(str(element.value or ""))
        case "uid":
            value = _each(element, lambda uid: uid if uid.startswith(STANDARD_UIDS) else way.vault.pseudonym(uid))
        case "date":
            value = _each(element, lambda text: _moved(text, vr, way.days))
        case "clean" if keyword == "CodeValue":
            return element if _public_code(str(element.value), scheme or "") else None
        case "clean":
            value = _each(element, lambda text: cleaned(text, way.known))
            if keyword == "CodeMeaning" or keyword in profile().listed:
                value = value or "REMOVED"
        case "code":
            value = [text for each in _values(element) if coded(text := str(each), _long(way.known))]
            if not value:
                return None
        case _:
            if any(str(each).strip() in way.known for each in _values(element)) and vr in ("DS", "IS", "SV", "UV"):
                return None
            value = element.value
    made = DataElement(element.tag, vr, value)
    if vr.startswith("O"):
        made.is_undefined_length = element.is_undefined_length
    return made


def _values(element: Any) -> Iterable[Any]:
    if element.value is None:
        return ()
    return element.value if element.VM > 1 else (element.value,)


def _each(element: Any, change: Callable[[str], str]) -> Any:
    values = [change(str(value)) for value in _values(element)]
    return values if len(values) > 1 else values[0] if values else ""


def _long(known: Collection[str]) -> frozenset[str]:
    """A patient called "CT^Phantom" does not take CT out of the modality."""
    return frozenset(word for word in known if len(word) > 3 and "^" not in word)


def _public_code(value: str, scheme: str) -> bool:
    pattern = profile().coding_schemes.get(scheme)
    return bool(pattern and re.fullmatch(pattern, value)) and scrub(value) == value


def _moved(text: str, vr: str, days: int | None) -> str:
    """A date moved by days; times of day become midnight; "" for what is no date, or when dates go."""
    if days is None:
        return ""
    if vr == "TM":
        return "000000"
    digits = re.sub(r"[.\-]", "", text) if vr == "DA" else text
    try:
        there = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return there.strftime("%Y%m%d") + ("000000" if vr == "DT" else "")


def _age(text: str) -> str:
    """(0010,1010) as it may be kept."""
    if not re.fullmatch(r"\d{3}[DWMY]", text):
        return ""
    return f"{OLDEST_YEARS + 1:03d}Y" if text.endswith("Y") and int(text[:3]) > OLDEST_YEARS else text


def _declare(made: Any, dates: Dates, burned: str, surface: str) -> None:
    """Say in the data set what was done to it (PS3.15 E.1.1, step 6)."""
    from pydicom import Dataset

    used = [method for method in METHODS if method != "dates" or dates == "shift"]
    items: list[Any] = []
    for value, meaning in (METHODS[method] for method in used):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        items.append(item)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = ["SDx after DICOM PS3.15 Annex E, 2024b", *(METHODS[method][1] for method in used)]
    made.DeidentificationMethodCodeSequence = items
    made.LongitudinalTemporalInformationModified = "MODIFIED" if dates == "shift" else "REMOVED"
    if burned or [str(each) for each in made.get("ImageType", [])[:2]] == ["ORIGINAL", "PRIMARY"]:
        made.BurnedInAnnotation = "NO"
    if surface:
        made.RecognizableVisualFeatures = "YES"


def _meta(dataset: Any, made: Any) -> Any:
    """New file meta information: the old one may name machines and people, and so may the preamble."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    old = getattr(dataset, "file_meta", None)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(str(old.get("TransferSyntaxUID", ExplicitVRLittleEndian)) if old else str(ExplicitVRLittleEndian))
    meta.MediaStorageSOPClassUID = made.get("SOPClassUID", "")
    meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID", "")
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "SDX"
    return meta
