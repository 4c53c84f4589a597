"""What all DICOM results share: the patient and study they belong to, the images they point to, their UIDs, writing whole or not at all.

Identity is put on a finished result by itself (identify()), so that no library that builds one ever sees or logs it.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.labels import label
from sdx_domains.medicine.volume import Series

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MANUFACTURER, PRODUCT = "SDx", "SDx chest CT"
WARNING = "Research use, not a medical device. AI draft"
IDENTITY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime",
    "StudyDescription", "AccessionNumber", "ReferringPhysicianName", "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
"""Of the patient and the study: the same in every object of a study (PS3.3 C.7.1, C.7.2)."""


TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Of these, those that must be there, if empty."""


def made_uid(*parts: str) -> str:
    """A UID of its own for these parts, always the same: written twice, a result is the same instance."""
    return f"2.25.{int.from_bytes(hashlib.sha256('|'.join(parts).encode()).digest()[:16], 'big')}"


def software() -> str:
    """Version of this software."""
    return version("sdx")


@cache
def codes() -> dict[str, Any]:
    """codes.yaml."""
    return yaml.safe_load((files(__package__ or "") / "codes.yaml").read_text(encoding="utf-8"))


def finding_code(key: str) -> tuple[str, str, str]:
    """(value, scheme, meaning) of a label: SNOMED CT where it has one, else this project's scheme."""
    known = label(key)
    return (known.sct, "SCT", known.name) if known.sct else (key[:16], "99SDX", known.name)


def site_code(finding: Finding) -> tuple[str, str, str]:
    """Where it is: the lobe, else what the label names, else its region."""
    sites = codes()["sites"]
    if finding.lobe in codes()["lobes"]:
        return tuple(codes()["lobes"][finding.lobe])
    return tuple(sites.get(finding.label, sites[label(finding.label).region]))


def figures(finding: Finding) -> dict[str, float]:
    """Everything measured of a finding, unit at the end of the name."""
    size, found = finding.size, {}
    if size is not None:
        found = {"long_mm": size.long_mm, "short_mm": size.short_mm, "volume_ml": size.volume_ml}
    if finding.hu_mean is not None:
        found["hu_mean"] = finding.hu_mean
    return {**found, **finding.measure}


def measure_code(name: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """(code, unit) of a measure by its name."""
    units = codes()["units"]
    unit = "hu" if name == "hu_mean" else next((end for end in units if end and name.endswith(f"_{end}")), "")
    known = codes()["measures"].get(name)
    code = tuple(known) if known else (_short(name), "99SDX", name.removesuffix(f"_{unit}").replace("_", " ")[:64])
    return code, tuple(units[unit])


def _short(name: str) -> str:
    """A code value has at most 16 characters (PS3.5 6.2, SH); a longer name is cut and told apart by its hash."""
    return name if len(name) <= 16 else f"{name[:11]}-{hashlib.sha256(name.encode()).hexdigest()[:4]}"


def needs_dicom(series: Series) -> "Dataset":
    """The header. ValueError for a volume that came as something else: there is no instance to point to."""
    if series.header is None or len(series.sop_uids) != series.facts.slices:
        source = series.facts.source
        raise ValueError(f"the study came as {source}, without DICOM instances to point to: write the PDF and FHIR results instead")
    return series.header


def identify(result: "Dataset", header: "Dataset", made: datetime) -> None:
    """Put patient, study and time on a finished result; text becomes UTF-8."""
    result.SpecificCharacterSet = "ISO_IR 192"
    for name in IDENTITY:
        if name in header:
            _put(result, name, _plain(header[name].value))
    for name in TYPE_2:
        if name not in result or result[name].value is None:
            _put(result, name, "")
    if result.PatientSex not in ("M", "F", "O"):
        _put(result, "PatientSex", "")
    day, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    result.InstanceCreationDate = result.ContentDate = result.SeriesDate = day
    result.InstanceCreationTime = result.ContentTime = result.SeriesTime = time
    result.TimezoneOffsetFromUTC = made.strftime("%z")
    for item in result.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = made.strftime("%Y%m%d%H%M%S")


def _put(result: "Dataset", name: str, value: Any) -> None:
    """Set an element without validation: what pydicom finds wrong with a value it would tell the log, value and all."""
    from pydicom.config import IGNORE
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import DataElement

    tag = tag_for_keyword(name)
    assert tag is not None, name
    result.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))


@contextmanager
def unlogged() -> Iterator[None]:
    """While a result is built, highdicom's notices are kept back: they name the instances that it copies from."""
    log = logging.getLogger("highdicom")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def _plain(value: Any) -> Any:
    """Names decoded from whatever character set the header had."""
    from pydicom.valuerep import PersonName

    return str(value) if isinstance(value, PersonName) else value


def save(result: "Dataset", path: Path) -> Path:
    """Write a DICOM file, whole or not at all."""
    from io import BytesIO

    buffer = BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return whole(path, buffer.getvalue())


def whole(path: Path, content: bytes) -> Path:
    """Write a file, whole or not at all; only the user may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def equipment(results_made_by: tuple[str, str]) -> Mapping[str, str]:
    """Of the device that made a result: also on a signed one, whose findings it found."""
    name, sha = results_made_by
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": PRODUCT,
        "software_versions": f"{software()} {name}"[:64],
        "device_serial_number": sha,
    }
