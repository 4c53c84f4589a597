"""Local models behind the gateway: real engines, loaded when asked for, swapped, unloaded, restarted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from .conftest import Serve, Served, needs_llama
from .test_relay import ask, until

pytestmark = needs_llama
LATE = 60.0
"""Seconds: an engine starts slowly on a busy machine."""


def local(model: Path, **told: Any) -> dict[str, Any]:
    return {"local": {"model": str(model), "context_tokens": 512, **told}}


def running(served: Served) -> dict[str, dict[str, Any]]:
    return {item["upstream"]: item for item in httpx.get(f"{served.url}/running").json()["running"]}


def test_a_model_is_loaded_when_asked_for_and_unloaded_when_idle(serve: Serve, tiny_model: Path) -> None:
    served = serve({"upstreams": {"edge": local(tiny_model, idle_s=1.0)}, "routes": {"ship": {"to": "edge"}}})
    assert running(served) == {}
    reply = ask(served, LATE, max_tokens=4)
    assert reply.status_code == 200 and reply.json()["usage"]["completion_tokens"] <= 4
    assert reply.json()["sdx"]["model_sha256"] == reply.json()["system_fingerprint"].removeprefix("sha256:")
    pid = running(served)["edge"]["pid"]
    until(lambda: running(served) == {}, 30.0)
    until(lambda: not psutil.pid_exists(pid), 10.0)
    assert ask(served, LATE, max_tokens=4).status_code == 200


def test_models_are_swapped_within_the_memory_budget(serve: Serve, tiny_model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    shutil.copy(tiny_model, other)
    told = {
        "upstreams": {"one": local(tiny_model, memory_mb=100), "two": local(other, memory_mb=100)},
        "routes": {"one": {"to": "one"}, "two": {"to": "two"}},
        "memory_mb": 150,
    }
    served = serve(told)
    most = 0

    def watched(model: str) -> int:
        nonlocal most
        status = ask(served, LATE, model=model, max_tokens=3).status_code
        most = max(most, len([item for item in running(served).values() if item["pid"]]))
        return status

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(watched, ["one", "two", "one", "two"])) == {200}
    assert most == 1
    assert sum(resident.loads for resident in served.gateway.residents.residents) >= 2


def test_what_is_lost_with_an_engine_is_asked_again_when_it_is_back(serve: Serve, tiny_model: Path) -> None:
    served = serve({"upstreams": {"edge": local(tiny_model, preload=True)}, "routes": {"ship": {"to": "edge"}}})
    until(lambda: running(served).get("edge", {}).get("state") == "ready", LATE)
    until(lambda: served.gateway.upstreams["edge"].latency.last_at_s > 0, LATE)  # measured before it was ever asked
    pid = running(served)["edge"]["pid"]
    with ThreadPoolExecutor(8) as pool:
        answers = [
            pool.submit(ask, served, LATE, max_tokens=300, temperature=0, messages=[{"role": "user", "content": f"question {n}"}])
            for n in range(8)
        ]
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        replies = [answer.result() for answer in answers]
    assert [reply.status_code for reply in replies] == [200] * 8, [reply.text for reply in replies]
    until(lambda: running(served)["edge"]["restarts"] >= 1, LATE)


def test_a_model_that_cannot_be_loaded_is_told_and_the_fallback_answers(serve: Serve, tiny_model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_model.read_bytes()[:4000])
    served = serve(
        {"upstreams": {"bad": local(broken), "good": local(tiny_model)}, "routes": {"ship": {"to": ["bad", "good"]}, "bad": {"to": "bad"}}}
    )
    reply = ask(served, LATE, max_tokens=2)
    assert reply.json()["sdx"]["answered_by"] == "good" and "could not be loaded" in reply.json()["sdx"]["reason"]
    assert ask(served, LATE, model="bad").status_code == 503


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_no_engine_outlives_its_gateway(tiny_model: Path, tmp_path: Path, end: signal.Signals) -> None:
    file = tmp_path / "gateway.yaml"
    told = {"upstreams": {"edge": local(tiny_model, preload=True)}, "routes": {"ship": {"to": "edge"}}, "state": str(tmp_path)}
    file.write_text(json.dumps(told))
    command = [sys.executable, "-m", "sdx_serving.gateway.server", "--config", str(file), "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().split()[-1].removesuffix("/v1")
        until(lambda: httpx.get(f"{url}/running").json()["running"][0]["state"] == "ready", LATE)
        pid = httpx.get(f"{url}/running").json()["running"][0]["pid"]
        os.kill(process.pid, end)
        process.wait(30)
    until(lambda: not psutil.pid_exists(pid), 10.0)
    assert process.returncode == (0 if end == signal.SIGTERM else -end)
