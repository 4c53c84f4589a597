"""What `sdx bench serve` measures, as one closed YAML file: models, compressions, runtimes, ways, load. Start at Plan."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Self

import yaml
from pydantic import Field, model_validator

from sdx_serving.bench.task import Question
from sdx_serving.closed import Closed, from_yaml
from sdx_serving.results import Way


class Impairment(Closed):
    """What a network does to each packet. The order of packets is kept."""

    round_trip_ms: float = Field(default=0.0, ge=0.0, le=10_000.0)
    """Added to there and back together, half in each direction."""
    jitter_ms: float = Field(default=0.0, ge=0.0, le=1_000.0)
    """Each direction's delay varies by as much, evenly."""
    loss_percent: float = Field(default=0.0, ge=0.0, le=50.0)
    """In each direction."""
    rate_mbit: float | None = Field(default=None, gt=0.0)
    """In each direction; None: as fast as it goes."""

    def __str__(self) -> str:
        parts = [f"round trip +{self.round_trip_ms:g} ms"]
        parts += [f"jitter {self.jitter_ms:g} ms"] if self.jitter_ms else []
        parts += [f"loss {self.loss_percent:g} %"] if self.loss_percent else []
        return ", ".join(parts + ([f"{self.rate_mbit:g} Mbit/s"] if self.rate_mbit else []))


class WaySpec(Closed):
    """How a model is asked."""

    way: Way
    concurrency: int = Field(default=1, ge=1, le=256)
    """Requests under way at the same time."""
    impairment: Impairment | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.way == "http-impaired") != (self.impairment is not None):
            raise ValueError("impairment belongs to the way http-impaired, and that way needs one")
        if self.way == "in-process" and self.concurrency > 1:
            raise ValueError(f"in-process asks one at a time; concurrency {self.concurrency} needs the way http")
        return self

    def __str__(self) -> str:
        if self.way == "in-process":
            return "in-process"
        return f"http x{self.concurrency}" + (f", {self.impairment}" if self.impairment else "")


class ModelFile(Closed):
    """One compression of a model."""

    compression: str = Field(min_length=1)
    """F32, Q4_K_M, onnx-int8, ..."""
    path: Path
    """A GGUF file or a folder; in a plan file relative to it."""


class ModelSpec(Closed):
    """One model in its compressions; the first is what the others are held against."""

    name: str = Field(min_length=1)
    files: tuple[ModelFile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [file.compression for file in self.files]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{self.name}: compression {twice[0]!r} is listed twice")
        return self


class Plan(Closed):
    """Everything that is measured is measured with everything: models x compressions x runtimes x ways."""

    models: tuple[ModelSpec, ...] = Field(min_length=1)
    runtimes: tuple[str, ...] = Field(default=("llama.cpp",), min_length=1)
    """Names of engines: llama.cpp, onnx, vllm, ..."""
    ways: tuple[WaySpec, ...] = Field(min_length=1)
    prompts: str
    """A task that the caller knows ("ship"), or a .jsonl file of chat rows, whose last turn is the answer to be met word for word."""
    requests: int = Field(default=24, ge=1)
    """Of the task, in each round; the same rows for every cell."""
    cold_requests: int = Field(default=6, ge=1)
    """With a beginning that was never seen, one after the other, in each round."""
    output_tokens: int = Field(default=256, ge=1)
    """Most tokens of an answer."""
    context_tokens: int = Field(default=2048, ge=16)
    threads: int | None = Field(default=None, ge=1)
    """Of the engine; None takes the cores that are set apart for it."""
    rounds: int = Field(default=2, ge=1)
    """How often each cell is measured, every second time in reversed order, so that drift is shared."""
    seed: int = Field(default=0, ge=0)
    """Of the task's rows and of the order."""
    minutes: float = Field(default=20.0, gt=0.0)
    """No trial begins that would end later; the same command goes on from there."""
    deadline_s: float = Field(default=60.0, gt=0.0)
    """Of one request."""
    trial_s: float = Field(default=180.0, gt=0.0)
    """Of one cell in one round, once its engine is ready."""
    memory_limit_mb: int | None = Field(default=None, ge=1)
    """Resident memory at which a server counts as out of memory and is ended."""
    pin: bool = True
    """Give the engine all cores but the last, and client and monitor that one, where there are two or more."""
    deadlines_s: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 5.0)
    """For which the report says what to run."""
    notes: tuple[str, ...] = ()
    """What a reader of the report must know of the models."""

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """From a YAML file. ValueError names the file, each wrong field, its value and what was expected."""
        return from_yaml(cls, path).beside(path.resolve().parent)

    def beside(self, folder: Path) -> "Plan":
        """With paths that are relative to `folder` made whole."""
        models = [
            model.model_copy(update={"files": tuple(file.model_copy(update={"path": folder / file.path}) for file in model.files)})
            for model in self.models
        ]
        prompts = str(folder / self.prompts) if self.prompts.endswith(".jsonl") else self.prompts
        return self.model_copy(update={"models": tuple(models), "prompts": prompts})

    def text(self, folder: Path) -> str:
        """As YAML that load() reads from a file in `folder`: what lies below it is written without it, and moves with it."""
        told = self.model_dump(mode="json")
        for file in (file for model in told["models"] for file in model["files"]):
            path = Path(file["path"])
            file["path"] = str(path.relative_to(folder.resolve()) if path.is_relative_to(folder.resolve()) else path)
        return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for field, names in (("models", [model.name for model in self.models]), ("runtimes", self.runtimes), ("ways", self.ways)):
            if twice := [str(name) for number, name in enumerate(names) if name in names[:number]]:
                raise ValueError(f"{field}: {twice[0]!r} is listed twice")
        return self

    def load_id(self, questions: Sequence[Question]) -> str:
        """Changes when figures are no longer comparable: another load, other rows, other limits. More rounds are the same load."""
        fields = {"requests", "cold_requests", "output_tokens", "context_tokens", "threads", "seed", "deadline_s", "memory_limit_mb", "pin"}
        text = self.model_dump_json(include=fields) + "".join(question.model_dump_json() for question in questions[: self.requests])
        return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to measure."""

    model: str
    compression: str
    path: Path
    runtime: str
    way: WaySpec
    sha256: str = ""
    """Of the weights; "" when they are not there."""
    version: str = ""
    """Of the runtime."""
    load: str = ""
    """Plan.load_id"""

    @property
    def key(self) -> str:
        """The same for the same weights under the same runtime, way and load, wherever the file lies."""
        parts = (self.model, self.compression, self.sha256, self.runtime, self.version, self.way.model_dump_json(), self.load)
        return sha256("\n".join(parts).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.model} {self.compression}, {self.runtime}, {self.way}"


def cells(plan: Plan, hashes: Mapping[Path, str], version: Callable[[str, WaySpec], str], load: str) -> Iterator[Cell]:
    """All of them, models outermost."""
    files = [(model.name, file) for model in plan.models for file in model.files]
    for (model, file), runtime, way in product(files, plan.runtimes, plan.ways):
        yield Cell(model, file.compression, file.path, runtime, way, hashes.get(file.path, ""), version(runtime, way), load)
