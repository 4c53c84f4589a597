"""Which prompt to improve, on which rows, by which model, search and measure: one YAML file, closed schema."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sdx_domains.contract import Closed, Language, digest
from sdx_finetune.recipe import Dotted
from sdx_serving.closed import from_yaml
from sdx_serving.connect import embedded_model_path

Optimiser = Literal["labeled", "bootstrap", "random_search", "mipro"]
TextMetric = Literal["token_f1", "chrf", "exact"]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
DATASET = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}@[0-9a-f]+")


class ModelSpec(Closed):
    """Who answers, and how it is asked; the same that is served afterwards."""

    model: str = "embedded"
    """"embedded", a GGUF file, or an OpenAI-compatible address with its version, e.g. http://127.0.0.1:8080/v1, with #name where it
    serves several models."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; the key itself never stands in a file."""
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    max_tokens: int = Field(256, ge=1)
    """Of an answer."""
    context: int = Field(2048, ge=256)
    """Tokens, of an engine that is started for a GGUF file."""
    concurrency: int = Field(4, ge=1, le=256)
    """Requests at once: what the server takes (llama.cpp: its slots)."""
    deadline_s: float = Field(60.0, gt=0)

    @property
    def file(self) -> Path | None:
        """Of a model in a file, that file; it may not be there."""
        if self.model == "embedded":
            return embedded_model_path()
        return Path(self.model) if self.model.endswith(".gguf") else None


class SearchSpec(Closed):
    """How better prompts are looked for."""

    optimiser: Optimiser = "bootstrap"
    """labeled: rows as demos; bootstrap: the model's own good answers as demos; random_search: the best of several such sets;
    mipro: sets of demos and instructions that the model proposes (MIPROv2, arXiv 2406.11695)."""
    max_demos: int = Field(4, ge=1, le=64)
    """In the prompt, of both kinds together."""
    max_bootstrapped: int | None = Field(None, ge=1)
    """Most of them that are the model's own answers; all without it."""
    good: float = Field(0.8, gt=0.0)
    """Least metric of an own answer that may become a demo."""
    rounds: int = Field(1, ge=1, le=20)
    """Tries to get a good answer to a row; those after the first at temperature 1."""
    candidates: int = Field(8, ge=2, le=100)
    """Sets of demos (random_search), sets and as many instructions (mipro)."""
    trials: int | None = Field(None, ge=1)
    """Combinations that mipro scores; three halves of the candidates without it."""

    @property
    def combinations(self) -> int:
        return self.trials or -(-3 * self.candidates // 2)

    @model_validator(mode="after")
    def _bootstrapped_fit(self) -> Self:
        if self.max_bootstrapped is not None and self.max_bootstrapped > self.max_demos:
            raise ValueError(f"search.max_bootstrapped {self.max_bootstrapped} is more than search.max_demos {self.max_demos}")
        return self


class PromptSpec(Closed):
    """A whole run."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    task: str = ""
    """What the answers are for, in a sentence: the base prompt where rows have no system turn and `instruction` is not given."""
    instruction: str | None = None
    """The base prompt, as it is served today."""
    rows: str
    """A data set NAME@VERSION of `sdx data`, or a file that `sdx data check` takes: one question and its answer each."""
    language: Language | None = None
    """Only rows of this meta.language where rows have one; proposed instructions must be in it."""
    model: ModelSpec = Field(default_factory=lambda: ModelSpec.model_validate({}))
    search: SearchSpec = Field(default_factory=lambda: SearchSpec.model_validate({}))
    metric: TextMetric | Dotted | None = None
    """Or a dotted name of `metric(row: Row, answer: str) -> float`; without it token_f1, for Korean chrf."""
    validation: Share = 0.3
    """Share of the rows that the best prompt is chosen by."""
    test: Share = 0.4
    """Share that is scored at the end only. A data set's own split `eval` or `test` takes its place."""
    min_test_rows: int = Field(10, ge=2)
    """With fewer, scores come from cross-validation."""
    max_rows: int = Field(300, ge=2)
    """Of more rows so many are drawn."""
    max_calls: int = Field(2000, ge=1)
    """Calls of the model, all together; the search ends early with the best prompt so far."""
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _something_trains(self) -> Self:
        if self.validation + self.test >= 1.0:
            raise ValueError(f"validation {self.validation} and test {self.test} leave no rows to take demos from: lower one")
        return self

    @property
    def of_dataset(self) -> bool:
        return bool(DATASET.fullmatch(self.rows)) and not Path(self.rows).exists()

    @property
    def metric_name(self) -> str:
        return self.metric or ("chrf" if self.language == "ko" else "token_f1")

    @property
    def id(self) -> str:
        """Hash of everything that decides the result, but for how long it may take; a model's file counts by size and date."""
        rows = self.rows if self.of_dataset else sha256(Path(self.rows).read_bytes()).hexdigest()
        file = self.model.file
        weights = [file.stat().st_size, file.stat().st_mtime_ns] if file and file.is_file() else None
        loose = {"model": {"concurrency", "deadline_s", "api_key_env"}, "max_calls": True, "rows": True}
        return digest([self.model_dump(mode="json", exclude=loose), rows, weights])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read YAML; paths in it are relative to it. ValueError names the file, each wrong field, its value and what was expected."""
        spec = from_yaml(cls, path)
        folder = path.resolve().parent
        rows = spec.rows if spec.of_dataset else str(folder / spec.rows)
        local = spec.model.model.endswith(".gguf")
        model = spec.model.model_copy(update={"model": str(folder / spec.model.model)}) if local else spec.model
        return spec.model_copy(update={"rows": rows, "model": model})
