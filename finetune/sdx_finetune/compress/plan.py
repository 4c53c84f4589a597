"""What was asked of `sdx compress`: which model, which methods, measured on which rows. Start at Plan."""

from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from sdx_domains.contract import Closed
from sdx_finetune.recipe import Dotted, Quantisation

GGUF: tuple[Quantisation, ...] = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
WEIGHED = frozenset(GGUF) - {"F16", "Q8_0"}
"""Kinds whose rounding an importance matrix changes."""
PLAIN: dict[str, Quantisation] = {f"{kind}-plain": kind for kind in GGUF if kind in WEIGHED}
"""Methods that round without one."""
ROUNDED: dict[str, Quantisation] = {**{kind: kind for kind in GGUF}, **PLAIN}
ONNX = ("onnx-fp32", "onnx-int8", "onnx-int8-static")
LEARNT = ("pruned-2:4", "pruned-structured", "distilled")
GPU = ("awq", "gptq")
METHODS: tuple[str, ...] = (*ROUNDED, *ONNX, *LEARNT, *GPU)
OWN_SCORER, OWN_METRIC = "sdx_finetune.measure.text_metrics:score", "exact"


class Task(Closed):
    """Where rows of a task come from and how answers are judged."""

    generator: Dotted
    derive: Dotted | None = None
    train_seed: int
    eval_seed: int
    """Rows from here on no model was trained on."""
    scorer: Dotted
    schema_of: Dotted | None = None
    metric: str
    """The scorer's figure that speaks for the task, 0..1, more is better."""
    bar: float = Field(0.0, ge=0, le=1)


class Verdict(Closed):
    """Words for what a method costs."""

    words: str
    lost: float
    worst: float
    passes: bool


class Distillation(Closed):
    """How a student is made and taught."""

    teacher: float = Field(gt=0, le=1)
    temperature: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    keep: float = Field(gt=0, le=1)
    layers: float = Field(gt=0, le=1)


class Settings(Closed):
    """settings.yaml."""

    tasks: dict[str, Task]
    verdicts: tuple[Verdict, ...]
    least_rows: int = Field(ge=1)
    min_top1: dict[str, float]
    recovery: dict[str, Any]
    distillation: Distillation


@lru_cache
def settings() -> Settings:
    return Settings.model_validate(yaml.safe_load(files("sdx_finetune.compress").joinpath("settings.yaml").read_text(encoding="utf-8")))


class Plan(Closed):
    """One call of `sdx compress`."""

    model: str
    """"embedded", a GGUF file, a folder, or a Hugging Face id."""
    methods: tuple[str, ...]
    task: str | None = "ship"
    """By its name in settings.yaml; None: judged by words alike, on `rows`."""
    rows: str | None = None
    """NAME@VERSION with the splits train and eval, or a file of rows, a part of which is held out; None: the task's own."""
    scorer: Dotted | None = None
    schema_of: Dotted | None = None
    metric: str | None = None
    """Instead of the task's."""
    eval_rows: int = Field(200, ge=1)
    calibration_rows: int = Field(64, ge=1)
    train_rows: int = Field(1000, ge=8)
    max_tokens: int = Field(256, ge=1)
    """Of an answer."""
    minutes: float = Field(5.0, gt=0)
    """Of training, for each method that trains."""
    keep: float = Field(0.75, gt=0, lt=1)
    """Share of feed-forward channels and heads that structured pruning leaves."""
    drop_layers: int = Field(0, ge=0)
    importance: Literal["wanda", "magnitude"] = "wanda"
    """What decides which weights go: |weight| times the size of what meets it (arXiv 2306.11695), or |weight| alone."""
    file: Quantisation = "Q8_0"
    """Kind of GGUF file that pruned and distilled models are written as."""
    threads: int = Field(1, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not self.methods:
            raise ValueError(f"no method is given: choose from {', '.join(METHODS)}")
        for method in self.methods:
            if method not in METHODS:
                near = get_close_matches(method, METHODS, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(METHODS)}"
                raise ValueError(f"no method {method!r}; {hint}")
        if self.task is not None and self.task not in settings().tasks:
            raise ValueError(f"no task {self.task!r}; there are {', '.join(settings().tasks)}; or give rows alone")
        if self.task is None and self.rows is None:
            raise ValueError("neither a task nor rows are given: what should the result be measured on?")
        return self

    @property
    def held_to(self) -> "Task | None":
        return settings().tasks[self.task] if self.task else None

    @property
    def judged_by(self) -> tuple[str, str | None, str]:
        """(scorer, schema_of, metric)."""
        task = self.held_to
        scorer = self.scorer or (task.scorer if task else OWN_SCORER)
        schema_of = self.schema_of or (task.schema_of if task else None)
        return scorer, schema_of, self.metric or (task.metric if task and not self.scorer else OWN_METRIC)

    @property
    def subject(self) -> str:
        """What the score is called in the registry."""
        return self.task or str(self.rows)


def folder_name(method: str) -> str:
    """As folders and registries call it: pruned-2:4 is pruned-24."""
    return method.replace(":", "")
