"""What every model engine is: a process that speaks the OpenAI protocol. Adding one is one file in engines/."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    from sdx_serving.client import OpenAIChat

Format = Literal["gguf", "safetensors", "onnx", "trt-engine", "onnx+gguf"]
"""How a model lies on the disk; a Hugging Face id counts as safetensors, onnx+gguf is a folder with encoder.onnx and decoder.gguf."""


class EngineError(RuntimeError):
    """The engine cannot be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine can do, as data: no isinstance checks by those who choose one."""

    formats: tuple[Format, ...]
    json_schema: bool
    """Answers are held to a JSON schema while they are made."""
    stream: bool
    parallel: bool
    """Several requests are computed together; otherwise one after the other."""
    images: bool = False
    tools: bool = False
    """Tools are given to the model and its calls come back as such; otherwise they are refused."""
    lora: bool = False
    embeddings: bool = False
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class Serving:
    """Which model an engine serves, and how."""

    model: str
    """A file, a folder, or a Hugging Face id."""
    name: str = ""
    """For clients; "" takes the file's or folder's own."""
    context_tokens: int = 2048
    """Prompt and answer of one request together."""
    parallel: int = 1
    """Requests computed together, each with a context of its own, where the engine can."""
    threads: int = 1
    projector: Path | None = None
    """GGUF file of the vision tower, for engines that want it apart."""
    adapters: Mapping[str, Path] = field(default_factory=dict)
    """LoRA adapters by the name under which clients ask for them as a model."""
    embeddings: bool = False
    """Serve vectors of texts instead of answers."""
    flags: tuple[str, ...] = ()
    """Passed to the engine's command as they are."""

    @property
    def alias(self) -> str:
        return self.name or (self.path.stem if self.path.suffix in (".gguf", ".onnx", ".engine") else self.path.name)

    @property
    def path(self) -> Path:
        return Path(self.model)


class Engine(Protocol):
    """One model, served by one process. See engines/process.py for what all of them share."""

    name: str
    facts: EngineFacts
    serving: Serving

    @property
    def base_url(self) -> str:
        """Address for OpenAI clients, with the version: "http://127.0.0.1:8080/v1"."""
        ...

    @property
    def pid(self) -> int | None:
        """Of the engine's process; None while there is none, and for an engine elsewhere."""
        ...

    @property
    def restarts(self) -> int: ...

    @staticmethod
    def missing() -> str | None:
        """None if the engine is installed here, else what to type."""
        ...

    def cannot(self) -> str | None:
        """None if it can serve what it is asked to, else the reason, for people."""
        ...

    def command(self) -> Sequence[str]:
        """The command line that serves the model."""
        ...

    def request(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """An OpenAI request as this engine takes it, e.g. with an adapter's name in a field of its own."""
        ...

    def start(self, timeout_s: float = 60.0) -> None:
        """Start and wait until it answers; restarted when it dies, until stop(). Raises EngineError."""
        ...

    def healthy(self) -> bool: ...

    def chat(self) -> "OpenAIChat":
        """A client of the model it serves."""
        ...

    def stop(self) -> None:
        """End the process. Safe to call at any time, twice too."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
