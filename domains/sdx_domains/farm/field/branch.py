"""The field's side of the domain: what domain.py asks for a picture of kind "field". Each method loads what it needs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sdx_domains.contract import Language, Order, Pace, Passage, Perceiver, Plant, Proposal, Verdict
from sdx_domains.farm.field.picture import DAY_S, FieldOption, FieldPicture

if TYPE_CHECKING:
    from sdx_domains.farm.field.scenarios import FieldCase
    from sdx_domains.farm.field.scoring import FieldScore


class FieldBranch:
    """See contract.Domain and contract.Benched for what each method promises. A field decides once a day, in the morning."""

    pace = Pace(
        step_s=DAY_S,
        tick_s=DAY_S,
        decide_every_s=DAY_S,
        decide_at_most_every_s=DAY_S,
        decision_delay_s=0.0,
        fallback_refresh_s=DAY_S,
        outcome_after_s=(7 * DAY_S, 28 * DAY_S),
    )

    def perceiver(self) -> Perceiver:
        from sdx_domains.farm.field.perceive import FieldPerceiver

        return FieldPerceiver()

    def options(self, picture: FieldPicture) -> Sequence[FieldOption]:
        from sdx_domains.farm.field.options import options

        return options(picture)

    def recall(self, picture: FieldPicture) -> Sequence[Passage]:
        from sdx_domains.farm.field.recall import passages

        return passages(picture)

    def looks_for(self, picture: FieldPicture, language: Language) -> str:
        from sdx_domains.farm.field.recall import looks_for

        return looks_for(picture, language)

    def messages(
        self, picture: FieldPicture, options: Sequence[FieldOption], passages: Sequence[Passage], language: Language
    ) -> list[dict[str, str]]:
        from sdx_domains.farm.field import prompting

        return prompting.messages(picture, options, passages, language)

    def question(self, picture: FieldPicture, text: str, language: Language) -> list[dict[str, str]]:
        from sdx_domains.farm.field import prompting

        return prompting.question_messages(picture, text, language)

    def told(self, picture: FieldPicture, text: str, language: Language, whole: bool) -> str:
        from sdx_domains.farm.field import figures

        return figures.fill(text, picture, None, language) if whole else figures.fill_so_far(text, picture, language)

    def answered(self, picture: FieldPicture, text: str, language: Language) -> str | None:
        """What can be said to a question without a model; None when it is not about the field."""
        from sdx_domains.farm.field.questions import answered

        return answered(picture, text, language)

    def doubts(self, picture: FieldPicture, text: str) -> list[str]:
        from sdx_domains.farm.field.figures import unsupported

        return unsupported(text, picture)

    def answer_schema(self, picture: FieldPicture, options: Sequence[FieldOption]) -> dict[str, Any]:
        from sdx_domains.farm.field import prompting

        return prompting.answer_schema(options)

    def read_answer(self, text: str, picture: FieldPicture, options: Sequence[FieldOption]) -> Proposal:
        from sdx_domains.farm.field import prompting

        return prompting.read_answer(text, picture, options)

    def assure(self, picture: FieldPicture, options: Sequence[FieldOption], proposal: Proposal) -> Verdict:
        from sdx_domains.farm.field import assurance

        return assurance.assure(picture, options, proposal)

    def check(self, picture: FieldPicture, order: Order) -> Verdict:
        from sdx_domains.farm.field import assurance

        return assurance.check(picture, order)

    def planned(self, picture: FieldPicture, options: Sequence[FieldOption]) -> Proposal:
        from sdx_domains.farm.field.planner import planned

        return planned(picture, options)

    def fallback(self, picture: FieldPicture, options: Sequence[FieldOption] | None) -> Verdict:
        from sdx_domains.farm.field import assurance

        return assurance.fallback(picture)

    def bounds(self) -> dict[str, tuple[float, float]]:
        return {}

    def outcome(self, then: FieldPicture, later: Sequence[FieldPicture]) -> dict[str, float]:
        last = later[-1] if later else then
        return {
            "irrigation_mm": last.irrigation_mm - then.irrigation_mm,
            "stress_loss_points": last.stress_loss_pct - then.stress_loss_pct,
            "depletion_most_pct": max((picture.depletion_pct for picture in later), default=then.depletion_pct),
        }

    def describe(self, picture: FieldPicture, language: Language) -> str:
        from sdx_domains.farm.field import language as words

        return words.describe(picture, language)

    def advise(self, picture: FieldPicture, option: FieldOption, language: Language) -> str:
        from sdx_domains.farm.field import language as words

        return words.advise(picture, option, language)

    def wished(self, picture: FieldPicture, wish: Mapping[str, float]) -> Mapping[str, float]:
        from sdx_domains.farm.field.orders import irrigation_of, setpoints

        given = setpoints(wish["irrigation_mm"], int(picture.t_s // DAY_S)) if wish.keys() == {"irrigation_mm"} else {}
        if irrigation_of(given) is None:
            raise ValueError(f"by hand a field takes irrigation_mm, 0 or more; got {dict(wish)}")
        return given

    def load_picture(self, payload: Mapping[str, Any]) -> FieldPicture:
        return FieldPicture.model_validate(payload)

    def load_options(self, payload: Sequence[Mapping[str, Any]]) -> tuple[FieldOption, ...]:
        return tuple(FieldOption.model_validate(item) for item in payload)

    def plant(self, scenario: str, seed: int) -> Plant:
        from sdx_domains.farm.field.scenarios import case

        return self.plant_of(case(scenario), seed)

    # a field has one valve, moved once a day by the order itself: there is no fast loop to build on equipment

    def controller(self) -> NoReturn:
        raise ValueError("a field has no controller: its order is a day's irrigation, given by the plant itself")

    def house(self, scenario: str, seed: int) -> NoReturn:
        raise ValueError(f"scenario {scenario!r} is a field; it has no house with devices, run it as a plant")

    def controlled(self, equipment: Any, now_s: float) -> NoReturn:
        raise ValueError("a field is not steered over equipment; run it as a plant, for example field-champion-1986")

    # what a benchmark needs

    def suite(self, name: str, seed: int, count: int | None = None, folder: Path | None = None) -> "Sequence[FieldCase]":
        from sdx_domains.farm.field.scenarios import suite

        return suite(name, count)

    def case(self, scenario: str, seed: int) -> "FieldCase":
        from sdx_domains.farm.field.scenarios import case

        return case(scenario)

    def plant_of(self, case: "FieldCase", seed: int) -> Plant:
        from sdx_domains.farm.field.plant import FieldPlant

        return FieldPlant(case, seed)

    def score(self, case: "FieldCase", plant: Any) -> "FieldScore":
        from sdx_domains.farm.field.scoring import score

        return score(case, plant)

    def load_score(self, payload: Mapping[str, Any]) -> "FieldScore":
        from sdx_domains.farm.field.scoring import FieldScore

        return FieldScore.model_validate(payload)

    def draw(self, plant: Any, path: Path, title: str) -> Path:
        from sdx_domains.farm.field.plots import draw

        return draw(plant, path, title)

    def summarise(self, scores: "Sequence[FieldScore]") -> dict[str, Any]:
        from sdx_domains.farm.field.scoring import summarise

        return summarise(scores)


def branch() -> FieldBranch:
    """The one that domain.py routes to."""
    return FieldBranch()
