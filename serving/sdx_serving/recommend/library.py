"""The models that may be recommended: those of the registry, and those that the user names. Start at candidates()."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import Field

from sdx_serving.closed import Closed
from sdx_serving.recommend.facts import BadModel, ModelFacts
from sdx_serving.recommend.headers import facts_of
from sdx_serving.recommend.shapes import find_shape, guessed_facts, named_facts, shapes
from sdx_serving.registry import Entry, Registry, Score
from sdx_serving.results import Measurement


class Task(Closed):
    """One task, of tasks.yaml."""

    prompt_tokens: int = Field(ge=1)
    shared_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=1)


@dataclass(frozen=True, slots=True)
class Model:
    """One form of one model."""

    facts: ModelFacts
    given: str
    """What to write where a command wants the model: a file, or the known name."""
    here: bool
    """The weights are on this machine."""
    entry: Entry | None = None

    def score(self, task: str) -> Score | None:
        return self.entry.tasks.get(task) if self.entry else None


@cache
def tasks() -> dict[str, Task]:
    text = files("sdx_serving.recommend").joinpath("tasks.yaml").read_text(encoding="utf-8")
    return {name: Task.model_validate(item) for name, item in yaml.safe_load(text)["tasks"].items()}


def candidates(names: Sequence[str], registry: Registry) -> tuple[list[Model], list[str]]:
    """The models that are named; without names those of the registry. And what is wrong with those that cannot be read.

    Args:
        names: as headers.facts_of takes them; a known name without a quantisation stands for all of its quantisations.

    Raises:
        BadModel: a named model is not there.
    """
    if names:
        return [model for name in names for model in _named(name, registry)], []
    found: list[Model] = []
    wrong: list[str] = []
    for entry in registry.entries().values():
        path = registry.path_of(entry)
        try:
            facts = replace(entry_facts(entry, registry), name=entry.name)
            found.append(Model(facts, str(path) if path else entry.name, path is not None, entry))
        except BadModel as error:
            wrong.append(f"{entry.name}: {error}")
    return found, wrong


def entry_facts(entry: Entry, registry: Registry) -> ModelFacts:
    """From the file where it is there, else from the shape of its name, else from what the registry tells of its size."""
    if path := registry.path_of(entry):
        return facts_of(str(path))
    if find_shape(entry.name):
        return replace(named_facts(entry.name, entry.compression), weights_bytes=entry.weights_bytes)
    return guessed_facts(entry.name, max(entry.parameters, 1) / 1e9, entry.compression)


def facts_by_measurement(registry: Registry) -> Callable[[Measurement], ModelFacts | None]:
    """A function that finds the model of a measurement, by its hash or its name; None for a model of which nothing is known."""
    entries = registry.entries()

    @cache
    def found(sha256: str, model: str, compression: str) -> ModelFacts | None:
        try:
            if sha256 in entries:
                return entry_facts(entries[sha256], registry)
            return named_facts(model, compression) if find_shape(model) else facts_of(model)
        except BadModel:
            return None

    return lambda row: found(row.model_sha256, row.model, row.compression)


def _named(name: str, registry: Registry) -> Iterator[Model]:
    here = Path(name).expanduser().exists()
    if not here and ":" not in name and find_shape(name):
        for known in shapes().quantisations:
            yield Model(named_facts(name, known), f"{name}:{known}", here=False)
        return
    facts = facts_of(name)
    yield Model(facts, name, here, _entry_of(facts, registry))


def _entry_of(facts: ModelFacts, registry: Registry) -> Entry | None:
    """The registry's entry of a file that the user names: of the same name and quantisation."""
    stem = facts.name.removesuffix(".gguf")
    return next((entry for entry in registry.entries().values() if entry.name == stem and entry.compression == facts.quantisation), None)
