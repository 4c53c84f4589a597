"""The results of a compression as compression.json and README.md, rewritten whole after each method."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from sdx_finetune.compress.plan import Plan
from sdx_finetune.journal import write_whole
from sdx_serving.provenance import provenance


def write_results(
    plan: Plan, name: str, base: Mapping[str, Any], results: Sequence[Mapping[str, Any]], rows_id: str, prompts: int, work: Path
) -> None:
    """Both files in `work`."""
    origin = provenance()
    record = {"model": plan.model, "name": name, "plan": plan.model_dump(mode="json"), "rows_id": rows_id, "base": base, "results": results}
    write_whole(work / "compression.json", json.dumps(record | origin, ensure_ascii=False, indent=1).encode())
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    template = environment.from_string(files("sdx_finetune.compress").joinpath("card.md.j2").read_text(encoding="utf-8"))
    text = template.render(record | {"plan": plan, "origin": origin, "scorer": plan.judged_by[0], "parity_prompts": prompts})
    write_whole(work / "README.md", text.encode())
