"""How a model lies on the disk, told by its files and not by its name. Start at format_of()."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdx_serving.engine import EngineError, Format
from sdx_serving.weights import sha256_of

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def format_of(model: str) -> Format:
    """Of a file, a folder, or a Hugging Face id. EngineError says what was looked for and what to give."""
    path = Path(model).expanduser()
    if path.is_file():
        return _of_file(path)
    if path.is_dir():
        return _of_folder(path)
    if _HUB_ID.fullmatch(model) and not path.parent.exists():
        return "safetensors"
    raise EngineError(f"no model {model!r}: there is no such file or folder, and a Hugging Face id reads owner/name")


def _of_file(path: Path) -> Format:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"GGUF":
        return "gguf"
    if path.suffix == ".onnx":
        return "onnx"
    if path.suffix == ".engine":
        return "trt-engine"
    if path.suffix == ".safetensors":
        raise EngineError(f"{path}: give the folder that holds it with its config.json and tokenizer, not the one file")
    raise EngineError(f"{path}: neither GGUF (it begins with {magic!r}) nor *.onnx nor *.engine")


def _of_folder(folder: Path) -> Format:
    if any(folder.glob("*.engine")):
        return "trt-engine"
    if (folder / "encoder.onnx").is_file() and (folder / "decoder.gguf").is_file():
        return "onnx+gguf"
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return "safetensors"
    if any(folder.glob("*.onnx")) or any(folder.glob("onnx/*.onnx")):
        return "onnx"
    if files := sorted(folder.glob("*.gguf")):
        raise EngineError(f"{folder}: give one of its GGUF files, e.g. {files[0]}")
    raise EngineError(f"{folder} holds no model: looked for *.engine, config.json with *.safetensors, *.onnx, *.gguf")


def folder_of(model: str) -> Path | None:
    """The folder itself, or where a Hugging Face id was fetched to ($HF_HUB_CACHE, $HF_HOME); None when it was not."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
    fetched = list((hub / f"models--{model.replace('/', '--')}" / "snapshots").glob("*/config.json"))
    return max(fetched, key=lambda file: file.stat().st_mtime).parent if fetched else None


def read_json(folder: Path | None, name: str) -> dict[str, Any]:
    """A file of a model's folder; {} where there is none. EngineError when it is no JSON object."""
    if folder is None or not (folder / name).is_file():
        return {}
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineError(f"{folder / name} cannot be read ({error}): fetch or export the model again") from error
    if not isinstance(found, dict):
        raise EngineError(f"{folder / name} holds {type(found).__name__}, no object: fetch or export the model again")
    return found


def tool_parser(folder: Path | None, parsers: Mapping[str, str]) -> str | None:
    """The name of the parser that reads this model's calls, by `model_type` of its config.json; None when it takes no tools."""
    parser = parsers.get(str(read_json(folder, "config.json").get("model_type", "")))
    return parser if parser and takes_tools(folder) else None


def takes_tools(folder: Path | None) -> bool:
    """Does the model's chat template have a place for tools? Without one they would be dropped in silence."""
    if folder is None:
        return False
    file = folder / "chat_template.jinja"
    told = read_json(folder, "tokenizer_config.json").get("chat_template") or ""
    return "tools" in (file.read_text(encoding="utf-8") if file.is_file() else str(told))


def weights_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def weights_sha256(folder: Path, pattern: str = "*.safetensors") -> str:
    """Of the files of weights in a folder, in the order of their names."""
    return sha256_of(*sorted(folder.glob(pattern)))
