"""Passages of knowledge/irrigation.yaml that a field's situation calls for, and what to seek in the user's documents."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Language, Passage
from sdx_domains.farm.field.picture import FieldPicture
from sdx_domains.farm.recall import passage

SHOWN, SOUGHT = 6, 3
RAIN_MM = 5.0
"""In three days: enough to be worth a thought."""


@cache
def _look_up() -> Mapping[str, Mapping[str, Any]]:
    return yaml.safe_load((files(__package__ or "") / "look_up.yaml").read_text(encoding="utf-8"))


def passages(picture: FieldPicture, language: Language = "en") -> tuple[Passage, ...]:
    """Each once, the most urgent first."""
    wanted = [address for name in _situations(picture) for address in _look_up()[name]["passages"]]
    return tuple(passage(address, language) for address in list(dict.fromkeys(wanted))[:SHOWN])


def looks_for(picture: FieldPicture, language: Language = "en") -> str:
    """Words of look_up.yaml alone; "" where nothing is worth a search."""
    words = [_look_up()[name][language] for name in _situations(picture)]
    return ", ".join(list(dict.fromkeys(word for word in words if word))[:SOUGHT])


def _situations(picture: FieldPicture) -> Iterator[str]:
    kinds = {alarm.kind for alarm in picture.alarms}
    rain = sum(picture.forecast.rain_mm[:3]) if picture.forecast else 0.0
    yield from (name for name, holds in (
        ("leak", bool(kinds & {"leak", "no_flow"})),
        ("sensor", "soil_sensor" in kinds),
        ("dry", bool(picture.twin) and picture.depletion_pct > picture.ready_pct),
        ("flowering", picture.stage == "flowering"),
        ("wet", bool(picture.twin) and picture.depletion_mm <= 0.0),
        ("rain", rain >= RAIN_MM),
        ("always", True),
    ) if holds)  # fmt: skip
