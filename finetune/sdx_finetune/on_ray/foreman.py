"""Work on the cluster, seen from here: it runs beside the nodes, what it comes to is fetched as it comes. Start at Site.carried_out().

Not called directly, because a client at ray://... can start actors but neither Ray Data nor Ray Train itself.
"""

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Self

WAIT_S = 1.0
"""Most that one call waits: in between, Ctrl-C is heard."""
Put = Callable[[Any], None]


class Lost(Exception):
    """A node died, and this work with it: what had come is kept, begin again with the rest."""


class Foreman:
    """An actor: does the work in a thread and holds what it came to until it is fetched."""

    def __init__(self) -> None:
        self._box: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._stop = threading.Event()
        self._files: dict[str, bytes] = {}

    def start(self, work: Callable[[Put, Any], None], foreman: Any) -> None:
        """`work` gets a function that hands over results, and the actor's own handle for its processes to call."""
        threading.Thread(target=self._carry_out, args=(work, foreman), daemon=True).start()

    def _carry_out(self, work: Callable[[Put, Any], None], foreman: Any) -> None:
        try:
            work(self.put, foreman)
            self._box.put(("done", None))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked for the work
            lost = is_loss(error)
            self._box.put(("lost" if lost else "failed", str(error) if lost else _plain(error)))

    def put(self, item: Any) -> None:
        self._box.put(("item", item))

    def take(self) -> list[tuple[str, Any]]:
        """What there is; waits a little when there is nothing."""
        found: list[tuple[str, Any]] = []
        try:
            found.append(self._box.get(timeout=WAIT_S))
            while True:
                found.append(self._box.get_nowait())
        except Empty:
            return found

    def ask_to_stop(self) -> None:
        self._stop.set()

    def stopping(self) -> bool:
        return self._stop.is_set()

    def keep(self, files: dict[str, bytes | None]) -> None:
        """The newest content of files, None for one that is gone: for whoever goes on on another node."""
        for name, data in files.items():
            if data is None:
                self._files.pop(name, None)
            else:
                self._files[name] = data

    def files(self) -> dict[str, bytes]:
        return self._files


class Site:
    """The cluster as a place of work: one foreman there, another when that is lost. Close it, or use it as a context manager."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self.foreman: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what runs there. Safe to call twice."""
        if self.foreman is not None:
            self.ray.kill(self.foreman)
            self.foreman = None

    def carried_out(self, work: Callable[[Put, Any], None], each_turn: Callable[[Any], None] = lambda foreman: None) -> Iterator[Any]:
        """What `work` hands over, as it comes; closing the iterator ends it. `each_turn` is called about every second.

        Raises Lost, or what `work` raised.
        """
        ended = False
        try:
            if self.foreman is None:
                self.foreman = self.ray.remote(Foreman).options(num_cpus=0, max_concurrency=16, max_restarts=0).remote()
            self.ray.get(self.foreman.start.remote(work, self.foreman))
            while not ended:
                each_turn(self.foreman)
                for kind, item in self.ray.get(self.foreman.take.remote()):
                    if kind == "item":
                        yield item
                        continue
                    if kind == "lost":
                        raise Lost(item)  # what is left of it holds its CPUs: the foreman goes, and they with him
                    ended = True
                    if kind == "failed":
                        raise item
        except self.ray.exceptions.RayError as error:
            raise Lost(str(error).splitlines()[0]) from error
        finally:
            if not ended:
                self.close()


def is_loss(error: BaseException) -> bool:
    """Whether a process or node was lost, and not the work wrong: with all that it was raised from."""
    from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError

    if isinstance(error, RayError) and not isinstance(error, RayTaskError | RuntimeEnvSetupError):
        return True
    return error.__cause__ is not None and is_loss(error.__cause__)


def _plain(error: Exception) -> Exception:
    """The error as the work's own code raised it: what Ray wraps it in cannot always be taken apart elsewhere."""
    inner = getattr(error, "cause", None) or error
    return inner if type(inner).__module__.startswith(("sdx_", "builtins")) else RuntimeError(f"{type(inner).__name__}: {inner}")
