"""What the gateway costs: the same requests to one engine, directly and through the gateway, in turn. Start at gateway_overhead()."""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from sdx_serving.connect import embedded_model_path
from sdx_serving.engine import Engine, Serving
from sdx_serving.engines.choose import engine_for
from sdx_serving.provenance import provenance

BARS = {"overhead_ms_p50": 4.0, "throughput_ratio": 0.95, "rss_mb": 150.0, "cold_start_s": 2.0}
"""Of the release: at most, at least, at most, at most."""
_DIRECT, _THROUGH = "direct", "gateway"


def gateway_overhead(
    pairs: int = 60, blocks: int = 6, concurrency: int = 8, max_tokens: int = 32, starts: int = 5, model: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Overhead of one request, of its first token, of throughput; memory and cold start of the gateway's process.

    Pairs are asked in turn, the order changing from pair to pair, so that what else the machine does falls on both alike; the
    question differs from pair to pair, and is the same within one.

    Args:
        blocks: of throughput, each way; each lasts 4 requests for each of `concurrency` clients.
        starts: of the gateway's process, of which the median is taken.
    """
    path = model or embedded_model_path()
    with tempfile.TemporaryDirectory() as folder, engine_for(Serving(str(path), threads=1), log=Path(folder) / "engine.log") as engine:
        colds = [_cold_start(engine, Path(folder)) for _ in range(starts)]
        tell(f"cold starts {', '.join(f'{cold:.2f}' for cold in colds)} s")
        with _gateway(engine, Path(folder)) as (process, url), httpx.Client(timeout=120.0, trust_env=False) as http:
            ways = {_DIRECT: engine.base_url, _THROUGH: f"{url}/v1"}
            whole = [_pair(http, ways, engine.serving.alias, number, max_tokens, False) for number in range(pairs)]
            tell(f"{pairs} pairs of whole answers")
            first = [_pair(http, ways, engine.serving.alias, number + pairs, max_tokens, True) for number in range(pairs)]
            tell(f"{pairs} pairs of streams")
            rates = [_rates(ways, engine.serving.alias, block, concurrency, max_tokens) for block in range(blocks)]
            rss_mb = rss_mb_of(process.pid)
    figures = {
        "overhead_ms_p50": 1e3 * statistics.median(through - direct for direct, through in whole),
        "first_token_overhead_ms_p50": 1e3 * statistics.median(through - direct for direct, through in first),
        "direct_ms_p50": 1e3 * statistics.median(direct for direct, _ in whole),
        "gateway_ms_p50": 1e3 * statistics.median(through for _, through in whole),
        "throughput_ratio": statistics.median(through / direct for direct, through in rates),
        "direct_requests_per_s": statistics.median(direct for direct, _ in rates),
        "rss_mb": rss_mb,
        "cold_start_s": statistics.median(colds),
    }
    asked = {
        "pairs": pairs,
        "blocks": blocks,
        "concurrency": concurrency,
        "max_tokens": max_tokens,
        "model": path.name,
        "engine": engine.name,
    }
    return {**figures, "passed": passed(figures), "bars": BARS, "asked": asked, **provenance()}


def passed(figures: dict[str, float]) -> dict[str, bool]:
    """Each bar by its name."""
    return {name: figures[name] >= bar if name == "throughput_ratio" else figures[name] <= bar for name, bar in BARS.items()}


def _pair(http: httpx.Client, ways: dict[str, str], alias: str, number: int, max_tokens: int, stream: bool) -> tuple[float, float]:
    """(directly, through the gateway): seconds to the answer, of a stream to its first token."""
    order = list(ways) if number % 2 else list(reversed(ways))
    took = {way: _ask(http, ways[way], _body(alias if way == _DIRECT else "model", number, max_tokens, stream)) for way in order}
    return took[_DIRECT], took[_THROUGH]


def _rates(ways: dict[str, str], alias: str, block: int, concurrency: int, max_tokens: int) -> tuple[float, float]:
    """(directly, through the gateway): requests a second at this concurrency."""
    order = list(ways) if block % 2 else list(reversed(ways))
    found = {}
    for way in order:
        names = [
            _body(alias if way == _DIRECT else "model", 10_000 + 1000 * block + index, max_tokens, False)
            for index in range(4 * concurrency)
        ]
        with httpx.Client(timeout=300.0, trust_env=False) as http, ThreadPoolExecutor(concurrency) as pool:
            began = time.perf_counter()
            list(pool.map(lambda body: _ask(http, ways[way], body), names))  # noqa: B023 - used up before the next turn
            found[way] = len(names) / (time.perf_counter() - began)
    return found[_DIRECT], found[_THROUGH]


def _body(model: str, number: int, max_tokens: int, stream: bool) -> dict[str, Any]:
    question = f"Own ship 54.{number:04d} N 011.5 E, course 090, speed 12 kn. Target bearing {number % 360:03d}, 3.2 NM. What do you do?"
    return {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": stream,
    }


def _ask(http: httpx.Client, address: str, body: dict[str, Any]) -> float:
    """Seconds to the whole answer, of a stream to its first token."""
    began = time.perf_counter()
    with http.stream("POST", f"{address}/chat/completions", json=body) as reply:
        if reply.status_code != 200:
            raise RuntimeError(f"{address} answered HTTP {reply.status_code}: {reply.read()[:300].decode(errors='replace')}")
        first = 0.0
        for _ in reply.iter_raw():
            first = first or time.perf_counter() - began
        return first if body["stream"] else time.perf_counter() - began


@contextlib.contextmanager
def _gateway(engine: Engine, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway before the engine, as a process; yields when it answers."""
    told = {
        "upstreams": {"engine": {"url": engine.base_url, "model": engine.serving.alias, "can": ["json_schema"], "concurrency": 16}},
        "routes": {"model": {"to": ["engine"]}},
        "state": str(folder / "state"),
    }
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(told), encoding="utf-8")
    with running_gateway(file) as (process, url):
        yield process, url


@contextlib.contextmanager
def running_gateway(file: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address, without the version. RuntimeError when it does not come up."""
    command = [sys.executable, "-m", "sdx_serving.gateway.server", "--config", str(file), "--port", "0", "--quiet", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            if not said:
                raise RuntimeError(f"the gateway ended with code {process.wait()}: {' '.join(command)}")
            yield process, said.split()[-1].removesuffix("/v1")
        finally:
            process.terminate()


def _cold_start(engine: Engine, folder: Path) -> float:
    """Seconds from the command to the first answered page."""
    began = time.perf_counter()
    with _gateway(engine, folder) as (_, url):
        httpx.get(f"{url}/health", trust_env=False).raise_for_status()
        return time.perf_counter() - began


def rss_mb_of(pid: int) -> float:
    """Resident memory of a process. nan where /proc does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("nan")
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line through (x, y) by least squares; 0 of fewer than two."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
