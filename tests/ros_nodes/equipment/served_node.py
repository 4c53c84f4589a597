"""A panel of relays behind a real node server, for the tests of the equipment bus."""

import asyncio
import threading
from typing import Any

from sdx_domains.equipment import ActuatorCommand, Operation
from sdx_ros_nodes.equipment.bench import free_port
from sdx_ros_nodes.equipment.ksx_node import KsxNode
from sdx_ros_nodes.equipment.relay_panel import RelayPanel
from sdx_ros_nodes.equipment.site import Site

LEVEL_1 = Site.model_validate(
    {
        "name": "level 1",
        "nodes": [
            {
                "unit": 1,
                "map": "actuator",
                "devices": {
                    "relay_1": {"switch": 1},
                    "relay_2": {"switch": 2},
                    "vent_1": {"opener": 1, "travel_s": 20.0},
                    "vent_2": {"opener": 2, "travel_s": 20.0},
                },
            },
            {
                "unit": 2,
                "map": "sensor",
                "sensors": {
                    "air_temp_1": {"sensor": 1, "quantity": "air_temp_c"},
                    "air_rh_1": {"sensor": 4, "quantity": "air_rh_pct"},
                    "co2_1": {"sensor": 13, "quantity": "co2_ppm", "scale": 10.0, "offset": 2.0},
                },
            },
            {"unit": 3, "map": "nutrient", "devices": {"feed_1": {"nutrient": 1, "l_m2_per_s": 0.001}}},
        ],
    }
)
"""The panel as a house with default maps."""


class Served:
    """A node server in a thread of this process."""

    def __init__(self, panel: Any, site: Site, port: int = 0, rtu: str = "", **options: Any) -> None:
        self.panel, self.port = panel or RelayPanel(), port or free_port()
        self.url = f"modbus://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(site, rtu, options), daemon=True)
        self._thread.start()
        assert self._up.wait(120.0)
        if self._failed:
            raise self._failed

    def _run(self, site: Site, rtu: str, options: dict[str, Any]) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(site, rtu, options))
        finally:
            self._loop.close()

    async def _serve(self, site: Site, rtu: str, options: dict[str, Any]) -> None:
        try:
            self.node = KsxNode(self.panel, site, scan_s=0.02, **options)
            if rtu:
                await self.node.serve_rtu(rtu)
            else:
                await self.node.serve_tcp("127.0.0.1", self.port)
        except (OSError, ValueError) as error:
            self._failed = error
            return
        finally:
            self._up.set()
        self._running = asyncio.ensure_future(self.node.run())
        await asyncio.wait([self._running])

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(lambda: self._running.cancel())
            self._thread.join(5.0)


def order(device: str, op: Operation, now_s: float, id: str = "", duration_s: float = 0.0, **value: float) -> ActuatorCommand:
    return ActuatorCommand(
        id=id or f"{device}-{op}-{duration_s}-{sorted(value.items())}-{now_s}",
        device=device,
        op=op,
        value=value,
        duration_s=duration_s,
        issued_s=now_s,
        expires_s=now_s + 60.0,
        issuer="controller",
    )
