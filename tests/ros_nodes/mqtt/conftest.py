"""A real broker (mosquitto) for the tests of MQTT, and a bench of relays as equipment."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorCommand, ActuatorReading, CommandResult, Device, SensorReading

MOSQUITTO = shutil.which("mosquitto") or next((path for path in ("/usr/sbin/mosquitto",) if Path(path).exists()), None)


class Bench:
    """Two windows that take 10 s of bench time each way, a fan, a thermometer and a rain detector."""

    def __init__(self) -> None:
        self.t_s = 0.0
        self.position = {"left": 0.0, "right": 0.0, "fan": 0.0}
        self.target = dict(self.position)
        self.temp_c: float | None = 21.5
        self.rain = 0.0
        self.commands: list[ActuatorCommand] = []
        self.closed = False

    def devices(self) -> Sequence[Device]:
        return [Device(name=name, kind="switch" if name == "fan" else "opener") for name in self.position]

    def step(self, dt_s: float) -> None:
        self.t_s += dt_s
        for name, target in self.target.items():
            way = target - self.position[name]
            most = 100.0 if name == "fan" else 10.0 * dt_s
            self.position[name] += max(-most, min(most, way))

    def read(self) -> Sequence[Reading]:
        status = {
            name: 0 if self.position[name] == self.target[name] else 301 if self.target[name] > self.position[name] else 302
            for name in self.position
        }
        return [
            *(
                ActuatorReading(t_s=self.t_s, source="bench", device=name, position_pct=at, status=status[name])
                for name, at in self.position.items()
            ),
            SensorReading(t_s=self.t_s, source="bench", sensor="air", quantity="air_temp_c", value=self.temp_c),
            SensorReading(t_s=self.t_s, source="bench", sensor="rain", quantity="rain", value=self.rain),
        ]

    def send(self, command: ActuatorCommand) -> CommandResult:
        if command.device not in self.target:
            return CommandResult(command_id=command.id, fate="rejected", detail="no such device")
        self.commands.append(command)
        self.target[command.device] = command.value["position_pct"]
        return CommandResult(command_id=command.id, fate="accepted")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator["Broker"]:
    if MOSQUITTO is None:
        if os.environ.get("SDX_NEED_MOSQUITTO"):
            pytest.fail("mosquitto is missing")
        pytest.skip("mosquitto is missing: apt-get install mosquitto")
    running = Broker(tmp_path)
    running.start()
    yield running
    running.stop()


class Broker:
    """mosquitto on a free port; can be taken away and brought back."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._listens)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def until(true: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait for something that other threads or processes do."""
    ends = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends, f"not within {within_s:g} s"
        time.sleep(0.02)


@pytest.fixture
def wait() -> Callable[[Callable[[], bool]], None]:
    return until
