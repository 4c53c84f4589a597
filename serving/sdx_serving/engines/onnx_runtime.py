"""ONNX Runtime: a folder with model.onnx, a sentence or vision encoder or a small decoder, served by our own server."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from sdx_serving.engine import EngineFacts, Serving
from sdx_serving.engines.process import ProcessEngine
from sdx_serving.onnx.folder import ModelError, decodes, graph_file, home_of

_NEEDED = {"onnxruntime": "onnxruntime", "tokenizers": "tokenizers", "jinja2": "jinja2", "PIL": "pillow"}
"""What the server imports, and the package that brings it."""


class OnnxRuntime(ProcessEngine):
    """One graph, what it does told by its folder.

    `serving.flags` reach the server: ("--provider", "cuda") for other hardware than the CPU.
    """

    name = "onnx"

    def __init__(self, serving: Serving, port: int = 0, host: str = "127.0.0.1", log: Path | None = None) -> None:
        super().__init__(serving, port, host, log)
        self._home, self._wrong, answers = serving.path, "", False
        try:
            self._home = home_of(graph_file(serving.path))
            answers = decodes(self._home)
        except ModelError as error:
            self._wrong = str(error)
        self.facts = EngineFacts(
            ("onnx",),
            json_schema=answers and find_spec("llguidance") is not None,
            stream=answers,
            parallel=False,
            images=(self._home / "preprocessor_config.json").is_file(),
            embeddings=not answers,
            gpu=bool({"cuda", "tensorrt", "directml"} & set(serving.flags)),
        )

    @staticmethod
    def missing() -> str | None:
        absent = [package for name, package in _NEEDED.items() if find_spec(name) is None]
        return f"{', '.join(absent)} not installed: type `pip install {' '.join(absent)}`" if absent else None

    def cannot(self) -> str | None:
        if self._wrong:
            return self._wrong
        if any((self._home / name).is_file() for name in ("tokenizer.json", "preprocessor_config.json")):
            return None
        return f"{self._home} has neither tokenizer.json nor preprocessor_config.json: copy the model's own there"

    def command(self) -> list[str]:
        """The server ties itself to this process."""
        asked = self.serving
        server = [sys.executable, "-m", "sdx_serving.onnx.server", "--model", asked.model, "--alias", asked.alias]
        place = ["--host", self.host, "--port", str(self.port), "--parent", str(os.getpid())]
        return [*server, *place, "--context", str(asked.context_tokens), "--threads", str(asked.threads), *asked.flags]
