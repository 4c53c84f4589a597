"""From a recipe that adapts a model to checked files: data, train, merge, export, parity, evaluate, card."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdx_domains.contract import digest
from sdx_finetune.adapt.base import Base
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.journal import write_whole
from sdx_finetune.rows import Row
from sdx_finetune.stages import Stages, say

if TYPE_CHECKING:
    from sdx_finetune.parity.gate import Report

ADAPT_STAGES = ("data", "train", "merge", "export", "parity", "evaluate", "card")


class AdaptPipeline(Stages[AdaptRecipe]):
    """A model from another."""

    names = ADAPT_STAGES

    def base(self) -> Base:
        from sdx_finetune.adapt.train import chosen_base

        return chosen_base(self.recipe, self.work, say)

    def held_out(self) -> list[Row]:
        from sdx_finetune.adapt.rows import stored_rows

        return stored_rows(self.recipe, lambda line: None)[1]

    def data(self) -> None:
        """Whether the rows go with method, base and length, before hours are spent."""
        from sdx_finetune.adapt.rows import splits
        from sdx_finetune.adapt.trainers import load_reader

        splits(self.recipe, load_reader(self.base().folder), say)

    def train(self) -> None:
        """`adapter/` or `model/`, and run.json; in this process, or in the several that the recipe asks for."""
        from sdx_finetune.adapt.launch import launch
        from sdx_finetune.adapt.train import train
        from sdx_finetune.tracking import tracked

        if self.recipe.run.processes > 1:
            self.base()  # downloaded and unpacked once, before several want it
            return launch(self.recipe, self.recipe_path, self.work, say)
        with tracked(self.recipe.tracking, self.recipe.name, self.recipe.model_dump(mode="json"), self.work) as log:
            train(self.recipe, self.work, say, log)

    def merge(self) -> None:
        """`model/`: what was learnt worked into the base. Full weights are there already."""
        from sdx_finetune.adapt.merge import merge

        if self.recipe.weights == "full":
            return
        self._once("merge", [self.work / "model"], lambda: merge(self.base().folder, self.work / "adapter", self.work / "model"))

    def export(self) -> None:
        """GGUF files, and beside them what else the recipe asks for."""
        from sdx_finetune.adapt.exports import export_others

        if not (self.work / "model").exists():
            raise FileNotFoundError(f"{self.work / 'model'} is missing: run the stages `train` and `merge`")
        made = [self.gguf(kind) for kind in self.recipe.export.quantisations]
        spec = self.recipe.export.model_dump(mode="json")
        label = [self.recipe.name, self.recipe.description, self.recipe.licence, self.recipe.languages]

        def make() -> None:
            super(AdaptPipeline, self).export()
            export_others(self.recipe, self.base(), self.work, self.prompts(), say)

        self._once("export", made, make, spec, label)

    def parity(self) -> None:
        specs = [self.recipe.export.model_dump(mode="json"), self.recipe.parity.model_dump(mode="json")]
        self._once("parity", [self.work / "parity.json"], super().parity, *specs)

    def reports(self, chats: list[list[dict[str, str]]]) -> "Iterator[Report]":
        from sdx_finetune.adapt.exports import prove_others

        yield from super().reports(chats)
        yield from prove_others(self.recipe, self.base(), self.work, chats, say)

    def evaluate(self) -> None:
        """All held-out rows, asked beside the base; evaluation.json and report.html."""
        from sdx_finetune.measure.side_by_side import evaluate_recipe

        rows = self.held_out()
        if any(row.images for row in rows):
            return say("held-out rows have images: the evaluation asks with text alone, so only the held-out loss stands")
        evaluate_recipe(self.recipe, self.base().folder, self.gguf(self.recipe.export.chosen), rows, self.work, say)

    def _once(self, name: str, made: Sequence[Path], make: Callable[[], Any], *facts: Any) -> None:
        """Make what is not there, or was made from another training or other fields."""
        if not (self.work / "run.json").exists():
            raise FileNotFoundError(f"{self.work / 'run.json'} is missing: run the stage `train`")
        marks = self.work / "stages.json"
        done: dict[str, str] = json.loads(marks.read_text(encoding="utf-8")) if marks.exists() else {}
        mark = digest([(self.work / "run.json").read_text(encoding="utf-8"), *facts])
        if done.get(name) == mark and all(path.exists() for path in made):
            return say(f"{name}: {', '.join(path.name for path in made)} there already")
        began = time.monotonic()
        make()
        say(f"{name}: {', '.join(path.name for path in made)} in {time.monotonic() - began:.0f} s")
        write_whole(marks, json.dumps(done | {name: mark}, indent=1).encode())
