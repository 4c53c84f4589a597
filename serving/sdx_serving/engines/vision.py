"""A model that reads volumes: a folder with encoder.onnx and decoder.gguf, served by our own server."""

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sdx_serving.engine import EngineFacts
from sdx_serving.engines.process import ProcessEngine

if TYPE_CHECKING:
    from sdx_serving.vision.client import SeeingChat

_NEEDED = {"onnxruntime": "onnxruntime", "llama_cpp": "llama-cpp-python"}
"""What the server imports, and the package that brings it."""
_FILES = ("encoder.onnx", "decoder.gguf")


class Vision(ProcessEngine):
    """One encoder and one decoder in one process. `serving.flags` reach the server: ("--keep", "16")."""

    name = "vision"
    facts = EngineFacts(("onnx+gguf",), json_schema=True, stream=True, parallel=False)
    """`images` is no: it is shown volumes at /v1/look, not pictures in a message."""

    @staticmethod
    def missing() -> str | None:
        absent = [package for name, package in _NEEDED.items() if find_spec(name) is None]
        return f"{', '.join(absent)} not installed: type `pip install {' '.join(absent)}`" if absent else None

    def cannot(self) -> str | None:
        folder = self.serving.path.expanduser()
        lacks = [name for name in _FILES if not (folder / name).is_file()]
        return f"{folder} lacks {' and '.join(lacks)}: give the folder that a recipe of method vision exported" if lacks else None

    def command(self) -> list[str]:
        """The server ties itself to this process."""
        asked = self.serving
        server = [sys.executable, "-m", "sdx_serving.vision.server", "--model", str(asked.path.expanduser()), "--alias", asked.alias]
        place = ["--host", self.host, "--port", str(self.port), "--parent", str(os.getpid())]
        return [*server, *place, "--context", str(asked.context_tokens), "--threads", str(asked.threads), *asked.flags]

    def chat(self) -> "SeeingChat":
        """A client of this engine, which looks at volumes too."""
        from sdx_serving.vision.client import SeeingChat  # numpy takes a moment to load

        return SeeingChat(self.base_url, self.serving.alias)
