"""A bundle at work on this machine: verified, its engine kept running, its gateway beside it. Start at run(); start() does so apart.

python -m sdx_serving.deploy.running BUNDLE
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx

from sdx_serving.client import ChatError, OpenAIChat
from sdx_serving.deploy.manifest import BundleError, Manifest, read
from sdx_serving.deploy.state import Status, is_held, locked, state_folder, tell, told
from sdx_serving.deploy.verify import checked, machine_faults
from sdx_serving.engine import Engine, EngineError
from sdx_serving.engines.choose import engine_for
from sdx_serving.supervise import Supervised

ENGINE = ("sdx_serving.deploy.running",)
"""Python module and arguments that run a bundle's engine; the bundle comes after them."""
GATEWAY = ("sdx_serving.gateway.server", "--quiet", "--config")
"""And its gateway; the file comes after them."""
TICK_S = 0.2
STOP_S = 30.0
"""Engine and gateway end within this, or are killed."""


def run(
    folder: Path, host: str = "127.0.0.1", port: int = 0, public_key: Path | None = None, gateway: bool = False, lock: int | None = None
) -> int:
    """Verify, start, keep running until SIGTERM or Ctrl-C. 0 after a clean end.

    Args:
        host, port: where the engine listens; port 0 takes the bundle's.
        gateway: run the bundle's gateway too.
        lock: descriptor of the lock, when start() has it already.

    Raises:
        BundleError: refused, or running already. EngineError: it cannot be started; the message has the end of its log.
    """
    wished = _on_signals()
    manifest = checked(folder, public_key)
    state = state_folder(manifest.id)
    with locked(state, manifest.id, lock):
        began = datetime.now(UTC).isoformat(timespec="seconds")
        tell(state, Status(manifest.id, True, False, _url(manifest), pid=os.getpid(), since=began, log=str(state)))
        engine = engine_for(manifest.serving(folder.resolve()), manifest.engine, port or manifest.port, host, state / "engine.log")
        with _started(engine, manifest), _gateway(manifest, folder, state) if gateway else nullcontext():
            print(f"{manifest.id}: {manifest.model.name} answers at {engine.base_url}, logs in {state}", flush=True)
            while not wished.wait(TICK_S):
                url = _url(manifest) if gateway else engine.base_url
                tell(
                    state,
                    Status(manifest.id, True, True, url, engine.base_url, os.getpid(), engine.pid, engine.restarts, began, str(state)),
                )
    return 0


def start(folder: Path, public_key: Path | None = None, python: str = sys.executable) -> Status:
    """Run it apart from this process, engine and gateway, and wait until both answer.

    Args:
        python: of the environment whose SDx runs it.

    Raises:
        BundleError: refused, running already, this machine cannot run it, or not up in time; the message says which and why.
    """
    manifest = checked(folder, public_key)
    state = state_folder(manifest.id)
    with locked(state, manifest.id) as lock:
        if faults := machine_faults(manifest, state):
            raise BundleError("\n".join([f"this machine cannot run {manifest.id}:", *(f"  {fault}" for fault in faults)]))
        _spawn(python, folder, state / "run.log", public_key, lock.fileno())
    ends = time.monotonic() + manifest.health.start_s
    while time.monotonic() < ends:
        if (found := status(folder)).healthy:
            return found
        if not found.running:
            raise BundleError(f"{manifest.id} did not start; its logs are in {state}:\n{_tail(state / 'run.log')}")
        time.sleep(TICK_S)
    stop(folder)
    raise BundleError(
        f"{manifest.id} was not up within {manifest.health.start_s:.0f} s; its logs are in {state}:\n{_tail(state / 'run.log')}"
    )


def _spawn(python: str, folder: Path, log: Path, public_key: Path | None, lock: int) -> None:
    """Start it in a session of its own, handing over the lock; a shell between makes it nobody's child who would have to reap it."""
    command = [python, "-m", *ENGINE, str(folder.resolve()), "--gateway", "--lock", str(lock)]
    if public_key:
        command += ["--public-key", str(public_key.resolve())]
    with log.open("wb") as output:
        subprocess.run(
            ["sh", "-c", '"$@" &', "sh", *command],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
            cwd="/",
        )


def stop(folder: Path) -> bool:
    """End it, with engine and gateway. False when it did not run."""
    manifest, _ = read(folder)
    state = state_folder(manifest.id)
    now = told(state)
    if not is_held(state) or now is None or now.pid is None:
        return False
    os.kill(now.pid, signal.SIGTERM)
    ends = time.monotonic() + STOP_S
    while is_held(state):
        if time.monotonic() > ends:
            os.kill(now.pid, signal.SIGKILL)  # engine and gateway are tied to it and end too
        time.sleep(0.05)
    return True


def status(folder: Path) -> Status:
    """How it is doing now; `healthy` asks it a question."""
    manifest, _ = read(folder)
    state = state_folder(manifest.id)
    if not is_held(state):
        return Status(manifest.id, running=False, healthy=False, url=_url(manifest), log=str(state))
    now = told(state)
    if now is None:  # it has only just begun
        return Status(manifest.id, running=True, healthy=False, url=_url(manifest), log=str(state))
    return replace(now, healthy=now.healthy and healthy(manifest))


def healthy(manifest: Manifest) -> bool:
    """Engine and gateway say so, and the engine answers a question; not asked through the gateway, where a cloud might answer instead."""
    addresses = (f"http://127.0.0.1:{manifest.port}{manifest.health.path}", f"http://127.0.0.1:{manifest.gateway_port}/health")
    try:
        if any(httpx.get(address, timeout=3.0, trust_env=False).status_code != 200 for address in addresses):
            return False
    except httpx.HTTPError:
        return False
    if not manifest.health.chat:
        return True
    try:
        with OpenAIChat(f"http://127.0.0.1:{manifest.port}/v1", manifest.model.name) as chat:
            chat.complete([{"role": "user", "content": "Are you there?"}], max_tokens=1, deadline_s=20.0)
    except ChatError:
        return False
    return True


def _on_signals() -> threading.Event:
    wished = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: wished.set())
    return wished


@contextmanager
def _started(engine: Engine, manifest: Manifest) -> Iterator[None]:
    engine.start(manifest.health.start_s)
    try:
        yield
    finally:
        engine.stop()


@contextmanager
def _gateway(manifest: Manifest, folder: Path, state: Path) -> Iterator[None]:
    address = f"http://127.0.0.1:{manifest.gateway_port}/health"
    tied = [sys.executable, "-m", "sdx_serving.tether", str(os.getpid())]
    command = [*tied, sys.executable, "-m", *GATEWAY, str(folder.resolve() / "gateway.yaml")]
    environment = {"SDX_GATEWAY": str(state / "gateway"), "SDX_REGISTRY": str(folder.resolve() / "registry.json")}

    def answers() -> bool:
        return httpx.get(address, timeout=2.0, trust_env=False).status_code == 200

    process = Supervised(command, answers, state / "gateway.log", environment=environment)
    process.start(manifest.health.start_s)
    try:
        yield
    finally:
        process.stop()


def _url(manifest: Manifest) -> str:
    return f"http://127.0.0.1:{manifest.gateway_port}/v1"


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sdx_serving.deploy.running", description="Run a bundle until SIGTERM.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--host", default="127.0.0.1", help="where the engine listens")
    parser.add_argument("--port", type=int, default=0, help="of the engine; 0 takes the bundle's")
    parser.add_argument("--public-key", type=Path, help="whose signature the bundle must bear")
    parser.add_argument("--gateway", action="store_true", help="run the bundle's gateway too")
    parser.add_argument("--lock", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    try:
        return run(args.bundle, args.host, args.port, args.public_key, args.gateway, args.lock)
    except (BundleError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
