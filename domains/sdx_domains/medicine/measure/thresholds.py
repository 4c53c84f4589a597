"""The table thresholds.yaml as values."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from math import exp
from typing import Literal

import yaml
from pydantic import Field

from sdx_domains.contract import Closed

Room = Literal["lung", "chest", "inside", "mediastinum", "body"]


class Odds(Closed):
    """From one measured value to a probability."""

    key: str
    """Of Finding.measure."""
    even: float
    width: float = Field(gt=0)
    weight: float = Field(ge=0, le=1)

    def probability(self, value: float) -> float:
        return 1 / (1 + exp(-max(-30.0, min(30.0, (value - self.even) / self.width))))


class SecondSide(Closed):
    """When a label that an encoder points at on one side is named on the other too."""

    least: float
    """Log odds of the hottest cell of its map on that side."""
    unless: str = ""
    """Key of a label that it is taken for where that one's map is hotter in this cell."""


class Table(Closed):
    """The whole file."""

    bar: float
    unheard: tuple[str, ...] = ()
    """Keys of labels that the encoder cannot tell."""
    hot: float
    second_side: Mapping[str, SecondSide]
    measured: Mapping[str, Odds]
    amounts: Mapping[str, tuple[float, float]]
    emphysema: tuple[float, float, float]
    blob: Mapping[str, Mapping[str, float]]
    blob_weight: float
    nodule_from_mm: float
    mass_above_mm: float
    tissue: Mapping[str, tuple[float, float, Room]]


@cache
def thresholds() -> Table:
    return Table.model_validate(yaml.safe_load((files("sdx_domains.medicine.measure") / "thresholds.yaml").read_text(encoding="utf-8")))
