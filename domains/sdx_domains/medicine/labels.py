"""What is looked for in a chest CT: the 18 labels of CT-RATE, a mass and a pneumothorax. The table is labels.yaml."""

from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from sdx_domains.contract import Closed

Region = Literal["lungs", "pleura", "heart", "mediastinum", "vessels", "bones", "abdomen", "devices"]
Urgency = Literal["critical", "urgent", "routine"]

TABLE = Path(__file__).with_name("labels.yaml")


class Label(Closed):
    """One kind of finding."""

    key: str
    name: str
    """As CT-RATE spells it."""
    ko: str
    region: Region
    """Heading of the report under which it stands."""
    sided: bool
    zoned: bool
    sct: str
    """SNOMED CT concept; "" where none says it exactly."""
    urgency: Urgency
    rules: tuple[str, ...]
    """Addresses of knowledge/ that speak of it."""


@cache
def labels() -> tuple[Label, ...]:
    """All, in the order of the table: also the order of a model's label outputs."""
    return tuple(Label.model_validate(row) for row in yaml.safe_load(TABLE.read_text(encoding="utf-8")))


@cache
def ct_rate() -> tuple[Label, ...]:
    """The 18 that are scored against published systems."""
    return labels()[:18]


def label(key: str) -> Label:
    """KeyError with the known keys."""
    known = {each.key: each for each in labels()}
    if key not in known:
        raise KeyError(f"no label {key!r}; known: {', '.join(known)}")
    return known[key]
