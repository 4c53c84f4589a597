"""Measure a model on this machine, as the estimator wants it: time to first token cold and warm, decoding, memory. Start at measure_here().

For whole comparisons of many models, runtimes and ways of serving there is `sdx bench serve`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np

from sdx_serving.bench.energy import energy_meter
from sdx_serving.bench.figures import spread
from sdx_serving.bench.load import Exchange, read_stream
from sdx_serving.bench.task import Question
from sdx_serving.devices.hardware import Root
from sdx_serving.engine import Engine, EngineError, Serving
from sdx_serving.provenance import commit
from sdx_serving.recommend.facts import ModelFacts
from sdx_serving.results import Measurement

_PATIENCE_S = 120.0
_LEAST_TOKENS = 8
"""An answer shorter than this says nothing of decoding."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked."""

    context_tokens: int = 2048
    output_tokens: int = 96
    threads: int = 1
    requests: int = 6
    """Cold, and as many warm."""


def measure_here(
    engine: Engine,
    facts: ModelFacts,
    questions: Sequence[Question],
    plan: Plan,
    device: str,
    sha256: str = "",
    say: Callable[[str], None] = lambda line: None,
) -> Measurement:
    """Start the engine, ask, stop it, and say what was measured: one row for Results.

    Args:
        questions: chats whose beginnings are alike; they are asked in turn.
        device: id of the device file, or of the probe.

    Raises:
        EngineError: it cannot serve the model, or gave no answer.
        ValueError: its answers are too short to measure.
    """  # fmt: skip
    with engine, httpx.Client(timeout=_PATIENCE_S, trust_env=False) as http:
        say(f"{engine.name} serves {facts.name}; {plan.requests} questions cold, {plan.requests} warm")
        _ask(http, engine, questions[0], plan)
        asked = [questions[number % len(questions)] for number in range(1, plan.requests + 1)]
        joules, began = energy_meter(), time.monotonic()
        cold = [_ask(http, engine, question.unseen(f"{time.monotonic_ns()}"), plan) for question in asked]
        _ask(http, engine, questions[0], plan)
        warm = [_ask(http, engine, question, plan) for question in asked]
        used_j, took_s = joules() if joules else None, time.monotonic() - began
        rss = peak_rss_bytes(engine.pid) if engine.pid else None
    heard = [*cold, *warm]
    rates = [(one.output_tokens - 1) / (one.request_s - one.ttft_s) for one in heard if _says_enough(one)]
    if not rates:
        most = max(one.output_tokens for one in heard)
        raise ValueError(f"{facts.name} answers with {most} tokens at most: too few to measure; give it longer work")
    return Measurement(
        device=device,
        model=facts.name,
        model_sha256=sha256,
        compression=facts.quantisation,
        runtime=engine.name,
        concurrency=1,
        threads=plan.threads,
        context_tokens=plan.context_tokens,
        prompt_tokens=round(float(np.median([one.prompt_tokens for one in warm]))),
        output_tokens=round(float(np.median([one.output_tokens for one in heard]))),
        requests=len(heard),
        ttft_cold_s=spread([one.ttft_s for one in cold]),
        ttft_warm_s=spread([one.ttft_s for one in warm]),
        inter_token_s=spread([1 / rate for rate in rates]),
        request_s=spread([one.request_s for one in warm]),
        tokens_per_s=sum(one.output_tokens for one in heard) / took_s,
        decode_tokens_per_s=float(np.median(rates)),
        weights_bytes=facts.weights_bytes,
        peak_rss_bytes=rss,
        accuracy=None,
        energy_j=used_j / len(heard) if used_j is not None else None,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
    )


def serving_of(model: str, plan: Plan) -> Serving:
    """The plan as an engine takes it."""
    return Serving(str(Path(model).expanduser()), context_tokens=plan.context_tokens, threads=plan.threads)


def peak_rss_bytes(pid: int) -> int:
    """The most memory that a process and its children have held (Linux, VmHWM)."""
    total = 0
    for line in Root().text(f"proc/{pid}/status").splitlines():
        if line.startswith("VmHWM:"):
            total += int(line.split()[1]) * 1024
    for path in Root().glob(f"proc/{pid}/task/*/children"):
        total += sum(peak_rss_bytes(int(child)) for child in Root().text(str(path)).split())
    return total


def _says_enough(one: Exchange) -> bool:
    return one.output_tokens >= _LEAST_TOKENS and one.request_s > one.ttft_s


def _ask(http: httpx.Client, engine: Engine, question: Question, plan: Plan) -> Exchange:
    """One answer as it streams. EngineError when there was none."""
    body = {"model": engine.serving.alias, "messages": question.turns(), "max_tokens": plan.output_tokens, "temperature": 0.0}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    if question.json_schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": question.json_schema}}
    sent_s = time.monotonic()
    try:
        with http.stream("POST", f"{engine.base_url}/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                raise EngineError(f"{engine.name} refuses: HTTP {answer.status_code} {answer.read().decode(errors='replace'):.200}")
            lines = [(time.monotonic(), line) for line in answer.iter_lines() if line.startswith("data:")]
    except httpx.HTTPError as error:
        raise EngineError(f"{engine.name} gave no answer ({type(error).__name__}: {error})") from error
    heard = read_stream(sent_s, lines, time.monotonic())
    if heard.error:
        raise EngineError(f"{engine.name}: {heard.error}")
    return heard
