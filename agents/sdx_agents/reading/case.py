"""One case and what may be done to it: draft -> in_review -> signed -> addendum. Pure: no clock, no files. Start at Case."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal

from pydantic import Field

from sdx_domains.contract import Closed, Language
from sdx_domains.medicine.findings import Finding, Presence
from sdx_domains.medicine.labels import Urgency
from sdx_domains.medicine.language.render import URGENCIES, urgency_of
from sdx_domains.medicine.picture import MedicinePicture, Statement
from sdx_domains.medicine.report import Report, Status

Render = Callable[[MedicinePicture, Sequence[Statement], Language, Status, str | None], Report]
"""(picture, statements, language, status, signer) -> report."""
LANGUAGES: tuple[Language, ...] = ("en", "ko")
LONGEST_TEXT = 2000
"""Characters of a sentence, a note or an addendum."""


class Illegal(ValueError):
    """A move that the case's state does not allow; the message says which would."""


class Made(Closed):
    """Who or what made the draft; hashes of what went in and came out."""

    model: str = "none"
    model_sha256: str = ""
    prompt_sha256: str = ""
    answer_sha256: str = ""


class Decision(Closed):
    """What a radiologist said of one finding."""

    at_utc: str
    by: str
    finding_id: str
    present: Presence
    note: str = ""


class Edit(Closed):
    """One sentence that a radiologist put in other words. Applied in order whenever the report is rendered anew."""

    at_utc: str
    by: str
    language: Language
    finding_ids: tuple[str, ...] = ()
    """Of the sentence: two of the same words are told apart by them."""
    was: str
    now: str
    """"" takes the sentence out."""
    distance_words: int = Field(ge=0)


class Signer(Closed):
    """Who answers for a report, as DICOM and FHIR can carry it."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[^\\=\x00-\x1f]*[^\\=\x00-\x20][^\\=\x00-\x1f]*$")
    organisation: str = Field(min_length=1, max_length=64, pattern=r"^[^\\\x00-\x1f]*[^\\\x00-\x20][^\\\x00-\x1f]*$")


class Signature(Closed):
    """Bound to the content that was shown, not to a file or a state."""

    signer: Signer
    at_utc: str
    shown_sha256: str
    distance_words: Mapping[Language, int]
    """From the machine's draft to what was signed, words put in, taken out or replaced."""


class Addendum(Closed):
    """Added after signing, signed by itself."""

    signer: Signer
    at_utc: str
    text: str = Field(min_length=1, max_length=LONGEST_TEXT)
    shown_sha256: str
    """Of the case with the addenda before this one."""


class Case(Closed):
    """One study in the reading room; nothing in it identifies the patient."""

    schema_version: Literal["1"] = "1"
    id: str
    revision: int = Field(ge=0)
    """Grows with every change: who changes a case names the revision that was looked at."""
    status: Status
    patient: str = ""
    """Pseudonym; "" where it is not known: then there is no prior."""
    day: int | None = None
    """Of the study, days on a scale that is the same for all studies of one patient and no calendar."""
    created_utc: str
    made: Made
    picture: MedicinePicture
    proposed: tuple[Statement, ...]
    """As the machine drafted them; never changed."""
    statements: tuple[Statement, ...]
    decisions: tuple[Decision, ...] = ()
    edits: tuple[Edit, ...] = ()
    reports: Mapping[Language, Report]
    signature: Signature | None = None
    addenda: tuple[Addendum, ...] = ()

    @property
    def undecided(self) -> tuple[str, ...]:
        """Ids of findings that no radiologist has accepted, rejected or left uncertain."""
        done = {each.finding_id for each in self.decisions}
        return tuple(each.finding.id for each in self.statements if each.finding.id not in done)

    @property
    def urgency(self) -> Urgency:
        """Of the most urgent finding that is not ruled out."""
        found: set[Urgency] = {urgency_of(each.finding) for each in self.statements if each.present != "no"}
        return min(found, key=URGENCIES.index) if found else "routine"

    @property
    def critical(self) -> tuple[str, ...]:
        """Label keys of what somebody must hear of at once."""
        found = [each.finding for each in self.statements if each.present != "no"]
        return tuple(dict.fromkeys(each.label for each in found if urgency_of(each) == "critical"))


def drafted(case: Case, render: Render) -> Case:
    """The case with its reports rendered anew and its edits applied."""
    signer = case.signature.signer.name if case.signature else None
    made = {language: reworded(render(case.picture, case.statements, language, case.status, signer), case.edits) for language in LANGUAGES}
    return case.model_copy(update={"reports": made})


def reworded(report: Report, edits: Sequence[Edit]) -> Report:
    """The report with the edits of its language, each applied to the sentences that say what it was made of."""
    for edit in edits:
        if edit.language == report.language:
            report = _with(report, edit)
    return report


def _with(report: Report, edit: Edit) -> Report:
    sections = [section.model_copy(update={"sentences": tuple(_replaced(section.sentences, edit))}) for section in report.sections]
    return report.model_copy(update={"sections": tuple(sections), "impression": tuple(_replaced(report.impression, edit))})


def _replaced(sentences: Sequence[Any], edit: Edit) -> list[Any]:
    """Of sentences or of lines of the impression."""
    hit = [(each.text, each.finding_ids) == (edit.was, edit.finding_ids) for each in sentences]
    changed = [each.model_copy(update={"text": edit.now}) if it else each for each, it in zip(sentences, hit, strict=True)]
    return [each for each, it in zip(changed, hit, strict=True) if edit.now or not it]


def says(report: Report, text: str, finding_ids: tuple[str, ...]) -> bool:
    """Whether a sentence or a line of the impression is of these words and findings."""
    return any((each.text, each.finding_ids) == (text, finding_ids) for each in (*report.sentences(), *report.impression))


def doubts(case: Case, render: Render) -> tuple[str, ...]:
    """What the radiologist must know of the edits: one that no longer applies, or was made in one language only."""
    found: list[str] = []
    places: dict[Language, set[int]] = {}
    for language in LANGUAGES:
        report = render(case.picture, case.statements, language, "in_review", None)
        before = _texts(report)
        for edit in (each for each in case.edits if each.language == language):
            if not says(report, edit.was, edit.finding_ids):
                found.append(f"an edit no longer applies, its sentence has changed: {edit.was!r} -> {edit.now!r}")
            report = _with(report, edit)
        after = set(_texts(report))
        places[language] = {number for number, text in enumerate(before) if text not in after}
    if places["en"] != places["ko"]:
        found.append("edited in one language only: put the same into the other, both are signed")
    return tuple(found)


def _texts(report: Report) -> list[str]:
    return [each.text for each in (*report.sentences(), *report.impression)]


def shown_sha256(case: Case) -> str:
    """Of what a signer reads: findings as stated, both reports, earlier addenda. Status and the line about it stay out, for signing changes them."""
    reports = {name: report.model_dump_json(exclude={"warnings", "statement"}) for name, report in sorted(case.reports.items())}
    body = [case.id, case.picture.id, *(each.model_dump_json() for each in case.statements), *reports.values()]
    return sha256("\n".join([*body, *(each.model_dump_json() for each in case.addenda)]).encode()).hexdigest()


def signed_for(case: Case) -> Signature | None:
    """Who answers for this content; None: nobody. What leaves as final asks here.

    Raises:
        Illegal: there is a signature, but not for this content: the case was altered outside the reading room.
    """
    if case.signature is None:
        return None
    at_signing = case.model_copy(update={"addenda": ()})
    for addendum in case.addenda:
        if addendum.shown_sha256 != shown_sha256(at_signing):
            raise Illegal(f"case {case.id}: the addendum of {addendum.at_utc} was made to another content; nothing of it may leave")
        at_signing = at_signing.model_copy(update={"addenda": (*at_signing.addenda, addendum)})
    if case.signature.shown_sha256 != shown_sha256(case.model_copy(update={"addenda": ()})):
        raise Illegal(f"case {case.id}: the signature belongs to another content; nothing of it may leave")
    return case.signature


def begun(case: Case) -> Case:
    """A radiologist takes the draft."""
    if case.status != "draft":
        raise Illegal(f"case {case.id} is {case.status}: only a draft can be taken into review")
    return case.model_copy(update={"status": "in_review"})


def decided(case: Case, decision: Decision) -> Case:
    """One finding accepted (yes), rejected (no) or left uncertain, with a note of the radiologist's own."""
    _in_review(case, "decide about a finding")
    known = [each.finding.id for each in case.statements]
    if decision.finding_id not in known:
        raise Illegal(f"case {case.id} has no finding {decision.finding_id!r:.40}; it has {', '.join(known) or 'none'}")
    statements = [
        each.model_copy(update={"present": decision.present, "note": decision.note}) if each.finding.id == decision.finding_id else each
        for each in case.statements
    ]
    return case.model_copy(update={"statements": tuple(statements), "decisions": (*case.decisions, decision)})


def added(case: Case, finding: Finding, at_utc: str, by: str, note: str = "") -> Case:
    """A finding that the radiologist saw and the machine did not. It gets the next id "R1", "R2", .. and counts as decided."""
    _in_review(case, "add a finding")
    number = 1 + sum(each.finding.found_by == "radiologist" for each in case.statements)
    own = finding.model_copy(update={"id": f"R{number}", "found_by": "radiologist", "probability": 1.0})
    decision = Decision(at_utc=at_utc, by=by, finding_id=own.id, present="yes", note=note)
    statement = Statement(finding=own, present="yes", note=note)
    return case.model_copy(update={"statements": (*case.statements, statement), "decisions": (*case.decisions, decision)})


def edited(case: Case, edit: Edit) -> Case:
    """One sentence in the radiologist's own words."""
    _in_review(case, "edit the report")
    if not says(case.reports[edit.language], edit.was, edit.finding_ids):
        raise Illegal(f"the {edit.language} report has no sentence {edit.was!r:.120}: look at the newest one")
    return case.model_copy(update={"edits": (*case.edits, edit)})


def signed(case: Case, signer: Signer, at_utc: str, shown: str, draft: Mapping[Language, Report]) -> Case:
    """The radiologist answers for what was shown.

    Args:
        shown: hash of it, as the page got it.
        draft: the machine's reports before anybody touched them, for the distance.

    Raises:
        Illegal: not in review, something else was shown, or a critical finding waits for a decision.
    """
    _in_review(case, "sign")
    if shown != shown_sha256(case):
        raise Illegal(f"case {case.id}: what was shown is not what would be signed: look at it again")
    waiting = [each.finding for each in case.statements if each.finding.id in case.undecided and each.present != "no"]
    if critical := [f"{each.id} ({each.label})" for each in waiting if urgency_of(each) == "critical"]:
        raise Illegal(f"case {case.id}: decide about the critical findings first: {', '.join(critical)}")
    far: dict[Language, int] = {name: distance_words(plain(draft[name]), plain(report)) for name, report in case.reports.items()}
    signature = Signature(signer=signer, at_utc=at_utc, shown_sha256=shown, distance_words=far)
    return case.model_copy(update={"status": "signed", "signature": signature})


def addended(case: Case, addendum: Addendum) -> Case:
    """Something to say after signing; what was signed stays as it is."""
    if case.status not in ("signed", "addendum"):
        raise Illegal(f"case {case.id} is {case.status}: an addendum is for a signed report, this one can still be edited")
    if addendum.shown_sha256 != shown_sha256(case):
        raise Illegal(f"case {case.id}: what was shown is not what the addendum would follow: look at it again")
    return case.model_copy(update={"status": "addendum", "addenda": (*case.addenda, addendum)})


def _in_review(case: Case, wish: str) -> None:
    if case.status == "draft":
        raise Illegal(f"case {case.id} is a draft: take it into review to {wish}")
    if case.status != "in_review":
        raise Illegal(f"case {case.id} is {case.status}: to {wish} is no longer possible, write an addendum")


def plain(report: Report) -> str:
    return f"{report.findings_text()}\n{report.impression_text()}"


def distance_words(one: str, other: str) -> int:
    """Levenshtein distance of two texts, in words."""
    left, right = one.split(), other.split()
    above = list(range(len(right) + 1))
    for number, word in enumerate(left, 1):
        row = [number]
        for place, against in enumerate(right):
            row.append(min(above[place] + (word != against), above[place + 1] + 1, row[place] + 1))
        above = row
    return above[-1]
