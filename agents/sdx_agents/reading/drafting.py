"""From a file on disk to a draft: read, look, measure, decide. Start at Drafter.draft(); CaseStore.add() keeps what comes of it."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from sdx_agents.decision import Decision
from sdx_agents.graph import Agent
from sdx_agents.reading.case import Case, Made
from sdx_agents.reading.cases import CaseStore
from sdx_domains.contract import Language, Order, Verdict
from sdx_domains.medicine.domain import MedicineDomain, statements
from sdx_domains.medicine.evidence import PHANTOMS, Evidence
from sdx_domains.medicine.ingest.read import read_study
from sdx_domains.medicine.perceive import StudyReading, outlined, see
from sdx_domains.medicine.picture import MedicinePicture, Prior, Statement
from sdx_domains.medicine.privacy.vault import Vault
from sdx_domains.medicine.volume import Series
from sdx_serving.vision.client import SeeingChat

LOOK_S, DECIDE_S = 60.0, 30.0
"""Deadlines of the encoder and of the decoder: a draft may take seconds, not minutes."""


@dataclass(frozen=True)
class Draft:
    """A study as it was read and what is proposed to be said of it."""

    series: Series
    picture: MedicinePicture
    statements: tuple[Statement, ...]
    verdict: Verdict
    order: Order
    made: Made
    seconds: Mapping[str, float]
    """Of each step: read, measure, look (what the model takes longer than measuring, which goes on meanwhile), find, decide."""
    patient: str = ""
    """Pseudonym; "" where the study names none."""
    day: int | None = None
    """Of the examination, on the patient's own shifted calendar."""


@dataclass(frozen=True)
class Drafter:
    """Reads studies one after another.

    Args:
        vault: keeps who is who; everything else sees pseudonyms.
        reader: the vision model. None, or one that saw phantoms alone before a patient's study: what code measures decides, and the draft says so.
        store: looked into for an earlier study of the same patient.
    """

    vault: Vault
    reader: SeeingChat | None = None
    store: CaseStore | None = None
    language: Language = "en"
    domain: MedicineDomain = field(default_factory=MedicineDomain)

    def draft(self, path: Path) -> Draft:
        """Refused: the study cannot be read, with why. ChatError: the vision model cannot be asked."""
        took: dict[str, float] = {}
        with _timed(took, "read"):
            series = read_study(path, self.vault.pseudonym)
            patient, day = self._remembered(series)
        return self._drafted(series, patient, day, took)

    def draft_of(self, series: Series) -> Draft:
        """The same of a series at hand, of nobody."""
        return self._drafted(series, "", None, {})

    def _drafted(self, series: Series, patient: str, day: int | None, took: dict[str, float]) -> Draft:
        prior = self.store.prior(patient, day) if self.store is not None else None
        picture = self._seen(series, prior, took)
        with _timed(took, "decide"):
            verdict, order, made = self._decided(picture)
        return Draft(series, picture, statements(picture, order), verdict, order, made, took, patient, day)

    def _remembered(self, series: Series) -> tuple[str, int | None]:
        """The patient's pseudonym and the day on their own calendar; identity goes into the vault alone."""
        header = series.header
        if header is None:
            return "", None
        self.vault.remember(header, series.sop_uids)
        number = str(header.get("PatientID", "")).strip()
        if not number:
            return "", None
        told = str(header.get("StudyDate", ""))
        day = date.fromisoformat(told).toordinal() + self.vault.shift_days(number) if len(told) == 8 and told.isdigit() else None
        return self.vault.patient(number), day

    def _seen(self, series: Series, prior: Prior | None, took: dict[str, float]) -> MedicinePicture:
        with ThreadPoolExecutor(1) as beside:  # the model looks in a process of its own: meanwhile what needs none is measured
            looking = None if self.reader is None else beside.submit(look, self.reader, series)
            with _timed(took, "measure"):
                anatomy = outlined(series.volume)
            evidence = None
            if looking is not None:
                with _timed(took, "look"):
                    evidence = looking.result()
        if evidence is not None and evidence.trained_on == PHANTOMS and not series.facts.synthetic:
            evidence = None  # it never saw a patient: neither its yes nor its no is worth anything here
        with _timed(took, "find"):
            return see(StudyReading(source=series.facts.source, series=series, anatomy=anatomy, evidence=evidence, prior=prior))

    def _decided(self, picture: MedicinePicture) -> tuple[Verdict, Order, Made]:
        if self.reader is None or picture.saw is None or not picture.findings:
            verdict = _planned(self.domain, picture)
            order = verdict.order or self.domain.fallback(picture, None).order
            assert order is not None  # a fallback always has one
            return verdict, order, Made()
        decision = Agent(self.domain, self.reader, deadline_s=DECIDE_S, max_tokens=900).decide(picture, self.language)
        assert decision.order is not None
        return decision.verdict, decision.order, _made(decision)


def look(reader: SeeingChat, series: Series) -> Evidence:
    """What the vision model sees in a series, on the patient's axes. ChatError."""
    from sdx_domains.medicine.slabs import slabs

    pixels, grid = slabs(series.volume)
    seen = reader.look(pixels, LOOK_S)
    return Evidence(
        seen.probability, seen.maps, grid, seen.handle, seen.model, seen.model_sha256, seen.unlike_training, seen.trained_on
    )  # fmt: skip


def keep(store: CaseStore, draft: Draft) -> Case:
    """The draft as a case of the reading room."""
    return store.add(draft.series, draft.picture, draft.statements, draft.made, draft.patient, draft.day)


def _planned(domain: MedicineDomain, picture: MedicinePicture) -> Verdict:
    options = domain.options(picture)
    return domain.assure(picture, options, domain.planned(picture, options))


def _made(decision: Decision) -> Made:
    answer = decision.answer
    return Made(
        model=answer.model or "none",
        model_sha256=answer.model_sha256,
        prompt_sha256=decision.prompt_sha256,
        answer_sha256=hashlib.sha256(answer.text.encode()).hexdigest() if answer.text else "",
    )


@contextmanager
def _timed(took: dict[str, Any], step: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took[step] = time.perf_counter() - began
