"""What a device is, as data: one YAML file each in data/, and the user's own beside them. A new device is a file. Start at devices()."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from sdx_serving.closed import Closed, from_yaml

Class = Literal[
    "cloud", "kubernetes", "pc-server", "pc", "jetson-agx-thor", "jetson-agx-orin", "jetson-agx-xavier", "jetson-nx", "jetson-nano", "phone",
    "board",
]  # fmt: skip
UnitName = Literal["gpu", "igpu", "cpu", "npu"]
"""What computes: a card with memory of its own, a GPU that shares the processor's memory, the processor, a neural unit."""
Number = Literal["fp32", "fp16", "bf16", "fp8", "fp4", "int8", "int4"]


class Runtime(Closed):
    """One engine on this device."""

    engine: str
    """As engines/ calls it, e.g. "llama.cpp"; others' runtimes too, which `sdx serve` does not start."""
    unit: UnitName
    takes: tuple[str, ...]
    """Formats: gguf, safetensors, onnx, trt-engine, rkllm, pte."""
    note: str = ""


class Refusal(Closed):
    """What does not work here, and why."""

    what: str
    """A number type (bf16, fp8, fp4), a quantisation or an engine."""
    why: str


class PowerMode(Closed):
    """One setting of a device whose power can be chosen."""

    name: str
    watts: float | None = Field(None, gt=0.0)
    """Of the module; None is not limited."""
    speed: float = Field(1.0, gt=0.0, le=1.0)
    """Share of the device's figures that is left."""


class Device(Closed):
    """One kind of machine. Figures are the vendor's unless `sources` says otherwise; None is not known."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.:-]*$")
    name: str
    kind: Class
    called: str = ""
    """Pattern in what the machine calls itself, in small letters: the card's name, or the device tree's model and compatible lines."""
    memory_gb: float = Field(gt=0.0)
    """1e9 bytes, as all sizes here."""
    usable_gb: float = Field(gt=0.0)
    """What is left for a model and its engine beside the system."""
    bandwidth_gb_s: float | None = Field(None, gt=0.0)
    """Of the memory that weights lie in."""
    bandwidth_1_gb_s: float | None = Field(None, gt=0.0)
    """What one thread reaches, where it was measured."""
    cache_bytes: int = Field(0, ge=0)
    """Of the last cache that a core reads through: smaller models are read from it."""
    cores: int | None = Field(None, ge=1)
    compute: Mapping[UnitName, Mapping[Number, float]] = Field(default_factory=dict)
    """1e12 dense operations a second by unit and type; whole numbers count as operations too."""
    runtimes: tuple[Runtime, ...]
    refuses: tuple[Refusal, ...] = ()
    power_modes: tuple[PowerMode, ...] = ()
    watts: float | None = Field(None, gt=0.0)
    """Of the whole device under load, for the energy of an answer."""
    sources: Mapping[str, str]
    """Field: where its value is from. All figures need one."""
    note: str = ""

    @model_validator(mode="after")
    def _sound(self) -> "Device":
        if self.usable_gb > self.memory_gb:
            raise ValueError(f"usable_gb {self.usable_gb} is more than memory_gb {self.memory_gb}")
        figures = {name for name in ("memory_gb", "usable_gb", "bandwidth_gb_s", "watts") if getattr(self, name) is not None}
        figures |= {"compute"} if self.compute else set()
        if missing := sorted(figures - set(self.sources)):
            raise ValueError(f"sources: nothing says where {', '.join(missing)} is from")
        return self

    @property
    def usable_bytes(self) -> int:
        return round(self.usable_gb * 1e9)

    def runtime(self, engine: str) -> Runtime | None:
        return next((runtime for runtime in self.runtimes if runtime.engine == engine), None)

    def tflops(self, unit: UnitName, *types: Number) -> float | None:
        """Of the first of these types that is known for the unit."""
        known = self.compute.get(unit, {})
        return next((known[kind] for kind in types if kind in known), None)

    def refusal(self, *words: str) -> str | None:
        """Why one of these does not work here; None when all may."""
        return next((refused.why for refused in self.refuses if refused.what.lower() in {word.lower() for word in words}), None)

    def mode(self, watts: float | None) -> PowerMode | None:
        """The fastest mode within so many watts. ValueError when there is none."""
        if watts is None or not self.power_modes:
            return None
        fitting = [mode for mode in self.power_modes if mode.watts is not None and mode.watts <= watts]
        if not fitting:
            least = min((mode.watts for mode in self.power_modes if mode.watts is not None), default=None)
            raise ValueError(f"{self.id} has no power mode within {watts:g} W" + (f": the least is {least:g} W" if least else ""))
        return max(fitting, key=lambda mode: mode.speed)


def own_folder() -> Path:
    """Where the user's device files lie."""
    return Path.home() / ".local/share/sdx/devices"


def devices(folder: Path | None = None) -> dict[str, Device]:
    """All devices by id; the user's own win. ValueError names a file that is wrong, and the field.

    Args:
        folder: of the user's files; None takes own_folder().
    """
    shipped = sorted((path for path in files("sdx_serving.devices").joinpath("data").iterdir()), key=lambda path: path.name)
    own = sorted((folder or own_folder()).glob("*.yaml"))
    found: dict[str, Device] = {}
    for path in [*(Path(str(path)) for path in shipped if path.name.endswith(".yaml")), *own]:
        device = read_device(path)
        found[device.id] = device
    return found


def device_called(told: str, memory_gb: float, known: Mapping[str, Device]) -> Device | None:
    """The device whose pattern is found in what a machine tells of itself; of several the closer pattern, then the closer memory."""
    found = [device for device in known.values() if device.called and re.search(device.called, told.lower())]
    return min(found, key=lambda device: (-len(device.called), abs(device.memory_gb - memory_gb)), default=None)


def read_device(path: Path) -> Device:
    """One file. ValueError says which field is wrong."""
    return from_yaml(Device, path)


def find_device(name: str, folder: Path | None = None) -> Device:
    """The device of this id, or the one in this file. ValueError suggests ids."""
    if name.endswith((".yaml", ".yml")):
        return read_device(Path(name).expanduser())
    known = devices(folder)
    if name in known:
        return known[name]
    near = get_close_matches(name, known, 3, 0.4)
    raise ValueError(
        f"no device {name!r}: " + (f"did you mean {', '.join(near)}? " if near else "") + f"known are {', '.join(known)}, and this; "
        f"a new one is a file in {folder or own_folder()} (`sdx probe --yaml` writes one of the machine it runs on)"
    )
