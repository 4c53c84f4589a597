"""From a recipe of method vision to a folder that ships: data, encoder, cases, tokenizer, train, export, parity, card.

python -m sdx_finetune.run finetune/recipes/medicine.yaml --stage all --work runs/medicine --workers 2
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdx_domains.contract import digest
from sdx_domains.medicine.labels import labels
from sdx_finetune.journal import write_whole
from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row
from sdx_finetune.stages import Stages, say
from sdx_finetune.vision.cases import READER, SPLITS, Cases, make_cases, make_words, open_cases, open_reader
from sdx_finetune.vision.recipe import VisionRecipe
from sdx_finetune.vision.volumes import make_volumes, open_volumes
from sdx_serving.provenance import provenance

if TYPE_CHECKING:
    from sdx_finetune.vision.decoder import SeeingRun
    from sdx_finetune.vision.export import Exported

VISION_STAGES = ("data", "encoder", "cases", "tokenizer", "train", "export", "parity", "card")
RELEASE = "release"
"""Folder in the work folder: encoder.onnx, decoder.gguf, README.md, as `sdx_serving.vision` serves it."""


class VisionPipeline(Stages[Recipe]):
    """A model that reads volumes. `recipe` is its decoder's part, `vision` the whole."""

    names = VISION_STAGES
    besides = ("snapshot",)

    def __init__(self, vision: VisionRecipe, recipe_path: Path, work: Path, workers: int = 1) -> None:
        super().__init__(vision.decoder(), recipe_path, work, workers)
        self.vision = vision

    def data(self) -> None:
        """Slabs, labels and masks of the encoder's phantoms."""
        for split in ("tune", "train"):
            make_volumes(self.vision.data, split, self.work / "data", self.workers, say)

    def encoder(self) -> None:
        """`reader.pt`: the encoder, trained and calibrated; encoder.json tells how well it separates each label."""
        import torch

        from sdx_finetune.vision.calibrate import auroc, calibrated
        from sdx_finetune.vision.train_encoder import train

        mark = digest([self.vision.encoder.model_dump(mode="json"), self.vision.data.model_dump(mode="json")])
        told = self.work / "encoder.json"
        if (self.work / READER).exists() and told.exists() and json.loads(told.read_text(encoding="utf-8"))["mark"] == mark:
            return say("encoder is there")
        folder, spec = self.work / "data", self.vision.encoder
        volumes, tune = (open_volumes(self.vision.data, split, folder) for split in ("train", "tune"))
        model, cpu_s = train(spec, volumes, len(labels()), self.work, say)
        reader, logits = calibrated(model, volumes, tune, spec.batch)
        separated = {label.key: auroc(logits[:, at], tune.present[:, at]) for at, label in enumerate(labels())}
        partial = self.work / f".{READER}.partial"
        torch.save({"spec": spec.model_dump_json(), "weights": reader.state_dict()}, partial)
        partial.replace(self.work / READER)
        record = {
            "mark": mark,
            "parameters": sum(p.numel() for p in model.parameters()),
            "volumes": len(volumes),
            "epochs": spec.epochs,
            "cpu_s": round(cpu_s, 1),
            "tuning_volumes": len(tune),
            "auroc": separated,
        }
        write_whole(told, json.dumps(record, indent=1).encode())
        known = [value for value in separated.values() if value is not None]
        say(
            f"tuning phantoms: mean AUROC {sum(known) / max(1, len(known)):.3f} over {len(known)} labels, worst {min(known, default=0):.3f}"
        )

    def cases(self) -> None:
        """Chat rows about phantoms as the trained encoder sees them."""
        for split in SPLITS:
            make_cases(self.vision.data, split, self.work / "cases", self.work / READER, self.workers, say)
        make_words(self.vision.data, self.work / "cases", say)

    def splits(self) -> tuple[Cases, Cases]:
        """Training, held out."""
        return open_cases(self.vision.data, self.work / "cases", self.work / READER)

    def held_out(self) -> list[Row]:
        return list(self.splits()[1].rows)

    def tokenizer(self) -> None:
        """Fit on an even sample of the training rows."""
        from sdx_finetune.scratch.tokenizer import fit_tokenizer

        rows, spec = self.splits()[0].rows, self.recipe.tokenizer
        folder, mark = self.work / "tokenizer", digest([spec.model_dump(mode="json"), [row.key for row in rows]])
        if (folder / "made_from").exists() and (folder / "made_from").read_text() == mark:
            return say("tokenizer is there")
        fitted = fit_tokenizer(rows[:: max(1, len(rows) // spec.fit_rows)], spec)
        fitted.save_pretrained(folder)
        (folder / "made_from").write_text(mark)
        say(f"tokenizer: {len(fitted)} tokens, {len(rows)} rows")

    def run(self, log: Any = lambda metrics, step: None) -> "SeeingRun":
        from sdx_finetune.scratch.tokenizer import load_tokenizer
        from sdx_finetune.vision.decoder import SeeingRun

        return SeeingRun(self.vision, load_tokenizer(self.work / "tokenizer"), *self.splits(), len(labels()), self.work, say, log)

    def train(self) -> None:
        """Projector and decoder until the budget is spent, then `model/` and run.json."""
        from sdx_finetune.scratch.model import parameter_count
        from sdx_finetune.tracking import tracked
        from sdx_finetune.vision.decoder import finish

        with tracked(self.recipe.tracking, self.recipe.name, self.vision.model_dump(mode="json"), self.work) as log:
            run = self.run(log)
            run.resume()
            state = run.train()
        finish(run, self.vision, self.work / "model")
        record = {
            "recipe": self.vision.id,
            "steps": state.step,
            "tokens": state.tokens,
            "minutes": round(state.elapsed_s / 60, 2),
            "held_out_loss": state.losses[-1][1],
            "parameters": parameter_count(run.model),
            "vocabulary": len(run.tokenizer),
            "rows": len(run.train_rows),
            "origin": provenance(),
        }
        write_whole(self.work / "run.json", json.dumps(record, indent=1).encode())

    def snapshot(self) -> None:
        """Save `model/` from the last checkpoint, while or after training."""
        from sdx_finetune.vision.decoder import finish

        run = self.run()
        if not run.resume():
            raise FileNotFoundError(f"{run.checkpoint} is missing: run the stage `train` first")
        finish(run, self.vision, self.work / "model")
        say(f"model/ is the state at step {run.state.step}")

    def exported(self) -> "Exported":
        from sdx_finetune.vision.export import open_exported

        return open_exported(self.vision, open_reader(self.work / READER), self.work / "model")

    def export(self) -> None:
        """`release/` with encoder.onnx and decoder.gguf."""
        from sdx_finetune.vision.export import export_reader

        super().export()
        release = self.work / RELEASE
        release.mkdir(exist_ok=True)
        export_reader(self.exported(), release / "encoder.onnx", self.recipe.name)
        shutil.copy2(self.gguf(self.recipe.export.chosen), release / "decoder.gguf")
        size = sum((release / name).stat().st_size for name in ("encoder.onnx", "decoder.gguf"))
        say(f"{release}: {size / 1e6:.2f} MB")
        if size > self.recipe.export.max_bytes:
            raise ValueError(f"{release} has {size} bytes, export.max_bytes allows {self.recipe.export.max_bytes}")

    def parity(self) -> None:
        """Hold the files against the training stack. ValueError when they differ."""
        from sdx_finetune.vision.parity import compare, faults

        found = compare(self.vision, self.exported(), self.work / "model", self.splits()[1], self.work / RELEASE, say)
        write_whole(self.work / "parity.json", json.dumps({**asdict(found), **provenance()}, indent=1).encode())
        say(f"labels alike {found.label_agreement:.4f} of {found.labels}, findings alike {found.finding_agreement:.4f} of {found.findings}")
        if why := faults(found, self.vision.parity.least_agreement):
            raise ValueError(f"parity failed: {'; '.join(why)}; do not release these files")

    def card(self) -> None:
        """README.md beside the files."""
        from sdx_finetune.vision.card import write_card

        say(f"model card: {write_card(self.vision, self.recipe_path, self.work, self.work / RELEASE / 'README.md')}")
