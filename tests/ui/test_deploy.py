"""sdx deploy from the command line: what is written, checked and said, with exit codes; and that the parts' commands are right."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from sdx_ui.commands.deploy import app

MODEL = b"GGUF" + bytes(60)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "m.gguf").write_bytes(MODEL)
    return tmp_path / "m.gguf"


def sdx(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_key_write_verify(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    key, out = tmp_path / "key", tmp_path / "out"
    assert sdx("keygen", key).exit_code == 0
    done = sdx("--to", "systemd", "--model", model, "--out", out, "--task", "ship", "--key", key, "--set", "guard.autopilot=10.0.0.5:10110")
    assert done.exit_code == 0 and "README.md" in done.stdout and "not signed" not in done.stdout
    assert "autopilot:=10.0.0.5:10110" in (out / "systemd/sdx-guard.service").read_text()
    done = sdx("verify", out, "--files-only", "--public-key", f"{key}.pub")
    assert done.exit_code == 0 and "nothing is wrong" in done.stdout
    assert "signature was not looked at" in sdx("verify", out, "--files-only").stdout
    (out / "extra").write_text("")
    done = sdx("verify", out, "--files-only", "--public-key", f"{key}.pub")
    assert done.exit_code == 1 and "error: extra: is not in the manifest" in done.stderr
    told = json.loads(sdx("verify", out, "--json").stdout)
    assert told == {"ok": False, "faults": [{"where": "extra", "what": "is not in the manifest: remove it, or fetch the bundle again"}]}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "give --to"),
        (("--to", "systemd"), "give --to"),
        (("--to", "moon", "--out", "x"), "moon"),
        (("--to", "systemd", "--out", "x", "--set", "guard"), "--set 'guard' is not of the form NAME=VALUE"),
        (("--to", "systemd", "--out", "x", "--context", "0"), "--context"),
        (("verify",), "bundle"),
    ],
)
def test_wrong_words_are_named(words: tuple[str, ...], complaint: str) -> None:
    done = sdx(*words)
    assert done.exit_code == 2 and complaint in " ".join(done.stderr.replace("│", " ").split())


def test_what_does_not_run_is_said(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDX_DEPLOYED", str(tmp_path / "state"))
    assert sdx("--to", "systemd", "--model", model, "--out", tmp_path / "out").exit_code == 0
    done = sdx("status", tmp_path / "out", "--json")
    assert done.exit_code == 1 and json.loads(done.stdout)["running"] is False
    assert sdx("stop", tmp_path / "out").stdout == "it did not run\n"


def parameters(command: list[str]) -> dict[str, Any]:
    """What `-p name:=value` gives a node."""
    given = [word.partition(":=") for flag, word in pairwise(command) if flag == "-p"]
    return {name: yaml.safe_load(value) for name, _, value in given}


def test_the_ships_parts_take_their_parameters(model: Path, tmp_path: Path) -> None:
    """The parts are named in a table of sdx_serving, which may not import them."""
    from importlib.util import find_spec

    from sdx_ros_nodes.ship_agent_node import ShipAgentParameters as AgentParameters
    from sdx_ros_nodes.ship_guard_node import ShipGuardParameters as GuardParameters
    from sdx_ros_nodes.ship_sensors_node import SensorParameters

    assert sdx("--to", "compose", "--model", model, "--out", tmp_path / "out", "--task", "ship").exit_code == 0
    services = yaml.safe_load((tmp_path / "out/compose.yaml").read_text())["services"]
    for name, kind in (("guard", GuardParameters), ("agent", AgentParameters), ("sensors", SensorParameters)):
        kind.model_validate(parameters(services[name]["command"]))
        assert find_spec(services[name]["command"][1])
    guard = GuardParameters.model_validate(parameters(services["guard"]["command"]))
    assert guard.approval == "ask" and not guard.use_sim_time and guard.autopilot == ""
    assert find_spec(services["page"]["command"][1])
