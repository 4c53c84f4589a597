"""When a finding is stated, by probability and by measurement: thresholds.yaml, and what it says of one finding."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import yaml
from pydantic import Field, model_validator

from sdx_domains.contract import Closed
from sdx_domains.medicine.findings import Finding, Presence
from sdx_domains.medicine.labels import labels


class Point(Closed):
    """Of one label."""

    point: float = Field(ge=0.0, le=1.0)
    low: float = Field(ge=0.0, le=1.0)
    high: float = Field(ge=0.0, le=1.0)
    measured: Mapping[str, float] = Field(default_factory=dict)
    """Least value by name, unit in the name; empty: measurement alone never carries this label."""

    @model_validator(mode="after")
    def _ordered(self) -> "Point":
        if not self.low <= self.point <= self.high:
            raise ValueError(f"low {self.low} <= point {self.point} <= high {self.high} is wanted")
        return self


class Thresholds(Closed):
    """thresholds.yaml."""

    unlike_training: float = Field(gt=0.0)
    unsupported_share: float = Field(ge=0.0, le=1.0)
    unsupported_least: int = Field(ge=1)
    draft_valid_days: float = Field(gt=0.0)
    labels: Mapping[str, Point]


@cache
def thresholds() -> Thresholds:
    """Every label of labels.yaml has its row; ValueError names the difference."""
    read = Thresholds.model_validate(yaml.safe_load((files(__package__ or "") / "thresholds.yaml").read_text(encoding="utf-8")))
    if wrong := set(read.labels) ^ {each.key for each in labels()}:
        raise ValueError(f"thresholds.yaml: one row for each label is wanted; missing or unknown: {', '.join(sorted(wrong))}")
    return read


def measured(finding: Finding) -> dict[str, float]:
    """All that was measured of a finding, unit in the name."""
    size = finding.size
    sizes = {"long_mm": size.long_mm, "short_mm": size.short_mm, "mean_mm": size.mean_mm, "volume_ml": size.volume_ml} if size else {}
    return {**sizes, **finding.measure}


def carried_by_measurement(finding: Finding) -> bool:
    """Whether measurement alone supports the finding: it took part in finding it, and every floor of the label is reached."""
    floors = thresholds().labels[finding.label].measured
    found = measured(finding)
    return finding.found_by != "encoder" and bool(floors) and all(found.get(name, float("-inf")) >= floor for name, floor in floors.items())


def suggested(finding: Finding) -> Presence:
    """By the label's band alone: "no" below it, "uncertain" inside, "yes" from its upper end on."""
    band = thresholds().labels[finding.label]
    if finding.probability < band.low:
        return "no"
    return "yes" if finding.probability >= band.high else "uncertain"
