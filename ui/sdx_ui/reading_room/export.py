"""Results of a case as files: what is signed leaves as final, everything else as preliminary. Start at EXPORTS."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from sdx_agents.reading.case import Case, signed_for
from sdx_domains.medicine.out.results import Results, sign
from sdx_domains.medicine.volume import Series
from sdx_ui.reading_room.room import Export


def results_of(case: Case) -> Results:
    """What leaves, with the signature under it.

    Raises:
        Illegal: the case's signature was given to another content.
    """
    signature, addenda = signed_for(case), tuple(each.text for each in case.addenda)
    times = [case.created_utc, *(each.at_utc for each in (*case.decisions, *case.edits)), *([signature.at_utc] if signature else [])]
    made = datetime.fromisoformat(max([*times, *(each.at_utc for each in case.addenda)]))
    under = None
    if signature is not None:
        who = case.addenda[-1].signer if case.addenda else signature.signer
        under = sign(who.name, who.organisation, made, case.statements, case.reports, addenda)
    return Results(
        picture=case.picture,
        statements=case.statements,
        reports=case.reports,
        status=case.status,
        made=made,
        signature=under,
        addenda=addenda,
    )


def before(case: Case) -> Case | None:
    """The case before its last addendum, as it could leave then: the same file comes of it again. None: nothing was added."""
    if not case.addenda:
        return None
    earlier = case.addenda[:-1]
    return case.model_copy(update={"addenda": earlier, "status": "addendum" if earlier else "signed"})


def as_sr(case: Case, series: Series, folder: Path) -> Path:
    from sdx_domains.medicine.out import sr

    earlier = before(case)
    return sr.write(series, results_of(case), folder / "sr.dcm", results_of(earlier) if earlier else None)


def as_seg(case: Case, series: Series, folder: Path) -> Path:
    from sdx_domains.medicine.out import seg

    path = seg.write(series, results_of(case), folder / "seg.dcm")
    if path is None:
        raise ValueError("nothing that is stated has an outline: there is no SEG to write")
    return path


def as_pdf(case: Case, series: Series, folder: Path) -> Path:
    from sdx_domains.medicine.out import pdf

    return pdf.write(series, results_of(case), folder / "report.pdf")


def as_pdf_in_dicom(case: Case, series: Series, folder: Path) -> Path:
    from sdx_domains.medicine.out import pdf

    return pdf.write_dicom(series, results_of(case), folder / "report.dcm")


def as_fhir(case: Case, series: Series, folder: Path) -> Path:
    from sdx_domains.medicine.out import fhir, pdf

    results = results_of(case)
    return fhir.write(series, results, folder / "fhir.json", pdf.content(series, results))


EXPORTS: Mapping[str, Export] = {
    "pdf": as_pdf, "fhir": as_fhir, "sr": as_sr, "seg": as_seg, "pdf-dicom": as_pdf_in_dicom,
}  # fmt: skip
