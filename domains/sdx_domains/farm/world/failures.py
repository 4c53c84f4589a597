"""What can go wrong in a simulated house, by schedule: sensors that lie or fall silent, stuck devices, a leak, a power cut, a false forecast."""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field, model_validator

from sdx_domains.contract import Closed

FailureKind = Literal[
    "sensor_bias", "sensor_dead", "sensor_flat", "sensor_spikes", "sensor_gaps", "device_stuck", "leak", "blackout", "forecast_wrong"
]
"""bias: `size` is added; dead: no number, status 1; flat: the last value for ever; spikes: now and then `size` is added; gaps: the share
`size` of scans gives nothing; stuck: the device stays where it is; leak: `size` l/m2/h flow behind a shut valve; blackout: nothing moves and
sensors are silent; forecast_wrong: `size` times the errors of forecast.yaml's `wrong`."""
NEEDS_SUBJECT = ("sensor_bias", "sensor_dead", "sensor_flat", "sensor_spikes", "sensor_gaps", "device_stuck")


class Failure(Closed):
    """One thing that goes wrong from `from_s` to `until_s`, plant time."""

    kind: FailureKind
    subject: str = ""
    """Sensor or device as site.yaml names it."""
    from_s: float = Field(default=0.0, ge=0.0)
    until_s: float = float("inf")
    size: float = 1.0

    @model_validator(mode="after")
    def _whole(self) -> "Failure":
        if self.kind in NEEDS_SUBJECT and not self.subject:
            raise ValueError(f"failure {self.kind}: name the sensor or device in `subject`")
        if not self.until_s > self.from_s:
            raise ValueError(f"failure {self.kind}: until_s {self.until_s:g} is not after from_s {self.from_s:g}")
        return self


def active(failures: Sequence[Failure], kind: FailureKind, t_s: float) -> Iterator[Failure]:
    """Those of a kind that hold at t_s."""
    return (failure for failure in failures if failure.kind == kind and failure.from_s <= t_s < failure.until_s)
