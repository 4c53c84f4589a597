"""Ask the teacher, several requests at once, answers in order; what was answered is kept before it is judged.

In the work folder: answers.jsonl, a line per answer as it comes, so that a kill loses only what was still being written by
the teacher. A server that is busy or gone for a while is asked again; one request that it refuses does not end the run.
"""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from sdx_finetune.augment.requests import Request
from sdx_finetune.augment.spec import PLANNER, AugmentSpec
from sdx_finetune.journal import append, whole_lines
from sdx_serving.client import ChatClient, ChatError, DeadlineExceeded, EngineUnavailable, RequestRefused

WAITS_S = (0.5, 2.0, 8.0)
"""Between the tries of one request."""
THIS_REQUEST = frozenset({400, 413, 422})
"""Statuses that blame the request itself: too long, a schema that the server does not know."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, or why there is none."""

    number: int
    asked: str
    """Content key of the request."""
    text: str = ""
    failure: str = ""
    model: str = PLANNER
    tokens: int = 0
    seconds: float = 0.0


def answered(kept: Path) -> Iterator[Said]:
    """What an answers.jsonl holds."""
    return (Said(**item) for item in whole_lines(kept))


class Teacher:
    """A chat client, or without one the domain's own answers. `kept`: answers.jsonl, None to keep nothing; `known`: answers besides."""

    def __init__(self, spec: AugmentSpec, client: ChatClient | None, kept: Path | None, known: Iterable[Said] = ()) -> None:
        self.spec, self.client, self.kept = spec.teacher, client, kept
        self._lock = Lock()
        self._known = {said.number: said for said in (*known, *(answered(kept) if kept else ()))}

    def answers(self, asked: Iterator[Request]) -> Generator[tuple[Request, Said], None, None]:
        """Each request with its answer, in order. ChatError when the teacher stays away or refuses everybody."""
        if self.client is None:
            for request in asked:
                yield request, Said(request.number, self._key(request), request.own_answer)
            return
        # Twice as many wait as run: a slow one at the head leaves no slot of the server empty.
        waiting: deque[tuple[Request, Future[Said]]] = deque()
        pool = ThreadPoolExecutor(self.spec.concurrency, "sdx-teacher")
        try:
            for request in asked:
                waiting.append((request, pool.submit(self._answer, self.client, request)))
                if len(waiting) >= 2 * self.spec.concurrency:
                    head, future = waiting.popleft()
                    yield head, future.result()
            for request, future in waiting:
                yield request, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _key(self, request: Request) -> str:
        return request.key(self.spec.model, self.spec.max_tokens)

    def _answer(self, client: ChatClient, request: Request) -> Said:
        key = self._key(request)
        known = self._known.get(request.number)
        if known is not None and known.asked == key:
            return known
        began = time.monotonic()
        said = self._ask(client, request, key)
        said = Said(**{**asdict(said), "seconds": round(time.monotonic() - began, 3)})
        if self.kept is not None:
            with self._lock:
                append(self.kept, asdict(said))
        return said

    def _ask(self, client: ChatClient, request: Request, key: str) -> Said:
        spec = self.spec
        for wait_s in (*WAITS_S, None):
            try:
                got = client.complete(request.messages, request.schema, spec.max_tokens, request.temperature, spec.deadline_s)
            except DeadlineExceeded as error:
                return Said(request.number, key, failure=str(error), model=spec.model)
            except (EngineUnavailable, RequestRefused) as error:
                if isinstance(error, RequestRefused) and error.status in THIS_REQUEST:
                    return Said(request.number, key, failure=str(error), model=spec.model)
                if wait_s is None or not _may_pass(error):
                    raise
                time.sleep(wait_s)
                continue
            cut = f"cut off at teacher.max_tokens {spec.max_tokens}; raise it" if got.finish_reason == "length" else ""
            text = got.text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written down
            return Said(request.number, key, text, cut, got.model, got.prompt_tokens + got.completion_tokens)
        raise AssertionError("the last try returns or raises")


def _may_pass(error: ChatError) -> bool:
    return isinstance(error, EngineUnavailable) or (isinstance(error, RequestRefused) and (error.status == 429 or error.status >= 500))
