"""A client of any model by its name: the embedded one, a file, a folder, a Hugging Face id, an address. Start at open_chat()."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from sdx_serving.client import OpenAIChat
from sdx_serving.engine import EngineError, Serving
from sdx_serving.engines.choose import engine_for


def embedded_model_path() -> Path:
    """The newest GGUF model that ships with this package. FileNotFoundError says where it was looked for."""
    folder = Path(str(files("sdx_serving").joinpath("models")))
    found = sorted(folder.glob("*.gguf"), key=lambda path: (path.stat().st_mtime, path.name))
    if not found:
        raise FileNotFoundError(f"no *.gguf in {folder}: the embedded model is missing; give a model file, or make one with `sdx finetune`")
    return found[-1]


@contextmanager
def open_chat(
    model: str = "embedded", n_ctx: int = 2048, n_threads: int = 1, api_key: str | None = None, log: Path | None = None
) -> Iterator[OpenAIChat]:
    """A client of the named model; an engine that had to be started for it ends with the block.

    Args:
        model: "embedded", a GGUF or ONNX file, a folder, a Hugging Face id, or the address of an OpenAI-compatible engine
            ("http://host:8000/v1", with "#name" for an engine that serves several models).
        n_ctx: for an engine that is started, context length in tokens.
        n_threads: for an engine that is started, CPU threads.
        api_key: for an address only.

    Raises:
        EngineError: the model is not there or cannot be served.
    """
    if model.startswith(("http://", "https://")):
        address, _, name = model.partition("#")
        with OpenAIChat(address, name or "default", api_key) as chat:
            yield chat
        return
    with engine_for(Serving(named(model), context_tokens=n_ctx, threads=n_threads), log=log) as engine, engine.chat() as chat:
        yield chat


def named(model: str) -> str:
    """The model that a name stands for: "embedded" is the file that ships. EngineError when that is missing."""
    try:
        return str(embedded_model_path()) if model == "embedded" else model
    except FileNotFoundError as error:
        raise EngineError(str(error)) from error
