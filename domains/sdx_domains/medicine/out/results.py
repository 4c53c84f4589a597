"""What is to leave, as one value: picture, statements, reports, status, signature. A final one cannot be made without its signature."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, Field, model_validator

from sdx_domains.contract import Closed, Language, digest
from sdx_domains.medicine.picture import MedicinePicture, Statement
from sdx_domains.medicine.report import Report, Status


class Signature(Closed):
    """Made when a radiologist signs; `of` binds it to what was on the screen."""

    signer: str = Field(min_length=1, max_length=64, pattern=r"^[^\\=\x00-\x1f]+$")
    """As DICOM writes names: "Family^Given"."""
    organisation: str = Field(min_length=1, max_length=64, pattern=r"^[^\\\x00-\x1f]+$")
    at: AwareDatetime
    of: str
    """signed_content() of what was signed."""


def signed_content(statements: Sequence[Statement], reports: Mapping[Language, Report], addenda: Sequence[str] = ()) -> str:
    """What a signature stands for: hash of every statement, every sentence of the reports and every addendum.

    The reports' closing statement and warnings are left out: signing changes them ("not verified" becomes "signed by").
    """
    return digest(
        {"statements": [each.model_dump(mode="json") for each in statements], "reports": _said(reports), "addenda": list(addenda)}
    )


def _said(reports: Mapping[Language, Report]) -> dict[Language, dict[str, Any]]:
    return {language: report.model_dump(mode="json", exclude={"statement", "warnings"}) for language, report in reports.items()}


def sign(
    signer: str,
    organisation: str,
    at: datetime,
    statements: Sequence[Statement],
    reports: Mapping[Language, Report],
    addenda: Sequence[str] = (),
) -> Signature:
    """ValueError (pydantic's) for an empty or overlong name, or a time without time zone."""
    return Signature(signer=signer, organisation=organisation, at=at, of=signed_content(statements, reports, addenda))


class Results(Closed):
    """Of one study at one time. ValueError: final without a signature, or with one that was given to something else."""

    picture: MedicinePicture
    statements: tuple[Statement, ...]
    reports: Mapping[Language, Report]
    status: Status
    made: AwareDatetime
    """When, for the dates in the files; the same results with the same time give the same files."""
    signature: Signature | None = None
    addenda: tuple[str, ...] = ()
    """Free text added after signing, oldest first."""

    @model_validator(mode="after")
    def _signed(self) -> "Results":
        if not self.reports:
            raise ValueError("no report: give at least one language")
        known = {finding.id for finding in self.picture.findings}
        if strange := [
            each.finding.id for each in self.statements if each.finding.id not in known and each.finding.found_by != "radiologist"
        ]:
            raise ValueError(f"statements of findings that are not in the picture: {', '.join(strange)}")
        if self.addenda and self.status != "addendum":
            raise ValueError(f"{len(self.addenda)} addenda with status {self.status!r}: 'addendum' is wanted")
        if self.final and self.signature is None:
            raise ValueError(f"status {self.status!r} without a signature: nothing final leaves unsigned; let a radiologist sign first")
        if self.final and self.signature and self.signature.of != signed_content(self.statements, self.reports, self.addenda):
            raise ValueError("the signature is of other statements, reports or addenda than these: let the radiologist sign these")
        return self

    @property
    def final(self) -> bool:
        """Signed by a radiologist."""
        return self.status in ("signed", "addendum")

    @property
    def stated(self) -> tuple[Statement, ...]:
        """What is said to be there or possible."""
        return tuple(each for each in self.statements if each.present != "no")

    @property
    def content(self) -> str:
        """Hash of all but the time. The reports' closing statement and warnings follow from the rest."""
        told = self.model_dump(mode="json", exclude={"made", "reports"})
        return digest({**told, "reports": _said(self.reports)})

    @property
    def made_by(self) -> tuple[str, str]:
        """(name, version) of what found it: the model with its hash, or measurement alone."""
        saw = self.picture.saw
        return (saw.model or "vision model", saw.model_sha256[:16] or "unknown") if saw else ("SDx measurement without a model", "0")
