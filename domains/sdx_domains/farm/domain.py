"""The farm as the graph, the guard, the pipeline and the equipment nodes see it: contract.Benched and equipment.Equipped.

Two branches share it: the greenhouse (branch.py) and the field (field/branch.py). A picture goes to the branch of its `kind`, a
scenario or suite to the one of its name: those that begin with "field" are the field's. Branches load when they are first used.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from sdx_domains.contract import Language, Measuring, Order, Pace, Passage, Perceiver, Plant, Proposal, Reading, Verdict
from sdx_domains.equipment import ControlledPlant, Controller, Equipment, SimulatedHouse
from sdx_domains.farm import NAME

Kind = Literal["greenhouse", "field"]
MODULES: dict[Kind, str] = {"greenhouse": "branch", "field": "field.branch"}
"""Each has a function `branch()` that gives an object with the methods below and `pace`; and `kind` of a case is the branch's."""

PLANTS = {"greenhouse": ("greenhouse",), "field": ("field-champion-1986",)}
"""Kinds of simulated plant -> the scenario that runs when none is named; an unknown name tells all there are."""


@cache
def branch(kind: Kind) -> Any:
    """The branch of that kind. ValueError for another one."""
    if kind not in MODULES:
        raise ValueError(f"no branch {kind!r}; known: {', '.join(MODULES)}")
    return import_module(f"{__package__}.{MODULES[kind]}").branch()


def kind_of(name: str) -> Kind:
    """The branch that a scenario's or suite's name belongs to."""
    return "field" if name.startswith("field") else "greenhouse"


def _kind(of: Any) -> Kind:
    return getattr(of, "kind", "greenhouse")


class FarmDomain:
    """See contract.Domain for what each method promises. Stateless; perceivers, controllers and plants hold the state.

    Args:
        kind: of the perceivers and of the pace; fitted() gives the domain of a case, or of a scenario's name.
    """

    name = NAME

    def __init__(self, kind: Kind = "greenhouse", case: Any = None) -> None:
        self.kind: Kind = kind
        self.pace: Pace = branch(kind).pace
        self._case = case

    def perceiver(self) -> Perceiver:
        return branch(self.kind).perceiver()

    def options(self, picture: Any) -> Sequence[Any]:
        return branch(picture.kind).options(picture)

    def recall(self, picture: Any) -> Sequence[Passage]:
        return branch(picture.kind).recall(picture)

    def looks_for(self, picture: Any, language: Language) -> str:
        return branch(picture.kind).looks_for(picture, language)

    def messages(self, picture: Any, options: Sequence[Any], passages: Sequence[Passage], language: Language) -> list[dict[str, str]]:
        return branch(picture.kind).messages(picture, options, passages, language)

    def question(self, picture: Any, text: str, language: Language) -> list[dict[str, str]]:
        return branch(picture.kind).question(picture, text, language)

    def told(self, picture: Any, text: str, language: Language, whole: bool) -> str:
        return branch(picture.kind).told(picture, text, language, whole)

    def doubts(self, picture: Any, text: str) -> list[str]:
        return branch(picture.kind).doubts(picture, text)

    def answered(self, picture: Any, text: str, language: Language) -> str | None:
        """What can be said to a person's question without any model; None when it is about something else."""
        return branch(picture.kind).answered(picture, text, language)

    def bounds(self) -> Mapping[str, tuple[float, float]]:
        return branch(self.kind).bounds()

    def answer_schema(self, picture: Any, options: Sequence[Any]) -> dict[str, Any]:
        return branch(picture.kind).answer_schema(picture, options)

    def read_answer(self, text: str, picture: Any, options: Sequence[Any]) -> Proposal:
        return branch(picture.kind).read_answer(text, picture, options)

    def assure(self, picture: Any, options: Sequence[Any], proposal: Proposal) -> Verdict:
        return branch(picture.kind).assure(picture, options, proposal)

    def check(self, picture: Any, order: Order) -> Verdict:
        return branch(picture.kind).check(picture, order)

    def planned(self, picture: Any, options: Sequence[Any]) -> Proposal:
        return branch(picture.kind).planned(picture, options)

    def fallback(self, picture: Any, options: Sequence[Any] | None) -> Verdict:
        return branch(picture.kind).fallback(picture, options)

    def outcome(self, then: Any, later: Sequence[Any]) -> Mapping[str, float]:
        return branch(then.kind).outcome(then, later)

    def describe(self, picture: Any, language: Language) -> str:
        return branch(picture.kind).describe(picture, language)

    def advise(self, picture: Any, option: Any, language: Language) -> str:
        return branch(picture.kind).advise(picture, option, language)

    def wished(self, picture: Any, wish: Mapping[str, float]) -> Mapping[str, float]:
        if picture is None:
            raise ValueError("there is no picture yet to hold a wish against")
        return branch(picture.kind).wished(picture, wish)

    def load_picture(self, payload: Mapping[str, Any]) -> Any:
        return branch(payload.get("kind", "greenhouse")).load_picture(payload)

    def load_options(self, payload: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        return branch(payload[0].get("kind", "greenhouse") if payload else self.kind).load_options(payload)

    def plant(self, scenario: str, seed: int) -> Plant:
        return branch(kind_of(scenario)).plant(scenario, seed)

    # what the equipment nodes need

    def controller(self) -> Controller:
        return branch(self.kind).controller()

    def plants(self) -> Mapping[str, Sequence[str]]:
        return PLANTS

    def reading_types(self) -> Sequence[type[Reading]]:
        from sdx_domains.farm.picture import ClockReading, CropReading, ForecastReading, PriceReading

        return (ClockReading, CropReading, ForecastReading, PriceReading)

    def house(self, scenario: str, seed: int) -> SimulatedHouse:
        return branch(kind_of(scenario)).house(scenario, seed)

    def controlled(self, equipment: Equipment, now_s: float) -> ControlledPlant:
        return branch(self.kind).controlled(equipment, now_s)

    # what a benchmark needs

    def suite(self, name: str, seed: int, count: int | None = None, folder: Path | None = None) -> Sequence[Any]:
        return branch(kind_of(name)).suite(name, seed, count, folder)

    def case(self, scenario: str, seed: int) -> Any:
        return branch(kind_of(scenario)).case(scenario, seed)

    def measures(self) -> Mapping[str, Callable[[Measuring], dict[str, Any]]]:
        from sdx_domains.farm.measures import MEASURES

        return MEASURES

    def fitted(self, case: Any) -> "FarmDomain":
        """The domain of a suite's case, or of a scenario's name."""
        return FarmDomain(kind_of(case)) if isinstance(case, str) else FarmDomain(_kind(case), case)

    def plant_of(self, case: Any, seed: int) -> Plant:
        return branch(_kind(case)).plant_of(case, seed)

    def score(self, case: Any, plant: Any) -> Any:
        return branch(_kind(case)).score(case, plant)

    def load_score(self, payload: Mapping[str, Any]) -> Any:
        return branch(payload.get("kind", "greenhouse")).load_score(payload)

    def draw(self, plant: Any, path: Path, title: str) -> Path:
        return branch(self.kind).draw(plant, path, title)

    def summarise(self, scores: Sequence[Any]) -> dict[str, Any]:
        return branch(_kind(scores[0]) if scores else self.kind).summarise(scores)


def farm_domain() -> FarmDomain:
    """Entry point of the group sdx.domains."""
    return FarmDomain()
