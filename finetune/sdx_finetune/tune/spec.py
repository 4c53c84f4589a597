"""What to search for a recipe: which fields in which ranges, by which figure, how long. One YAML file, closed schema."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from sdx_domains.contract import Closed
from sdx_serving.closed import from_yaml

HELD_OUT = "held_out"


class RangeSpec(Closed):
    """Where a field may lie: from low to high, or one of choices."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """As likely between 0.001 and 0.01 as between 0.01 and 0.1; for learning rates."""
    step: int | float | None = Field(None, gt=0)
    choices: tuple[Any, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.choices) == (self.low is not None or self.high is not None):
            raise ValueError("give either low and high, or choices")
        if self.choices:
            return self
        if self.low is None or self.high is None or not self.low < self.high:
            raise ValueError(f"low {self.low} must be less than high {self.high}; give both")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError(f"log goes with low above 0 (given: {self.low}) and without step")
        return self

    @property
    def bounds(self) -> tuple[Any, ...]:
        """Values that the field must take."""
        return self.choices or (self.low, self.high)


class StudySpec(Closed):
    """A whole search."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    recipe: Path
    """What is varied; relative to this file."""
    search: dict[str, RangeSpec] = Field(min_length=1)
    """Field of the recipe, e.g. train.learning_rate -> range."""
    fixed: dict[str, Any] = Field(default_factory=dict)
    """Field -> value for all trials, and not in the best recipe: e.g. a shorter training than the recipe's own."""
    trials: int = Field(20, ge=1)
    objective: str = HELD_OUT
    """"held_out": the held-out loss, or the held-out reward with grpo; else a metric of the stage `evaluate`, e.g. chrf: more is better."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Ends trials early whose held-out figures are worse than those of others after as many measurements."""
    startup_trials: int = Field(4, ge=1)
    """Trials that are never ended early; twice as many are drawn at random (Optuna's own relation, 5 and 10)."""
    max_minutes: float | None = Field(None, gt=0)
    """No trial begins beyond; all sessions together."""
    seed: int = Field(0, ge=0)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read YAML. ValueError names the file, each wrong field, its value and what was expected."""
        spec = from_yaml(cls, path)
        return spec.model_copy(update={"recipe": path.resolve().parent / spec.recipe})


def check_fields(spec: StudySpec, recipe: BaseModel) -> None:
    """ValueError when a field is not in the recipe, or cannot take a bound of its range."""
    held = {**{("search", path): one.bounds for path, one in spec.search.items()}, **{("fixed", p): (v,) for p, v in spec.fixed.items()}}
    for (part, path), values in held.items():
        try:
            annotation, _ = field_at(type(recipe), path)
            for value in values:
                TypeAdapter(annotation).validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{part}.{path}: {first['input']!r} is no value for it: {first['msg']}") from error
        except ValueError as error:
            raise ValueError(f"{part}.{path}: {error}") from error


def field_at(model: type[BaseModel], path: str) -> tuple[Any, bool]:
    """(annotation with its limits, whether it holds whole numbers alone). ValueError for a field that is not there, with what is near."""
    kind: Any = model
    metadata: list[Any] = []
    for place, name in enumerate(parts := path.split(".")):
        inner = next((one for one in (kind, *getattr(kind, "__args__", ())) if isinstance(one, type) and issubclass(one, BaseModel)), None)
        fields = inner.model_fields if inner is not None else {}
        if name not in fields:
            before = ".".join(parts[:place])
            near = get_close_matches(name, fields, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"there are {', '.join(fields)}"
                if fields
                else f"{before} has no fields of its own"
            )
            raise ValueError(f"{before or 'the recipe'} has no field {name!r}; {hint}")
        kind, metadata = fields[name].annotation, fields[name].metadata
    whole = int in (kind, *getattr(kind, "__args__", ())) and float not in (kind, *getattr(kind, "__args__", ()))
    return (Annotated[kind, *metadata] if metadata else kind), whole


def with_values(raw: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's mapping with dotted fields set; what the file leaves out stays out."""
    made = dict(raw)
    for path, value in values.items():
        *folders, last = path.split(".")
        place = made
        for name in folders:
            place[name] = dict(place.get(name) or {})
            place = place[name]
        place[last] = value
    return made
