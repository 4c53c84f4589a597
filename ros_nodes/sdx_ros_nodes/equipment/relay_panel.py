"""A panel of relays, openers and sensors that stands in for hardware when a master or a line is tried: no plant, real time.

Its state is a file, as relays stay where they are when the computer beside them dies; every action is a line of another file.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sdx_domains.equipment import ActuatorCommand, ActuatorReading, CommandResult, ControlRight, Device, Reading, SensorReading

RIGHTS: dict[float, ControlRight] = {1.0: "LOCAL", 2.0: "REMOTE", 3.0: "MANUAL"}
DEVICES = (
    *(Device(name=f"relay_{i}", kind="switch") for i in (1, 2, 3, 4)),
    *(Device(name=f"vent_{i}", kind="opener", travel_s=20.0) for i in (1, 2)),
    Device(name="valve_1", kind="valve"),
    Device(name="feed_1", kind="nutrient"),
    Device(name="air_temp_1", kind="sensor", quantity="air_temp_c"),
    Device(name="air_rh_1", kind="sensor", quantity="air_rh_pct"),
    Device(name="co2_1", kind="sensor", quantity="co2_ppm"),
    Device(name="tank_1", kind="sensor", quantity="tank_level_pct"),
)
VALUES = {"air_temp_1": 28.8, "air_rh_1": 65.5, "co2_1": 812.0, "tank_1": 77.0}
DIRECTIONS = {"on": 1, "timed_on": 1, "open": 1, "timed_open": 1, "close": -1, "timed_close": -1, "water": 1}


class RelayPanel:
    """Implements equipment.Equipment.

    Args:
        folder: for relays.json (state) and actions.jsonl (one line per action); None: in memory.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.values: dict[str, float | None] = dict(VALUES)
        self.clock, self._folder = clock, folder
        self._state: dict[str, dict[str, Any]] = {each.name: {"position": 0.0, "right": "REMOTE"} for each in self.actuators()}
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / "relays.json").exists():
                self._state = json.loads((folder / "relays.json").read_text(encoding="utf-8"))

    @staticmethod
    def actuators() -> list[Device]:
        return [each for each in DEVICES if each.kind != "sensor"]

    def devices(self) -> Sequence[Device]:
        return DEVICES

    def send(self, command: ActuatorCommand) -> CommandResult:
        """Act at once."""
        state = self._state.get(command.device)
        if state is None:
            return CommandResult(command_id=command.id, fate="rejected", detail=f"no device {command.device!r} on the panel")
        if command.op == "set_control":
            state["right"] = RIGHTS[command.value["right"]]
        else:
            self._act(command, state)
        self._write(command)
        return CommandResult(command_id=command.id, fate="accepted")

    def _act(self, command: ActuatorCommand, state: dict[str, Any]) -> None:
        now = self.clock()
        state["position"] = self._position(command.device, now)
        goal: float | None = {1: 100.0, -1: 0.0}.get(DIRECTIONS.get(command.op, 0))
        if command.op == "set_position":
            goal = min(max(command.value["position_pct"], 0.0), 100.0)
        if command.op == "stop":
            goal = state["position"] if self._travel_s(command.device) else 0.0
        state |= {"goal": goal, "since": now, "op": command.op}
        state["until"] = now + command.duration_s if command.duration_s else None

    def _travel_s(self, name: str) -> float:
        return next((each.travel_s or 0.0 for each in DEVICES if each.name == name), 0.0)

    def _position(self, name: str, now: float) -> float:
        """Per cent: an opener moves at its speed, anything else at once; what is timed ends by itself."""
        state = self._state[name]
        if state.get("goal") is None:
            return state["position"]
        until, travel = state.get("until"), self._travel_s(name)
        if not travel:
            return 0.0 if until and now >= until else state["goal"]
        most = (min(now, until or now) - state["since"]) / travel * 100.0
        return state["position"] + min(max(state["goal"] - state["position"], -most), most)

    def _status(self, device: Device, position: float, now: float) -> int:
        state = self._state[device.name]
        goal, until = state.get("goal"), state.get("until")
        if device.kind == "opener":
            if goal is None or goal == position or (until and now >= until):
                return 0
            return 301 if goal > position else 302
        if device.kind == "nutrient":
            return 402 if position > 0 else 0
        return 201 if position > 0 else 0

    def _write(self, command: ActuatorCommand) -> None:
        if self._folder is None:
            return
        with (self._folder / "actions.jsonl").open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"t_s": self.clock(), "id": command.id, "device": command.device, "op": command.op, "reason": command.reason})
                + "\n"
            )
        new = self._folder / "relays.new"
        new.write_text(json.dumps(self._state), encoding="utf-8")
        os.replace(new, self._folder / "relays.json")

    def read(self) -> Sequence[Reading]:
        now = self.clock()
        readings: list[Reading] = []
        for device in DEVICES:
            if device.kind == "sensor":
                value = self.values[device.name]
                readings.append(
                    SensorReading(
                        t_s=now,
                        source="panel",
                        sensor=device.name,
                        quantity=device.quantity,
                        value=value,
                        status=0 if value is not None else 1,
                    )
                )
                continue
            position, state = self._position(device.name, now), self._state[device.name]
            left = (state.get("until") or now) - now
            status = self._status(device, position, now)
            readings.append(
                ActuatorReading(
                    t_s=now,
                    source="panel",
                    device=device.name,
                    position_pct=round(position, 3),
                    status=status,
                    remaining_s=max(left, 0.0) if status else 0.0,
                    right=state["right"],
                )
            )
        return readings

    def close(self) -> None:
        pass
