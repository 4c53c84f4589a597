"""From a recipe to a checked GGUF file, stage by stage; what is done is not done again.

python -m sdx_finetune.run finetune/recipes/embedded.yaml --stage all --work runs/embedded
"""

import argparse
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sdx_domains.contract import digest
from sdx_finetune.adapt.pipeline import ADAPT_STAGES, AdaptPipeline
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.datasets.store import Store
from sdx_finetune.journal import write_whole
from sdx_finetune.on_ray.cluster import reachable
from sdx_finetune.outcomes import Outcome, in_words, outcome_of
from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row, Split, distinct, make_rows, read_rows, shards_of, with_derived
from sdx_finetune.stages import Stages, say
from sdx_finetune.vision.pipeline import VISION_STAGES, VisionPipeline
from sdx_finetune.vision.recipe import VisionRecipe
from sdx_serving.provenance import provenance

if TYPE_CHECKING:
    from sdx_finetune.scratch.batches import TokenRows

SPLITS: tuple[Split, ...] = ("eval", "train")
STAGES = ("data", "tokenizer", "train", "export", "parity", "card")


def load_recipe(path: Path) -> Recipe | AdaptRecipe | VisionRecipe:
    """Which kind of recipe a file is, `method` tells: without it, or with "scratch", a model is made from nothing; "vision": one that sees.

    ValueError names the file, each wrong field, its value and what was expected.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from error
    if isinstance(raw, dict):
        kinds: dict[Any, type[Recipe | AdaptRecipe | VisionRecipe]] = {"scratch": Recipe, "vision": VisionRecipe}
        return kinds.get(raw.get("method", "scratch"), AdaptRecipe).load(path)
    raise ValueError(f"{path}: a recipe is a mapping of fields (given: {raw!r:.80}); `sdx finetune init DATASET` writes one")


def pipeline_of(recipe_path: Path, work: Path, workers: int = 1) -> "Pipeline | AdaptPipeline | VisionPipeline":
    """The stages of a recipe file in a folder."""
    recipe = load_recipe(recipe_path)
    if isinstance(recipe, Recipe):
        return Pipeline(recipe, recipe_path, work, workers)
    if isinstance(recipe, VisionRecipe):
        return VisionPipeline(recipe, recipe_path, work, workers)
    return AdaptPipeline(recipe, recipe_path, work, workers)


def main(argv: list[str] | None = None) -> int:
    """Exit codes are those of sdx_finetune.outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--stage", choices=[*dict.fromkeys((*STAGES, *ADAPT_STAGES, *VISION_STAGES)), "snapshot", "all"], default="all")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything made; resume is by using it again")
    parser.add_argument("--workers", type=int, default=1, help="processes of the stage data")
    parser.add_argument("--on", metavar="ADDRESS", help="train on a Ray cluster: ray://HOST:10001, HOST:6379 on one of its nodes, or local")
    args = parser.parse_args(argv)
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ.setdefault(name, "1")
    with sigterm_as_interrupt():
        try:
            pipeline = pipeline_of(args.recipe, args.work, args.workers)
            pipeline.on = reachable(args.on) if args.on else None
            for name in pipeline.names if args.stage == "all" else (args.stage,):
                pipeline.stage(name)
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("SDX_DEBUG"):
                raise
            outcome = outcome_of(error)
            if outcome is Outcome.FAILED:
                traceback.print_exc()
            print(f"error: {in_words(error)}", file=sys.stderr)
            return outcome
    return Outcome.DONE


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Whoever ends a job sends SIGTERM; work answers to both alike."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Pipeline(Stages[Recipe]):
    """A model from nothing: rows, tokenizer, weights."""

    names = STAGES
    besides = ("snapshot",)

    def data(self) -> None:
        """JSONL shards of both splits; those of a stored data set are there already."""
        if self.recipe.data.dataset:
            say(f"data set {self.recipe.data.dataset}: " + ", ".join(str(self.paths(split)[0]) for split in SPLITS))
            return
        for split in SPLITS:
            make_rows(self.recipe.data, split, self.work / "data", self.workers, say)

    def paths(self, split: Split) -> list[Path]:
        if self.recipe.data.dataset:
            return [Store().split(self.recipe.data.dataset, split)]
        paths = [shard.path for shard in shards_of(self.recipe.data, split, self.work / "data")]
        if missing := [path.name for path in paths if not path.exists()]:
            raise FileNotFoundError(f"{len(missing)} of {len(paths)} {split} shards are missing, first {missing[0]}: run the stage `data`")
        return paths

    def held_out(self) -> list[Row]:
        rows, repeats, _ = distinct(read_rows(self.paths("eval")))
        say(f"eval: {len(rows)} distinct rows, {repeats} repeats dropped")
        return rows

    def training(self, held_out: list[Row]) -> list[Row]:
        """Distinct training rows, none of which is held out."""
        made = with_derived(read_rows(self.paths("train")), self.recipe.data)
        rows, repeats, leaks = distinct(made, frozenset(row.key for row in held_out))
        if seen := next((row for row in rows if row.images), None):
            raise ValueError(
                f"row {seen.key} has {len(seen.images)} images; this recipe trains on text alone: import the data without them"
            )
        say(f"train: {len(rows)} distinct rows, {repeats} repeats and {leaks} held-out rows dropped")
        return rows

    def tokenizer(self) -> None:
        """Fit on an even sample of the training rows."""
        from sdx_finetune.scratch.tokenizer import fit_tokenizer

        folder, spec = self.work / "tokenizer", self.recipe.tokenizer
        mark = digest(
            [spec.model_dump(mode="json"), self.recipe.data.derive, self.recipe.data.dataset, [path.name for path in self.paths("train")]]
        )
        if (folder / "made_from").exists() and (folder / "made_from").read_text() == mark:
            say("tokenizer is there")
            return
        rows = self.training(self.held_out())
        fitted = fit_tokenizer(rows[:: max(1, len(rows) // spec.fit_rows)], spec)
        fitted.save_pretrained(folder)
        (folder / "made_from").write_text(mark)
        say(f"tokenizer: {len(fitted)} tokens")

    def train(self) -> None:
        """Train until the budget is spent, then save `model/` and run.json."""
        from sdx_finetune.scratch.model import parameter_count
        from sdx_finetune.scratch.tokenizer import load_tokenizer
        from sdx_finetune.scratch.train import Run, finish
        from sdx_finetune.tracking import tracked

        tokenizer = load_tokenizer(self.work / "tokenizer")
        train, held_out = self._token_rows()
        facts = self.recipe.model_dump(mode="json")
        with tracked(self.recipe.tracking, self.recipe.name, facts, self.work) as log:
            run = Run(self.recipe, tokenizer, train, held_out, self.work, say, log)
            run.resume()
            state = run.train()
        finish(run, self.work / "model")
        record = {
            "recipe": self.recipe.id,
            "steps": state.step,
            "tokens": state.tokens,
            "minutes": round(state.elapsed_s / 60, 2),
            "held_out_loss": state.losses[-1][1],
            "losses": state.losses,
            "parameters": parameter_count(run.model),
            "vocabulary": len(tokenizer),
            "origin": provenance(),
        }
        write_whole(self.work / "run.json", json.dumps(record, indent=1).encode())

    def snapshot(self) -> None:
        """Save `model/` from the last checkpoint, while or after training."""
        from sdx_finetune.scratch.tokenizer import load_tokenizer
        from sdx_finetune.scratch.train import Run, finish

        run = Run(self.recipe, load_tokenizer(self.work / "tokenizer"), *self._token_rows(), self.work, say)
        if not run.resume():
            raise FileNotFoundError(f"{run.checkpoint} is missing: run the stage `train` first")
        finish(run, self.work / "model")
        say(f"model/ is the state at step {run.state.step}")

    def _token_rows(self) -> "tuple[TokenRows, TokenRows]":
        """Both splits as ids, tokenised once for a given tokenizer, length limit and data."""
        from sdx_finetune.scratch.batches import cached_rows, encode_rows
        from sdx_finetune.scratch.tokenizer import load_tokenizer

        tokenizer, spec = load_tokenizer(self.work / "tokenizer"), self.recipe.train
        vocabulary = (self.work / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8")
        names = [path.name for split in ("train", "eval") for path in self.paths(split)]
        mark = digest([vocabulary, spec.max_length, spec.loss_on, self.recipe.data.derive, self.recipe.data.dataset, names])
        held: list[Row] = []

        def rows_of(split: Split) -> "TokenRows":
            held.extend([] if held else self.held_out())
            return encode_rows(held if split == "eval" else self.training(held), tokenizer, spec, say)

        folder = self.work / "tokens"
        return cached_rows(folder / f"train-{mark}.npz", lambda: rows_of("train")), cached_rows(
            folder / f"eval-{mark}.npz", lambda: rows_of("eval")
        )


if __name__ == "__main__":
    raise SystemExit(main())
