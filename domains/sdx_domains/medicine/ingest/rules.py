"""What ingest holds a series to: the limits, the vendors' words, and the refusal that names the rule broken."""

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import Field

from sdx_domains.contract import Closed
from sdx_domains.medicine.volume import Kernel

Rule = Literal[
    "input",
    "archive",
    "one study",
    "modality",
    "image type",
    "pixels",
    "hounsfield",
    "size",
    "orientation",
    "spacing",
    "missing slices",
    "tilt",
    "acquisition",
    "body part",
]


Progress = Callable[[int, int], None]
"""Told of each slice read: (read, of how many)."""


class Refused(ValueError):
    """A series, file or archive that is not read. The message names tag and value or the file's number, and what to do; never a person."""

    def __init__(self, rule: Rule, message: str) -> None:
        super().__init__(message)
        self.rule: Rule = rule


class Limits(Closed):
    """limits.yaml, where each value has its source."""

    files: int
    file_mb: int
    archive_mb: int
    archive_ratio: int
    archive_ratio_from_mb: int
    frames: int
    matrix: int
    voxels: int
    slices_min: int
    axial_deg: float
    shear_deg: float
    tilt_ignored_deg: float
    tilt_max_deg: float
    gap_irregular: float
    gap_irregular_mm: float
    duplicate_mm: float
    gap_missing: float
    missing_max: float
    lung_hu: tuple[int, int]
    air_hu: int
    grid_mm: float
    lung_piece_cm2: float
    lung_body_cm2: float
    lung_share: float
    lung_extent_mm: float
    cut_cm2: float
    thick_mm: float
    extent_good_mm: float
    npz_spacing_mm: tuple[float, float, float]
    hu_range: tuple[int, int]
    hu_air_needed: int


class KernelName(Closed):
    kernel: Kernel
    pattern: str


class Names(Closed):
    """names.yaml."""

    kernels: tuple[KernelName, ...]
    manufacturers: dict[str, str]
    modalities: tuple[str, ...]
    no_contrast: tuple[str, ...] = Field(min_length=1)


@cache
def limits() -> Limits:
    return Limits.model_validate(yaml.safe_load((files("sdx_domains.medicine.ingest") / "limits.yaml").read_text(encoding="utf-8")))


@cache
def names() -> Names:
    return Names.model_validate(yaml.safe_load((files("sdx_domains.medicine.ingest") / "names.yaml").read_text(encoding="utf-8")))


def kernel_of(text: str) -> Kernel:
    """What a ConvolutionKernel (0018,1210) value means: "B70f" is lung, "STANDARD" soft."""
    for known in names().kernels:
        if re.fullmatch(known.pattern, text.strip(), re.IGNORECASE):
            return known.kernel
    return "unknown"


def manufacturer_of(text: str) -> str:
    """The vendor's name as this project spells it; "" for one that it does not know."""
    upper = text.strip().upper()
    return next((name for start, name in names().manufacturers.items() if re.match(rf"{re.escape(start)}\b", upper)), "")


def modality_of(text: str) -> str:
    """Modality as it may be repeated in a message."""
    return text if text in names().modalities else "no known value"


def contrast_of(agent: str | None) -> bool | None:
    """From ContrastBolusAgent (0018,0010): None where it says nothing."""
    if agent is None or not agent.strip():
        return None
    return agent.strip().upper() not in names().no_contrast
