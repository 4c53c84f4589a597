"""Equipment by its address, whatever the bus: modbus://, modbus+rtu://, mqtt://, sparkplug://. Start at open_bus()."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sdx_domains.contract import Reading
from sdx_domains.equipment import Equipment
from sdx_ros_nodes.facts import WithFacts, facts

FORECAST = "ForecastReading"
"""Name of the reading that a weather service fills, among a domain's own kinds."""
KNOWN = "modbus://HOST:502, modbus+rtu:///dev/ttyUSB0, mqtt://HOST:1883 (with a site file), sparkplug://HOST:1883/GROUP/EDGE"


def open_bus(url: str, site: Path | None = None, folder: Path | None = None, clock: Callable[[], float] = time.time) -> Equipment:
    """The equipment behind an address. Each bus loads its own packages.

    Args:
        site: file that says which device is where; a Modbus line can tell it itself.
        folder: for what must outlive a restart, command ids above all.

    Raises:
        ValueError: a bad address or site file; says what there is.
    """
    at = urlsplit(url)
    if at.scheme.startswith("modbus"):
        from sdx_ros_nodes.equipment.link import open_equipment

        return open_equipment(url, site, folder, clock)
    if at.scheme in ("mqtt", "mqtts"):
        from sdx_ros_nodes.mqtt.tango import TangoEquipment, read_site

        if site is None:
            raise ValueError(f"{url}: MQTT needs a site file that says which node and channel is which device; see docs/farm.md")
        return TangoEquipment(url, read_site(site), clock)
    if at.scheme == "sparkplug":
        from sdx_ros_nodes.mqtt.sparkplug_host import SparkplugEquipment

        group, _, edge = at.path.strip("/").partition("/")
        if not group or not edge or "/" in edge:
            raise ValueError(f"{url}: sparkplug://HOST:1883/GROUP/EDGE names the group and the edge node")
        return SparkplugEquipment(f"mqtt://{at.netloc}", group, edge, clock=clock)
    raise ValueError(f"{url!r} is no bus that is known here: {KNOWN}")


def with_surroundings(equipment: Equipment, kinds: Sequence[type[Reading]], told: Path | None = None, forecast: str = "") -> Equipment:
    """Equipment that also gives what no device tells: a file of facts, and a weather service.

    Args:
        kinds: Equipped.reading_types() of the domain.

    Raises:
        ValueError: a bad file of facts, or a domain that takes no forecast.
    """
    if told is not None:
        equipment = WithFacts(equipment, facts(told, kinds))
    if forecast:
        from sdx_ros_nodes.forecast_service import WithForecast

        kind = next((kind for kind in kinds if kind.__name__ == FORECAST), None)
        if kind is None:
            raise ValueError(f"this domain takes no forecast (it has no {FORECAST}); leave {forecast} out")
        equipment = WithForecast(equipment, forecast, kind)
    return equipment
