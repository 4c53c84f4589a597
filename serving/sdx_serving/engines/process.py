"""What all engines that run on this machine share: a supervised process at a port, its health and its log."""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import httpx

from sdx_serving.client import OpenAIChat
from sdx_serving.engine import EngineError, EngineFacts, Serving
from sdx_serving.ports import free_port, port_is_free
from sdx_serving.supervise import Supervised


class ProcessEngine(ABC):
    """One model served by one process that is restarted when it dies or hangs.

    An engine of its own gives `name`, `facts`, `missing`, `cannot` and `command`.

    Args:
        port: 0 takes a free one.
        log: file for the engine's output; None takes one in the temporary folder.
    """

    name: ClassVar[str]
    facts: EngineFacts
    health_path: ClassVar[str] = "/health"
    start_s: ClassVar[float] = 60.0
    """Time it may take until it first answers."""

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
        if reason := self.missing() or self.cannot():
            raise EngineError(f"{self.name} cannot serve {self.serving.model}: {reason}")
        if not port_is_free(self.host, self.port):
            raise EngineError(f"port {self.port} on {self.host} is taken by another program: stop that, or choose another port")
        patience_s = timeout_s or self.start_s
        process = Supervised(self.command(), self.healthy, self.log, start_s=patience_s, environment=self.environment())
        process.start(patience_s)
        self._process = process

    def healthy(self) -> bool:
        """True when the model is loaded and the process answers within 2 s."""
        try:
            return httpx.get(f"http://{self.host}:{self.port}{self.health_path}", timeout=2.0, trust_env=False).status_code == 200
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
