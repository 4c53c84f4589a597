"""An hour of load on the gateway while its engine is killed again and again: is an answer lost, or somebody else's? Start at soak()."""

import contextlib
import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sdx_serving.bench.gateway_overhead import rss_mb_of, running_gateway, slope
from sdx_serving.connect import embedded_model_path
from sdx_serving.provenance import provenance

_FLAT_MB = 10.0
"""Growth over the settled time that counts as flat."""
_SETTLED = 0.2
"""Share of the time after which memory is looked at: before, caches fill."""
_SAMPLE_S = 5.0


@dataclass
class _Counted:
    """What came of the requests."""

    right: int = 0
    wrong_keyed: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])
    degraded: int = 0
    slowest_s: float = 0.0
    kills: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """(hours, MB) of the gateway."""


def soak(
    minutes: float = 60.0, concurrency: int = 8, kill_every_s: float = 300.0, deadline_s: float = 60.0, model: Path | None = None, seed: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Ask without pause; every answer must repeat a word that only its own request has, whole and streamed in turn.

    The word stands in the request's JSON schema as a constant, so that any model, however small, must say it: an answer with
    another word came to the wrong client. Passed: none lost, none wrong, the gateway's memory flat.
    """
    path, ends_s = model or embedded_model_path(), time.monotonic() + 60.0 * minutes
    counted, stop, lock = _Counted(), threading.Event(), threading.Lock()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.yaml"
        file.write_text(json.dumps(_config(path, Path(folder))), encoding="utf-8")
        with running_gateway(file) as (process, url):
            clients = [
                threading.Thread(target=_client, args=(url, number, seed, deadline_s, stop, counted, lock)) for number in range(concurrency)
            ]
            for client in clients:
                client.start()
            try:
                _watch(url, process.pid, ends_s, kill_every_s, counted, tell)
            finally:
                stop.set()
                for client in clients:
                    client.join(2.0 * deadline_s)
    return _result(
        counted, minutes, {"minutes": minutes, "concurrency": concurrency, "kill_every_s": kill_every_s, "seed": seed, "model": path.name}
    )


def _config(model: Path, folder: Path) -> dict[str, Any]:
    return {
        "upstreams": {"edge": {"local": {"model": str(model), "preload": True}}},
        "routes": {"soak": {"to": ["edge"]}},
        "state": str(folder / "state"),
    }


def _client(url: str, number: int, seed: int, deadline_s: float, stop: threading.Event, counted: _Counted, lock: threading.Lock) -> None:
    with httpx.Client(timeout=deadline_s + 30.0, trust_env=False) as http:
        turn = 0
        while not stop.is_set():
            turn += 1
            nonce, began = f"s{seed}-c{number}-t{turn}", time.monotonic()
            try:
                said, degraded = _ask(http, url, nonce, turn % 2 == 0, deadline_s)
                problem = "" if said == nonce else f"asked {nonce}, was told {said}"
            except (httpx.HTTPError, ValueError, KeyError, IndexError) as error:
                said, degraded, problem = None, False, f"{nonce}: {error!r}"
            with lock:
                counted.slowest_s = max(counted.slowest_s, time.monotonic() - began)
                counted.degraded += degraded
                if not problem:
                    counted.right += 1
                else:
                    (counted.lost if said is None else counted.wrong_keyed).append(problem)


def _ask(http: httpx.Client, url: str, nonce: str, stream: bool, deadline_s: float) -> tuple[str, bool]:
    """(the word in the answer, degraded). ValueError when there is no whole answer."""
    schema = {"type": "object", "properties": {"nonce": {"const": nonce}}, "required": ["nonce"], "additionalProperties": False}
    body = {
        "model": "soak",
        "messages": [{"role": "user", "content": f"Repeat {nonce}."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "echo", "strict": True, "schema": schema}},
        "max_tokens": 100,
        "temperature": 0,
        "stream": stream,
    }
    headers = {"X-SDX-Deadline-S": str(deadline_s), "X-SDX-Allow-Restart": "1"}
    reply = http.post(f"{url}/v1/chat/completions", json=body, headers=headers)
    if reply.status_code != 200:
        raise ValueError(f"HTTP {reply.status_code}: {reply.text[:300]}")
    if not stream:
        answer = reply.json()
        return str(json.loads(answer["choices"][0]["message"]["content"])["nonce"]), bool(answer["sdx"]["degraded"])
    return _streamed(reply.text)


def _streamed(text: str) -> tuple[str, bool]:
    said, degraded = "", False
    for line in text.splitlines():
        if not line.startswith("data: {"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise ValueError(str(event["error"]))
        if event.get("restart"):  # the engine died under it: what was said before counts no more
            said = ""
        said += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
        degraded = bool(event.get("sdx", {}).get("degraded", degraded))
    return str(json.loads(said)["nonce"]), degraded


def _watch(url: str, pid: int, ends_s: float, kill_every_s: float, counted: _Counted, tell: Callable[[str], None]) -> None:
    """Samples memory, kills the engine, tells how it stands."""
    began = time.monotonic()
    kill_s = began + kill_every_s
    # A connection kept from one kill to the next may be closed by the gateway at the moment it is used again.
    with httpx.Client(timeout=30.0, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)) as http:
        while (now := time.monotonic()) < ends_s:
            counted.memory.append(((now - began) / 3600.0, rss_mb_of(pid)))
            if now >= kill_s:
                kill_s += kill_every_s
                for engine in http.get(f"{url}/running").json()["running"]:
                    if engine["pid"]:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(engine["pid"], signal.SIGKILL)
                        counted.kills += 1
                lost, wrong = len(counted.lost), len(counted.wrong_keyed)
                tell(
                    f"{(now - began) / 60:.0f} min: {counted.right} right, {lost} lost, {wrong} wrong, {counted.memory[-1][1]:.0f} MB, {counted.kills} kills"
                )
            time.sleep(min(_SAMPLE_S, max(0.0, ends_s - now), max(0.05, kill_s - now)))


def _result(counted: _Counted, minutes: float, asked: dict[str, Any]) -> dict[str, Any]:
    settled = [point for point in counted.memory if point[0] >= _SETTLED * minutes / 60.0]
    growth = slope(settled)  # MB in an hour
    grown = growth * (settled[-1][0] - settled[0][0]) if settled else 0.0
    return {
        "requests": counted.right + len(counted.lost) + len(counted.wrong_keyed),
        "lost": len(counted.lost),
        "wrong_keyed": len(counted.wrong_keyed),
        "examples": [*Counter(counted.lost), *counted.wrong_keyed][:5],
        "kills": counted.kills,
        "degraded": counted.degraded,
        "slowest_s": counted.slowest_s,
        "rss_mb": counted.memory[-1][1] if counted.memory else None,
        "rss_mb_per_hour": growth,
        "passed": not counted.lost and not counted.wrong_keyed and counted.right > 0 and grown <= _FLAT_MB,
        "asked": asked,
        **provenance(),
    }
