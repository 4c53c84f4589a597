"""Which slot of which node is which device of the site: read from a file, or made from a list of devices. Start at read_site()."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import yaml
from pydantic import Field, ValidationError, model_validator

from sdx_domains.contract import Closed
from sdx_domains.equipment import Device, DeviceKind
from sdx_ros_nodes.equipment.register_map import NodeMap, Slot, book, built_in, read_map

MADE_L_M2_PER_S = 0.001
"""A made site's rate between litres and the register's seconds: one second stands for a millilitre per square metre."""


class SensorAt(Closed):
    """A sensor: its place among the node's sensors, and what it measures. Value = register * scale + offset."""

    sensor: int = Field(ge=1)
    quantity: str
    scale: float = 1.0
    offset: float = 0.0


class DeviceAt(Closed):
    """An actuator: its place among the node's switches, openers or nutrient units, exactly one of them."""

    switch: int | None = Field(default=None, ge=1)
    opener: int | None = Field(default=None, ge=1)
    nutrient: int | None = Field(default=None, ge=1)
    kind: DeviceKind | None = None
    """What the domain takes it for; None: what it is."""
    travel_s: float | None = Field(default=None, gt=0)
    """From closed to open; a level-1 opener needs it."""
    l_m2_per_s: float | None = Field(default=None, gt=0)
    """Of a nutrient unit: what it gives, so that litres become seconds."""
    areas: tuple[int, int] = (1, 1)
    """Of a nutrient unit: first and last area that it waters."""
    shot_s: float = Field(default=60.0, gt=0)
    """Of a nutrient unit: how long command 401, watering as it is set, lasts."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.switch, self.opener, self.nutrient)) != 1:
            raise ValueError("name exactly one of switch, opener, nutrient")
        return self

    @property
    def place(self) -> tuple[str, int]:
        """Family and number."""
        return next((family, number) for family in ("switch", "opener", "nutrient") if (number := getattr(self, family)) is not None)


class NodeAt(Closed):
    """One node on a line."""

    unit: int = Field(ge=1, le=247)
    map: str
    """Name of a built-in map, or a file beside the site file."""
    url: str | None = None
    """Its own line; None: the one that the master is opened with."""
    sensors: Mapping[str, SensorAt] = Field(default_factory=dict)
    devices: Mapping[str, DeviceAt] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fitted:
    """One device or sensor in its slot."""

    name: str
    node: NodeAt
    slot: Slot
    at: SensorAt | DeviceAt

    @property
    def device(self) -> Device:
        if isinstance(self.at, SensorAt):
            return Device(name=self.name, kind="sensor", quantity=self.at.quantity)
        kind = self.at.kind or self.slot.family
        return Device(name=self.name, kind=kind, travel_s=self.at.travel_s)


class Site(Closed):
    """All nodes of a house."""

    name: str = "site"
    nodes: tuple[NodeAt, ...] = Field(min_length=1)
    folder: Path = Field(default=Path(), exclude=True)
    """Where map files are looked for: the site file's."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        units = [(node.url, node.unit) for node in self.nodes]
        if len(set(units)) < len(units):
            raise ValueError(f"nodes: two have the same unit on one line: {units}")
        seen: dict[object, str] = {}
        for fitted in self.fitted:
            for what in (fitted.name, (fitted.node.url, fitted.node.unit, fitted.slot.index)):
                if what in seen:
                    raise ValueError(f"{fitted.name}: its name or its slot ({fitted.slot.name} of unit {fitted.node.unit}) is taken")
                seen[what] = fitted.name
        return self

    def map_of(self, node: NodeAt) -> NodeMap:
        return read_map(node.map, self.folder)

    @cached_property
    def fitted(self) -> tuple[Fitted, ...]:
        """Every sensor and device. ValueError for a slot that the node's map lacks."""
        made = [self._fit(node, name, at) for node in self.nodes for name, at in [*node.sensors.items(), *node.devices.items()]]
        return tuple(made)

    def _fit(self, node: NodeAt, name: str, at: SensorAt | DeviceAt) -> Fitted:
        family, number = ("sensor", at.sensor) if isinstance(at, SensorAt) else at.place
        slot = self.map_of(node).place(family, number)
        if slot is None:
            count = sum(place.family == family for place in self.map_of(node).places)
            raise ValueError(f"unit {node.unit}: {name}: {family}: {number}, but the map {node.map!r} has {count or 'none'} of these")
        if isinstance(at, DeviceAt) and slot.type == "retractable/level1" and at.travel_s is None:
            raise ValueError(f"unit {node.unit}: {name}: travel_s is missing; a level-1 opener is moved by time")
        return Fitted(name, node, slot, at)


def read_site(path: Path) -> Site:
    """A site file. ValueError names file, field and value."""
    try:
        row = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Site(**row, folder=path.parent)
    except OSError as error:
        raise ValueError(f"the site file {path} cannot be read: {error}") from error
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(map(str, row['loc'])) or 'site'}: {row['msg']} (found {_short(row['input'])})" for row in error.errors()
        ]
        raise ValueError("\n".join(lines)) from error
    except (yaml.YAMLError, TypeError) as error:
        raise ValueError(f"{path} is no site file (a mapping with name and nodes): {error}") from error


def _short(found: object) -> str:
    text = repr(found)
    return text if len(text) < 60 else text[:57] + "..."


def write_site(site: Site) -> str:
    """As text of a site file."""
    row = site.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return yaml.safe_dump({"name": site.name, **row}, sort_keys=False, allow_unicode=True)


def made_site(devices: Sequence[Device], name: str = "site", first_unit: int = 1) -> Site:
    """A site for any equipment, so that it can be served and mastered without a file.

    Sensors of a standard kind go to a default sensor node, switches to default actuator nodes, nutrient units to default nutrient
    nodes. What level 1 lacks goes to nodes of the "sdx" map: openers, valves and dimmers as level-2 openers (set_position, read
    back in per cent), other quantities as value sensors, and the plant's clock.
    """
    rows: dict[str, list[dict[str, dict[str, dict[str, object]]]]] = {map: [] for map in ("sdx", "sensor", "actuator", "nutrient")}
    rows["sdx"].append({"sensors": {}, "devices": {}})
    for device in sorted(devices, key=lambda device: device.kind != "opener"):  # real openers come before valves in openers' places
        if device.kind == "sensor":
            _take_sensor(rows, device)
        elif device.kind == "switch":
            _take_device(rows["actuator"], "switch", 16, device)
        elif device.kind == "nutrient":
            _take_device(rows["nutrient"], "nutrient", 1, device)
        else:
            _take_device(rows["sdx"], "opener", 16, device)
    nodes = [{"map": map, **row} for map, made in rows.items() for row in made]
    return Site(name=name, nodes=tuple(NodeAt.model_validate({"unit": first_unit + i, **node}) for i, node in enumerate(nodes)))


def _take_sensor(rows: dict[str, list[dict[str, dict[str, dict[str, object]]]]], device: Device) -> None:
    """Into the default sensor node where a slot of its type is free, else into an "sdx" node."""
    type = book().sensor_type(device.quantity)
    free = [slot.number for slot in built_in()["sensor"].places if slot.type == type]
    if not rows["sensor"] and free:
        rows["sensor"].append({"sensors": {}, "devices": {}})
    taken = {at["sensor"] for at in rows["sensor"][0]["sensors"].values()} if rows["sensor"] else set()
    number = next((number for number in free if number not in taken), None)
    if number is not None:
        rows["sensor"][0]["sensors"][device.name] = {"sensor": number, "quantity": device.quantity}
        return
    count = sum(slot.family == "sensor" for slot in built_in()["sdx"].places)
    node = _with_room(rows["sdx"], "sensors", count)
    node["sensors"][device.name] = {"sensor": len(node["sensors"]) + 1, "quantity": device.quantity}


def _take_device(made: list[dict[str, dict[str, dict[str, object]]]], family: str, count: int, device: Device) -> None:
    node = _with_room(made, "devices", count)
    at: dict[str, object] = {family: len(node["devices"]) + 1, "kind": device.kind}
    if device.travel_s:
        at["travel_s"] = device.travel_s
    if family == "nutrient":
        at["l_m2_per_s"] = MADE_L_M2_PER_S
    node["devices"][device.name] = at


def _with_room(made: list[dict[str, dict[str, dict[str, object]]]], side: str, count: int) -> dict[str, dict[str, dict[str, object]]]:
    if not made or len(made[-1][side]) >= count:
        made.append({"sensors": {}, "devices": {}})
    return made[-1]
