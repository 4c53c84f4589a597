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


@pytest.mark.parametrize(("content", "complaint"), [(None, "is not a file"), (b"PK\x03\x04 a zip", "is not a GGUF file")])
def test_what_is_no_model_is_named(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    done = subprocess.run([*SERVE, str(path)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and str(path) in done.stderr and complaint in done.stderr
