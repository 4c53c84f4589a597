"""A recipe of method "vision": phantoms, an encoder, a decoder that reads its tokens. One YAML file says everything."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sdx_domains.contract import Closed, digest
from sdx_finetune.recipe import DataSpec, Dotted, ExportSpec, ModelSpec, Recipe, TokenizerSpec, TrainSpec
from sdx_serving.closed import from_yaml

TUNING_SEED, HELD_OUT_SEED = 500_000_000, 900_000_000
"""Phantoms for training lie below the first, for tuning between the two; those from the second on are never seen here."""
VISION_TOKEN = "<|vision|>"
"""Stands in a training row's ids where a visual token goes in; no text writes it."""


Render = dict[str, str | int | float | bool | tuple[float, ...]]
"""Arguments of the phantom's renderer."""


class Phantoms(Closed):
    """How many, from which seed on, and how they are drawn. Splits are apart by their seeds."""

    count: int = Field(ge=1)
    seed: int = Field(ge=0, lt=HELD_OUT_SEED)
    render: Render = Field(default_factory=dict)
    """Besides those of all splits, and before them."""

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + self.count)


class DataOfVision(Closed):
    """Which phantoms are rendered, for what."""

    train: Phantoms = Phantoms(count=2400, seed=1_000_000)
    """The encoder learns from these."""
    tune: Phantoms = Phantoms(count=300, seed=TUNING_SEED)
    """Its probabilities are calibrated, and its AUROC told, on these."""
    cases: Phantoms = Phantoms(count=1500, seed=3_000_000)
    """The decoder learns from these, as the trained encoder sees them: it has not learnt them, so its errors are those of new volumes."""
    eval_cases: Phantoms = Phantoms(count=100, seed=TUNING_SEED + 10_000_000)
    """Rows for the held-out loss, and the proof that all files answer alike."""
    words: int = Field(6000, ge=0)
    """Rows of imaginary studies without a volume besides: they cost milliseconds, and the decoder must read without an encoder too."""
    words_seed: int = Field(100_000_000, ge=0, lt=TUNING_SEED)
    words_rows: Dotted = "sdx_domains.medicine.language.examples:rows"
    """Dotted name of `rows(count, seed) -> Iterator[dict]`; marks of volumes in them are taken out."""
    shard: int = Field(25, ge=1)
    """Phantoms to a file: what a kill loses at most."""
    render: Render = Field(default_factory=dict)
    """Of all splits."""
    rows: Dotted = "sdx_domains.medicine.language.examples:rows_of"
    """Dotted name of `rows_of(picture, true_ids, seed) -> Iterator[dict]`: chat rows about one study, with <ct:HANDLE> for the volume."""

    @model_validator(mode="after")
    def _splits_are_disjoint(self) -> Self:
        spans = sorted(((name, getattr(self, name)) for name in ("train", "tune", "cases", "eval_cases")), key=lambda item: item[1].seed)
        for (low, first), (high, second) in pairwise(spans):
            if first.seeds.stop > second.seed:
                raise ValueError(f"{low} uses seeds up to {first.seeds.stop - 1}, {high} begins at {second.seed}: move it beyond")
        for name, split in spans:
            limit = TUNING_SEED if name in ("train", "cases") else HELD_OUT_SEED
            if split.seeds.stop > limit or (limit == HELD_OUT_SEED and split.seed < TUNING_SEED):
                raise ValueError(
                    f"{name} uses seeds {split.seed}..{split.seeds.stop - 1}: training lies below {TUNING_SEED}, tuning below {HELD_OUT_SEED}"
                )
        return self


class EncoderSpec(Closed):
    """Sizes of the encoder and how it is trained."""

    widths: tuple[int, int, int] = (24, 48, 96)
    """Channels at a half, a quarter and an eighth of the slab's side."""
    blocks: int = Field(3, ge=1)
    """That mix within a slab and across slabs."""
    sharpness: float = Field(5.0, gt=0)
    """Of the pooling over cells: 0 is the mean, infinity the maximum."""
    mask_weight: float = Field(0.5, ge=0)
    """Of the loss on maps, beside that on labels."""
    epochs: float = Field(8.0, gt=0)
    restarts: tuple[float, ...] = ()
    """Epochs at which the learning rate begins anew, in order (SGDR, Loshchilov and Hutter 2017): so can a training be lengthened that has ended."""
    batch: int = Field(8, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1)
    weight_decay: float = Field(0.02, ge=0)
    precision: Literal["bf16", "fp32"] = "bf16"
    compile: bool = True
    """Of the augmentation; needs a C++ compiler."""
    threads: int = Field(2, ge=1)
    checkpoint_minutes: float = Field(2.0, gt=0)
    seed: int = 0

    @model_validator(mode="after")
    def _restarts_lie_within(self) -> Self:
        if any(low >= high for low, high in pairwise((0.0, *self.restarts, self.epochs))):
            raise ValueError(f"restarts {list(self.restarts)} must rise from above 0 to below epochs, {self.epochs:g}")
        return self


class VisionParity(Closed):
    """The release's condition: all files give the labels that the training stack gives."""

    least_agreement: float = Field(0.99, gt=0, le=1)
    tokens: int = Field(400, ge=1)
    """Longest answer that is compared."""


class VisionRecipe(Closed):
    """Everything that makes one model that reads volumes."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    description: str
    method: Literal["vision"]
    licence: str = "apache-2.0"
    languages: tuple[str, ...] = ("en", "ko")
    data: DataOfVision = Field(default_factory=lambda: DataOfVision.model_validate({}))
    encoder: EncoderSpec = Field(default_factory=lambda: EncoderSpec.model_validate({}))
    tokenizer: TokenizerSpec
    model: ModelSpec
    """The decoder."""
    projector_hidden: int = Field(256, ge=16)
    token_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of visual tokens that are left out while the decoder learns, so that it leans on none alone."""
    train: TrainSpec
    """Of projector and decoder together."""
    tracking: str | None = None
    export: ExportSpec = Field(default_factory=lambda: ExportSpec.model_validate({}))
    parity: VisionParity = Field(default_factory=lambda: VisionParity.model_validate({}))

    @property
    def id(self) -> str:
        """Content hash of the whole recipe."""
        return digest(self.model_dump(mode="json"))

    def decoder(self) -> Recipe:
        """The decoder's part as the trainer from scratch takes it."""
        tokenizer = self.tokenizer.model_copy(update={"extra_special": (*self.tokenizer.extra_special, VISION_TOKEN)})
        return Recipe(
            name=self.name,
            description=self.description,
            licence=self.licence,
            languages=self.languages,
            data=DataSpec(dataset=f"{self.name}@{digest(self.data.model_dump(mode='json'))}"),  # pyright: ignore[reportCallIssue]
            tokenizer=tokenizer,
            model=self.model,
            train=self.train,
            tracking=self.tracking,
            export=self.export,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read YAML. ValueError names the file, each wrong field, its value and what was expected."""
        return from_yaml(cls, path)
