"""sdx gateway as its user types it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from sdx_serving.gateway.config import template

# The group alone: the same as `sdx gateway`, but for the one-line errors of sdx_ui.cli.
GATEWAY = [sys.executable, "-c", "from sdx_ui.commands.gateway import app; app()"]


def typed(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GATEWAY, *map(str, words)], capture_output=True, text=True, check=False, timeout=120, env=os.environ | (env or {})
    )


@contextmanager
def running(*words: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen([*GATEWAY, "run", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            assert "the gateway answers at" in said
            yield process, said.split()[4].rstrip(";").removesuffix("/v1")
        finally:
            process.kill()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"state: {tmp_path / 'state'}\n{template()}", encoding="utf-8")
    return path


def test_a_file_is_begun_checked_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    assert "sdx gateway check" in typed("init", path).stdout
    assert typed("check", path).returncode == 0
    again = typed("init", path)
    assert again.returncode == 1 and "is there already" in again.stderr
    assert typed("init", "--print").stdout == template() == path.read_text(encoding="utf-8")


def test_what_is_wrong_with_a_file_is_said_with_exit_code_1(file: Path) -> None:
    file.write_text(file.read_text(encoding="utf-8").replace("to: [edge]", "to: [edgy]"), encoding="utf-8")
    found = typed("check", file)
    assert found.returncode == 1 and "did you mean 'edge'?" in found.stderr and not found.stdout
    told = json.loads(typed("check", file, "--json").stdout)
    assert len(told["faults"]) == 1 and "routes.ship.to" in told["faults"][0]


def test_it_serves_until_it_is_told_to_end(file: Path) -> None:
    with running(file, "--port", "0") as (process, url):
        body = {"model": "ship", "messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 8}
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60.0)
        assert answer.status_code == 200 and answer.json()["sdx"]["answered_by"] == "edge"
        told = typed("status", "--url", url)
        assert "model ship: edge" in told.stdout and "upstream edge: circuit closed" in told.stdout and "loaded edge" in told.stdout
        assert json.loads(typed("status", "--url", url, "--json").stdout)["running"][0]["engine"] == "llama.cpp"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0 and "ended" in said and "chat/completions ship by edge: 200" in said


def test_beyond_this_machine_it_wants_a_key_first(file: Path) -> None:
    refused = typed("run", file, "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 1 and "sdx gateway keys add" in refused.stderr
    made = typed("keys", "add", "bridge", "--config", file, "--model", "ship", "--requests-per-min", "60")
    key = made.stdout.strip()
    assert key.startswith("sdx-") and key not in made.stderr
    with running(file, "--host", "0.0.0.0", "--port", "0") as (_, url):
        here = url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{here}/v1/models").status_code == 401
        assert httpx.get(f"{here}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert "loaded edge" in typed("status", "--url", here, env={"SDX_GATEWAY_KEY": key}).stdout
        assert "bridge" in typed("keys", "list", "--config", file).stdout
        assert typed("keys", "revoke", "bridge", "--config", file).returncode == 0
        assert httpx.get(f"{here}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    listed = json.loads(typed("keys", "list", "--config", file, "--json").stdout)
    assert listed[0]["revoked"] and listed[0]["used_today"]["requests"] == 0
    assert "sha256" not in listed[0]


def test_a_gateway_that_is_not_there_is_said(file: Path) -> None:
    found = typed("status", "--url", "http://127.0.0.1:9")
    assert found.returncode == 1 and "sdx gateway run" in found.stderr


def test_the_process_imports_no_heavy_package() -> None:
    code = "import sys; import sdx_serving.gateway.server; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {
        "torch",
        "gradio",
        "langchain",
        "langgraph",
        "transformers",
        "numpy",
        "llama_cpp",
        "onnxruntime",
        "openai",
        "matplotlib",
        "PIL",
        "sdx_ui",
    }
