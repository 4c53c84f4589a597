"""One YAML file says everything about a model: data, tokenizer, sizes, training, export, proof.

python -m sdx_finetune.run finetune/recipes/embedded.yaml --stage all --work runs/embedded
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sdx_domains.contract import Closed, digest
from sdx_serving.closed import from_yaml

Dotted = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Quantisation = Literal["F32", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"]
MIN_TOP1: dict[Quantisation, float] = {
    "F32": 0.999, "F16": 0.995, "Q8_0": 0.98, "Q6_K": 0.97, "Q5_K_M": 0.95, "Q4_K_M": 0.90, "IQ4_XS": 0.90, "Q3_K_M": 0.80, "Q2_K": 0.60,
}  # fmt: skip


class DataSpec(Closed):
    """Where rows come from: a generator, or a data set of `sdx data` with the splits train and eval.

    Shard i of a generated split is made with seed `<split>_seed + i * shard_seeds`; splits never share a seed.
    """

    dataset: str | None = None
    """NAME@VERSION of a data set; a bare NAME is refused, for it would mean other rows tomorrow."""
    generator: Dotted | None = None
    """Dotted name of `rows(count: int, seed: int, **arguments) -> Iterator[dict]`, e.g. "package.module:rows"."""
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)
    derive: Dotted | None = None
    """Dotted name of `derive(row: dict) -> list[dict]`: more training rows from each, when they are read; pure."""
    train_rows: int = Field(0, ge=0)
    eval_rows: int = Field(0, ge=0)
    """Of a generator: how many rows to make; at least one each."""
    train_seed: int = Field(1, ge=0)
    eval_seed: int = Field(900_000_000, ge=0)
    shard_rows: int = Field(250, ge=1)
    """Rows written at once: what a kill loses at most."""
    shard_seeds: int = Field(1000, ge=1)
    """Seeds set aside for a shard: a generator may count up from its own, so far and no further."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dataset is None) == (self.generator is None):
            raise ValueError("give either dataset (NAME@VERSION of `sdx data`) or generator")
        if self.dataset is not None and "@" not in self.dataset:
            raise ValueError(f"dataset {self.dataset!r} names no version; write NAME@VERSION, `sdx data show {self.dataset}` lists them")
        if self.generator is not None and not (self.train_rows and self.eval_rows):
            raise ValueError("a generator wants train_rows and eval_rows, at least 1 each")
        return self

    @model_validator(mode="after")
    def _splits_are_disjoint(self) -> Self:
        if self.generator is None:
            return self
        spans = [(self.train_seed, self.train_rows), (self.eval_seed, self.eval_rows)]
        (low, low_rows), (high, _) = sorted(spans)
        last = low + -(-low_rows // self.shard_rows) * self.shard_seeds - 1
        if high <= last:
            raise ValueError(f"train and eval share seeds: shards use {low}..{last}, the other split starts at {high}; move it beyond")
        return self


class TokenizerSpec(Closed):
    """Byte-level BPE, single digits, ChatML markers."""

    vocab_size: int = Field(4096, ge=300, le=65_535)
    """Upper bound; fewer when the corpus has fewer pairs. Above 65,535 ids would not fit the token cache."""
    fit_rows: int = Field(4000, ge=1)
    min_frequency: int = Field(2, ge=1)
    extra_special: tuple[str, ...] = ()
    """More markers, e.g. "<image>"."""


class ModelSpec(Closed):
    """Qwen3 decoder, tied embeddings."""

    hidden: int = Field(512, ge=64)
    ffn: int = Field(1024, ge=64)
    layers: int = Field(4, ge=1)
    heads: int = Field(8, ge=1)
    kv_heads: int = Field(2, ge=1)
    head_dim: int = Field(64, ge=16)
    context: int = Field(2048, ge=64)
    """Longest sequence that the file promises, tokens."""
    rope_theta: float = Field(10_000.0, gt=0)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is no multiple of kv_heads {self.kv_heads}")
        for name, value in (("hidden", self.hidden), ("ffn", self.ffn)):
            if value % 32:
                raise ValueError(f"{name} {value} must be a multiple of 32 (Q8_0 blocks); of 256 for K-quants without fall-back")
        return self


class TrainSpec(Closed):
    """How long and how hard. The cosine follows whichever of max_minutes, max_steps, max_epochs is nearest its end."""

    max_minutes: float | None = Field(None, gt=0)
    """Wall-clock budget of all sessions together, checkpoints included, compiling not; the run ends annealed."""
    max_steps: int | None = Field(None, ge=1)
    max_epochs: int | None = Field(None, ge=1)
    optimiser: Literal["adamw", "muon"] = "adamw"
    """"muon": orthogonalised momentum for the hidden matrices (torch.optim.Muon), AdamW for the rest."""
    learning_rate: float = Field(2e-3, gt=0)
    warmup: float = Field(0.03, ge=0, lt=1)
    """Share of the budget."""
    final_lr: float = Field(0.01, ge=0, le=1)
    """Share of learning_rate at the end."""
    weight_decay: float = Field(0.05, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    batch_tokens: int = Field(4096, ge=64)
    """Positions per forward pass, padding included. Small fits the cache: faster on a CPU."""
    accumulate: int = Field(1, ge=1)
    max_length: int = Field(512, ge=16)
    """Longer rows are dropped and counted; more than max_dropped of them is an error."""
    max_dropped: float = Field(0.01, ge=0, le=1)
    buckets: int = Field(4, ge=1, le=16)
    """Number of fixed lengths; each costs one compile."""
    loss_on: Literal["last", "all"] = "last"
    """Which assistant turns are learnt."""
    prompt_loss_weight: float = Field(0.0, ge=0, le=1)
    short_batches: int = Field(0, ge=0)
    """The first so many batches hold rows of the shortest bucket only: what is learnt from little context comes first."""
    precision: Literal["bf16", "fp32"] = "bf16"
    compile: bool = True
    threads: int = Field(1, ge=1)
    checkpoint_minutes: float = Field(3.0, gt=0)
    eval_rows: int = Field(32, ge=1)
    """Held-out rows for the loss shown at each checkpoint."""
    seed: int = 0

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.max_minutes is None and self.max_steps is None and self.max_epochs is None:
            raise ValueError("give max_minutes, max_steps or max_epochs: the learning-rate schedule needs an end")
        if self.batch_tokens < self.max_length:
            raise ValueError(f"batch_tokens {self.batch_tokens} holds no row of max_length {self.max_length}")
        return self


class ExportSpec(Closed):
    """GGUF files to write, `<name>-<QUANT>.gguf`."""

    quantisations: tuple[Quantisation, ...] = ("F32", "Q8_0")
    chosen: Quantisation = "Q8_0"
    """The one that ships."""
    max_bytes: int = Field(20_000_000, ge=1)
    adapter: bool = False
    """Also the adapter alone, as a GGUF LoRA beside the base (weights lora, qlora)."""
    onnx: tuple[Literal["fp32", "int8"], ...] = ()
    """Also ONNX files, for runtimes without llama.cpp."""
    awq_bits: Literal[4, 8] | None = None
    """Also a compressed safetensors folder through llm-compressor; wants CUDA."""

    @model_validator(mode="after")
    def _chosen_is_made(self) -> Self:
        if self.chosen not in self.quantisations:
            raise ValueError(f"chosen {self.chosen} is not among quantisations {list(self.quantisations)}")
        return self


class ParitySpec(Closed):
    """The release's condition: the file answers as the training stack does."""

    prompts: int = Field(8, ge=1)
    greedy_tokens: int = Field(48, ge=1)
    max_logit_difference: float = Field(0.05, gt=0)
    """Largest difference for F32, in logit units."""
    min_top1: dict[Quantisation, float] = Field(default_factory=lambda: dict(MIN_TOP1))
    """Least share of positions where both stacks rank the same token first."""


class Recipe(Closed):
    """Everything that makes one model."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    description: str
    method: Literal["scratch"] = "scratch"
    """Weights from nothing; sft, dpo and grpo change a model that exists, and have fields of their own."""
    licence: str = "apache-2.0"
    languages: tuple[str, ...] = ("en", "ko")
    data: DataSpec
    tokenizer: TokenizerSpec
    model: ModelSpec
    train: TrainSpec
    tracking: str | None = None
    """MLflow tracking URI; "local" is an SQLite file beside the runs."""
    export: ExportSpec = Field(default_factory=lambda: ExportSpec.model_validate({}))
    parity: ParitySpec = Field(default_factory=lambda: ParitySpec.model_validate({}))

    @model_validator(mode="after")
    def _context_holds_rows(self) -> Self:
        if self.train.max_length > self.model.context:
            raise ValueError(f"train.max_length {self.train.max_length} is beyond model.context {self.model.context}")
        return self

    @property
    def id(self) -> str:
        """Content hash of the whole recipe."""
        return digest(self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read YAML. ValueError names the file, each wrong field, its value and what was expected."""
        return from_yaml(cls, path)
