"""Guard and controller of a domain that steers devices, as a ROS 2 node: holds the order, tells the devices, reads them back.

    python -m sdx_ros_nodes.equipment_guard_node --transport dds --ros-args -p domain:=farm -p audit:=audit
    python -m sdx_ros_nodes.equipment_guard_node --ros-args -p domain:=farm -p equipment:=modbus://10.0.0.7 -p site:=site.yaml -p facts:=facts.yaml

Without an order that may stand, the controller follows the domain's own rules. A stop brings the devices into their safe
positions at once. What is done with proposals and people is in guarding.py.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from sdx_domains.contract import Reading, load_domain
from sdx_domains.equipment import Equipment
from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.buses import open_bus, with_surroundings
from sdx_ros_nodes.equipment_wire import EquipmentWire
from sdx_ros_nodes.guarding import GuardParameters, guarded
from sdx_ros_nodes.shell import Shell, run_node
from sdx_ros_nodes.topic_equipment import TopicEquipment


class EquipmentGuardParameters(GuardParameters):
    """Parameters of the node."""

    equipment: str = "topics"
    """topics: devices behind ROS 2 topics (the plant node, drivers); else the address of a bus, see buses.py."""
    site: str = ""
    """YAML file that says which device is where on the bus; empty: the bus tells it."""
    facts: str = ""
    """YAML file of what no device tells, see facts.py: place, crop, prices; empty: the devices tell all."""
    forecast: str = ""
    """Address of a weather service, see forecast_service.py; empty: none."""
    tick_hz: float = Field(1.0, ge=0.1, le=50.0)
    """How often devices are read and told, per second of this machine."""
    decision_limit_s: float = Field(120.0, gt=0.0)
    """An agent that has been at one decision for longer counts as silent."""
    approval_s: float = Field(3600.0, gt=0.0)
    """How long an order waits for approval, plant time."""


def build(transport: Transport, parameters: EquipmentGuardParameters) -> Callable[[], None]:
    domain: Any = load_domain(parameters.domain)
    if not hasattr(domain, "controller"):
        raise ValueError(f"domain {parameters.domain!r} steers no devices (it has no controller); use its own guard node")
    kinds = domain.reading_types()

    bus = _bus(parameters, kinds) if parameters.equipment != "topics" else None

    def wire(shell: Shell) -> EquipmentWire:
        if bus is None:
            return EquipmentWire(shell, TopicEquipment(shell, kinds), domain.controller)
        return EquipmentWire(shell, bus, domain.controller)

    return guarded(transport, parameters, domain, wire)


def _bus(parameters: EquipmentGuardParameters, kinds: Sequence[type[Reading]]) -> Equipment:
    """The bus, with its memory of command ids beside the audit log, and what surrounds it."""
    parameters.audit.mkdir(parents=True, exist_ok=True)
    bus = open_bus(parameters.equipment, Path(parameters.site) if parameters.site else None, parameters.audit)
    return with_surroundings(bus, kinds, Path(parameters.facts) if parameters.facts else None, parameters.forecast)


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(argv, "guard", EquipmentGuardParameters, build, __doc__)


if __name__ == "__main__":
    sys.exit(main())
