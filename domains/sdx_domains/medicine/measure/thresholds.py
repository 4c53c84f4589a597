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


class Table(Closed):
    """The whole file."""

    bar: float
    unheard: tuple[str, ...] = ()
    """Keys of labels that the encoder cannot tell."""
    hot: float
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
