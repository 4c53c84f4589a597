"""The model card of a model that reads volumes: what it is for and not for, how it was made, how good it is. Figures come from the run's files."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from sdx_domains.medicine.labels import labels
from sdx_finetune.vision.recipe import VisionRecipe
from sdx_serving.provenance import provenance
from sdx_serving.weights import sha256_of


def write_card(recipe: VisionRecipe, recipe_path: Path, work: Path, target: Path) -> Path:
    """Render card.md.j2 into `target` from the results in `work`; what is missing is said to be missing."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    template = environment.from_string((files("sdx_finetune.vision") / "card.md.j2").read_text(encoding="utf-8"))
    weights = [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in (target.parent / "encoder.onnx", target.parent / "decoder.gguf")
        if path.exists()
    ]
    text = template.render(
        recipe=recipe,
        recipe_file=f"finetune/recipes/{recipe_path.name}",
        labels=labels(),
        encoder=_json(work / "encoder.json"),
        run=_json(work / "run.json"),
        parity=_json(work / "parity.json"),
        weights=weights,
        origin=provenance(),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
