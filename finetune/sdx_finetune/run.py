"""From a recipe to a checked GGUF file, stage by stage; what is done is not done again.

python -m sdx_finetune.run finetune/recipes/embedded.yaml --stage all --work runs/embedded
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sdx_domains.contract import digest
from sdx_finetune.datasets.store import Store
from sdx_finetune.provenance import provenance
from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row, Split, distinct, make_rows, read_rows, shards_of, with_derived

if TYPE_CHECKING:
    from sdx_finetune.batches import TokenRows

SPLITS: tuple[Split, ...] = ("eval", "train")
STAGES = ("data", "tokenizer", "train", "export", "parity", "card")


def say(line: str) -> None:
    """One line of progress on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


class Pipeline:
    """The stages of one recipe in one folder."""

    def __init__(self, recipe: Recipe, recipe_path: Path, work: Path, workers: int = 1) -> None:
        self.recipe, self.recipe_path, self.work, self.workers = recipe, recipe_path, work, workers
        work.mkdir(parents=True, exist_ok=True)

    def stage(self, name: str) -> None:
        stages: dict[str, Callable[[], None]] = {
            "data": self.data,
            "tokenizer": self.tokenizer,
            "train": self.train,
            "export": self.export,
            "parity": self.parity,
            "card": self.card,
        }
        started = time.monotonic()
        say(f"stage {name}")
        stages[name]()
        say(f"stage {name} done in {time.monotonic() - started:.0f} s")

    def data(self) -> None:
        """JSONL shards of both splits; those of a stored data set are there already."""
        if self.recipe.data.dataset:
            say(f"data set {self.recipe.data.dataset}: " + ", ".join(str(self.paths(split)[0]) for split in SPLITS))
            return
        for split in SPLITS:
            make_rows(self.recipe.data, split, self.work / "data", self.workers, say)

    def paths(self, split: Split) -> list[Path]:
        if self.recipe.data.dataset:
            return [self._stored(self.recipe.data.dataset, split)]
        paths = [shard.path for shard in shards_of(self.recipe.data, split, self.work / "data")]
        if missing := [path.name for path in paths if not path.exists()]:
            raise FileNotFoundError(f"{len(missing)} of {len(paths)} {split} shards are missing, first {missing[0]}: run the stage `data`")
        return paths

    @staticmethod
    def _stored(dataset: str, split: Split) -> Path:
        files = Store().files(dataset)
        if split not in files:
            raise ValueError(f"data set {dataset} has no split {split!r}, only {', '.join(files)}: sdx data split {dataset.split('@')[0]}")
        return files[split]

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
        from sdx_finetune.tokenizer import fit_tokenizer

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
        from sdx_finetune.model import parameter_count
        from sdx_finetune.tokenizer import load_tokenizer
        from sdx_finetune.train import Run, finish

        tokenizer = load_tokenizer(self.work / "tokenizer")
        train, held_out = self._token_rows()
        run = Run(self.recipe, tokenizer, train, held_out, self.work, say)
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
        (self.work / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")

    def snapshot(self) -> None:
        """Save `model/` from the last checkpoint, while or after training."""
        from sdx_finetune.tokenizer import load_tokenizer
        from sdx_finetune.train import Run, finish

        run = Run(self.recipe, load_tokenizer(self.work / "tokenizer"), *self._token_rows(), self.work, say)
        if not run.resume():
            raise FileNotFoundError(f"{run.checkpoint} is missing: run the stage `train` first")
        finish(run, self.work / "model")
        say(f"model/ is the state at step {run.state.step}")

    def _token_rows(self) -> "tuple[TokenRows, TokenRows]":
        """Both splits as ids, tokenised once for a given tokenizer, length limit and data."""
        from sdx_finetune.batches import cached_rows, encode_rows
        from sdx_finetune.tokenizer import load_tokenizer

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

    def gguf(self, kind: str) -> Path:
        return self.work / "gguf" / f"{self.recipe.name}-{kind}.gguf"

    def export(self) -> None:
        """Every quantisation of the recipe, from float32."""
        from sdx_finetune.export_gguf import Label, export_gguf
        from sdx_finetune.quantise import quantise

        if not (self.work / "model").exists():
            raise FileNotFoundError(f"{self.work / 'model'} is missing: run the stage `train`, or `snapshot` for the last checkpoint")
        recipe = self.recipe
        label = Label(recipe.name, recipe.description, recipe.licence, recipe.languages)
        self.gguf("F32").parent.mkdir(exist_ok=True)
        whole = export_gguf(self.work / "model", self.gguf("F32"), label)
        for kind in recipe.export.quantisations:
            if kind != "F32":
                quantise(whole, self.gguf(kind), kind, recipe.train.threads)
            say(f"{self.gguf(kind).name}: {self.gguf(kind).stat().st_size / 1e6:.2f} MB")
        size = self.gguf(recipe.export.chosen).stat().st_size
        if size > recipe.export.max_bytes:
            raise ValueError(f"{self.gguf(recipe.export.chosen).name} has {size} bytes, export.max_bytes allows {recipe.export.max_bytes}")

    def parity(self) -> None:
        """Hold every file against the training stack. ValueError when one fails."""
        from dataclasses import asdict

        from sdx_finetune.parity import compare

        spec = self.recipe.parity
        rows = self.held_out()
        chats = [row.turns()[:-1] for row in rows[:: max(1, len(rows) // spec.prompts)][: spec.prompts]]
        reports = [compare(self.work / "model", self.gguf(kind), kind, chats, spec) for kind in self.recipe.export.quantisations]
        for report in reports:
            say(report.text())
        record = {"reports": [asdict(report) for report in reports], **provenance()}
        (self.work / "parity.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        if failed := [report.file for report in reports if report.faults]:
            raise ValueError(f"parity failed for {', '.join(failed)}; the report above says where; do not release these files")

    def card(self) -> None:
        """README.md beside the files."""
        from sdx_finetune.card import write_card

        say(f"model card: {write_card(self.recipe, self.recipe_path, self.work, self.work / 'README.md')}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--stage", choices=[*STAGES, "snapshot", "all"], default="all")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything made; resume is by using it again")
    parser.add_argument("--workers", type=int, default=1, help="processes of the stage data")
    args = parser.parse_args(argv)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        pipeline = Pipeline(Recipe.load(args.recipe), args.recipe, args.work, args.workers)
        for name in STAGES if args.stage == "all" else (args.stage,):
            pipeline.snapshot() if name == "snapshot" else pipeline.stage(name)
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
