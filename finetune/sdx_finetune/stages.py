"""What every pipeline shares: stages by name in one folder, GGUF files, and their proof against the training stack."""

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from sdx_finetune import progress
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.datasets.formats import IMAGE
from sdx_finetune.journal import write_whole
from sdx_finetune.recipe import Quantisation, Recipe
from sdx_finetune.rows import Row
from sdx_serving.provenance import provenance

if TYPE_CHECKING:
    from sdx_finetune.parity.gate import Report

AnyRecipe = TypeVar("AnyRecipe", Recipe, AdaptRecipe)


def say(line: str) -> None:
    """One line of progress on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _words(turn: dict[str, str]) -> dict[str, str]:
    return {**turn, "content": turn["content"].replace(IMAGE, "").strip()}


class Stages(ABC, Generic[AnyRecipe]):
    """The stages of one recipe in one folder; a pipeline adds its own."""

    names: ClassVar[tuple[str, ...]]
    """In order; each is a method."""
    besides: ClassVar[tuple[str, ...]] = ()
    """Stages that are run only when they are named."""
    on: str | None = None
    """Address of the Ray cluster that trains; None: this machine does."""

    def __init__(self, recipe: AnyRecipe, recipe_path: Path, work: Path, workers: int = 1) -> None:
        self.recipe, self.recipe_path, self.work, self.workers = recipe, recipe_path, work, workers
        work.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def held_out(self) -> list[Row]:
        """Rows that no training step has seen."""

    def by_name(self) -> Mapping[str, Callable[[], None]]:
        """What can be run by itself: `names` and what is besides, each a method."""
        return {name: getattr(self, name) for name in (*self.names, *self.besides)}

    def stage(self, name: str) -> None:
        """Run one. ValueError when this kind of recipe has none of that name."""
        stages = self.by_name()
        if name not in stages:
            raise ValueError(f"stage {name!r} does not belong to {self.recipe_path}; it has {', '.join(stages)}")
        started = time.monotonic()
        say(f"stage {name}")
        progress.tell(self.work, name, 0.0)
        if name == "train" and self.on is not None:
            from sdx_finetune.on_ray.train import train_on

            train_on(self.on, self.recipe, self.recipe_path, self.work, say)
        else:
            stages[name]()
        progress.tell(self.work, name, 1.0)
        say(f"stage {name} done in {time.monotonic() - started:.0f} s")

    def gguf(self, kind: str) -> Path:
        return self.work / "gguf" / f"{self.recipe.name}-{kind}.gguf"

    def export(self) -> None:
        """Every quantisation of the recipe, from float32."""
        from sdx_finetune.export.gguf_file import Label, export_gguf
        from sdx_finetune.export.quantise import quantise

        if not (self.work / "model").exists():
            earlier = "`merge`" if "merge" in self.names else "`train`, or `snapshot` for the last checkpoint"
            raise FileNotFoundError(f"{self.work / 'model'} is missing: run the stage {earlier}")
        recipe = self.recipe
        label = Label(recipe.name, recipe.description, recipe.licence, recipe.languages)
        self.gguf("F32").parent.mkdir(exist_ok=True)
        if "vision_config" in json.loads((self.work / "model" / "config.json").read_text(encoding="utf-8")):
            from sdx_finetune.export.vision import export_vision

            whole, _ = export_vision(self.work / "model", self.gguf("F32"), self.gguf("mmproj"), label)
        else:
            whole = export_gguf(self.work / "model", self.gguf("F32"), label)
        for kind in recipe.export.quantisations:
            if kind != "F32":
                quantise(whole, self.gguf(kind), kind, recipe.train.threads)
            say(f"{self.gguf(kind).name}: {self.gguf(kind).stat().st_size / 1e6:.2f} MB")
        if "F32" not in recipe.export.quantisations:
            whole.unlink()
        size = self.gguf(recipe.export.chosen).stat().st_size
        if size > recipe.export.max_bytes:
            raise ValueError(f"{self.gguf(recipe.export.chosen).name} has {size} bytes, export.max_bytes allows {recipe.export.max_bytes}")

    def parity(self) -> None:
        """Hold every file against the training stack. ValueError when one fails."""
        reports = []
        for report in self.reports(self.prompts()):
            say(report.text())
            reports.append(report)
        record = {"reports": [asdict(report) for report in reports], **provenance()}
        write_whole(self.work / "parity.json", json.dumps(record, indent=1).encode())
        if failed := [report.file for report in reports if report.faults]:
            raise ValueError(f"parity failed for {', '.join(failed)}; the report above says where; do not release these files")

    def reports(self, chats: list[list[dict[str, str]]]) -> "Iterator[Report]":
        """One for each file that was exported."""
        from sdx_finetune.parity.gate import compare

        kinds: tuple[Quantisation, ...] = self.recipe.export.quantisations
        for kind in kinds:
            yield compare(self.work / "model", self.gguf(kind), kind, chats, self.recipe.parity)

    def prompts(self) -> list[list[dict[str, str]]]:
        """Held-out questions for the proof, evenly taken; of those with images the words."""
        rows, wanted = self.held_out(), self.recipe.parity.prompts
        chosen = rows[:: max(1, len(rows) // wanted)][:wanted]
        return [[_words(turn) if row.images else turn for turn in row.turns()[:-1]] for row in chosen]

    def card(self) -> None:
        """README.md beside the files."""
        from sdx_finetune.card import write_card

        say(f"model card: {write_card(self.recipe, self.recipe_path, self.work, self.work / 'README.md')}")
