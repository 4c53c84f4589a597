"""Critical findings: what must be told at once, by critical.yaml."""

from functools import cache
from importlib.resources import files

import yaml
from pydantic import Field

from sdx_domains.contract import Closed
from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.labels import label


class AnyOf(Closed):
    """At least one of these."""

    descriptors: tuple[str, ...] = ()
    fluid_ml: float | None = Field(default=None, gt=0.0)


class Critical(Closed):
    """One row of critical.yaml."""

    label: str
    any: AnyOf | None = None
    source: str


@cache
def critical_list() -> tuple[Critical, ...]:
    """KeyError for a label that labels.yaml does not know."""
    rows = tuple(
        Critical.model_validate(row) for row in yaml.safe_load((files(__package__ or "") / "critical.yaml").read_text(encoding="utf-8"))
    )
    for row in rows:
        label(row.label)
    return rows


def critical(finding: Finding) -> bool:
    """Must this finding, when it is there or may be, be told at once?"""
    return any(row.label == finding.label and _holds(row, finding) for row in critical_list())


def _holds(row: Critical, finding: Finding) -> bool:
    if row.any is None:
        return True
    much = row.any.fluid_ml is not None and finding.measure.get("fluid_ml", 0.0) >= row.any.fluid_ml
    return much or bool(set(row.any.descriptors) & set(finding.descriptors))
