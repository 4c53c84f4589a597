"""The greenhouse's side of the domain: what domain.py asks for a picture of kind "greenhouse". Each method loads what it needs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdx_domains.contract import Language, Order, Pace, Passage, Perceiver, Plant, Proposal, Verdict
from sdx_domains.equipment import ControlledPlant, Controller, Equipment, SimulatedHouse
from sdx_domains.farm.picture import FarmOption, FarmPicture


class GreenhouseBranch:
    """See contract.Domain, contract.Benched and equipment.Equipped for what each method promises."""

    pace = Pace(
        step_s=60.0,
        tick_s=300.0,
        decide_every_s=6 * 3600.0,
        decide_at_most_every_s=3600.0,
        decision_delay_s=60.0,
        fallback_refresh_s=3600.0,
        outcome_after_s=(24 * 3600.0, 72 * 3600.0),
    )

    def perceiver(self) -> Perceiver:
        from sdx_domains.farm.perceive import GreenhousePerceiver

        return GreenhousePerceiver()

    def options(self, picture: FarmPicture) -> Sequence[FarmOption]:
        from sdx_domains.farm.options import shown_options

        return shown_options(picture)

    def recall(self, picture: FarmPicture) -> Sequence[Passage]:
        from sdx_domains.farm.recall import passages

        return passages(picture)

    def looks_for(self, picture: FarmPicture, language: Language) -> str:
        from sdx_domains.farm.recall import looks_for

        return looks_for(picture, language)

    def messages(
        self, picture: FarmPicture, options: Sequence[FarmOption], passages: Sequence[Passage], language: Language
    ) -> list[dict[str, str]]:
        from sdx_domains.farm import prompting

        return prompting.messages(picture, options, passages, language)

    def question(self, picture: FarmPicture, text: str, language: Language) -> list[dict[str, str]]:
        from sdx_domains.farm import prompting

        return prompting.question_messages(picture, text, language)

    def told(self, picture: FarmPicture, text: str, language: Language, whole: bool) -> str:
        from sdx_domains.farm import figures, what_if

        more = what_if.remembered(picture)
        return figures.fill(text, picture, None, language, more) if whole else figures.fill_so_far(text, picture, language, more)

    def doubts(self, picture: FarmPicture, text: str) -> list[str]:
        from sdx_domains.farm import what_if
        from sdx_domains.farm.faithful import unsupported_numbers

        return unsupported_numbers(text, picture, (), what_if.remembered(picture))

    def answered(self, picture: FarmPicture, text: str, language: Language) -> str | None:
        """What can be said to a question without a model; None when it is not about the house."""
        from sdx_domains.farm import questions

        return questions.answered(picture, text, language)

    def answer_schema(self, picture: FarmPicture, options: Sequence[FarmOption]) -> dict[str, Any]:
        from sdx_domains.farm import prompting

        return prompting.answer_schema(picture, options)

    def read_answer(self, text: str, picture: FarmPicture, options: Sequence[FarmOption]) -> Proposal:
        from sdx_domains.farm import prompting

        return prompting.read_answer(text, picture, options)

    def assure(self, picture: FarmPicture, options: Sequence[FarmOption], proposal: Proposal) -> Verdict:
        from sdx_domains.farm import assurance

        return assurance.assure(picture, options, proposal)

    def check(self, picture: FarmPicture, order: Order) -> Verdict:
        from sdx_domains.farm import assurance

        return assurance.check(picture, order)

    def planned(self, picture: FarmPicture, options: Sequence[FarmOption]) -> Proposal:
        from sdx_domains.farm.planner import planned

        return planned(picture, options)

    def fallback(self, picture: FarmPicture, options: Sequence[FarmOption] | None) -> Verdict:
        from sdx_domains.farm import assurance

        return assurance.fallback(picture)

    def bounds(self) -> dict[str, tuple[float, float]]:
        from sdx_domains.farm.greenhouse.twin import Bounds

        good = Bounds()
        return {
            "air_temp_c": (good.temp_min_c, good.temp_max_c),
            "air_rh_pct": (good.rh_min_pct, good.rh_max_pct),
            "co2_ppm": (good.co2_min_ppm, good.co2_max_ppm),
        }

    def outcome(self, then: FarmPicture, later: Sequence[FarmPicture]) -> dict[str, float]:
        from sdx_domains.farm.hindsight import outcome

        return outcome(then, later)

    def describe(self, picture: FarmPicture, language: Language) -> str:
        from sdx_domains.farm import language as words

        return words.describe(picture, language)

    def advise(self, picture: FarmPicture, option: FarmOption, language: Language) -> str:
        from sdx_domains.farm import language as words

        return words.advise(picture, option, language)

    def wished(self, picture: FarmPicture, wish: Mapping[str, float]) -> Mapping[str, float]:
        from sdx_domains.farm.by_hand import wished

        return wished(picture, wish)

    def load_picture(self, payload: Mapping[str, Any]) -> FarmPicture:
        return FarmPicture.model_validate(payload)

    def load_options(self, payload: Sequence[Mapping[str, Any]]) -> tuple[FarmOption, ...]:
        return tuple(FarmOption.model_validate(item) for item in payload)

    def plant(self, scenario: str, seed: int) -> Plant:
        from sdx_domains.farm.world import scenarios

        return self.plant_of(scenarios.scenario(scenario, seed), seed)

    def controller(self) -> Controller:
        from sdx_domains.farm.control.controller import FarmController

        return FarmController()

    def house(self, scenario: str, seed: int) -> SimulatedHouse:
        from sdx_domains.farm.world import house, scenarios

        return house.GreenhouseHouse(scenarios.scenario(scenario, seed), seed)

    def controlled(self, equipment: Equipment, now_s: float) -> ControlledPlant:
        from sdx_domains.farm.perceive import GreenhousePerceiver
        from sdx_domains.farm.world import plant

        return plant.ControlledPlant(equipment, self.controller(), GreenhousePerceiver(follow=False), now_s)

    # what a benchmark needs

    def suite(self, name: str, seed: int, count: int | None = None, folder: Path | None = None) -> Sequence[Any]:
        from sdx_domains.farm.world import suites

        return suites.suite(name, seed, count, folder)

    def case(self, scenario: str, seed: int) -> Any:
        from sdx_domains.farm.world import scenarios

        return scenarios.scenario(scenario, seed)

    def plant_of(self, case: Any, seed: int) -> Plant:
        from sdx_domains.farm.world import house

        return self.controlled(house.GreenhouseHouse(case, seed), 0.0)

    def score(self, case: Any, plant: Any) -> Any:
        from sdx_domains.farm.world import scoring

        return scoring.score(case, plant)

    def load_score(self, payload: Mapping[str, Any]) -> Any:
        from sdx_domains.farm.world import scoring

        return scoring.FarmScore.model_validate(payload)

    def draw(self, plant: Any, path: Path, title: str) -> Path:
        from sdx_domains.farm.world import plots

        return plots.draw(plant, path, title)

    def summarise(self, scores: Sequence[Any]) -> dict[str, Any]:
        from sdx_domains.farm.world import scoring

        return scoring.summarise(scores)


def branch() -> GreenhouseBranch:
    """The one that domain.py routes to."""
    return GreenhouseBranch()
