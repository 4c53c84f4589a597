"""A finding: what, where, how large, on which slices, and how sure. The words of picture, report, SR and FHIR alike."""

from typing import Literal

from pydantic import Field

from sdx_domains.contract import Closed

Presence = Literal["yes", "uncertain", "no"]
Laterality = Literal["right", "left", "bilateral", "midline", "n/a"]
Zone = Literal["upper", "mid", "lower", "diffuse", "n/a"]
Lobe = Literal["RUL", "RML", "RLL", "LUL", "LLL", "several", "n/a"]
"""By position in the lung, not by fissures: the zones that a report names."""
FoundBy = Literal["measurement", "encoder", "both", "radiologist"]


class Slices(Closed):
    """Which slices show it: indices into the volume, feet to head, and the UID of the one to look at."""

    first: int = Field(ge=0)
    last: int = Field(ge=0)
    key: int = Field(ge=0)
    key_uid: str
    """Pseudonymous SOPInstanceUID of the key slice."""


class Size(Closed):
    """Of the largest single object, in the plane of its largest section, and of all of it together."""

    long_mm: float = Field(gt=0)
    short_mm: float = Field(gt=0)
    volume_ml: float = Field(ge=0)

    @property
    def mean_mm(self) -> float:
        """Mean of long and short axis: what Fleischner and Lung-RADS go by."""
        return (self.long_mm + self.short_mm) / 2


class Finding(Closed):
    """One candidate finding, measured. Whether it is stated is decided elsewhere."""

    id: str
    """"F1".. in the picture, sorted by label and size."""
    label: str
    """Key of labels.yaml."""
    laterality: Laterality
    zone: Zone
    lobe: Lobe
    slices: Slices
    centroid_lps_mm: tuple[float, float, float]
    bbox_lps_mm: tuple[float, float, float, float, float, float]
    """x0, y0, z0, x1, y1, z1."""
    size: Size | None = None
    """None for what is diffuse."""
    hu_mean: float | None = None
    count: int = Field(default=1, ge=1)
    descriptors: tuple[str, ...] = ()
    """Of the wording table: solid, part-solid, ground-glass, calcified, small, moderate, large, ..."""
    measure: dict[str, float] = Field(default_factory=dict)
    """What else was measured, unit in the key: "emphysema_index_pct", "cardiothoracic_ratio", "calcium_ml", "fluid_ml"."""
    probability: float = Field(ge=0.0, le=1.0)
    """That it is there, calibrated on phantoms."""
    found_by: FoundBy
