"""The uncompressed model: its folder, its float32 file, what met its weights on the task's rows, and how it answers. Start at open_source().

Everything that is made from it once lies in <work>/base and is taken from there by the next call.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from sdx_domains.contract import digest
from sdx_finetune.adapt.base import Base, resolve
from sdx_finetune.adapt.recipe import EMBEDDED, BaseSpec
from sdx_finetune.compress import activations
from sdx_finetune.compress.activations import Activations
from sdx_finetune.compress.agreement import greedy_paths
from sdx_finetune.compress.plan import Plan
from sdx_finetune.compress.rows import Rows, encoded, end_of, prompt_ids
from sdx_finetune.export.families import family_of
from sdx_finetune.export.gguf_file import Label, export_gguf
from sdx_finetune.journal import write_whole
from sdx_finetune.progress import Say
from sdx_serving.weights import sha256_of

AGREEMENT_ROWS = 64
"""Held-out rows along whose answers first choices are compared, at most."""


@dataclass(frozen=True, slots=True)
class Source:
    """Before anything was taken away."""

    label: Label
    folder: Path
    """Hugging Face's layout, float32."""
    whole: Path
    """The same as one GGUF file."""
    sha256: str
    """Of `whole`."""
    config: Mapping[str, Any]
    seen: Activations
    calibration: list[list[int]]
    """Ids of the rows that `seen` is of."""
    paths: list[tuple[list[int], int]]
    """Its own greedy answers to held-out prompts, each as (ids, where the answer begins)."""

    @property
    def name(self) -> str:
        return self.label.name


def find(plan: Plan, work: Path, say: Say) -> Base:
    """The model, before minutes are spent on rows.

    Raises:
        ValueError: it is not there or of no known architecture, or the folder holds another model's work.
    """
    base = resolve(BaseSpec(model=plan.model), say)
    config = json.loads((base.folder / "config.json").read_text(encoding="utf-8"))
    if "vision_config" in config:
        raise ValueError(f"{plan.model}: a model with images is not compressed here: `sdx finetune export` writes it as GGUF")
    family_of(config["model_type"], plan.model)
    (work / "base").mkdir(parents=True, exist_ok=True)
    _hold_to(base, work / "base")
    return base


def open_source(plan: Plan, base: Base, rows: Rows, work: Path, say: Say) -> Source:
    """Make the model ready, and look at it once."""
    from transformers import PreTrainedTokenizerFast

    home = work / "base"
    config = json.loads((base.folder / "config.json").read_text(encoding="utf-8"))
    label = _label(plan.model)
    whole = home / f"{label.name}-F32.gguf"
    if not whole.exists():
        say(f"{whole.name}: the model in float32, which all others are held against")
        export_gguf(base.folder, whole, label)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base.folder)
    chosen = rows.plain[:: max(1, len(rows.plain) // plan.calibration_rows)][: plan.calibration_rows]
    most = config["max_position_embeddings"]
    calibration = [encoded(tokenizer, row, end_of(tokenizer))[0][:most] for row in chosen]
    seen_file = home / f"activations-{digest([row.key for row in chosen])[:8]}.npz"
    if not seen_file.exists():
        activations.save(activations.seen_on(base.folder, calibration, plan.threads, say), seen_file)
    seen = activations.load(seen_file)
    activations.write_imatrix(seen, config, home / "imatrix.gguf", plan.rows or f"task {plan.task}")
    asked = rows.held_out[:: max(1, len(rows.held_out) // AGREEMENT_ROWS)][:AGREEMENT_ROWS]
    prompts = [prompt_ids(tokenizer, row) for row in asked]
    paths = greedy_paths(whole, prompts, home / f"answers-{digest([row.key for row in asked])[:8]}.json")
    return Source(label, base.folder, whole, sha256_of(whole), config, seen, calibration, paths)


def _hold_to(base: Base, home: Path) -> None:
    mark = home / "source.json"
    ours = {"model": base.source, "sha256": base.sha256}
    theirs = json.loads(mark.read_text(encoding="utf-8")) if mark.exists() else ours
    if theirs["sha256"] != ours["sha256"]:
        raise ValueError(
            f"{home.parent} holds compressions of another model ({theirs['model']}, {theirs['sha256'][:12]}): use another --work"
        )
    write_whole(mark, json.dumps(ours).encode())


def _label(model: str) -> Label:
    """What a GGUF file says of itself; of others the name alone is known."""
    from sdx_serving.connect import embedded_model_path

    path = embedded_model_path() if model == EMBEDDED else Path(model).expanduser()
    fields = {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()} if path.suffix == ".gguf" else {}
    name = str(fields.get("general.name") or path.resolve().name.removesuffix(".gguf"))
    languages = tuple(fields.get("general.languages") or ())
    return Label(re.sub(r"[^\w.-]+", "-", name).strip("-") or "model", "", str(fields.get("general.license") or ""), languages)
