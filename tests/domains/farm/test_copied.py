"""A further domain made of nothing but a copy of the farm's folder under another name, with an entry point.

The copy is a package of its own (`orchard`), beside the project on the path: `sdx_domains` is a regular package, and a domain need not
lie in it. Put into domains/sdx_domains/orchard instead, the same folder needs one line in pyproject.toml.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

import sdx_domains.farm

ORIGINAL = Path(sdx_domains.farm.__file__).parent
COPY = "orchard"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the copy and its entry point."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ORIGINAL, folder / COPY, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder / COPY).rglob("*"):
        if path.suffix in (".py", ".yaml", ".txt", ".md", ".j2"):
            path.write_text(path.read_text(encoding="utf-8").replace("sdx_domains.farm", COPY), encoding="utf-8")
    start = folder / COPY / "__init__.py"
    text = start.read_text(encoding="utf-8")
    assert 'NAME = "farm"' in text
    start.write_text(text.replace('NAME = "farm"', f'NAME = "{COPY}"'), encoding="utf-8")
    about = folder / f"{COPY}-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {COPY}\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(f"[sdx.domains]\n{COPY} = {COPY}.domain:farm_domain\n")
    return folder


def environment(installed: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "COLUMNS": "120"}


def sdx(installed: Path, *words: str, limit_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sdx_ui.cli", *words]
    return subprocess.run(command, env=environment(installed), cwd=installed, capture_output=True, text=True, timeout=limit_s, check=False)


def test_it_has_commands_and_names_what_there_is(installed: Path) -> None:
    assert COPY in sdx(installed, "run", "--help").stdout
    helped = sdx(installed, "run", COPY, "--help")
    assert helped.returncode == 0 and f"sdx run {COPY}" in helped.stdout
    wrong = sdx(installed, "bench", COPY, "--suite", "none-such", "--model", "none")
    assert wrong.returncode == 1 and "greenhouse" in wrong.stderr and "equipment" in wrong.stderr
    wrong = sdx(installed, "run", COPY, "--plant", "castle", "--model", "none")
    assert wrong.returncode == 1 and "there are greenhouse, field" in wrong.stderr


def test_nothing_of_it_is_the_farms(installed: Path) -> None:
    code = f"""
import sys
from sdx_domains.contract import load_domain
domain = load_domain({COPY!r})
assert domain.name == {COPY!r}
told = domain.controller().stopped(None, 0.0)
assert told and all(command.op == "stop" for command in told)
assert all(kind.__module__.startswith({COPY!r}) for kind in domain.reading_types())
assert not [name for name in sys.modules if name.startswith("sdx_domains.farm")]
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(installed), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_runs_a_day(installed: Path) -> None:
    done = sdx(installed, "run", COPY, "--plant", "greenhouse", "--days", "1", "--model", "none", "--json", limit_s=800.0)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows[-1]["kind"] == "score" and rows[-1]["t_s"] >= 86_400.0 and rows[-1]["verdicts"]["accept"] >= 3
    assert any(row["kind"] == "order" and row["mode"] == "agent" for row in rows)


class Nodes:
    """Its nodes as processes over DDS, and what its guard says."""

    def __init__(self, installed: Path, folder: Path) -> None:
        from sdx_ros_nodes import topics
        from sdx_ros_nodes.ros_args import NodeArguments
        from sdx_ros_nodes.transports.dds import DdsTransport

        self.heard: dict[str, Any] = {}
        self.ear = DdsTransport(NodeArguments("ear", f"/{COPY}"))
        for topic in (topics.MODE, topics.PICTURE, topics.ACTUATOR_COMMAND):
            self.ear.subscribe(topic.name, topic.type_name, topic.qos.reader(), self._keep(topic.name))
        told = {"equipment_plant_node": ["rate:=600.0"], "equipment_guard_node": [f"audit:={folder / 'audit'}", "tick_hz:=10.0"]}
        told["agent_node"] = []
        self.log = (folder / "nodes.log").open("wb")
        self.processes = [self._start(installed, module, [f"domain:={COPY}", *words]) for module, words in told.items()]

    def _keep(self, name: str) -> Any:
        return lambda message, meta: self.heard.__setitem__(name, message)

    def _start(self, installed: Path, module: str, words: list[str]) -> subprocess.Popen[bytes]:
        given = [word for each in words for word in ("-p", each)]
        command = [sys.executable, "-m", f"sdx_ros_nodes.{module}", "--transport", "dds", "--ros-args", *given]
        return subprocess.Popen(command, env=environment(installed), stderr=self.log)

    def end(self) -> list[int]:
        for process in self.processes:
            process.terminate()
        codes = [process.wait(30.0) for process in self.processes]
        self.ear.shutdown()
        self.log.close()
        return codes


@pytest.fixture
def nodes(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(2 + os.getpid() % 99))
    monkeypatch.delenv("CYCLONEDDS_URI", raising=False)
    made = Nodes(installed, tmp_path)
    yield made
    made.end()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_nodes_find_each_other_and_steer(nodes: Nodes) -> None:
    ends = time.monotonic() + 600.0
    while not ("mode" in nodes.heard and nodes.heard["mode"].data == "agent" and "actuator/cmd" in nodes.heard):
        nodes.ear.spin(0.2)
        assert time.monotonic() < ends, nodes.heard
    picture = json.loads(nodes.heard["picture"].json)
    assert picture["domain"] == COPY and picture["t_s"] > 0.0
    assert nodes.heard["actuator/cmd"].order_id or nodes.heard["actuator/cmd"].issuer in ("controller", "safety")
    assert nodes.end() == [0, 0, 0]
