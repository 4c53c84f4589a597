"""A model by what a person calls it (a file, a folder, an address, a known name) as its facts. Start at facts_of()."""

from contextlib import ExitStack
from pathlib import Path

from sdx_serving.recommend.facts import BadModel, ModelFacts
from sdx_serving.recommend.fetch import Bytes, is_address, opened
from sdx_serving.recommend.gguf import gguf_facts
from sdx_serving.recommend.safetensors import safetensors_facts
from sdx_serving.recommend.shapes import find_shape, named_facts


def facts_of(model: str) -> ModelFacts:
    """What a model costs, from its header.

    Args:
        model: a GGUF file, a folder with safetensors or model.onnx, an address of either ("https://host/model.gguf",
            "https://huggingface.co/Qwen/Qwen3-4B/resolve/main"), or a known shape with a quantisation ("qwen3-8b:Q4_K_M").

    Raises:
        BadModel: it is not there or cannot be read; the message says which part.
    """
    if is_address(model):
        return _single(model) if model.partition("?")[0].endswith(".gguf") else _folder(model.removesuffix("/model.safetensors"))
    path = Path(model).expanduser()
    if path.is_dir():
        return _onnx(path) if (path / "model.onnx").is_file() else _folder(str(path))
    if path.is_file():
        return (
            _onnx(path.parent) if path.suffix == ".onnx" else _folder(str(path.parent)) if path.suffix == ".safetensors" else _single(model)
        )
    name, _, how = model.partition(":")
    if find_shape(name) is None and (path.suffix in (".gguf", ".onnx", ".safetensors") or path.parent != Path(".")):
        raise BadModel(f"{path}: no such file or folder")
    return named_facts(name, how or "F16")


def _single(model: str) -> ModelFacts:
    with opened(model) as source:
        return gguf_facts(source)


def _folder(folder: str) -> ModelFacts:
    with ExitStack() as stack:

        def file_of(name: str) -> Bytes | None:
            where = f"{folder.rstrip('/')}/{name}"
            if not is_address(where) and not Path(where).expanduser().is_file():
                return None
            try:
                return stack.enter_context(opened(where))
            except BadModel:
                if is_address(where) and name == "model.safetensors":
                    return None  # a model in parts has an index instead
                raise

        return safetensors_facts(folder, file_of)


def _onnx(folder: Path) -> ModelFacts:
    """An exported decoder: its size is the file's, its shape what config.json beside it says."""
    from sdx_serving.recommend.onnx import onnx_facts

    return onnx_facts(folder)
