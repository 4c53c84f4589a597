"""Every call of the model: kept on the disk, counted, never paid for twice. Start at Calls.ask().

In the work folder: calls.jsonl, a line per answer as it comes. The same run asks the same questions in the same order, so
that after a kill the answers that are there stand in for the calls.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from sdx_domains.contract import digest
from sdx_finetune.augment.teacher import THIS_REQUEST, WAITS_S
from sdx_finetune.journal import append, whole_lines
from sdx_finetune.prompt.spec import ModelSpec
from sdx_serving.client import ChatClient, ChatError, DeadlineExceeded, EngineUnavailable, RequestRefused

Messages = Sequence[Mapping[str, str]]


class Halt(BaseException):
    """No further call: `cause` says why, None when the calls that were allowed are used up.

    Not an Exception: DSPy turns those into a score of 0 and goes on, which would make a server that is gone a bad prompt.
    """

    def __init__(self, cause: Exception | None = None) -> None:
        super().__init__(str(cause or "the calls that were allowed are used up"))
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, or why there is none."""

    key: str
    text: str = ""
    failure: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Calls:
    """A chat client with a memory. Safe to use from several threads.

    Args:
        kept: calls.jsonl.
        most: calls allowed, answers of an earlier, killed run among them.
        told: called with the number of calls after each.
    """

    def __init__(self, client: ChatClient, spec: ModelSpec, kept: Path, most: int, told: Callable[[int], None] = lambda count: None):
        self.client, self.spec, self.kept, self.most, self.told = client, spec, kept, most, told
        self.used: dict[str, Answered] = {}
        self._known = {item["key"]: Answered(**item) for item in whole_lines(kept)}
        self._asked: dict[str, Future[Answered]] = {}
        self._turns: Counter[str] = Counter()
        self._cause: Exception | None = None
        self._lock = Lock()

    @property
    def left(self) -> int:
        return self.most - len(self._asked)

    @contextmanager
    def share(self, count: int) -> "Iterator[Share]":
        """A way to ask at most `count` further calls; a thread that goes on with it afterwards gets Halt, and pays nothing."""
        share = Share(self, min(self.most, len(self._asked) + count))
        try:
            yield share
        finally:
            share.over = True
        wait(list(self._asked.values()))  # DSPy leaves its threads behind: what they have begun is counted

    def stop(self) -> None:
        """Let no further call begin: for a run that ends while threads still want something."""
        self._cause = self._cause or ChatError("stopped")

    def ask(
        self, messages: Messages, temperature: float | None = None, max_tokens: int | None = None, share: "Share | None" = None
    ) -> Answered:
        """The answer; a sampled one (temperature above 0) is new each time, a greedy one is asked for once.

        Raises:
            Halt: the calls are used up, or the model is gone.
        """
        warmth = self.spec.temperature if temperature is None else temperature
        length = max_tokens or self.spec.max_tokens
        content = digest([[dict(message) for message in messages], self.spec.model, warmth, length])
        with self._lock:
            self._turns[content] += 1
            key = f"{content}-{self._turns[content]}" if warmth > 0 else content
            future, mine = self._asked.get(key), False
            if future is None:
                if self._cause is not None:
                    raise Halt(self._cause)
                if len(self._asked) >= (share.limit if share else self.most) or (share and share.over):
                    raise Halt()
                future, mine = self._asked.setdefault(key, Future()), True
        if mine:
            self._settle(key, future, messages, warmth, length)
        return future.result()

    def ask_all(self, asked: Sequence[Messages]) -> list[Answered]:
        """Answers in order, asked for `concurrency` at a time."""
        with ThreadPoolExecutor(self.spec.concurrency, "sdx-prompt") as pool:
            futures = [pool.submit(self.ask, messages) for messages in asked]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _settle(self, key: str, future: "Future[Answered]", messages: Messages, temperature: float, max_tokens: int) -> None:
        try:
            said = self._known.get(key) or self._pay(key, messages, temperature, max_tokens)
        except Exception as error:  # noqa: BLE001 - the model is gone, or the disk is full: nobody may take it for a bad answer
            self._cause = self._cause or error
            future.set_exception(Halt(self._cause))
            return
        except BaseException as error:
            future.set_exception(error)
            raise
        self.used[key] = said
        future.set_result(said)
        self.told(len(self.used))

    def _pay(self, key: str, messages: Messages, temperature: float, max_tokens: int) -> Answered:
        began = time.monotonic()
        said = self._complete(key, messages, temperature, max_tokens)
        said = Answered(**{**asdict(said), "seconds": round(time.monotonic() - began, 3)})
        with self._lock:
            append(self.kept, asdict(said))
        return said

    def _complete(self, key: str, messages: Messages, temperature: float, max_tokens: int) -> Answered:
        for wait_s in (*WAITS_S, None):
            try:
                got = self.client.complete(messages, None, max_tokens, temperature, self.spec.deadline_s)
            except DeadlineExceeded as error:
                return Answered(key, failure=str(error), model=self.spec.model)
            except (EngineUnavailable, RequestRefused) as error:
                if isinstance(error, RequestRefused) and error.status in THIS_REQUEST:
                    return Answered(key, failure=str(error), model=self.spec.model)
                passes = isinstance(error, EngineUnavailable) or error.status == 429 or error.status >= 500
                if wait_s is None or not passes or self._cause is not None:
                    raise
                time.sleep(wait_s)
                continue
            text = got.text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written down
            return Answered(key, text, "", got.model, got.prompt_tokens, got.completion_tokens)
        raise AssertionError("the last try returns or raises")


@dataclass(slots=True)
class Share:
    """The calls that one search may make; from Calls.share()."""

    calls: Calls
    limit: int
    """Of all calls of the run, at which this search ends."""
    over: bool = False

    @property
    def spec(self) -> ModelSpec:
        return self.calls.spec

    def ask(self, messages: Messages, temperature: float | None = None, max_tokens: int | None = None) -> Answered:
        """As Calls.ask, within the share."""
        return self.calls.ask(messages, temperature, max_tokens, self)
