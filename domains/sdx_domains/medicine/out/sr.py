"""DICOM SR: Comprehensive 3D SR after TID 1500, a measurement group for each stated finding. Start at write().

A draft is COMPLETE, UNVERIFIED and PRELIMINARY. Signing makes a new instance, VERIFIED and FINAL with its verifying observer; an addendum
makes another. Each names the instances that it follows. Impression, recommendations and addenda stand as text under the qualitative
evaluations of TID 1500, in every language that was rendered.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdx_domains.medicine.out.images import as_acquired, image, pixel
from sdx_domains.medicine.out.instances import (
    MANUFACTURER,
    PRODUCT,
    WARNING,
    codes,
    equipment,
    figures,
    finding_code,
    identify,
    made_uid,
    measure_code,
    needs_dicom,
    save,
    site_code,
    unlogged,
)
from sdx_domains.medicine.out.results import Results
from sdx_domains.medicine.picture import Statement
from sdx_domains.medicine.volume import Series

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept, ContentSequence
    from pydicom.dataset import Dataset

SERIES_NUMBER = 9001


def write(series: Series, results: Results, path: Path, before: Results | None = None) -> Path:
    """The SR at this path, whole or not at all.

    Args:
        before: what was signed before, which this one names as its predecessor.

    Raises:
        ValueError: the study came without DICOM instances.
    """
    with unlogged():
        return save(document(series, results, before), path)


def document(series: Series, results: Results, before: Results | None = None) -> "Dataset":
    """The SR as a pydicom Dataset."""
    import highdicom as hd

    header = needs_dicom(series)
    study, status = str(header.StudyInstanceUID), str(results.status)
    keys = sorted({each.finding.slices.key for each in results.stated} | {series.facts.slices // 2})
    images = {key: image(series, key) for key in keys}
    distinct = list({each.SOPInstanceUID: each for each in images.values()}.values())  # frames of one file are one instance
    final, signature = results.final, results.signature
    result = hd.sr.Comprehensive3DSR(
        evidence=distinct,
        content=_content(series, results, images)[0],
        series_instance_uid=made_uid("SR series", study),
        series_number=SERIES_NUMBER,
        sop_instance_uid=made_uid("SR", study, results.content),
        instance_number={"draft": 1, "in_review": 2, "signed": 3}.get(status, 3 + len(results.addenda)),
        is_complete=True,
        is_final=final,
        is_verified=final,
        verifying_observer_name=_caret(signature.signer) if final and signature else None,
        verifying_organization=signature.organisation if final and signature else None,
        previous_versions=[document(series, before)] if before else None,
        series_description=f"{PRODUCT} {'report' if final else 'AI DRAFT, not verified'}",
        specific_character_set="ISO_IR 192",
        **equipment(results.made_by),
    )
    identify(result, header, results.made)
    if final and signature:
        result.VerifyingObserverSequence[0].VerificationDateTime = signature.at.strftime("%Y%m%d%H%M%S%z")
    return result


def _caret(name: str) -> str:
    """A name of one part ends with a caret: else it may be taken for a whole name written wrongly."""
    return name if "^" in name else f"{name}^"


def _concept(code: Sequence[str]) -> "CodedConcept":
    from highdicom.sr import CodedConcept

    value, scheme, meaning = code
    return CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


def _fixed(name: str) -> "CodedConcept":
    return _concept(codes()["fixed"][name])


def _content(series: Series, results: Results, images: dict[int, "Dataset"]) -> "ContentSequence":
    from highdicom import sr

    groups = [_whole_chest(series, results, images)]
    groups += [_group(series, results, each, images[each.finding.slices.key]) for each in results.stated]
    report = sr.MeasurementReport(
        observation_context=_observers(results),
        procedure_reported=_fixed("procedure"),
        imaging_measurements=groups,
        referenced_images=list({each.SOPInstanceUID: each for each in images.values()}.values()),
    )
    report[0].ContentSequence.append(_text(results))
    return report


def _observers(results: Results) -> Any:
    """The device always: it found the findings; the radiologist beside it once signed."""
    from highdicom import sr

    name, sha = results.made_by
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=made_uid("device", name, sha), name=name[:64], manufacturer_name=MANUFACTURER, model_name=PRODUCT, serial_number=sha
    )
    person = None
    if results.final and results.signature:
        attributes = sr.PersonObserverIdentifyingAttributes(
            name=_caret(results.signature.signer), organization_name=results.signature.organisation
        )
        person = sr.ObserverContext(observer_type=_fixed("person"), observer_identifying_attributes=attributes)
    context = sr.ObserverContext(observer_type=_fixed("device"), observer_identifying_attributes=device)
    return sr.ObservationContext(observer_person_context=person, observer_device_context=context)


def _tracking(series: Series, name: str) -> Any:
    from highdicom import sr

    return sr.TrackingIdentifier(uid=made_uid("tracking", str(series.header.SeriesInstanceUID), name), identifier=name)


def _algorithm(results: Results) -> Any:
    from highdicom import sr

    name, sha = results.made_by
    return sr.AlgorithmIdentification(name=name, version=sha, manufacturer=MANUFACTURER)


def _group(series: Series, results: Results, statement: Statement, key: "Dataset") -> Any:
    """One finding: an outline on its key slice where it has a size, else the key slice alone."""
    from highdicom import sr

    finding = statement.finding
    about: dict[str, Any] = {
        "tracking_identifier": _tracking(series, finding.id),
        "finding_type": _concept(finding_code(finding.label)),
        "finding_category": _fixed("category"),
        "finding_sites": [_site(statement)],
        "algorithm_id": _algorithm(results),
        "measurements": [_measurement(name, value) for name, value in {**figures(finding), **_certainty(results, statement)}.items()],
        "qualitative_evaluations": _evaluations(statement),
    }
    frames = [series.frames[finding.slices.key]] if series.frames else None
    if finding.size is None or not as_acquired(series):
        source = sr.SourceImageForMeasurementGroup.from_source_image(key, frames)
        return sr.MeasurementsAndQualitativeEvaluations(source_images=[source], **about)
    source = sr.SourceImageForRegion.from_source_image(key, frames)
    region = sr.ImageRegion(graphic_type="POLYLINE", graphic_data=_outline(series, statement), source_image=source)
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **about)


def _outline(series: Series, statement: Statement) -> Any:
    """(5, 2) closed rectangle around the finding, columns and rows of the stored image."""
    import numpy as np

    x0, y0, _, x1, y1, _ = statement.finding.bbox_lps_mm
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    return np.array([pixel(series.header, series.volume, *corner) for corner in corners])


def _site(statement: Statement) -> Any:
    from highdicom import sr

    finding, zones, sides = statement.finding, codes()["zones"], codes()["sides"]
    return sr.FindingSite(
        anatomic_location=_concept(site_code(finding)),
        laterality=_concept(sides[finding.laterality]) if finding.laterality in sides else None,
        topographical_modifier=_concept(zones[finding.zone]) if finding.zone in zones else None,
    )


def _certainty(results: Results, statement: Statement) -> dict[str, float]:
    """The probability stands in a draft only: a signed statement is the radiologist's."""
    known = not results.final and statement.finding.found_by != "radiologist"
    return {"probability_pct": 100.0 * statement.finding.probability} if known else {}


def _measurement(name: str, value: float) -> Any:
    from highdicom import sr

    code, unit = measure_code(name)
    return sr.Measurement(name=_concept(code), value=round(float(value), 4), unit=_concept(unit))


def _evaluations(statement: Statement) -> list[Any]:
    from highdicom import sr

    found = [sr.QualitativeEvaluation(name=_fixed("presence"), value=_concept(codes()["presence"][statement.present]))]
    for word in statement.finding.descriptors:
        found.append(sr.QualitativeEvaluation(name=_fixed("descriptor"), value=_concept((word[:16], "99SDX", word[:64]))))
    return found


def _whole_chest(series: Series, results: Results, images: dict[int, "Dataset"]) -> Any:
    """What was measured of the chest as a whole; there also when nothing is stated."""
    from highdicom import sr

    values: dict[str, float] = {}
    for name, value in results.picture.measured.model_dump().items():
        if isinstance(value, (tuple, list)):
            values |= {f"{side}_{name}": float(each) for side, each in zip(("right", "left"), value, strict=True)}
        elif value is not None:
            values[name] = float(value)
    place = series.facts.slices // 2
    middle, frames = images[place], [series.frames[place]] if series.frames else None
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(series, "chest"),
        finding_sites=[sr.FindingSite(anatomic_location=_fixed("chest"))],
        algorithm_id=_algorithm(results),
        measurements=[_measurement(name, value) for name, value in values.items()],
        source_images=[sr.SourceImageForMeasurementGroup.from_source_image(middle, frames)],
    )


def _text(results: Results) -> Any:
    """Findings, impression, recommendations, addenda and the warning, a text item each, every language in turn."""
    from highdicom import sr

    container = sr.ContainerContentItem(name=_fixed("evaluations"), relationship_type="CONTAINS")
    container.ContentSequence = sr.ContentSequence()
    for language, report in results.reports.items():
        lines = [("finding", f"{section.heading}: {' '.join(each.text for each in section.sentences)}") for section in report.sections]
        lines += [("impression", f"{number}. {line.text}") for number, line in enumerate(report.impression, 1)]
        lines += [("recommendation", f"{each.rule}: {each.text}") for each in report.recommendations]
        lines += [("comment", text) for text in (*report.warnings, report.statement)]
        for name, text in lines:
            container.ContentSequence.append(_line(name, text, language))
    for text in results.addenda:
        container.ContentSequence.append(_line("addendum", text, ""))
    if not results.final:
        container.ContentSequence.append(_line("comment", f"{WARNING}. Not verified by a radiologist.", ""))
    return container


def _line(name: str, text: str, language: str) -> Any:
    from highdicom import sr

    item = sr.TextContentItem(name=_fixed(name), value=text, relationship_type="CONTAINS")
    if language:
        item.ContentSequence = sr.LanguageOfContentItemAndDescendants(_fixed({"en": "english", "ko": "korean"}[language]))
    return item
