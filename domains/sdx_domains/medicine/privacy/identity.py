"""Whatever in a DICOM header names somebody: the words that must turn up nowhere else. Start at words_of()."""

from collections.abc import Iterator
from typing import Any

NUMBERS = frozenset(
    ("PatientID", "OtherPatientIDs", "AccessionNumber", "MedicalRecordLocator", "AdmissionID", "ServiceEpisodeID", "RequestedProcedureID",
     "FillerOrderNumberImagingServiceRequest", "PlacerOrderNumberImagingServiceRequest", "StudyID", "ScheduledProcedureStepID",
     "PerformedProcedureStepID", "PatientTelephoneNumbers", "ReferringPhysicianTelephoneNumbers", "PersonTelephoneNumbers", "DeviceSerialNumber",
     "PatientAddress", "ReferringPhysicianAddress", "PersonAddress", "InstitutionName", "InstitutionAddress", "StationName",
     "IssuerOfPatientID", "ClinicalTrialSubjectID", "PatientBirthDate")
)  # fmt: skip
"""Attributes whose whole value points at one person or place."""
SHORTEST = 4
"""Characters of a number that is looked for elsewhere: "1" is many people's StudyID."""


def words_of(header: Any) -> frozenset[str]:
    """Names (as "Family^Given") and numbers of everybody in it, sequences included. `header` is a pydicom Dataset."""
    return frozenset(word for word in _words(header) if len(word) > 1)


def _words(header: Any) -> Iterator[str]:
    for element in header.iterall():
        values = element.value if element.VM > 1 else [element.value]
        if element.VR == "PN":
            yield from (group for value in values for group in str(value or "").split("=") if group.strip("^ "))
        elif element.keyword in NUMBERS:
            yield from (text for value in values if len(text := str(value or "").strip()) >= SHORTEST)
