"""The asking process: sends a load to a server, or runs the model itself, and notes when each piece of each answer came.

    python -m sdx_serving.bench.load JOB.json OUT.json

Nothing is parsed while the clock runs. Times are of the machine's monotonic clock, so that other processes' samples fit to them.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import Field

from sdx_serving.bench.task import Question
from sdx_serving.closed import Closed
from sdx_serving.tether import tie_to_parent

COLD_TOKENS = 4
"""Most of an answer of which only the first is measured, or none."""


class Job(Closed):
    """What to ask, and whom: the server at `address`, or, without one, the model that `runtime` runs in this process."""

    address: str = ""
    """With the version: "http://127.0.0.1:8080/v1"."""
    name: str = ""
    """Of the model, for the server."""
    runtime: str = ""
    model: Path = Path()
    context_tokens: int = 2048
    threads: int = 1
    cores: tuple[int, ...] = ()
    """Where this process may run; () anywhere."""
    warm_up: tuple[Question, ...] = ()
    """As many as are asked at the same time later, not measured."""
    cold: tuple[Question, ...] = ()
    questions: tuple[Question, ...]
    concurrency: int = 1
    max_tokens: int = 256
    deadline_s: float = 60.0
    parent: int
    """This process ends with that one."""


class Exchange(Closed):
    """One request and its answer."""

    sent_s: float
    """By the monotonic clock."""
    ttft_s: float = Field(default=0.0, ge=0.0)
    request_s: float = Field(default=0.0, ge=0.0)
    gaps_s: tuple[float, ...] = ()
    """Between one piece and the next."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    """As the engine tells, else the number of pieces."""
    text: str = ""
    error: str = ""


class Loaded(Closed):
    """What came of a job."""

    cold: tuple[Exchange, ...]
    answers: tuple[Exchange, ...]
    """To the questions, in their order."""
    began_s: float
    ended_s: float
    """Of the questions, by the monotonic clock."""


def exchange(sent_s: float, pieces: Sequence[tuple[float, str]], ended_s: float, prompt_tokens: int, output_tokens: int) -> Exchange:
    """From the times at which pieces came; without a piece the answer is empty, and its first token is its end."""
    times = [at for at, _ in pieces] or [ended_s]
    return Exchange(
        sent_s=sent_s,
        ttft_s=times[0] - sent_s,
        request_s=ended_s - sent_s,
        gaps_s=tuple(round(later - earlier, 6) for earlier, later in pairwise(times)),
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens or len(pieces),
        text="".join(piece for _, piece in pieces),
    )


def read_stream(sent_s: float, lines: Sequence[tuple[float, str]], ended_s: float) -> Exchange:
    """From the server-sent events of an OpenAI chat stream and when each came. Never raises: what is wrong is its `error`."""
    pieces: list[tuple[float, str]] = []
    usage: dict[str, Any] = {}
    done = False
    for at, line in lines:
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            done = True
            continue
        try:
            event = json.loads(data)
            if "error" in event:
                return Exchange(sent_s=sent_s, error=f"the server broke off: {json.dumps(event['error'], ensure_ascii=False):.300}")
            usage = event.get("usage") or usage
            pieces += [(at, text) for choice in event.get("choices", ()) if (text := choice.get("delta", {}).get("content"))]
        except (ValueError, TypeError, AttributeError) as error:
            return Exchange(sent_s=sent_s, error=f"not an OpenAI chat stream ({error!r:.100}): {line!r:.200}")
    if not done:
        return Exchange(sent_s=sent_s, error="the stream ended before its end mark")
    return exchange(sent_s, pieces, ended_s, int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))


async def _ask(http: Any, job: Job, question: Question, max_tokens: int) -> Exchange:
    import httpx

    body: dict[str, Any] = {"model": job.name, "messages": question.turns(), "max_tokens": max_tokens, "temperature": 0.0}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    if question.json_schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": question.json_schema},
        }
    lines: list[tuple[float, str]] = []
    sent_s = time.monotonic()
    try:
        async with asyncio.timeout(job.deadline_s), http.stream("POST", f"{job.address}/chat/completions", json=body) as response:
            if response.status_code != 200:
                text = (await response.aread()).decode(errors="replace")
                return Exchange(sent_s=sent_s, error=f"HTTP {response.status_code}: {text:.300}")
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    lines.append((time.monotonic(), line))
    except TimeoutError:
        return Exchange(sent_s=sent_s, error=f"timeout: no whole answer within {job.deadline_s:g} s")
    except httpx.HTTPError as error:
        return Exchange(sent_s=sent_s, error=f"the connection broke ({type(error).__name__}: {error})")
    return read_stream(sent_s, lines, time.monotonic())


async def _over_http(job: Job) -> Loaded:
    import httpx

    limits = httpx.Limits(max_connections=job.concurrency, max_keepalive_connections=job.concurrency)
    async with httpx.AsyncClient(timeout=None, trust_env=False, limits=limits) as http:

        async def all_of(questions: Sequence[Question], concurrency: int, max_tokens: int = job.max_tokens) -> tuple[Exchange, ...]:
            """`concurrency` under way at any time: the next begins when one has ended."""
            answers: list[Exchange | None] = [None] * len(questions)
            waiting = iter(enumerate(questions))

            async def work() -> None:
                for number, question in waiting:
                    answers[number] = await _ask(http, job, question, max_tokens)

            await asyncio.gather(*(work() for _ in range(concurrency)))
            return tuple(answer for answer in answers if answer is not None)

        await all_of(job.warm_up[:1], 1, COLD_TOKENS)
        cold = await all_of(job.cold, 1, COLD_TOKENS)
        await all_of(job.warm_up, job.concurrency, COLD_TOKENS)
        began_s = time.monotonic()
        answers = await all_of(job.questions, job.concurrency)
        return Loaded(cold=cold, answers=answers, began_s=began_s, ended_s=time.monotonic())


def _in_process(job: Job) -> Loaded:
    from sdx_serving.bench.in_process import Told, open_model

    with open_model(job.runtime, job.model, job.context_tokens, job.threads) as model:

        def ask(question: Question, max_tokens: int = job.max_tokens) -> Exchange:
            pieces: list[tuple[float, str]] = []
            told = Told()
            sent_s = time.monotonic()
            for piece in model(question, max_tokens, told):
                pieces.append((time.monotonic(), piece))
                if pieces[-1][0] - sent_s > job.deadline_s:
                    return Exchange(sent_s=sent_s, error=f"timeout: no whole answer within {job.deadline_s:g} s")
            return exchange(sent_s, pieces, time.monotonic(), told.prompt_tokens, told.completion_tokens)

        for question in job.warm_up[:1]:
            ask(question, COLD_TOKENS)
        cold = tuple(ask(question, COLD_TOKENS) for question in job.cold)
        for question in job.warm_up:
            ask(question, COLD_TOKENS)
        began_s = time.monotonic()
        answers = tuple(map(ask, job.questions))
        return Loaded(cold=cold, answers=answers, began_s=began_s, ended_s=time.monotonic())


def main(argv: list[str]) -> int:
    source, target = map(Path, argv)
    job = Job.model_validate_json(source.read_text(encoding="utf-8"))
    tie_to_parent(job.parent)
    if job.cores:
        with suppress(OSError):  # cores that are not ours: then unpinned
            os.sched_setaffinity(0, job.cores)
    loaded = asyncio.run(_over_http(job)) if job.address else _in_process(job)
    partial = target.with_suffix(".partial")
    partial.write_text(loaded.model_dump_json(), encoding="utf-8")
    partial.replace(target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
