"""The model card: what the file is, how it was made, what it can and cannot do. Figures come from the run's own files."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.recipe import Recipe
from sdx_serving.provenance import provenance


def write_card(recipe: Recipe | AdaptRecipe, recipe_path: Path, work: Path, target: Path) -> Path:
    """Render model_card.md.j2 into `target` from the results in `work`; what is missing is said to be missing.

    evaluation-farm.json is told as that of "farm".
    """
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    template = environment.from_string(files("sdx_finetune").joinpath("model_card.md.j2").read_text(encoding="utf-8"))
    weights = [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted((work / "gguf").glob(f"{recipe.name}-*.gguf"))
    ]
    text = template.render(
        recipe=recipe,
        adapted=isinstance(recipe, AdaptRecipe),
        recipe_file=recipe_path.name if isinstance(recipe, AdaptRecipe) else f"finetune/recipes/{recipe_path.name}",
        run=_json(work / "run.json"),
        parity=_json(work / "parity.json"),
        evaluations=[
            {**_json(path), "about": path.stem.removeprefix("evaluation").strip("-")} for path in sorted(work.glob("evaluation*.json"))
        ],
        weights=weights,
        origin=provenance(),
    )
    target.write_text(text, encoding="utf-8")
    return target


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
