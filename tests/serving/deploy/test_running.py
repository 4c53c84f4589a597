"""A bundle for this machine, really started from a copied folder with the original model gone, by fresh processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
import pytest

from sdx_serving.client import OpenAIChat
from sdx_serving.deploy import running
from sdx_serving.deploy.manifest import BundleError, Manifest
from sdx_serving.ports import free_port

Write = Callable[..., tuple[Path, Manifest]]


def eventually(true: Callable[[], object], within_s: float = 30.0) -> bool:
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def moved(write_bundle: Write, tiny_model: Path, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A bundle in another folder than it was written to; neither the bundle's first place nor the model's file is there any more."""
    model = tmp_path / "once" / "tiny 모델.gguf"
    model.parent.mkdir()
    shutil.copyfile(tiny_model, model)
    folder, manifest = write_bundle(model=model, context_tokens=1024, port=free_port(), gateway_port=free_port(), start_s=60.0)
    place = tmp_path / "elsewhere" / "a place"
    shutil.copytree(folder, place)
    shutil.rmtree(folder)
    shutil.rmtree(model.parent)
    yield SimpleNamespace(folder=place, manifest=manifest)
    running.stop(place) if (place / "manifest.json").exists() else None


def sdx(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sdx_serving.deploy.running", *words], check=False, capture_output=True, text=True, timeout=60
    )


def test_it_starts_answers_survives_kill_9_and_stops(moved: SimpleNamespace) -> None:
    found = running.start(moved.folder)
    assert found.running and found.healthy and found.restarts == 0
    question = [{"role": "user", "content": "Who are you?"}]
    with OpenAIChat(found.url, moved.manifest.name) as gateway, OpenAIChat(found.engine_url, moved.manifest.model.name) as engine:
        answer = gateway.complete(question, max_tokens=4)
        assert answer.completion_tokens > 0 and answer.model_sha256 in ("", moved.manifest.model.sha256)
        assert engine.complete(question, max_tokens=4).model_sha256 == moved.manifest.model.sha256
    with pytest.raises(BundleError, match="is running already"):
        running.start(moved.folder)
    assert "is running already" in sdx(str(moved.folder)).stderr

    assert found.engine_pid and found.pid
    children = psutil.Process(found.pid).children(recursive=True)
    os.kill(found.engine_pid, signal.SIGKILL)
    assert eventually(lambda: running.status(moved.folder).restarts == 1 and running.status(moved.folder).healthy)
    with OpenAIChat(found.url, moved.manifest.name) as gateway:
        assert gateway.complete(question, max_tokens=2).completion_tokens > 0

    assert running.stop(moved.folder) and not running.status(moved.folder).running
    assert not running.stop(moved.folder)
    assert eventually(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    with pytest.raises(httpx.ConnectError):
        httpx.get(found.url, trust_env=False)
    assert (Path(found.log) / "engine.log").exists()


def test_killed_itself_it_leaves_nothing_and_starts_again(moved: SimpleNamespace) -> None:
    found = running.start(moved.folder)
    assert found.pid
    children = psutil.Process(found.pid).children(recursive=True)
    os.kill(found.pid, signal.SIGKILL)
    assert eventually(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    assert not running.status(moved.folder).running
    assert running.start(moved.folder).healthy


def test_a_touched_bundle_does_not_start(moved: SimpleNamespace) -> None:
    with next((moved.folder / "model").iterdir()).open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match="model/tiny 모델.gguf: has"):
        running.start(moved.folder)
    done = sdx(str(moved.folder))
    assert done.returncode == 1 and "is refused" in done.stderr and "Traceback" not in done.stderr


def test_a_model_that_cannot_be_loaded_is_told_with_the_log(write_bundle: Write, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    folder, _ = write_bundle(model=tmp_path / "broken.gguf", port=free_port(), gateway_port=free_port(), start_s=60.0)
    with pytest.raises(BundleError, match="did not start") as caught:
        running.start(folder)
    assert "broken.gguf" in str(caught.value) and not running.status(folder).running
