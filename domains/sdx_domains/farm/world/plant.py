"""Equipment and its controller as one plant: orders go in, the fast loop runs every minute, readings come out. Start at ControlledPlant.step.

For any equipment. A simulated house is moved in time; behind a bus time is the wall clock's, and a step only reads, decides and sends.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, cast

from sdx_domains.contract import Order, Perceiver, Reading
from sdx_domains.equipment import Alarm, CommandResult, Controller, Equipment, SimulatedHouse

TICK_S = 60.0
"""Between two acts of the controller in a simulated house."""
REFUSED = ("rejected", "timeout")
_log = logging.getLogger(__name__)


class ControlledPlant:
    """Implements contract.Plant.

    Args:
        equipment: devices; taken over, nobody else may read from it.
        controller: the fast loop.
        perceiver: of the controller; it sees the same readings as the agent's own.
        now_s: plant time at the start where equipment has no clock of its own.
    """

    def __init__(self, equipment: Equipment, controller: Controller, perceiver: Perceiver, now_s: float = 0.0) -> None:
        self.equipment, self.controller = equipment, controller
        self._perceiver = perceiver
        self._house = cast(SimulatedHouse, equipment) if hasattr(equipment, "step") else None
        self._began_s, self._began = now_s, time.monotonic()
        self._order: Order | None = None
        self._unread: list[Reading] = []
        self._blind = False
        self.picture: Any = None
        """The controller's last one."""
        self.orders: list[tuple[float, Order]] = []
        self.alarms: list[tuple[float, Alarm]] = []
        """Each when it was first raised, and again when it comes back."""
        self.refusals: list[tuple[float, CommandResult]] = []
        """Commands that the equipment did not take."""
        self._standing: set[tuple[str, float]] = set()
        self._act()

    @property
    def t_s(self) -> float:
        return self._house.t_s if self._house is not None else self._began_s + time.monotonic() - self._began

    @property
    def done(self) -> bool:
        return self._house is not None and self._house.done

    def readings(self) -> Sequence[Reading]:
        """Everything that the equipment gave since the last call."""
        given, self._unread = self._unread, []
        return given

    def apply(self, order: Order) -> None:
        """The controller holds this order from its next act on."""
        self._order = order
        self.orders.append((self.t_s, order))

    def step(self, dt_s: float) -> None:
        """Move a simulated house on in ticks of a minute or less, and act after each; else act once."""
        if self._house is None:
            self._act()
            return
        left_s = dt_s
        while left_s > 1e-6:
            tick = min(left_s, TICK_S)
            self._house.step(tick)
            left_s -= tick
            self._act()

    def _act(self) -> None:
        """Read, see, decide, send."""
        readings = self.equipment.read()
        self._unread.extend(readings)
        now_s = self.t_s
        try:
            self.picture = self._perceiver.take(readings, now_s)
        except ValueError as error:  # before the equipment or the site told date and place there is nothing to decide on
            if not self._blind:
                _log.warning("no picture yet, devices are left as they are: %s", error)
            self._blind = True
            return
        for command in self.controller.act(self.picture, self._order, now_s):
            result = self.equipment.send(command)
            if result.fate in REFUSED:
                self.refusals.append((now_s, result))
        self._note_alarms(now_s)

    def _note_alarms(self, now_s: float) -> None:
        standing = {(alarm.kind, alarm.since_s): alarm for alarm in self.controller.alarms()}
        self.alarms.extend((now_s, alarm) for key, alarm in standing.items() if key not in self._standing)
        self._standing = set(standing)
