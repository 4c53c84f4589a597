"""What the user's documents say about a situation: looked up beside a decision, never in its way. Start at Documents.

Such passages are shown and recorded. They do not enter the prompt of the embedded model, the options or assurance.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from queue import SimpleQueue
from typing import Self

from sdx_agents.library import of_users, opened, there
from sdx_domains.contract import Passage

log = logging.getLogger(__name__)

Recaller = Callable[[str], Sequence[Passage]]
"""What to look for -> passages that say something about it, best first."""

LIMIT_S = 0.05
"""A decision waits no longer than this for documents."""
FRESH_S = 60.0
"""So long a passage is taken to be what the library holds."""
KEPT = 256
"""Queries; a situation has few."""


class NoLibrary(LookupError):
    """Nobody has added documents yet."""


class Documents:
    """A Recaller that answers in time: with what is there, else with nothing.

    The library is opened and asked in a thread of its own. What comes late is kept for the next question alike; what
    fails is told in the log and is nothing.
    """

    def __init__(self, opens: Callable[[], AbstractContextManager[Recaller]], limit_s: float = LIMIT_S, fresh_s: float = FRESH_S) -> None:
        self._opens, self._limit_s, self._fresh_s = opens, limit_s, fresh_s
        self._kept: OrderedDict[str, tuple[float, tuple[Passage, ...]]] = OrderedDict()
        self._asked: SimpleQueue[str | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._busy = False
        # A daemon: a library that hangs does not keep the process from ending.
        threading.Thread(target=self._run, name="documents", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.put(None)

    def __call__(self, query: str) -> tuple[Passage, ...]:
        """Passages for a query, at most limit_s later. Never raises."""
        ends = time.monotonic() + self._limit_s
        with self._changed:
            if query and not self._fresh(query) and not self._busy:
                self._busy = True
                self._asked.put(query)
            while query and not self._fresh(query) and (left := ends - time.monotonic()) > 0 and self._busy:
                self._changed.wait(left)
            return self._kept[query][1] if query in self._kept else ()

    def _fresh(self, query: str) -> bool:
        return query in self._kept and time.monotonic() - self._kept[query][0] < self._fresh_s

    def _run(self) -> None:
        look: Recaller | None = None
        with ExitStack() as stack:
            while (query := self._asked.get()) is not None:
                found: tuple[Passage, ...] = ()
                try:
                    look = look or stack.enter_context(self._opens())
                    found = tuple(look(query))
                except NoLibrary as error:
                    log.debug("%s", error)
                except Exception as error:  # noqa: BLE001 - whatever a library does, decisions go on without it
                    log.warning("documents were not looked up: %s: %s", type(error).__name__, error)
                with self._changed:
                    self._busy = False
                    self._kept[query] = (time.monotonic(), found)
                    self._kept.move_to_end(query)
                    while len(self._kept) > KEPT:
                        self._kept.popitem(last=False)
                    self._changed.notify_all()


def library_documents(domain: str, limit_s: float = LIMIT_S) -> Documents:
    """The user's library of a domain. Where there is none, nothing is found, until one is made."""

    @contextmanager
    def opens() -> Iterator[Recaller]:
        if not there(domain):
            raise NoLibrary(f"no library of {domain}")
        with opened(domain) as library:
            yield lambda query: of_users(library, query)

    return Documents(opens, limit_s)
