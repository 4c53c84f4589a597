"""A recipe that changes a model that exists: what, on which rows, by which method, exported how. One YAML file, closed schema.

`method` says what is learnt from, `weights` what is changed: the two combine freely, but for QLoRA, which wants CUDA.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sdx_domains.contract import Closed, digest
from sdx_finetune.recipe import Dotted, ExportSpec, ParitySpec
from sdx_serving.closed import from_yaml

Method = Literal["sft", "dpo", "grpo"]
Weights = Literal["full", "lora", "qlora", "dora"]
Pinned = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[0-9a-f]+$")]
EMBEDDED = "embedded"


class BaseSpec(Closed):
    """The model to begin with."""

    model: str = EMBEDDED
    """"embedded" (the one that ships), a GGUF file of the qwen3 architecture in F32, F16, Q8_0 or a K-quant, a local folder, or a
    Hugging Face id."""
    revision: str | None = None
    """Of a Hugging Face id: the commit; without it the newest is taken once and written down in base.json."""
    token_env: str = "HF_TOKEN"
    """Name of the environment variable with the access token for gated models; the token itself never stands in a file."""


class RowsSpec(Closed):
    """Stored rows: `sft` learns the answers, `dpo` chosen against rejected, `grpo` only asks the questions."""

    dataset: Pinned
    """NAME@VERSION of `sdx data`, with the splits train and eval."""
    train_rows: int | None = Field(None, ge=1)
    """At most so many, in the stored order; all without it."""
    eval_rows: int = Field(64, ge=1)
    """Held-out rows for the loss during training; the evaluation afterwards takes all."""


class LoraSpec(Closed):
    """Low-rank adapters (arXiv 2106.09685; DoRA arXiv 2402.09353)."""

    rank: int = Field(16, ge=1, le=512)
    alpha: float = Field(32.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Names of linear layers, e.g. [q_proj, v_proj]."""


class FitSpec(Closed):
    """How long, how hard, on how much memory."""

    max_steps: int | None = Field(None, ge=1)
    max_epochs: float | None = Field(None, gt=0)
    """One of the two, the nearer end counts."""
    learning_rate: float = Field(2e-4, gt=0)
    warmup: float = Field(0.03, ge=0, lt=1)
    """Share of the steps."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    batch_rows: int = Field(8, ge=1)
    """Rows per forward pass and process; with packing sequences of max_length, with grpo answers."""
    accumulate: int = Field(1, ge=1)
    max_length: int = Field(1024, ge=16)
    """Tokens, with grpo its longest answer included; longer rows are dropped and counted, never cut: a cut answer teaches to stop
    anywhere."""
    packing: bool = False
    """Several rows end to end in one sequence (sft of text)."""
    gradient_checkpointing: bool = False
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 where the device computes it faster (CUDA from Ampere on, CPUs with AVX512-BF16 or AMX), else fp32."""
    eval_every: int = Field(50, ge=1)
    """Steps between two held-out losses; a checkpoint is written with each."""
    patience: int | None = Field(None, ge=1)
    """Stop early after so many held-out losses without a better one; the best checkpoint is kept."""
    threads: int = Field(2, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.max_steps is None and self.max_epochs is None:
            raise ValueError("give max_steps or max_epochs: the learning-rate schedule needs an end")
        return self


class DpoSpec(Closed):
    """Direct preference optimisation (arXiv 2305.18290)."""

    beta: float = Field(0.1, gt=0)
    sft_weight: float = Field(0.0, ge=0)
    """Weight of the plain loss on the chosen answer beside it; keeps wording from drifting."""


class GrpoSpec(Closed):
    """Group-relative policy optimisation (arXiv 2402.03300) with a reward of the domain."""

    reward: Dotted
    """Dotted name of `reward(row: Row, answer: str) -> float`, e.g. sdx_domains.ship.reward:reward."""
    answers: int = Field(8, ge=2)
    """Per question."""
    temperature: float = Field(0.9, gt=0)
    max_tokens: int = Field(256, ge=1)
    beta: float = Field(0.0, ge=0)
    """Weight of the divergence from the base."""


class EvaluateSpec(Closed):
    """How the result is measured, on all held-out rows, beside its base."""

    scorer: Dotted = "sdx_finetune.measure.text_metrics:score"
    """Dotted name of `scorer(row, answer) -> {metric: bool | float | None}`."""
    schema_of: Dotted | None = None
    """Dotted name of `schema_of(row) -> JSON schema | None` that answers are held to."""
    against: tuple[str, ...] = ("base",)
    """What stands beside it: "base", or GGUF files (a previous edition)."""
    group_by: tuple[str, ...] = ("language",)
    max_tokens: int = Field(512, ge=1)


class ProcessSpec(Closed):
    """More than one process, through accelerate."""

    processes: int = Field(1, ge=1)
    strategy: Literal["ddp", "fsdp", "zero2", "zero3"] = "ddp"


class AdaptRecipe(Closed):
    """Everything that makes one model from another."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    description: str
    method: Method
    weights: Weights = "lora"
    licence: str = "apache-2.0"
    languages: tuple[str, ...] = ("en", "ko")
    base: BaseSpec = Field(default_factory=lambda: BaseSpec.model_validate({}))
    data: RowsSpec
    lora: LoraSpec = Field(default_factory=lambda: LoraSpec.model_validate({}))
    train: FitSpec
    dpo: DpoSpec = Field(default_factory=lambda: DpoSpec.model_validate({}))
    grpo: GrpoSpec | None = None
    run: ProcessSpec = Field(default_factory=lambda: ProcessSpec.model_validate({}))
    tracking: str | None = None
    """MLflow tracking URI; "local" is an SQLite file beside the runs."""
    export: ExportSpec = Field(default_factory=lambda: ExportSpec.model_validate({}))
    parity: ParitySpec = Field(default_factory=lambda: ParitySpec.model_validate({}))
    evaluate: EvaluateSpec = Field(default_factory=lambda: EvaluateSpec.model_validate({}))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.method == "grpo") != (self.grpo is not None):
            raise ValueError('grpo (with its reward) goes with method "grpo", and only with it')
        if self.train.packing and self.method != "sft":
            raise ValueError(f'train.packing goes with method "sft", not {self.method!r}')
        if "lora" in self.model_fields_set and self.weights == "full":
            raise ValueError('lora is given, but weights is "full": choose weights lora, dora or qlora, or take lora away')
        if self.export.adapter and self.weights not in ("lora", "qlora"):
            raise ValueError(f"export.adapter goes with weights lora and qlora, not {self.weights!r}: a GGUF adapter holds nothing else")
        return self

    @model_validator(mode="after")
    def _groups_are_whole(self) -> Self:
        if self.grpo is None:
            return self
        answers = self.train.batch_rows * self.train.accumulate * self.run.processes
        if answers % self.grpo.answers:
            raise ValueError(
                f"train.batch_rows x train.accumulate x run.processes is {answers} answers a step, no multiple of grpo.answers "
                f"{self.grpo.answers}: set train.accumulate so that it is"
            )
        if self.grpo.max_tokens >= self.train.max_length:
            raise ValueError(
                f"grpo.max_tokens {self.grpo.max_tokens} leaves no room for a question in train.max_length {self.train.max_length}"
            )
        return self

    @property
    def id(self) -> str:
        """Content hash of the whole recipe."""
        return digest(self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read YAML. ValueError names the file, each wrong field, its value and what was expected."""
        return from_yaml(cls, path)
