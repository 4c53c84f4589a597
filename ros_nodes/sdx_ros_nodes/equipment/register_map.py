"""What stands in which register, read from register_map.yaml or from a maker's description of a node. Start at book() and read_map()."""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, cached_property
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from sdx_domains.contract import Closed

Family = Literal["sensor", "switch", "opener", "nutrient"]
FAMILIES: dict[str, Family] = {"switch": "switch", "retractable": "opener", "nutrient-supply": "nutrient"}
FORMATS = {"uint16": "<H", "int16": "<h", "uint32": "<I", "float32": "<f"}
"""Little-endian words of little-endian bytes, packed and read back as words: that is CDAB on the wire."""
INFO_START, INFO_SIZE, CODES_START = 1, 8, 101


def words(value: float, coded: str) -> list[int]:
    """A value as registers. ValueError when the coding cannot hold it."""
    number = value if coded == "float32" else round(value) if math.isfinite(value) else value
    try:
        raw = struct.pack(FORMATS[coded], number)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{value!r} does not fit {coded}") from error
    return [word for (word,) in struct.iter_unpack("<H", raw)]


def value(registers: Sequence[int], coded: str) -> float:
    """The way back; int for whole-number codings."""
    (number,) = struct.unpack(FORMATS[coded], struct.pack(f"<{len(registers)}H", *registers))
    return number


def size(items: Sequence[str]) -> int:
    """Registers that these items take."""
    return sum(struct.calcsize(FORMATS[book().items[item]]) // 2 for item in items)


def encode(items: Sequence[str], values: Mapping[str, float]) -> list[int]:
    """Registers of items in their order; one that `values` lacks is 0. ValueError names the item."""
    registers: list[int] = []
    for item in items:
        try:
            registers += words(values.get(item, 0), book().items[item])
        except ValueError as error:
            raise ValueError(f"{item}: {error}") from error
    return registers


def decode(items: Sequence[str], registers: Sequence[int]) -> dict[str, float]:
    """Values by item. ValueError when there are fewer registers than the items take."""
    if len(registers) < size(items):
        raise ValueError(f"{len(registers)} registers for {', '.join(items)}, which take {size(items)}")
    values: dict[str, float] = {}
    at = 0
    for item in items:
        wide = size([item])
        values[item] = value(registers[at : at + wide], book().items[item])
        at += wide
    return values


class Area(Closed):
    """A run of registers. `operations`: other items for that operation code."""

    start: int = Field(ge=1, le=65535)
    items: tuple[str, ...]
    operations: Mapping[int, tuple[str, ...]] = Field(default_factory=dict)

    def layout(self, operation: int | None = None) -> tuple[str, ...]:
        return self.operations.get(operation, self.items) if operation is not None else self.items

    @property
    def size(self) -> int:
        return max(size(items) for items in (self.items, *self.operations.values()))

    def at(self, place: int) -> "Area":
        """The same area of the slot that comes `place` slots later."""
        return self.model_copy(update={"start": self.start + place * size(self.items)})


class NodeAreas(Closed):
    read: Area
    write: Area | None = None


class SlotRow(Closed):
    """Slots of one kind that follow one another: `types` one by one, or one type `count` times."""

    types: tuple[str, ...] = Field(min_length=1)
    count: int = Field(default=1, ge=1)
    read: Area
    write: Area | None = None


class Info(Closed):
    """Registers 1..6: what names a node's map."""

    authority: int = Field(ge=0, le=65535)
    company: int = Field(ge=0, le=65535)
    product: int = Field(ge=0, le=65535)
    code: int = Field(ge=0, le=65535)
    protocol: int = Field(ge=0, le=65535)
    channels: int = Field(ge=0, le=100)

    def registers(self) -> list[int]:
        return [self.authority, self.company, self.product, self.code, self.protocol, self.channels]


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a node for a device."""

    index: int
    """From 1; its code stands in register 100 + index."""
    type: str
    family: Family
    number: int
    """From 1 among its family: opener 1 is the first opener."""
    read: Area
    write: Area | None

    @property
    def code(self) -> int:
        return book().device_codes[self.type]

    @property
    def name(self) -> str:
        return f"{self.family} {self.number}"


class NodeMap(Closed):
    """The registers of one kind of node."""

    info: Info
    node: NodeAreas
    slots: tuple[SlotRow, ...]

    @model_validator(mode="after")
    def _known(self) -> Self:
        areas = [self.node.read, self.node.write, *(area for row in self.slots for area in (row.read, row.write))]
        named = {item for area in areas if area for items in (area.items, *area.operations.values()) for item in items}
        if unknown := sorted(named - set(book().items)):
            raise ValueError(f"unknown items {', '.join(unknown)}; known: {', '.join(book().items)}")
        if unknown := sorted({type for row in self.slots for type in row.types} - set(book().device_codes)):
            raise ValueError(f"unknown device types {', '.join(unknown)}; known: {', '.join(book().device_codes)}")
        if len(self.places) > self.info.channels:
            raise ValueError(f"{len(self.places)} slots, but info.channels is {self.info.channels}")
        self._apart()
        return self

    def _apart(self) -> None:
        """ValueError when two areas share a register."""
        areas = [area for node in (self.node, *self.places) for area in (node.read, node.write) if area]
        areas += [Area(start=INFO_START, items=("blank",) * INFO_SIZE), Area(start=CODES_START, items=("blank",) * len(self.places))]
        areas.sort(key=lambda area: area.start)
        for before, after in pairwise(areas):
            if before.start + size(before.items) > after.start:
                raise ValueError(f"the areas at {before.start} and {after.start} overlap")

    @cached_property
    def places(self) -> tuple[Slot, ...]:
        """Every slot."""
        made: list[Slot] = []
        counts: dict[str, int] = {}
        for row in self.slots:
            for place, type in enumerate(row.types * row.count):
                family = FAMILIES.get(type.split("/")[0], "sensor")
                counts[family] = counts.get(family, 0) + 1
                write = row.write.at(place) if row.write else None
                made.append(Slot(len(made) + 1, type, family, counts[family], row.read.at(place), write))
        return tuple(made)

    def place(self, family: str, number: int) -> Slot | None:
        return next((slot for slot in self.places if slot.family == family and slot.number == number), None)


class Book(Closed):
    """Everything of register_map.yaml but the maps."""

    items: Mapping[str, str]
    device_codes: Mapping[str, int]
    operations: Mapping[str, int]
    obeys: Mapping[str, tuple[str, ...]]
    timed: tuple[str, ...]
    statuses: Mapping[int, str]
    control_rights: Mapping[str, int]
    quantities: Mapping[str, str]

    @cached_property
    def operation_names(self) -> dict[int, str]:
        return {code: name for name, code in self.operations.items()}

    def sensor_type(self, quantity: str) -> str | None:
        """Which sensor measures it; None: none of the standard."""
        return next((type for pattern, type in self.quantities.items() if fnmatch(quantity, pattern)), None)

    def status(self, name: str) -> int:
        return next(code for code, known in self.statuses.items() if known == name)


@cache
def _file() -> dict[str, Any]:
    return yaml.safe_load(files(__package__ or "").joinpath("register_map.yaml").read_text(encoding="utf-8"))


@cache
def book() -> Book:
    """Codes and words of the standard."""
    return Book(**{key: row for key, row in _file().items() if key != "maps"})


@cache
def built_in() -> dict[str, NodeMap]:
    """Maps that come with the package."""
    return {name: NodeMap(**row) for name, row in _file()["maps"].items()}


def map_of(info: Sequence[int]) -> str | None:
    """Name of the built-in map that registers 1..6 tell of."""
    return next((name for name, map in built_in().items() if map.info.registers() == list(info[:6])), None)


def read_map(name: str, folder: Path) -> NodeMap:
    """A built-in map, or one from a file (relative to `folder`): a row like those of register_map.yaml, or a maker's description.

    Raises:
        ValueError: names file and field.
    """
    if name in built_in():
        return built_in()[name]
    path = folder / name
    try:
        row = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
        return NodeMap(**(_of_description(row, path) if isinstance(row, dict) and "CommSpec" in row else row))
    except OSError as error:
        raise ValueError(f"map {name!r} is neither built in ({', '.join(built_in())}) nor a file that can be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} is no map of a node: {error!r}") from error


def _of_description(described: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """KS X 3286-like self-description: Class, Type, CommSpec, Devices. Its file is named after registers 1..6: 0_0_3_4_20_21.spec."""
    numbers = re.fullmatch(r"(\d+)_(\d+)_(\d+)_(\d+)_(\d+)_(\d+)", path.name.split(".")[0])
    if not numbers:
        raise ValueError(f"{path}: a description is named after the node's registers 1 to 6, as in 0_0_3_4_20_21.json")
    info = dict(zip(Info.model_fields, map(int, numbers.groups()), strict=True))
    slots = [{"types": [device["Type"]], **_areas(device)} for device in described["Devices"]]
    return {"info": info, "node": _areas(described), "slots": slots}


def _areas(described: Mapping[str, Any]) -> dict[str, Any]:
    spec = next(iter(described["CommSpec"].values()))
    return {side: _area(spec[side]) for side in ("read", "write") if side in spec}


def _area(spec: Mapping[str, Any]) -> dict[str, Any]:
    operations = {row["opcode"]: row["items"] for row in spec.get("operations", ())}
    items = spec.get("items") or min(operations.values(), key=len)
    return {"start": spec["starting-register"], "items": items, "operations": operations}
