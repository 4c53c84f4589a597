"""llama.cpp: `llama-server` when it is installed, else our own server on llama-cpp-python."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdx_serving.client import OpenAIChat
from sdx_serving.engine import EngineFacts, Serving
from sdx_serving.engines.process import ProcessEngine, tethered
from sdx_serving.llama.amx import has_amx
from sdx_serving.weights import sha256_of

_GGUF_MAGIC = b"GGUF"
_POOLING = ".pooling_type"


class LlamaCpp(ProcessEngine):
    """One GGUF model served by llama.cpp.

    `llama-server` computes requests together and is taken where it is installed. But it does not know its LoRA adapters by name
    (see for_adapter), so with adapters and one request at a time our own server is taken, which does.
    """

    name = "llama.cpp"

    def __init__(self, serving: Serving, port: int = 0, host: str = "127.0.0.1", log: Path | None = None) -> None:
        super().__init__(serving, port, host, log)
        binary = shutil.which("llama-server")
        own_is_there = importlib.util.find_spec("llama_cpp") is not None
        self._binary = None if serving.adapters and serving.parallel == 1 and own_is_there else binary
        self.facts = EngineFacts(
            ("gguf",),
            json_schema=True,
            stream=True,
            parallel=self._binary is not None,
            images=True,
            tools=True,
            lora=True,
            embeddings=True,
            gpu=True,
        )
        self._sha256 = ""

    @staticmethod
    def missing() -> str | None:
        if shutil.which("llama-server") or importlib.util.find_spec("llama_cpp"):
            return None
        return "llama.cpp is not installed: type `pip install llama-cpp-python`, or put llama-server on the PATH"

    def cannot(self) -> str | None:
        asked = self.serving
        files = [asked.path.expanduser(), *([asked.projector] if asked.projector else []), *asked.adapters.values()]
        if reason := next((reason for path in files if (reason := _no_gguf(path))), None):
            return reason
        if asked.embeddings and (asked.adapters or asked.projector):
            return "with embeddings it takes neither adapters nor a projector: leave them out"
        if taken := {asked.alias, "default", asked.path.stem} & set(asked.adapters):
            return f"an adapter is called {min(taken)!r}, as the model itself is: give it another name"
        if self._binary and (comma := next((path for path in asked.adapters.values() if "," in str(path)), None)):
            return f"llama-server takes no comma in an adapter's path: rename {comma}"
        return None

    def command(self) -> list[str]:
        """`llama-server` runs under a tether, ours ties itself."""
        return tethered([self._binary, *self._of_binary()]) if self._binary else self._of_ours()

    def _of_binary(self) -> list[str]:
        asked = self.serving
        command = ["-m", str(asked.path.expanduser()), "--host", self.host, "--port", str(self.port), "--alias", asked.alias]
        command += ["-c", str(asked.context_tokens * asked.parallel), "-np", str(asked.parallel)]
        command += ["-t", str(asked.threads), "-tb", str(asked.threads), "--jinja", "--no-ui", "--offline"]
        command += ["--cache-ram", "0"]  # prompts stay in their slots only: its own limit is 8 GB beside the model
        command += ["--no-repack"] if has_amx() else []
        command += ["--mmproj", str(asked.projector)] if asked.projector else []
        for path in asked.adapters.values():
            command += ["--lora", str(path)]
        command += ["--lora-init-without-apply"] if asked.adapters else []
        if asked.embeddings:
            size = str(asked.context_tokens)  # a text is pooled in one batch
            command += ["--embeddings", "-b", size, "-ub", size, *([] if _pools(asked.path.expanduser()) else ["--pooling", "mean"])]
        return [*command, *asked.flags]

    def _of_ours(self) -> list[str]:
        asked = self.serving
        command = [sys.executable, "-m", "sdx_serving.llama.server", "--model", str(asked.path.expanduser()), "--alias", asked.alias]
        command += ["--host", self.host, "--port", str(self.port), "--parent", str(os.getpid())]
        command += ["--n-ctx", str(asked.context_tokens), "--n-threads", str(asked.threads)]
        command += ["--projector", str(asked.projector)] if asked.projector else []
        for name, path in asked.adapters.items():
            command += ["--adapter", f"{name}={path}"]
        command += ["--embeddings"] if asked.embeddings else []
        return [*command, *asked.flags]

    def chat(self) -> OpenAIChat:
        """A client of this engine. `llama-server` does not tell the weights' hash, so the client is told here."""
        if self._binary and not self._sha256:
            self._sha256 = sha256_of(self.serving.path.expanduser())
        return OpenAIChat(self.base_url, self.serving.alias, model_sha256=self._sha256)

    def request(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A request as this engine takes it: `llama-server` is told of an adapter in a field of its own."""
        return for_adapter(body, list(self.serving.adapters), self.serving.alias) if self._binary else dict(body)


def for_adapter(body: Mapping[str, Any], adapters: Sequence[str], alias: str) -> dict[str, Any]:
    """A request whose `model` may name one of the LoRA adapters, as `llama-server` takes it.

    It passes over the model's name and wants `lora`: the number of each adapter, in the order of --lora, and how strong it is. A
    request for the model itself needs the field too: without it what an adapter left in the slot's cache is taken for its own.

    Args:
        adapters: their names in that order.
        alias: the model's name.
    """
    if not adapters:
        return dict(body)
    asked = body.get("model")
    scales = [{"id": at, "scale": 1.0 if name == asked else 0.0} for at, name in enumerate(adapters)]
    return {**body, "model": alias if asked in adapters else asked, "lora": scales}


def _no_gguf(path: Path) -> str | None:
    if not path.is_file():
        return f"{path} is not a file"
    with path.open("rb") as file:
        magic = file.read(4)
    return None if magic == _GGUF_MAGIC else f"{path} is not a GGUF file (it begins with {magic!r})"


def _pools(path: Path) -> bool:
    """Whether the file says how its vectors are pooled."""
    from sdx_serving.recommend.fetch import opened
    from sdx_serving.recommend.gguf import read_header

    with opened(str(path)) as source:
        values, _ = read_header(source)
    return any(key.endswith(_POOLING) and value for key, value in values.items())
