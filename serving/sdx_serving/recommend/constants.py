"""The few constants of the estimator, each with a physical meaning: what is held before any row, and what the rows made of it.

Start at Constants. Each is known by a name that says what it is of: "share:gpu", "runtime:vllm/igpu", "kernel:npu/int4",
"layer_ms:cpu", "ceiling_gb_s:llama.cpp/gpu", "prefill:gpu".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field

from sdx_serving.closed import Closed


class Prior(Closed):
    """A constant before any row: two of three lie within `middle` times or divided by `factor`."""

    middle: float = Field(1.0, gt=0.0)
    factor: float = Field(gt=1.0)


class Ceiling(Prior):
    """Only some runtimes have one."""

    runtimes: tuple[str, ...]


class Priors(Closed):
    """priors.yaml."""

    share: Prior
    runtime: Prior
    kernel: Prior
    known: Mapping[str, float]
    same: Mapping[str, str] = Field(default_factory=dict)
    """Runtime and unit: another whose kernels it has."""
    layer_ms: Prior
    token_ms: Mapping[str, float]
    ceiling_gb_s: Ceiling
    prefill: Prior
    batch_step: Mapping[str, float]
    runtime_mb: Mapping[str, Mapping[str, float]]
    held_again: Mapping[str, float]
    least_read_mb: float = Field(ge=0.0)
    row_factor: float = Field(gt=1.0)
    most_share: float = Field(ge=1.0)

    def of(self, name: str) -> Prior:
        """Of one constant, by its name."""
        prior: Prior = getattr(self, name.partition(":")[0])
        return Prior(middle=self.known.get(name, prior.middle), factor=prior.factor)


class Fitted(Closed):
    """fitted.yaml: written by the fit, held against it by a test."""

    constants: Mapping[str, float]
    decode_factor: tuple[float, float]
    """Measured over estimated tokens per second: 5th and 95th percentile of rows whose device was left out of the fit."""
    rows: int = Field(ge=1)
    devices: int = Field(ge=1)


@dataclass(frozen=True, slots=True)
class Constants:
    """Values by name; what no row spoke of keeps its prior."""

    priors: Priors
    values: Mapping[str, float]

    def get(self, name: str) -> float:
        return self.values.get(name, self.priors.of(name).middle)

    def seen(self, name: str) -> bool:
        """Whether rows spoke of it."""
        return name in self.values

    def share(self, unit: str, runtime: str, kernel: str) -> float:
        """Of the bandwidth, that this kernel sustains; never more than all of it."""
        return min(1.0, math.prod(self.get(part) for part in share_names(self.priors, unit, runtime, kernel)))

    def ceiling_gb_s(self, unit: str, runtime: str) -> float:
        """Infinite for runtimes and units that have none."""
        if unit != "gpu" or runtime not in self.priors.ceiling_gb_s.runtimes:
            return math.inf
        return self.get(f"ceiling_gb_s:{runtime}/{unit}")

    def layer_s(self, unit: str) -> float:
        return self.get(f"layer_ms:{unit}") / 1e3

    def token_s(self, runtime: str) -> float:
        """Of every token, whatever the model."""
        return self.priors.token_ms.get(runtime, self.priors.token_ms["any"]) / 1e3


def share_names(priors: Priors, unit: str, runtime: str, kernel: str) -> list[str]:
    """The constants whose product is the share of the bandwidth."""
    place = f"{runtime}/{unit}"
    return [f"share:{unit}", f"runtime:{priors.same.get(place, place)}", f"kernel:{kernel}/{unit}"]


def names_of(priors: Priors, unit: str, runtime: str, kernel: str, prefill: bool) -> list[str]:
    """The constants on which an estimate rests."""
    names = [*share_names(priors, unit, runtime, kernel), f"layer_ms:{unit}"]
    if unit == "gpu" and runtime in priors.ceiling_gb_s.runtimes:
        names.append(f"ceiling_gb_s:{runtime}/{unit}")
    return [*names, f"prefill:{unit}"] if prefill else names


@cache
def read_priors() -> Priors:
    return Priors.model_validate(_yaml("priors.yaml"))


@cache
def fitted() -> Fitted:
    return Fitted.model_validate(_yaml("fitted.yaml"))


def constants() -> Constants:
    """As they ship."""
    return Constants(read_priors(), fitted().constants)


def _yaml(name: str) -> Any:
    return yaml.safe_load(files("sdx_serving.recommend").joinpath(name).read_text(encoding="utf-8"))
