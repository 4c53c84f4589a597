"""Facts of a site that no device tells: a YAML file of readings of the domain's own kinds (place, crop, prices).

readings:
  - kind: ClockReading
    t_s: 0
    utc: "1970-01-01T00:00:00Z"   # time of a real site is counted from then
    lat_deg: 35.8
    lon_deg: 127.1
    hours_east: 9
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorCommand, CommandResult, Device, Equipment


def facts(path: Path, kinds: Sequence[type[Reading]]) -> list[Reading]:
    """The readings in a file of facts.

    Args:
        kinds: Equipped.reading_types() of the domain.

    Raises:
        ValueError: the file cannot be read, or an entry is no reading of the domain; names file, entry and field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"file of facts {path} cannot be read: {error}") from error
    entries = content.get("readings") if isinstance(content, dict) else None
    if type(entries) is not list:
        raise ValueError(f"file of facts {path} needs a list `readings:`")
    known = {kind.__name__: kind for kind in kinds}
    return [_reading(entry, known, f"{path}: readings[{index}]") for index, entry in enumerate(entries)]


def _reading(entry: Any, known: dict[str, type[Reading]], where: str) -> Reading:
    if not isinstance(entry, dict) or entry.get("kind") not in known:
        raise ValueError(f"{where} needs `kind:`, one of {', '.join(known)}; got {entry!r}")
    fields = {"t_s": 0.0, "source": "facts", **{name: value for name, value in entry.items() if name != "kind"}}
    try:
        return known[entry["kind"]].model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


class WithFacts:
    """Equipment that also tells what no device of it does: the facts come with the first readings."""

    def __init__(self, equipment: Equipment, told: Sequence[Reading]) -> None:
        self._equipment = equipment
        self._told = list(told)

    def devices(self) -> Sequence[Device]:
        return self._equipment.devices()

    def read(self) -> Sequence[Reading]:
        told, self._told = self._told, []
        return [*told, *self._equipment.read()]

    def send(self, command: ActuatorCommand) -> CommandResult:
        return self._equipment.send(command)

    def close(self) -> None:
        self._equipment.close()
