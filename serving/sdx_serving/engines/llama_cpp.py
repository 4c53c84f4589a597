"""llama.cpp: `llama-server` when it is installed, else our own server on llama-cpp-python."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from sdx_serving.engine import EngineFacts, Serving
from sdx_serving.engines.process import ProcessEngine

_GGUF_MAGIC = b"GGUF"


class LlamaCpp(ProcessEngine):
    """One GGUF model served by llama.cpp."""

    name = "llama.cpp"

    def __init__(self, serving: Serving, port: int = 0, host: str = "127.0.0.1", log: Path | None = None) -> None:
        super().__init__(serving, port, host, log)
        self._binary = shutil.which("llama-server")
        self.facts = EngineFacts(("gguf",), json_schema=True, stream=True, parallel=self._binary is not None)

    @staticmethod
    def missing() -> str | None:
        if shutil.which("llama-server") or importlib.util.find_spec("llama_cpp"):
            return None
        return "llama.cpp is not installed: type `pip install llama-cpp-python`, or put llama-server on the PATH"

    def cannot(self) -> str | None:
        path = self.serving.path
        if not path.is_file():
            return f"{path} is not a file"
        with path.open("rb") as file:
            magic = file.read(4)
        return None if magic == _GGUF_MAGIC else f"{path} is not a GGUF file (it begins with {magic!r})"

    def command(self) -> list[str]:
        """`llama-server` runs under a tether, ours ties itself."""
        asked = self.serving
        common = ["--host", self.host, "--port", str(self.port), "--alias", asked.alias]
        if self._binary:
            tether = [sys.executable, "-m", "sdx_serving.tether", str(os.getpid())]
            size = ["-c", str(asked.context_tokens * asked.parallel), "-np", str(asked.parallel)]
            threads = ["-t", str(asked.threads), "-tb", str(asked.threads)]
            return [*tether, self._binary, "-m", asked.model, *common, *size, *threads, *asked.flags]
        size = ["--n-ctx", str(asked.context_tokens), "--n-threads", str(asked.threads)]
        server = [sys.executable, "-m", "sdx_serving.llama.server", "--model", asked.model]
        return [*server, *common, *size, "--parent", str(os.getpid()), *asked.flags]
