"""Local models: loaded when asked for, unloaded when idle, swapped within a memory budget. Start at Residents.using()."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from sdx_serving.connect import embedded_model_path
from sdx_serving.engine import Engine, EngineError, Serving
from sdx_serving.engines.choose import engine_for
from sdx_serving.gateway.config import ConfigError, Local
from sdx_serving.gateway.errors import Failed

_POLL_S = 0.05
_AGAIN_S = 5.0
"""A model that could not be loaded is not tried again for so long."""
_OVERHEAD_MB = 128
"""Of an engine's process beside its weights."""


class Resident:
    """One local model and the engine that serves it. ConfigError when nothing here can."""

    def __init__(self, name: str, local: Local, log: Path) -> None:
        self.name, self.local = name, local
        model = str(embedded_model_path()) if local.model == "embedded" else local.model
        serving = Serving(
            model, "", local.context_tokens, local.parallel, local.threads, local.projector, local.adapters, local.embeddings, local.flags
        )
        try:
            self.engine: Engine = engine_for(serving, local.engine, log=log)
        except EngineError as error:
            raise ConfigError(f"upstreams.{name}.local: {error}") from error
        self.memory_mb = local.memory_mb or _weights_mb(Path(model)) + _OVERHEAD_MB
        self.state: Literal["unloaded", "loading", "ready", "leaving"] = "unloaded"
        self.users, self.wanted, self.requests, self.loads = 0, 0, 0, 0
        """`wanted`: waiting for it to be ready."""
        self.load_s = 5.0
        """How long the last load took; a guess before the first."""
        self.since_s, self.used_s = 0.0, 0.0
        """Unix time of its loading and of its last use."""
        self.suspect = False
        """A request was lost by it: it is asked for its health before the next."""
        self.loading: asyncio.Task[None] | None = None
        self.failed: tuple[float, str] = (0.0, "")


class Residents:
    """Those of one gateway. `budget_mb` 0 sets no bound."""

    def __init__(self, residents: Sequence[Resident], budget_mb: int) -> None:
        self.residents, self.budget_mb = list(residents), budget_mb
        self._moving = asyncio.Lock()
        for resident in residents:
            if budget_mb and resident.memory_mb > budget_mb:
                raise ConfigError(
                    f"upstreams.{resident.name}.local needs about {resident.memory_mb} MB, memory_mb is {budget_mb}: raise it, "
                    "or say in the model's own memory_mb what it really takes"
                )

    @asynccontextmanager
    async def using(self, resident: Resident) -> AsyncIterator[str]:
        """The address of the loaded, healthy model. Failed when it cannot be loaded."""
        resident.wanted += 1
        try:
            while resident.state != "ready" or resident.suspect:
                if resident.state == "ready":
                    await self._healthy(resident)
                else:
                    await self._loaded(resident)
            resident.users += 1
        finally:
            resident.wanted -= 1
        resident.requests += 1
        try:
            yield resident.engine.base_url
        finally:
            resident.users -= 1
            resident.used_s = time.time()

    def unload_idle(self) -> list[asyncio.Task[None]]:
        """Begin to unload those that nobody has used for their time."""
        idle = [
            resident
            for resident in self.residents
            if resident.state == "ready" and not resident.users and resident.local.idle_s
            and time.time() - max(resident.used_s, resident.since_s) >= resident.local.idle_s
        ]  # fmt: skip
        return [asyncio.create_task(self._unload_alone(resident)) for resident in idle]

    async def close(self) -> None:
        """End all engines."""
        for resident in self.residents:
            if resident.loading:
                resident.loading.cancel()
        await asyncio.gather(*(asyncio.to_thread(resident.engine.stop) for resident in self.residents))

    async def _healthy(self, resident: Resident) -> None:
        while not await asyncio.to_thread(resident.engine.healthy):
            await asyncio.sleep(_POLL_S)
        resident.suspect = False

    async def _loaded(self, resident: Resident) -> None:
        """Wait until somebody's load is done; it goes on when the one who waits has gone."""
        at_s, reason = resident.failed
        if reason and time.monotonic() - at_s < _AGAIN_S:
            raise Failed(reason, "down")
        if resident.loading is None or resident.loading.done():
            resident.loading = asyncio.create_task(self._load(resident))
            resident.loading.add_done_callback(lambda task: task.cancelled() or task.exception())  # told, if nobody waits any more
        await asyncio.shield(resident.loading)

    async def _load(self, resident: Resident) -> None:
        async with self._moving:
            if resident.state == "ready":
                return
            await self._make_room(resident.memory_mb)
            began, resident.state = time.monotonic(), "loading"
            try:
                await asyncio.to_thread(resident.engine.start, resident.local.start_s)
            except EngineError as error:
                resident.state, resident.failed = "unloaded", (time.monotonic(), f"it could not be loaded: {str(error).splitlines()[0]}")
                raise Failed(resident.failed[1], "down") from error
            except asyncio.CancelledError:
                resident.state = "unloaded"
                raise
            resident.load_s = time.monotonic() - began
            resident.since_s = resident.used_s = time.time()
            resident.loads += 1
            resident.state, resident.suspect, resident.failed = "ready", False, (0.0, "")

    async def _make_room(self, memory_mb: int) -> None:
        """Unload, least recently used first; those in use after their last answer, while newcomers wait."""
        while self.budget_mb:
            loaded = [resident for resident in self.residents if resident.state in ("ready", "leaving")]
            if sum(resident.memory_mb for resident in loaded) + memory_mb <= self.budget_mb:
                return
            await self._unload(min(loaded, key=lambda resident: (resident.users + resident.wanted > 0, resident.used_s)))

    async def _unload_alone(self, resident: Resident) -> None:
        async with self._moving:
            if resident.state == "ready" and not resident.users:
                await self._unload(resident)

    async def _unload(self, resident: Resident) -> None:
        while resident.wanted and not resident.suspect:  # it was loaded for them: they come first
            await asyncio.sleep(0)
        resident.state = "leaving"
        while resident.users:
            await asyncio.sleep(_POLL_S)
        await asyncio.to_thread(resident.engine.stop)
        resident.state = "unloaded"


def _weights_mb(path: Path) -> int:
    """A tenth more than the files; 0 where they are not on this disk yet."""
    found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
    return int(1.1 * sum(file.stat().st_size for file in found) / 1e6)
