"""sdx serve as a process: it answers, says how to ask, and ends cleanly."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

SERVE = [sys.executable, "-m", "sdx_ui.cli", "serve"]


def test_the_embedded_model_answers_until_it_is_interrupted() -> None:
    with subprocess.Popen([*SERVE, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            told = process.stdout.readline()
            address = re.search(r"http://\S+/v1", told)
            assert address, told
            assert f"curl {address.group()}/chat/completions" in process.stdout.readline()
            body = {"messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 8}
            answer = httpx.post(f"{address.group()}/chat/completions", json=body, timeout=60.0, trust_env=False)
            assert answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"]
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 0 and "ended" in said
        with pytest.raises(httpx.ConnectError):
            httpx.get(address.group(), trust_env=False)


def test_adapters_and_flags_reach_the_engine_and_it_says_what_was_chosen(tmp_path: Path) -> None:
    from sdx_serving.connect import embedded_model_path

    missing = tmp_path / "ship.gguf"
    adapter = ["--adapter", f"ship={missing}"]
    done = subprocess.run([*SERVE, "embedded", *adapter], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"{missing} is not a file" in done.stderr and "vllm:" in done.stderr
    done = subprocess.run([*SERVE, "embedded", "--adapter", "ship"], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "'ship' is not NAME=PATH" in done.stderr
    command = [*SERVE, str(embedded_model_path()), "--port", "0", "--name", "mate", "--", "--no-such-flag"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=90)
    assert done.returncode == 1 and "engine llama.cpp: takes gguf" in done.stderr and "--no-such-flag" in done.stderr


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--engine", "lama.cpp"], "did you mean 'llama.cpp'"),
        (["--engine", "vllm"], "vllm: it takes safetensors"),
        (["http://127.0.0.1:9/v1"], "is served already"),
    ],
)
def test_what_cannot_be_served_so_says_why(given: list[str], complaint: str) -> None:
    done = subprocess.run([*SERVE, *given], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and complaint in done.stderr


@pytest.mark.parametrize(("content", "complaint"), [(None, "there is no such file"), (b"PK\x03\x04 a zip", "neither GGUF")])
def test_what_is_no_model_is_named(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    done = subprocess.run([*SERVE, str(path)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and str(path) in done.stderr and complaint in done.stderr
