"""The simulated house's sensors and devices: site.yaml as closed, frozen values."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import yaml
from pydantic import Field, model_validator

from sdx_domains.contract import Closed
from sdx_domains.equipment import Device, DeviceKind
from sdx_domains.farm.greenhouse.vectors import ACTUATOR_NAMES


class SensorSpec(Closed):
    """See site.yaml."""

    quantity: str
    noise_sd: float = Field(default=0.0, ge=0.0)
    drift_per_day: float = Field(default=0.0, ge=0.0)
    lag_s: float = Field(default=0.0, ge=0.0)
    resolution: float = Field(gt=0.0)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    every_s: float = Field(gt=0.0)
    low: float = float("-inf")
    high: float = float("inf")


class DeviceSpec(Closed):
    """See site.yaml."""

    kind: DeviceKind
    travel_s: float = Field(gt=0.0)
    delay_s: float = Field(default=0.0, ge=0.0)
    reversal_s: float = Field(default=0.0, ge=0.0)
    restrike_s: float = Field(default=0.0, ge=0.0)
    unpowered: float | None = None
    needs_power: bool = False
    """Has no effect in a power cut although it stays where it is."""


class IrrigationSpec(Closed):
    """See site.yaml."""

    area_m2: float = Field(gt=0.0)
    tank_l: float = Field(gt=0.0)
    refill_l_min: float = Field(gt=0.0)
    refill_below_pct: float
    feed_ec_ds_m: float
    feed_ph: float


class SiteSpec(Closed):
    """One house."""

    house: str
    sensors: Mapping[str, SensorSpec]
    devices: Mapping[str, DeviceSpec]
    irrigation: IrrigationSpec

    @model_validator(mode="after")
    def _devices_in_order(self) -> "SiteSpec":
        if tuple(self.devices) != ACTUATOR_NAMES:
            raise ValueError(f"devices must be {', '.join(ACTUATOR_NAMES)}, in this order")
        return self

    def on_bus(self) -> tuple[Device, ...]:
        """Actuators, then sensors, as the bus tells them."""
        actuators = [
            Device(name=name, kind=spec.kind, travel_s=spec.travel_s if spec.kind == "opener" else None)
            for name, spec in self.devices.items()
        ]
        return (*actuators, *(Device(name=name, kind="sensor", quantity=spec.quantity) for name, spec in self.sensors.items()))


@cache
def site_spec() -> SiteSpec:
    """The shipped house."""
    return SiteSpec.model_validate(yaml.safe_load((files(__package__ or "") / "site.yaml").read_text(encoding="utf-8")))
