"""Checks of the machine: what they find and what they tell people to do."""

import socket
import sys
from pathlib import Path

import pytest

from sdx_ui import machine


def test_an_old_python_is_told_which_one_is_needed() -> None:
    check = machine.python((3, 9, 2))
    assert not check.ok
    assert check.line() == "python: 3.9.2; install Python 3.11 or newer, then `make run PYTHON=/path/to/python3.11`"


def test_the_running_python_will_do() -> None:
    assert machine.python().ok
    assert machine.python().line().startswith(f"python: {sys.version_info.major}.")


def test_a_missing_compiler_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert not machine.compiler().ok
    assert "apt-get install g++" in machine.compiler().line()
    assert "apt-get install git" in machine.git().line()


def test_the_compiler_of_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = tmp_path / "my-c++"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("CXX", str(mine))
    assert machine.compiler().found == str(mine)


def test_a_full_disk_says_how_much_is_needed(tmp_path: Path) -> None:
    check = machine.disk(tmp_path / "not" / "yet", need_gb=1e9)
    assert not check.ok
    assert str(tmp_path) in check.line() and "1e+09 GB are needed" in check.line()
    assert machine.disk(tmp_path, need_gb=0.0).ok


def test_a_taken_port_offers_another() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        number = listener.getsockname()[1]
        check = machine.port(number)
        assert not check.ok
        assert f"{number} is taken" in check.line() and f"--port {number + 1}" in check.line()
    assert machine.port(number).ok


def test_the_key_of_a_cpu_is_stable() -> None:
    assert machine.cpu_key() == machine.cpu_key()
    assert len(machine.cpu_key()) == 16


def test_a_compiler_is_asked_whether_it_knows_a_flag() -> None:
    if not machine.compiler().ok:
        pytest.skip("no C++ compiler here")
    assert machine.compiler_takes("-O2")
    assert not machine.compiler_takes("-mno-such-flag-at-all")
