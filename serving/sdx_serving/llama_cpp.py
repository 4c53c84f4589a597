"""llama.cpp behind the engine protocol: `llama-server` when it is installed, else our own server on llama-cpp-python."""

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Self

import httpx

from .client import OpenAIChat
from .engine import EngineError, EngineFacts
from .supervise import Supervised

_GGUF_MAGIC = b"GGUF"


def embedded_model_path() -> Path:
    """The newest GGUF model that ships with this package. FileNotFoundError says where it was looked for."""
    folder = Path(str(files("sdx_serving").joinpath("models")))
    found = sorted(folder.glob("*.gguf"), key=lambda path: (path.stat().st_mtime, path.name))
    if not found:
        raise FileNotFoundError(f"no *.gguf in {folder}: the embedded model is missing; give a model file, or make one with `sdx finetune`")
    return found[-1]


class LlamaCpp:
    """One GGUF model served by llama.cpp in a process that is restarted when it dies.

    Args:
        model: GGUF file; None takes the embedded model.
        port: 0 takes a free one.
        n_ctx: context length in tokens, shared by prompt and answer.
        n_threads: CPU threads for prompt and answer.
        log: file for the engine's output; None takes one in the temporary folder.
    """

    name = "llama.cpp"

    def __init__(
        self,
        model: Path | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        n_ctx: int = 2048,
        n_threads: int = 1,
        log: Path | None = None,
    ) -> None:
        self.model = Path(model) if model is not None else embedded_model_path()
        self.host, self.port = host, port or free_port(host)
        self.n_ctx, self.n_threads = n_ctx, n_threads
        self.log = log or Path(tempfile.gettempdir()) / f"sdx-llama-{os.getpid()}-{self.port}.log"
        self._binary = shutil.which("llama-server")
        self.facts = EngineFacts(json_schema=True, stream=True, parallel=self._binary is not None)
        self._process: Supervised | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    @property
    def pid(self) -> int | None:
        """Of the engine's process; None while there is none."""
        return self._process.pid if self._process else None

    @property
    def restarts(self) -> int:
        """How often it died and was started again."""
        return self._process.restarts if self._process else 0

    def can_serve(self, model: Path) -> str | None:
        """None if `model` is a GGUF file, else the reason."""
        if not model.is_file():
            return f"{model} is not a file"
        with model.open("rb") as file:
            magic = file.read(4)
        return None if magic == _GGUF_MAGIC else f"{model} is not a GGUF file (it begins with {magic!r})"

    def command(self) -> list[str]:
        """The command line; `llama-server` runs under a tether, ours ties itself."""
        common = ["--host", self.host, "--port", str(self.port), "--alias", self.model.stem]
        if self._binary:
            tether = [sys.executable, "-m", "sdx_serving.tether", str(os.getpid())]
            threads = ["-c", str(self.n_ctx), "-t", str(self.n_threads), "-tb", str(self.n_threads)]
            return [*tether, self._binary, "-m", str(self.model), *common, *threads]
        size = ["--n-ctx", str(self.n_ctx), "--n-threads", str(self.n_threads)]
        return [sys.executable, "-m", "sdx_serving.llama_server", "--model", str(self.model), *common, *size, "--parent", str(os.getpid())]

    def start(self, timeout_s: float = 60.0) -> None:
        """See Engine.start."""
        if self._process:
            return
        reason = self.can_serve(self.model)
        if reason:
            raise EngineError(f"cannot serve the model: {reason}")
        if not self._binary and importlib.util.find_spec("llama_cpp") is None:
            raise EngineError("llama.cpp is not installed: type `pip install llama-cpp-python`, or put llama-server on the PATH")
        if not port_is_free(self.host, self.port):
            raise EngineError(f"port {self.port} on {self.host} is taken by another program: stop that, or choose another port")
        process = Supervised(self.command(), self.healthy, self.log)
        process.start(timeout_s)
        self._process = process

    def healthy(self) -> bool:
        """True when the model is loaded and the process answers within 2 s."""
        try:
            return httpx.get(f"http://{self.host}:{self.port}/health", timeout=2.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """See Engine.stop."""
        if self._process:
            self._process.stop()
            self._process = None

    def chat(self) -> OpenAIChat:
        """A client of this engine."""
        return OpenAIChat(self.base_url, self.model.stem)


@contextmanager
def open_chat(
    model: str = "embedded", n_ctx: int = 2048, n_threads: int = 1, api_key: str | None = None, log: Path | None = None
) -> Iterator[OpenAIChat]:
    """A client of the named model; an engine that had to be started for it ends with the block.

    Args:
        model: "embedded", a GGUF file, or the address of an OpenAI-compatible engine ("http://host:8000/v1", with "#name" for
            an engine that serves several models).
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
    try:
        path = embedded_model_path() if model == "embedded" else Path(model).expanduser()
    except FileNotFoundError as error:
        raise EngineError(str(error)) from error
    if not path.is_file():
        raise EngineError(f"no model {model!r}: give `embedded`, a GGUF file, or an address like http://127.0.0.1:8000/v1")
    with LlamaCpp(path, n_ctx=n_ctx, n_threads=n_threads, log=log) as engine, engine.chat() as chat:
        yield chat


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """False when somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
