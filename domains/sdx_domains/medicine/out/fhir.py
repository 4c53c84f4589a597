"""FHIR: DiagnosticReport with an Observation for each finding, ImagingStudy, Device and Provenance, in one transaction Bundle. Start at write().

R4B (4.3.0): hospital servers speak R4, and R4B is its correction, with these resources unchanged; R5 moved them (Observation.bodySite,
Provenance.occurred, ImagingStudy.modality). fhir.resources validates every resource while it is built. Ids are made of the content, and
entries are PUTs: sent twice, nothing is doubled.
"""

import base64
import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdx_domains.medicine.out.instances import (
    MANUFACTURER,
    PRODUCT,
    WARNING,
    codes,
    figures,
    finding_code,
    measure_code,
    site_code,
    software,
    whole,
)
from sdx_domains.medicine.out.results import Results
from sdx_domains.medicine.picture import Statement
from sdx_domains.medicine.volume import Series

if TYPE_CHECKING:
    from fhir.resources.R4B.bundle import Bundle

SYSTEMS = {
    "SCT": "http://snomed.info/sct", "DCM": "http://dicom.nema.org/resources/ontology/DCM", "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org", "99SDX": "urn:sdx:codes",
}  # fmt: skip
IMAGING_MODALITY = "http://dicom.nema.org/resources/ontology/DCM"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def write(series: Series, results: Results, path: Path, pdf: bytes | None = None) -> Path:
    """The Bundle as JSON at this path, whole or not at all.

    Args:
        pdf: the report as PDF, carried as presentedForm.

    Raises:
        ValueError: (pydantic's) a resource that FHIR does not allow.
    """
    return whole(path, bundle(series, results, pdf).model_dump_json(indent=1).encode())


def bundle(series: Series, results: Results, pdf: bytes | None = None) -> "Bundle":
    """The validated Bundle."""
    from fhir.resources.R4B.bundle import Bundle

    study = _study_uid(series)
    ids = _Ids(study, results)
    resources = [
        _device(results, ids),
        _imaging_study(series, results, ids),
        *(_observation(series, results, each, ids) for each in results.stated),
        _diagnostic_report(series, results, ids, pdf),
        _provenance(results, ids),
    ]
    entries = [{"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}} for each in resources]
    return Bundle.model_validate({"type": "transaction", "timestamp": results.made.isoformat(), "entry": entries})


class _Ids:
    """Ids of the resources: the study's own keep theirs through draft, signature and addendum, so that a server keeps their history."""

    def __init__(self, study: str, results: Results) -> None:
        self._study = study
        self.study = self._of("study")
        self.report = self._of("report")
        self.device = self._of("device", *results.made_by)
        self.provenance = self._of("provenance", results.content)

    def observation(self, finding_id: str) -> str:
        return self._of("finding", finding_id)

    def _of(self, *parts: str) -> str:
        return hashlib.sha256("|".join((self._study, *parts)).encode()).hexdigest()[:32]


def _study_uid(series: Series) -> str:
    return str(series.header.StudyInstanceUID) if series.header is not None else series.facts.study_uid


def _concept(code: Sequence[str], text: str = "") -> dict[str, Any]:
    value, scheme, meaning = code
    return {"coding": [{"system": SYSTEMS[scheme], "code": value, "display": meaning}], "text": text or meaning}


def _subject(series: Series) -> dict[str, Any]:
    """By the hospital's patient number where there is an identity, else by the study's pseudonym."""
    header = series.header
    number = str(header.get("PatientID", "")) if header is not None else ""
    return {"type": "Patient", "identifier": {"value": number or series.facts.study_uid}}


def _status(results: Results) -> str:
    return {"signed": "final", "addendum": "amended"}.get(results.status, "preliminary")


def _device(results: Results, ids: _Ids) -> dict[str, Any]:
    name, sha = results.made_by
    return {
        "resourceType": "Device", "id": ids.device, "manufacturer": MANUFACTURER, "modelNumber": sha,
        "deviceName": [{"name": f"{PRODUCT}: {name}", "type": "model-name"}], "version": [{"value": software()}],
        "note": [{"text": "Research use, not a medical device. Trained on synthetic CT; its drafts are for a radiologist to verify."}],
    }  # fmt: skip


def _imaging_study(series: Series, results: Results, ids: _Ids) -> dict[str, Any]:
    facts, uid = series.facts, _study_uid(series)
    modality = {"system": IMAGING_MODALITY, "code": "CT"}
    made = {
        "resourceType": "ImagingStudy", "id": ids.study, "status": "available", "subject": _subject(series), "modality": [modality],
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}], "numberOfSeries": 1, "numberOfInstances": facts.slices,
    }  # fmt: skip
    started = _study_date(series)
    if started:
        made["started"] = started
    if facts.source == "dicom":
        series_uid = str(series.header.SeriesInstanceUID) if series.header is not None else facts.series_uid
        uids = series.sop_uids if series.header is not None else facts.slice_uids
        keys = sorted({each.finding.slices.key for each in results.stated})
        instances = [
            {"uid": uids[key], "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{CT_IMAGE}"}, "number": key + 1}
            for key in keys
        ]
        made["series"] = [{"uid": series_uid, "modality": modality, "numberOfInstances": facts.slices, "instance": instances}]
    return made


def _study_date(series: Series) -> str:
    """YYYY-MM-DD; "" where the header has none or nonsense."""
    text = str(series.header.get("StudyDate", "") or "") if series.header is not None else ""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])).isoformat() if len(text) == 8 else ""
    except ValueError:
        return ""


def _observation(series: Series, results: Results, statement: Statement, ids: _Ids) -> dict[str, Any]:
    """One finding: whether it is there, where, and every measure as a component."""
    finding, sites = statement.finding, codes()
    text = " ".join(sentence.text for sentence in next(iter(results.reports.values())).sentences() if finding.id in sentence.finding_ids)
    place = [name for name in (finding.laterality, finding.zone, finding.lobe) if name != "n/a"]
    components = [_component(name, value) for name, value in figures(finding).items()]
    if finding.laterality in sites["sides"]:
        components.append(
            {
                "code": _concept(("20228-3", "LN", "Anatomic part Laterality")),
                "valueCodeableConcept": _concept(sites["sides"][finding.laterality]),
            }
        )
    uid = series.sop_uids[finding.slices.key] if series.sop_uids else series.facts.slice_uids[finding.slices.key]
    made = {
        "resourceType": "Observation", "id": ids.observation(finding.id), "status": _status(results), "subject": _subject(series),
        "category": [_category("imaging")], "code": _concept(finding_code(finding.label)), "issued": results.made.isoformat(),
        "identifier": [{"system": "urn:sdx:finding", "value": f"{finding.id} on {uid}"}],
        "valueCodeableConcept": _concept(sites["presence"][statement.present]),
        "bodySite": _concept(site_code(finding), ", ".join([site_code(finding)[2], *place])),
        "device": {"reference": f"Device/{ids.device}"}, "derivedFrom": [{"reference": f"ImagingStudy/{ids.study}"}],
    }  # fmt: skip
    if components:
        made["component"] = components
    notes = [note for note in (text, "" if results.final else f"{WARNING}, not verified by a radiologist.") if note]
    return made | {"note": [{"text": note} for note in notes]} if notes else made


def _component(name: str, value: float) -> dict[str, Any]:
    code, unit = measure_code(name)
    return {
        "code": _concept(code),
        "valueQuantity": {"value": round(value, 4), "unit": unit[2], "system": SYSTEMS["UCUM"], "code": unit[0]},
    }


def _category(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": code}]}


def _diagnostic_report(series: Series, results: Results, ids: _Ids, pdf: bytes | None) -> dict[str, Any]:
    """Conclusion in every language; the addenda after it; the warning first while it is a draft."""
    warning = [] if results.final else [f"{WARNING}, not verified by a radiologist."]
    conclusions = [f"{report.impression_text()}\n{report.statement}" for report in results.reports.values()]
    radiology = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}
    made = {
        "resourceType": "DiagnosticReport", "id": ids.report, "status": _status(results), "subject": _subject(series), "category": [radiology],
        "code": _concept(codes()["fixed"]["procedure"]), "issued": results.made.isoformat(),
        "imagingStudy": [{"reference": f"ImagingStudy/{ids.study}"}],
        "conclusion": "\n\n".join([*warning, *conclusions, *(f"Addendum: {text}" for text in results.addenda)]),
        "performer": [{"reference": f"Device/{ids.device}"}],
    }  # fmt: skip
    if results.stated:
        made["result"] = [{"reference": f"Observation/{ids.observation(each.finding.id)}"} for each in results.stated]
        labels = dict.fromkeys(each.finding.label for each in results.stated if each.present == "yes")
        if labels:
            made["conclusionCode"] = [_concept(finding_code(key)) for key in labels]
    if results.final and results.signature:
        made["resultsInterpreter"] = [_radiologist(results)]
    if pdf is not None:
        made["presentedForm"] = [{"contentType": "application/pdf", "data": base64.b64encode(pdf).decode(), "title": "Report"}]
    return made


def _radiologist(results: Results) -> dict[str, Any]:
    assert results.signature is not None
    name = results.signature.signer.replace("^", " ")
    return {"type": "Practitioner", "display": f"{name}, {results.signature.organisation}"}


def _provenance(results: Results, ids: _Ids) -> dict[str, Any]:
    """Who made it of what: the device as assembler; the radiologist as verifier once signed, with the hash of what was signed."""
    kinds = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    agents: list[dict[str, Any]] = [
        {"type": {"coding": [{"system": kinds, "code": "assembler"}]}, "who": {"reference": f"Device/{ids.device}"}}
    ]
    if results.final and results.signature:
        agents.append({"type": {"coding": [{"system": kinds, "code": "verifier"}]}, "who": _radiologist(results)})
    targets = [f"DiagnosticReport/{ids.report}", *(f"Observation/{ids.observation(each.finding.id)}" for each in results.stated)]
    signed = results.signature.of if results.final and results.signature else results.content
    return {
        "resourceType": "Provenance", "id": ids.provenance, "target": [{"reference": target} for target in targets],
        "recorded": results.made.isoformat(), "agent": agents,
        "entity": [
            {"role": "source", "what": {"reference": f"ImagingStudy/{ids.study}"}},
            {"role": "derivation", "what": {"identifier": {"system": "urn:sdx:content-hash", "value": signed}}},
        ],
    }  # fmt: skip
