"""What lies in a folder with a graph: the graph, and the JSON files beside it. Start at graph_file()."""

import json
from pathlib import Path
from typing import Any


class ModelError(ValueError):
    """The folder cannot be served; the message says which file and what to do."""


def graph_file(model: Path) -> Path:
    """The graph in a folder, or the file itself. ModelError says where it was looked for."""
    if model.is_file():
        return model
    found = [path for path in (model / "model.onnx", model / "onnx" / "model.onnx") if path.is_file()] or sorted(model.glob("*.onnx"))
    if not found:
        raise ModelError(f"{model} has no model.onnx: export the model, e.g. with `sdx finetune export MODEL --onnx int8 --out files`")
    if len(found) > 1 and found[0].name != "model.onnx":
        raise ModelError(f"{model} has several graphs ({', '.join(path.name for path in found)}): give one of the files")
    return found[0]


def home_of(graph: Path) -> Path:
    """Where the tokenizer and settings of a graph lie: beside it, or above a folder `onnx`, as model hubs have it."""
    return graph.parent.parent if graph.parent.name == "onnx" and not (graph.parent / "config.json").is_file() else graph.parent


def settings(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object of the folder; {} when there is no such file. ModelError when it is no object."""
    path = folder / name
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(f"{path} is no JSON ({error}): copy it from the model's own folder") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is no JSON object: copy it from the model's own folder")
    return found


def decodes(folder: Path) -> bool:
    """It makes text: its config.json names such an architecture, or it says how its answers are made."""
    named = settings(folder, "config.json").get("architectures") or []
    return any(str(name).endswith(("ForCausalLM", "LMHeadModel")) for name in named) or (folder / "generation_config.json").is_file()
