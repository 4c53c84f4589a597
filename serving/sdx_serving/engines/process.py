"""What all engines that run on this machine share: a supervised process at a port, its health and its log."""

import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx

from sdx_serving.client import OpenAIChat
from sdx_serving.engine import EngineError, EngineFacts, Serving
from sdx_serving.ports import free_port, port_is_free
from sdx_serving.supervise import Supervised


def tethered(command: Sequence[str]) -> list[str]:
    """The command, tied to this process: it ends when we do, however we do."""
    return [sys.executable, "-m", "sdx_serving.tether", str(os.getpid()), *command]


def beyond(facts: EngineFacts, serving: Serving) -> str | None:
    """What is asked of an engine that by its facts it cannot do; None when it can."""
    asked = (
        (bool(serving.adapters) and not facts.lora, "it serves no LoRA adapters: merge them into the weights, or choose another engine"),
        (serving.embeddings and not facts.embeddings, "it serves no embeddings: choose another engine"),
        (serving.projector is not None and not facts.images, "it serves no images: leave the projector out, or choose another engine"),
    )
    return next((reason for lacks, reason in asked if lacks), None)


class ProcessEngine(ABC):
    """One model served by one process that is restarted when it dies or hangs.

    An engine of its own gives `name`, `facts`, `missing`, `cannot` and `command`.

    Args:
        port: 0 takes a free one.
        log: file for the engine's output; None takes one in the temporary folder.
    """

    name: str
    facts: EngineFacts
    health_path: ClassVar[str] = "/health"
    start_s: ClassVar[float] = 60.0
    """Time it may take until it first answers."""
    hang_s: ClassVar[float] = 15.0
    """Without an answer for so long it hangs, and is started again."""
    term_s: ClassVar[float] = 5.0
    """Time it has to end when asked, before it is killed."""

    def __init__(self, serving: Serving, port: int = 0, host: str = "127.0.0.1", log: Path | None = None) -> None:
        self.serving = serving
        self.host, self.port = host, port or free_port(host)
        self.log = log or Path(tempfile.gettempdir()) / f"sdx-{self.name}-{os.getpid()}-{self.port}.log"
        self._process: Supervised | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    @abstractmethod
    def missing() -> str | None:
        """See Engine.missing."""

    @abstractmethod
    def cannot(self) -> str | None:
        """See Engine.cannot."""

    @abstractmethod
    def command(self) -> list[str]:
        """See Engine.command."""

    def why_not(self) -> str | None:
        """As cannot(), what its facts exclude first."""
        return beyond(self.facts, self.serving) or self.cannot()

    def request(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See Engine.request."""
        return dict(body)

    def environment(self) -> Mapping[str, str]:
        """Variables that the process is given besides ours."""
        return {}

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

    def start(self, timeout_s: float | None = None) -> None:
        """See Engine.start. Without `timeout_s` the engine's own."""
        if self._process:
            return
        if reason := self.missing() or self.why_not():
            raise EngineError(f"{self.name} cannot serve {self.serving.model}: {reason}")
        if not port_is_free(self.host, self.port):
            raise EngineError(f"port {self.port} on {self.host} is taken by another program: stop that, or choose another port")
        patience_s = timeout_s or self.start_s
        process = Supervised(
            self.command(),
            self.healthy,
            self.log,
            hang_s=self.hang_s,
            start_s=patience_s + 1.0,  # start() gives up first, with the better reason
            term_s=self.term_s,
            environment=self.environment(),
        )
        process.start(patience_s)
        self._process = process

    def healthy(self) -> bool:
        """True when the model is loaded and the process answers within 2 s."""
        try:
            # Certificates are of no use here, and to load them takes 20 ms of a core, four times a second.
            answer = httpx.get(f"http://{self.host}:{self.port}{self.health_path}", timeout=2.0, trust_env=False, verify=False)
            return answer.status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """See Engine.stop."""
        if self._process:
            self._process.stop()
            self._process = None

    def chat(self) -> OpenAIChat:
        """A client of this engine."""
        return OpenAIChat(self.base_url, self.serving.alias)
