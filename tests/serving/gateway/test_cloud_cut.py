"""The cloud goes in mid-load, its process killed or its cable cut: nothing is lost, the edge answers, and the cloud is found again."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from sdx_serving.ports import free_port

from .conftest import needs_llama, process
from .test_relay import until

pytestmark = needs_llama
DEADLINE_S, PROBE_S, CONCURRENCY = 30.0, 1.0, 8
SLACK_S = 5.0
"""For a busy machine, beyond one probe interval."""


@dataclass(frozen=True)
class Ended:
    """One request."""

    began_s: float
    took_s: float
    status: int
    sdx: dict[str, Any]


@dataclass
class Load:
    """So many clients that ask on and on."""

    url: str
    ended: list[Ended] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CONCURRENCY)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60.0)

    def _ask(self, number: int) -> None:
        with httpx.Client(timeout=60.0, trust_env=False) as client:
            while not self._stop.is_set():
                body = {"model": "ship", "messages": [{"role": "user", "content": f"client {number}"}], "max_tokens": 8, "temperature": 0}
                began = time.monotonic()
                reply = client.post(f"{self.url}/v1/chat/completions", json=body, headers={"X-SDX-Deadline-S": str(DEADLINE_S)})
                self.ended.append(Ended(began, time.monotonic() - began, reply.status_code, reply.json().get("sdx") or reply.json()))

    def since(self, moment_s: float) -> list[Ended]:
        return [one for one in list(self.ended) if one.began_s > moment_s]


@contextmanager
def cloud_engine(model: Path, host: str, port: int, before: tuple[str, ...] = ()) -> Iterator[int]:
    """llama.cpp elsewhere; nobody restarts it. Its process id."""
    command = [
        *before,
        sys.executable,
        "-m",
        "sdx_serving.llama.server",
        "--model",
        str(model),
        "--alias",
        "big",
        "--host",
        host,
        "--port",
        str(port),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        try:
            yield running.pid
        finally:
            running.kill()


def file(model: Path, host: str, port: int) -> dict[str, Any]:
    return {
        "upstreams": {
            "cloud": {"url": f"http://{host}:{port}/v1", "model": "big", "can": ["json_schema"], "connect_s": 1.0},
            "edge": {"local": {"model": str(model), "context_tokens": 512, "preload": True}},
        },
        "routes": {"ship": {"to": ["cloud", "edge"]}},
        "breaker": {"failures": 3, "probe_s": PROBE_S},
    }


def by(load: Load, name: str, count: int, since_s: float) -> Callable[[], bool]:
    return lambda: sum(one.sdx.get("answered_by") == name for one in load.since(since_s)) >= count


def hold(url: str, cut: Callable[[], None], mend: Callable[[], None], answers: Callable[[], bool]) -> None:
    """Load, cut, load, mend, load: and what must be true of it."""
    until(lambda: httpx.get(f"{url}/info").json()["upstreams"]["edge"]["expect_s"] is not None, 60.0)
    until(answers, 60.0)
    with Load(url) as load:
        until(by(load, "cloud", 20, 0.0), 60.0)
        cut_s = time.monotonic()
        cut()
        until(by(load, "edge", 40, cut_s), 90.0)
        mend()
        until(answers, 60.0)
        back_s = time.monotonic()
        until(by(load, "cloud", 1, back_s), PROBE_S + SLACK_S)
        until(by(load, "cloud", 20, back_s), 60.0)
    assert [one for one in load.ended if one.status != 200] == []
    assert max(one.took_s for one in load.ended) < DEADLINE_S
    assert all(one.sdx["degraded"] == (one.sdx["answered_by"] == "edge") for one in load.ended)
    assert all(one.sdx["reason"] for one in load.ended if one.sdx["degraded"])


@pytest.mark.timeout(240)
def test_the_clouds_process_is_killed(tiny_model: Path, tmp_path: Path) -> None:
    port = free_port()
    with process(file(tiny_model, "127.0.0.1", port), tmp_path) as url, cloud_engine(tiny_model, "127.0.0.1", port) as pid:
        again: list[Any] = []

        def mend() -> None:
            again.append(cloud_engine(tiny_model, "127.0.0.1", port))
            again[0].__enter__()

        try:
            hold(url, lambda: os.kill(pid, signal.SIGKILL), mend, lambda: _there(f"http://127.0.0.1:{port}"))
        finally:
            for context in again:
                context.__exit__(None, None, None)


def _there(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1.0).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def namespace() -> Iterator[tuple[str, str, str]]:
    """A network namespace joined by a cable: its name, the cable's end in it, the address in it. Skipped where it is not permitted."""
    name, here, there = (f"sdxg{os.getpid()}{end}" for end in ("", "a", "b"))
    address = f"198.18.{os.getpid() % 250}"  # set aside for measurements of networks, RFC 2544
    steps = (
        ("ip", "netns", "add", name),
        ("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name),
        ("ip", "address", "add", f"{address}.1/30", "dev", here),
        ("ip", "link", "set", here, "up"),
        ("ip", "-n", name, "address", "add", f"{address}.2/30", "dev", there),
        ("ip", "-n", name, "link", "set", there, "up"),
    )
    try:
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no network namespace here: {done.stderr.strip()}")
        yield name, there, f"{address}.2"
    finally:
        subprocess.run(["ip", "link", "delete", here], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not installed")
def test_the_clouds_cable_is_cut(tiny_model: Path, tmp_path: Path) -> None:
    with namespace() as (name, cable, address):

        def link(state: str) -> None:
            subprocess.run(["ip", "-n", name, "link", "set", cable, state], check=True)

        inside = ("ip", "netns", "exec", name)
        with cloud_engine(tiny_model, address, 8000, inside), process(file(tiny_model, address, 8000), tmp_path) as url:
            # Asked from a process, because tests themselves reach no other address.
            ask = [sys.executable, "-c", f"import httpx; httpx.get('http://{address}:8000/health', timeout=1.0).raise_for_status()"]
            hold(
                url, lambda: link("down"), lambda: link("up"), lambda: subprocess.run(ask, capture_output=True, check=False).returncode == 0
            )
