"""What holds for every engine: it starts, answers, comes back after a kill, ends whole, and says why it cannot start."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from sdx_serving.engine import EngineError
from sdx_serving.engines.process import ProcessEngine

Make = Callable[..., ProcessEngine]
ASK = [{"role": "user", "content": "which option?"}]
SCHEMA = {
    "type": "object",
    "properties": {"option": {"enum": ["A", "B"]}, "why": {"type": "string", "maxLength": 12}},
    "required": ["option", "why"],
    "additionalProperties": False,
}
FAKED = ["vllm", "tensorrt-llm", "tensorrt-edge-llm"]
every = pytest.mark.parametrize("any_engine", ["llama.cpp", *FAKED], indirect=True)
faked = pytest.mark.parametrize("any_engine", FAKED, indirect=True)


def until(true: Callable[[], object], within_s: float = 15.0) -> None:
    ends = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@every
def test_it_answers_comes_back_after_a_kill_and_ends_whole(any_engine: Make) -> None:
    engine = any_engine()
    engine.start(30)
    assert engine.healthy()
    with engine.chat() as chat:
        assert json.loads(chat.complete(ASK, schema=SCHEMA, max_tokens=100).text)["option"] in "AB"
        assert "".join(chat.stream(ASK, max_tokens=8)) == chat.complete(ASK, max_tokens=8).text
        assert engine.pid
        first = family(engine.pid)
        os.kill(engine.pid, signal.SIGKILL)
        until(lambda: engine.restarts == 1 and engine.healthy())
        assert gone(first)
        assert chat.complete(ASK, max_tokens=8, deadline_s=10).text
    assert engine.pid
    second = family(engine.pid)
    engine.stop()
    assert gone(second)
    assert engine.pid is None and not engine.healthy()
    assert engine.log.is_file()
    engine.stop()


@every
def test_a_model_it_does_not_take_is_refused_with_the_reason(any_engine: Make, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(EngineError, match=r"notes\.txt"):
        any_engine(model=str(text)).start()
    with pytest.raises(EngineError, match="nowhere"):
        any_engine(model=str(tmp_path / "nowhere.gguf")).start()


@every
def test_a_taken_port_is_said(any_engine: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"port {port} on 127.0.0.1 is taken"):
            any_engine(port=port).start()


@faked
def test_a_slow_start_is_waited_for_but_not_for_ever(any_engine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_START_S", "1.5")
    with pytest.raises(EngineError, match="not ready within 1 s"):
        any_engine().start(0.6)
    with any_engine() as engine:
        assert engine.healthy()


@faked
def test_a_crash_at_the_start_shows_the_end_of_the_log(any_engine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CRASH", "1")
    with pytest.raises(EngineError, match="before it was ready(.|\n)*no kernel image"):
        any_engine().start(20)


@faked
def test_one_that_hangs_is_killed_and_started_again(any_engine: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    monkeypatch.setenv("FAKE_HANG", str(hang))
    engine = any_engine()
    monkeypatch.setattr(type(engine), "hang_s", 0.5)
    engine.start(20)
    assert engine.pid
    first = family(engine.pid)
    hang.touch()
    until(lambda: engine.restarts == 1)
    hang.unlink()
    until(engine.healthy)
    assert gone(first)


@faked
def test_a_prompt_gets_its_tool_call(any_engine: Make) -> None:
    engine = any_engine()
    assert engine.facts.tools
    with engine:
        tool = {"type": "function", "function": {"name": "speed", "parameters": {"type": "object"}}}
        reply = httpx.post(f"{engine.base_url}/chat/completions", json={"messages": ASK, "tools": [tool]}).json()
    assert json.loads(reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]) == {"knots": 8}
