"""The cases of a reading room as files that survive kill -9, every change in a hash-chained audit. Start at CaseStore.

`<folder>/audit.jsonl`, and a folder per case with `case.json` and its voxels (`volume.npy`, `volume.json`, `header.dcm`). A change goes to
`next.json`, then into the audit, then into its place: after a kill the audit decides whether it took place.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from sdx_agents.audit import AuditLog, records, tail, verify
from sdx_agents.reading import case as moves
from sdx_agents.reading.case import LANGUAGES, LONGEST_TEXT, Addendum, Case, Decision, Edit, Illegal, Made, Render, Signer
from sdx_domains.contract import Closed, Language
from sdx_domains.medicine.assure.collapse import Collapse, Told, collapse
from sdx_domains.medicine.findings import Finding, Presence
from sdx_domains.medicine.labels import Urgency
from sdx_domains.medicine.out.images import pseudonymous
from sdx_domains.medicine.picture import MedicinePicture, Prior, Statement
from sdx_domains.medicine.report import Report, Status
from sdx_domains.medicine.volume import Series, Volume

_ID = re.compile(r"[0-9a-f]{16}(-[0-9]{1,4})?")
_URGENCY_ORDER: dict[Urgency, int] = {"critical": 0, "urgent": 1, "routine": 2}


class Conflict(RuntimeError):
    """Somebody else changed the case meanwhile."""


class Entry(Closed):
    """One line of the worklist."""

    id: str
    revision: int
    status: Status
    urgency: Urgency
    critical: tuple[str, ...]
    """Label keys."""
    found: tuple[str, ...]
    """Label keys of all that is stated."""
    study_uid: str
    patient: str
    slices: int
    created_utc: str
    undecided: int
    signer: str


def utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class CaseStore:
    """Any number of threads and processes may share one folder; each change takes the folder's lock.

    Args:
        folder: made if missing, for its owner alone.
        render: makes a report; see case.Render.
        scrub: takes what identifies a person out of what people type.
        now: UTC time as ISO text.
    """

    def __init__(self, folder: Path, render: Render, scrub: Callable[[str], str] = lambda text: text, now: Callable[[], str] = utc) -> None:
        self.folder = Path(folder)
        self._render, self._scrub, self._now = render, scrub, now
        (self.folder / "cases").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._audit = self.folder / "audit.jsonl"
        self._next = self.folder / "next.json"
        with self._locked():
            pass  # what a kill interrupted is ended before anybody reads

    def add(
        self,
        series: Series,
        picture: MedicinePicture,
        statements: Sequence[Statement],
        made: Made,
        patient: str = "",
        day: int | None = None,
    ) -> Case:
        """A draft of this study. The same picture again gives the case that is there; a new one of the same series a case beside it.

        Args:
            series: its voxels and the geometry of its header are kept, nothing of whom it shows.
            patient: pseudonym. day: see Case.
        """
        with self._locked():
            name = sha256(picture.study.series_uid.encode()).hexdigest()[:16]
            names = [name, *(f"{name}-{number}" for number in range(2, 10_000))]
            for name in names:
                if not self._file(name).exists():
                    break
                there = self._read(name)
                if there.picture.id == picture.id:
                    return there
            fresh = Case(
                id=name, revision=0, status="draft", patient=patient, day=day, created_utc=self._now(), made=made, picture=picture,
                proposed=tuple(statements), statements=tuple(statements), reports={},
            )  # fmt: skip
            _keep_series(self.folder / "cases" / name, series)
            return self._write(moves.drafted(fresh, self._render), "case_drafted", "", {"findings": len(statements)})

    def case(self, name: str) -> Case:
        """KeyError when there is none of that id."""
        if not _ID.fullmatch(name) or not self._file(name).exists():
            raise KeyError(f"no case {name!r:.40}; the worklist has them all")
        return self._read(name)

    def volume(self, name: str) -> Volume:
        """Its voxels, mapped from the disk: read as they are looked at."""
        folder = self._file(self.case(name).id).parent
        facts = json.loads((folder / "volume.json").read_text(encoding="utf-8"))
        hu = np.load(folder / "volume.npy", mmap_mode="r")
        return Volume(hu, tuple(facts["spacing_mm"]), tuple(facts["origin_lps_mm"]), np.array(facts["z_mm"], dtype=np.float64))

    def series(self, name: str) -> Series:
        """As results are written of it, all UIDs pseudonymous; header None where the study came without DICOM."""
        facts, path = self.case(name).picture.study, self._file(name).with_name("header.dcm")
        if not path.exists():
            return Series(self.volume(name), facts)
        from pydicom import dcmread

        return Series(self.volume(name), facts, dcmread(path, force=True), facts.slice_uids)

    def worklist(self) -> tuple[Entry, ...]:
        """What waits first: critical before urgent before routine, then the oldest; what is signed last, the newest first.

        A case that cannot be read is not among them: troubles() names it.
        """
        entries = [_entry(case) for case in self._readable()]
        waiting = [each for each in entries if each.status in ("draft", "in_review")]
        done = [each for each in entries if each.status in ("signed", "addendum")]
        waiting.sort(key=lambda each: (_URGENCY_ORDER[each.urgency], each.created_utc, each.id))
        return (*waiting, *sorted(done, key=lambda each: (each.created_utc, each.id), reverse=True))

    def prior(self, patient: str, day: int | None) -> Prior | None:
        """The latest earlier study of a patient that was signed; what it stated is what the radiologist signed."""
        if not patient or day is None:
            return None
        own = (each for each in self._readable() if each.patient == patient and each.day is not None and each.day < day)
        earlier = [each for each in own if _holds(each)]
        if not earlier:
            return None
        last = max(earlier, key=lambda each: (each.day or 0, each.created_utc))
        found = tuple(each.finding for each in last.statements if each.present == "yes")
        return Prior(study_uid=last.picture.study.study_uid, days_before=day - (last.day or 0), findings=found)

    def begin(self, name: str, revision: int, by: str) -> Case:
        """A radiologist takes the draft into review. Illegal, Conflict, KeyError."""
        return self._change(name, revision, "case_in_review", by, lambda old: (moves.begun(old), {}))

    def decide(self, name: str, revision: int, by: str, finding_id: str, present: Presence, note: str = "") -> Case:
        """Accept (yes), reject (no) or leave uncertain one finding. Illegal, Conflict, KeyError."""
        decision = Decision(at_utc=self._now(), by=by, finding_id=finding_id, present=present, note=self._text(note))
        told = {"finding": finding_id, "present": present, "note_sha256": _sha(decision.note)}
        return self._change(name, revision, "finding_decided", by, lambda old: (moves.decided(old, decision), told))

    def add_finding(self, name: str, revision: int, by: str, finding: Finding, note: str = "") -> Case:
        """One that the radiologist saw; its id is given here. Illegal, Conflict, KeyError."""
        words = self._text(note)
        told = {"label": finding.label, "key_uid": finding.slices.key_uid, "note_sha256": _sha(words)}
        return self._change(name, revision, "finding_added", by, lambda old: (moves.added(old, finding, self._now(), by, words), told))

    def edit(self, name: str, revision: int, by: str, language: Language, was: str, now: str, finding_ids: Sequence[str] = ()) -> Case:
        """One sentence in the radiologist's words; `now` "" takes it out. Illegal, Conflict, KeyError."""
        words = self._text(now)
        far = moves.distance_words(was, words)
        change = Edit(at_utc=self._now(), by=by, language=language, finding_ids=tuple(finding_ids), was=was, now=words, distance_words=far)
        told = {"language": language, "was_sha256": _sha(was), "now_sha256": _sha(words), "distance_words": far}
        return self._change(name, revision, "report_edited", by, lambda old: (moves.edited(old, change), told))

    def sign(self, name: str, revision: int, signer: Signer, shown_sha256: str) -> Case:
        """Answer for what was shown. Illegal when the case holds something else by now; Conflict, KeyError."""

        def signed(old: Case) -> tuple[Case, dict[str, Any]]:
            draft: dict[Language, Report] = {each: self._render(old.picture, old.proposed, each, "draft", None) for each in LANGUAGES}
            new = moves.signed(old, signer, self._now(), shown_sha256, draft)
            assert new.signature is not None
            return new, {**signer.model_dump(), "shown_sha256": shown_sha256, "distance_words": dict(new.signature.distance_words)}

        return self._change(name, revision, "report_signed", signer.name, signed)

    def addend(self, name: str, revision: int, signer: Signer, text: str, shown_sha256: str) -> Case:
        """Say something after signing. Illegal when not signed, something else was shown, or the text identifies somebody; Conflict, KeyError."""
        words = " ".join(text.split())
        if self._text(text) != words:  # it would be signed in other words than those that were typed
            raise Illegal(f"the addendum identifies somebody; this could be kept: {self._text(text)!r}")
        addendum = Addendum(signer=signer, at_utc=self._now(), text=words, shown_sha256=shown_sha256)
        told = {**signer.model_dump(), "shown_sha256": shown_sha256, "text_sha256": _sha(addendum.text)}
        return self._change(name, revision, "addendum_signed", signer.name, lambda old: (moves.addended(old, addendum), told))

    def record(self, kind: str, name: str, by: str, told: dict[str, Any]) -> None:
        """Into the audit what changes no case: looked at, exported, asked."""
        with self._locked(), AuditLog(self._audit) as audit:
            audit.append(kind, {"case": name, "by": by, **told})

    def history(self, name: str) -> list[dict[str, Any]]:
        """What the audit says of a case, oldest first."""
        found = [each for each in records(self._audit) if each.payload.get("case") == name] if self._audit.exists() else []
        return [{"at_utc": each.t_utc, "kind": each.kind, **each.payload} for each in found]

    def collapse(self) -> Collapse:
        """Whether the drafts of this folder have become one template; what was signed is the truth."""
        return collapse([_told(each) for each in sorted(self._readable(), key=lambda each: each.created_utc)])

    def troubles(self) -> tuple[str, ...]:
        """What does not hold: a broken chain, a case that is not as its last record says, a signature of something else."""
        with self._locked():
            return tuple(self._troubles())

    def _troubles(self) -> Iterator[str]:
        if not self._audit.exists():
            return
        chain = verify(self._audit)
        if not chain.ok:
            yield f"audit: {chain.bad_file} line {chain.bad_line}: {chain.reason}"
            return
        last = {each.payload["case"]: each.payload["case_sha256"] for each in records(self._audit) if "case_sha256" in each.payload}
        for path in sorted((self.folder / "cases").glob("*/case.json")):
            name = path.parent.name
            if last.get(name) != sha256(path.read_bytes()).hexdigest():
                yield f"case {name}: it is not what the audit's last record of it says: it was changed outside the reading room"
                continue
            try:
                moves.signed_for(self._read(name))
            except Illegal as error:
                yield str(error)

    def _change(self, name: str, revision: int, kind: str, by: str, change: Callable[[Case], tuple[Case, dict[str, Any]]]) -> Case:
        if not by.strip():
            raise Illegal("say who you are: a change without a name is not taken")
        with self._locked():
            old = self.case(name)
            if old.revision != revision:
                raise Conflict(f"case {name} was changed meanwhile (revision {old.revision}, you saw {revision}): look at it and try again")
            new, told = change(old)
            if kind not in ("report_signed", "addendum_signed"):
                return self._write(moves.drafted(new.model_copy(update={"revision": revision + 1}), self._render), kind, by, told)
            final = moves.drafted(new.model_copy(update={"revision": revision + 1}), self._render)
            moves.signed_for(final)  # rendering as signed may change nothing of what was shown
            return self._write(final, kind, by, told)

    def _write(self, new: Case, kind: str, by: str, told: dict[str, Any]) -> Case:
        data = new.model_dump_json(indent=1).encode()
        _durable(self._next, data)
        reports = {f"report_{name}_sha256": _sha(report.model_dump_json()) for name, report in new.reports.items()}
        payload = {
            "case": new.id, "by": by, "revision": new.revision, "status": new.status, "study": new.picture.study.study_uid,
            "picture": new.picture.id, **new.made.model_dump(), **reports, **told, "case_sha256": sha256(data).hexdigest(),
        }  # fmt: skip
        with AuditLog(self._audit) as audit:
            audit.append(kind, payload)
        self._place()
        return new

    def _place(self) -> None:
        """next.json into its place, whole or not at all."""
        name = json.loads(self._next.read_bytes())["id"]
        self._next.replace(self._file(name))
        _sync(self._file(name).parent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._next.exists():
                last = tail(self._audit, 1) if self._audit.exists() else []
                if last and last[0].payload.get("case_sha256") == sha256(self._next.read_bytes()).hexdigest():
                    self._place()
                else:
                    self._next.unlink()
            yield

    def _text(self, text: str) -> str:
        if len(text) > LONGEST_TEXT:
            raise Illegal(f"{len(text)} characters: {LONGEST_TEXT} at most")
        return self._scrub(" ".join(text.split()))

    def _file(self, name: str) -> Path:
        return self.folder / "cases" / name / "case.json"

    def _readable(self) -> Iterator[Case]:
        for path in sorted((self.folder / "cases").glob("*/case.json")):
            with suppress(Illegal):
                yield self._read(path.parent.name)

    def _read(self, name: str) -> Case:
        try:
            return Case.model_validate_json(self._file(name).read_bytes())
        except ValidationError as error:
            raise Illegal(f"{self._file(name)} is no case: {error.errors()[0]['msg']}; put it back from a copy") from error


def _holds(case: Case) -> bool:
    """Signed, and for this content. One that was altered is no prior: troubles() names it."""
    try:
        return moves.signed_for(case) is not None
    except Illegal:
        return False


def _told(case: Case) -> Told:
    proposed, signed = (
        frozenset(each.finding.label for each in said if each.present == "yes") for said in (case.proposed, case.statements)
    )
    return Told(text=case.reports["en"].findings_text(), labels=proposed, truth=signed if case.signature else None)


def _entry(case: Case) -> Entry:
    stated = (each.finding.label for each in case.statements if each.present != "no")
    return Entry(
        id=case.id, revision=case.revision, status=case.status, urgency=case.urgency, critical=case.critical, found=tuple(dict.fromkeys(stated)),
        study_uid=case.picture.study.study_uid, patient=case.patient, slices=case.picture.study.slices, created_utc=case.created_utc,
        undecided=len(case.undecided), signer=case.signature.signer.name if case.signature else "",
    )  # fmt: skip


def _keep_series(folder: Path, series: Series) -> None:
    volume = series.volume
    folder.mkdir(exist_ok=True, mode=0o700)
    partial = folder / "volume.npy.partial"
    with partial.open("wb") as file:
        np.save(file, np.ascontiguousarray(volume.hu))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / "volume.npy")
    facts = {"spacing_mm": volume.spacing_mm, "origin_lps_mm": volume.origin_lps_mm, "z_mm": volume.z_mm.tolist()}
    _durable(folder / "volume.json", json.dumps(facts).encode())
    if series.header is not None:
        into = BytesIO()
        pseudonymous(series).header.save_as(into, implicit_vr=False, little_endian=True)
        _durable(folder / "header.dcm", into.getvalue())


def _durable(path: Path, data: bytes) -> None:
    """Only under the store's lock: the partial file has one name."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha(text: str) -> str:
    return sha256(text.encode()).hexdigest()
