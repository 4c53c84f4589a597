"""The ship domain as the graph, the guard and the pipeline see it: contract.Domain, wired to this folder's modules."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdx_domains.contract import Language, Measuring, Order, Pace, Passage, Proposal, Verdict
from sdx_domains.ship import assurance, figures, language, prompting
from sdx_domains.ship.faithful import unsupported_numbers
from sdx_domains.ship.options import all_options, shown_options
from sdx_domains.ship.perceive import ShipPerceiver
from sdx_domains.ship.picture import OwnShipParameters, ShipOption, ShipPicture
from sdx_domains.ship.recall import looks_for, passages
from sdx_domains.ship.scenarios import Scenario, scenario, suite
from sdx_domains.ship.scoring import CaseScore, score, summarise
from sdx_domains.ship.simulator.world import ShipWorld

MOST_BY_HAND_KN = 30.0
"""Speed that a person may order."""


class ShipDomain:
    """See contract.Domain for what each method promises. Stateless; perceivers and plants hold the state."""

    name = "ship"
    pace = Pace()

    def __init__(self, parameters: OwnShipParameters | None = None) -> None:
        self.parameters = parameters or OwnShipParameters()

    def perceiver(self) -> ShipPerceiver:
        return ShipPerceiver(self.parameters)

    def options(self, picture: ShipPicture) -> tuple[ShipOption, ...]:
        return shown_options(picture, all_options(picture))

    def recall(self, picture: ShipPicture) -> tuple[Passage, ...]:
        return passages(picture)

    def looks_for(self, picture: ShipPicture, language: Language) -> str:
        return looks_for(picture, language)

    def messages(
        self, picture: ShipPicture, options: Sequence[ShipOption], passages: Sequence[Passage], language: Language
    ) -> list[dict[str, str]]:
        return prompting.messages(picture, options, passages, language)

    def question(self, picture: ShipPicture, text: str, language: Language) -> list[dict[str, str]]:
        return prompting.question_messages(picture, text, language)

    def answered(self, picture: ShipPicture, text: str, language_: Language) -> None:
        return None

    def bounds(self) -> dict[str, tuple[float, float]]:
        return {}

    def told(self, picture: ShipPicture, text: str, language_: Language, whole: bool) -> str:
        return figures.fill(text, picture, language=language_) if whole else figures.fill_so_far(text, picture, language_)

    def doubts(self, picture: ShipPicture, text: str) -> list[str]:
        return unsupported_numbers(text, picture, ())

    def answer_schema(self, picture: ShipPicture, options: Sequence[ShipOption]) -> dict[str, Any]:
        return prompting.answer_schema(picture, options)

    def read_answer(self, text: str, picture: ShipPicture, options: Sequence[ShipOption]) -> Proposal:
        return prompting.read_answer(text, picture, options)

    def assure(self, picture: ShipPicture, options: Sequence[ShipOption], proposal: Proposal) -> Verdict:
        return assurance.assure(picture, options, proposal)

    def check(self, picture: ShipPicture, order: Order) -> Verdict:
        return assurance.check(picture, order)

    def planned(self, picture: ShipPicture, options: Sequence[ShipOption]) -> Proposal:
        order = self.fallback(picture, options).order
        return Proposal(option_id=order.option_id if order else None, source="fallback")

    def fallback(self, picture: ShipPicture, options: Sequence[ShipOption] | None) -> Verdict:
        return assurance.fallback(picture, self.options(picture) if options is None else options)

    def outcome(self, then: ShipPicture, later: Sequence[ShipPicture]) -> dict[str, float]:
        ranges = [target.range_nm for picture in (then, *later) for target in picture.targets]
        off_m = max((abs(picture.route.xte_m) for picture in later), default=0.0)
        return {"closest_nm": min(ranges, default=99.0), "off_route_m": off_m}

    def describe(self, picture: ShipPicture, language_: Language) -> str:
        return language.describe(picture, language_)

    def advise(self, picture: ShipPicture, option: ShipOption, language_: Language) -> str:
        return language.advise(picture, option, language_)

    def wished(self, picture: ShipPicture, wish: Mapping[str, float]) -> Mapping[str, float]:
        if wish.keys() != {"heading_deg", "speed_kn"}:
            raise ValueError(f"a person steers with heading_deg and speed_kn, got {', '.join(sorted(wish)) or 'nothing'}")
        if not (0.0 <= wish["heading_deg"] < 360.0 and 0.0 <= wish["speed_kn"] <= MOST_BY_HAND_KN):
            raise ValueError(f"by hand: heading_deg 0 to below 360, speed_kn 0 to {MOST_BY_HAND_KN:g}; got {dict(wish)}")
        return wish

    def load_picture(self, payload: Mapping[str, Any]) -> ShipPicture:
        return ShipPicture.model_validate(payload)

    def load_options(self, payload: Sequence[Mapping[str, Any]]) -> tuple[ShipOption, ...]:
        return tuple(ShipOption.model_validate(item) for item in payload)

    def plant(self, scenario_name: str, seed: int) -> ShipWorld:
        return ShipWorld(scenario(scenario_name, seed), seed)

    # what a benchmark needs

    def suite(self, name: str, seed: int, count: int | None = None, folder: Path | None = None) -> list[Scenario]:
        return suite(name, seed=seed, count=count, folder=folder)

    def case(self, scenario_name: str, seed: int) -> Scenario:
        return scenario(scenario_name, seed)

    def measures(self) -> Mapping[str, Callable[[Measuring], dict[str, Any]]]:
        return {}

    def fitted(self, case: Scenario) -> "ShipDomain":
        return ShipDomain(case.own.parameters)

    def plant_of(self, case: Scenario, seed: int) -> ShipWorld:
        return ShipWorld(case, seed)

    def score(self, case: Scenario, plant: ShipWorld) -> CaseScore:
        return score(case, plant.trace)

    def load_score(self, payload: Mapping[str, Any]) -> CaseScore:
        return CaseScore.model_validate(payload)

    def draw(self, plant: ShipWorld, path: Path, title: str) -> Path:
        from sdx_domains.ship.plots import plot_tracks  # matplotlib takes a second to load

        return plot_tracks(plant.trace, path, title)

    def summarise(self, scores: Sequence[CaseScore]) -> dict[str, Any]:
        return summarise(list(scores))


def ship_domain() -> ShipDomain:
    """Entry point "ship" of the group sdx.domains."""
    return ShipDomain()
