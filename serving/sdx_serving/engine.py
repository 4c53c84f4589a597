"""What every model engine is: a process that speaks the OpenAI protocol. Adding one is one file beside llama_cpp.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class EngineError(RuntimeError):
    """The engine cannot be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine can do, as data: no isinstance checks by those who choose one."""

    json_schema: bool
    """Answers are held to a JSON schema while they are made."""
    stream: bool
    parallel: bool
    """Several requests are computed together; otherwise one after the other."""
    images: bool = False
    gpu: bool = False


class Engine(Protocol):
    """One model, served by one process."""

    name: str
    facts: EngineFacts

    @property
    def base_url(self) -> str:
        """Address for OpenAI clients, with the version: "http://127.0.0.1:8080/v1"."""
        ...

    def can_serve(self, model: Path) -> str | None:
        """None if it can, else the reason, for people."""
        ...

    def command(self) -> Sequence[str]:
        """The command line that serves the model."""
        ...

    def start(self, timeout_s: float = 60.0) -> None:
        """Start and wait until it answers; restarted when it dies, until stop(). Raises EngineError."""
        ...

    def healthy(self) -> bool: ...

    def stop(self) -> None:
        """End the process. Safe to call at any time, twice too."""
        ...
