"""Medicine as the graph, the reading room and the pipeline see it: contract.Domain, wired to this folder's modules.

There is nothing to steer: an order is a draft (which candidate findings are stated), the report is rendered from it, and a
radiologist's signature lets it out. Hence no plant; what is measured of this domain is in measures.py.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sdx_domains.contract import Language, Measuring, Order, Pace, Passage, Proposal, Understanding, Verdict
from sdx_domains.medicine import NAME
from sdx_domains.medicine.assure import verdict
from sdx_domains.medicine.findings import Presence
from sdx_domains.medicine.language import chat, prompting, render, told
from sdx_domains.medicine.options import options
from sdx_domains.medicine.perceive import MedicinePerceiver
from sdx_domains.medicine.picture import DRAFT, PRESENCE, Candidate, MedicinePicture, Statement
from sdx_domains.medicine.recall import looks_for, passages

NO_PLANT = "a study is read, not steered: `sdx run medicine STUDY` takes a folder, a ZIP or a volume"
_PRESENT: Mapping[float, Presence] = {value: present for present, value in PRESENCE.items()}


def statements(picture: MedicinePicture, order: Order) -> tuple[Statement, ...]:
    """What an order says of each finding of the picture. ValueError: a finding without a set-point, or one that is no presence."""
    try:
        return tuple(Statement(finding=finding, present=_PRESENT[order.setpoints[finding.id]]) for finding in picture.findings)
    except KeyError as error:
        raise ValueError(
            f"order {order.id}: no presence for {error.args[0]!r}; each finding wants 1 (yes), 0.5 (uncertain) or 0 (no)"
        ) from error


class MedicineDomain:
    """See contract.Domain for what each method promises. Stateless; the perceiver holds the study."""

    name = NAME
    pace = Pace()
    sees = True
    """Its model looks at volumes: a vision model of sdx_serving.vision."""

    def perceiver(self) -> MedicinePerceiver:
        return MedicinePerceiver()

    def options(self, picture: MedicinePicture) -> tuple[Candidate, ...]:
        return options(picture)

    def recall(self, picture: MedicinePicture) -> tuple[Passage, ...]:
        return passages(picture)

    def looks_for(self, picture: MedicinePicture, language: Language) -> str:
        return looks_for(picture, language)

    def messages(
        self, picture: MedicinePicture, options: Sequence[Candidate], passages: Sequence[Passage], language: Language
    ) -> list[dict[str, str]]:
        return prompting.messages(picture, options, passages, language)

    def answer_schema(self, picture: MedicinePicture, options: Sequence[Candidate]) -> dict[str, Any]:
        return prompting.answer_schema(picture, options)

    def read_answer(self, text: str, picture: MedicinePicture, options: Sequence[Candidate]) -> Proposal:
        return prompting.read_answer(text, picture, options)

    def assure(self, picture: MedicinePicture, options: Sequence[Candidate], proposal: Proposal) -> Verdict:
        return verdict.judge(picture, options, proposal)

    def check(self, picture: MedicinePicture, order: Order) -> Verdict:
        return verdict.check(picture, order)

    def planned(self, picture: MedicinePicture, options: Sequence[Candidate]) -> Proposal:
        """What operating points and measurements say, without a language model."""
        said = tuple(
            Understanding(subject=each.finding.id, kind=each.finding.label, role=each.suggested)
            for each in options
            if each.finding is not None
        )
        return Proposal(option_id=DRAFT, understanding=said, source="fallback")

    def fallback(self, picture: MedicinePicture, options: Sequence[Candidate] | None) -> Verdict:
        return verdict.fallback(picture)

    def outcome(self, then: MedicinePicture, later: Sequence[MedicinePicture]) -> dict[str, float]:
        """Nothing comes of a draft by itself: what a radiologist made of it is in the case's own record."""
        return {}

    def describe(self, picture: MedicinePicture, language: Language) -> str:
        return render.describe(picture, language)

    def advise(self, picture: MedicinePicture, option: Candidate, language: Language) -> str:
        return render.advise(picture, option, language)

    def question(self, picture: MedicinePicture, text: str, language: Language) -> list[dict[str, str]]:
        return prompting.question_messages(picture, text, language)

    def answered(self, picture: MedicinePicture, text: str, language: Language) -> str | None:
        return chat.answered(picture, text, language)

    def told(self, picture: MedicinePicture, text: str, language: Language, whole: bool) -> str:
        return told.told(picture, text, language, whole)

    def doubts(self, picture: MedicinePicture, text: str) -> list[str]:
        return told.doubts(picture, text)

    def bounds(self) -> dict[str, tuple[float, float]]:
        return {}

    def wished(self, picture: MedicinePicture, wish: Mapping[str, float]) -> Mapping[str, float]:
        """A radiologist's own draft: a presence for each finding."""
        if unknown := sorted(wish.keys() ^ {finding.id for finding in picture.findings}):
            raise ValueError(f"each finding wants one value; too many or missing: {', '.join(unknown)}")
        if wrong := {name: value for name, value in wish.items() if value not in _PRESENT}:
            raise ValueError(f"1 (yes), 0.5 (uncertain) or 0 (no) is wanted, got {wrong}")
        return wish

    def load_picture(self, payload: Mapping[str, Any]) -> MedicinePicture:
        return MedicinePicture.model_validate(payload)

    def load_options(self, payload: Sequence[Mapping[str, Any]]) -> tuple[Candidate, ...]:
        return tuple(Candidate.model_validate(item) for item in payload)

    def plant(self, scenario: str, seed: int) -> NoReturn:
        raise KeyError(NO_PLANT)

    # what a benchmark needs

    def suite(self, name: str, seed: int, count: int | None = None, folder: Path | None = None) -> NoReturn:
        raise KeyError(f"no suite {name!r}; there are {', '.join(self.measures())}")

    def measures(self) -> Mapping[str, Callable[[Measuring], dict[str, Any]]]:
        from sdx_domains.medicine.measures import MEASURES

        return MEASURES


def medicine_domain() -> MedicineDomain:
    """Entry point of the group sdx.domains."""
    return MedicineDomain()
