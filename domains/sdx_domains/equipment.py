"""The words of equipment: what a sensor gave, how an actuator stands, what it is told, what became of it.

For domains that steer devices (a farm does; a ship is told a course). A bus (Modbus, MQTT, ROS 2, a simulated house)
implements Equipment; a domain's controller speaks these words and knows no bus.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from pydantic import Field

from sdx_domains.contract import Closed, Domain, Order, Plant, Reading

Quality = Literal["good", "suspect", "bad"]
ControlRight = Literal["LOCAL", "REMOTE", "MANUAL"]
DeviceKind = Literal["opener", "switch", "valve", "dimmer", "nutrient"]
Operation = Literal["stop", "on", "timed_on", "open", "close", "timed_open", "timed_close", "set_position", "water", "set_control"]
"""stop .. water as KS X 3267/3288 (0, 201, 202, 301..305, 401..403); set_control (2) takes or gives back the control right."""
Fate = Literal["accepted", "clamped", "rejected", "timeout", "confirmed"]


class SensorReading(Reading):
    """One value of one sensor."""

    sensor: str
    """Its name at the site: "air_temp_1"."""
    quantity: str
    """What it measures, unit in the name: "air_temp_c", "air_rh_pct", "co2_ppm"."""
    value: float | None
    """None: the device gave no number."""
    status: int = 0
    """KS X 3267 status code, 0 = READY."""
    quality: Quality = "good"


class ActuatorReading(Reading):
    """How an actuator stands, read back from it."""

    device: str
    position_pct: float | None = Field(default=None, ge=0.0, le=100.0)
    """Openers, valves, dimmers: as measured; switches: 0 or 100."""
    status: int = 0
    """KS X 3267 status code: 0 READY, 201 ON, 299 or 399 a person has it, 301 OPENING, 302 CLOSING, 1.. faults."""
    opid: int = 0
    """Id of the command that it carries out or carried out last."""
    remaining_s: float = 0.0
    right: ControlRight = "REMOTE"


class ActuatorCommand(Closed):
    """What one device is told."""

    id: str
    """Unique; the same command sent twice acts once."""
    device: str
    op: Operation
    value: Mapping[str, float] = Field(default_factory=dict)
    """Unit in the key: {"position_pct": 40.0}, {"ec_ds_m": 2.6, "ph": 5.8}, {"l_m2": 0.25}."""
    duration_s: float = 0.0
    """Of the timed operations."""
    issued_s: float
    expires_s: float
    issuer: str
    """ "controller", "safety", "person"."""
    order_id: str = ""
    """The order behind it; empty when safety or a person acted."""
    reason: str = ""


class CommandResult(Closed):
    """What became of a command."""

    command_id: str
    fate: Fate
    detail: str = ""
    """Why, for clamped (from, to, rule), rejected and timeout."""
    opid: int = 0
    confirmed_s: float | None = None


class Device(Closed):
    """One actuator or sensor as a site has it."""

    name: str
    kind: DeviceKind | Literal["sensor"]
    quantity: str = ""
    """Of a sensor."""
    travel_s: float | None = None
    """Of an opener: from closed to open at full speed."""


class Equipment(Protocol):
    """A bus with devices behind it. One thread calls it; a call returns within a second, and raises nothing for a device that fails."""

    def devices(self) -> Sequence[Device]: ...

    def read(self) -> Sequence[Reading]:
        """SensorReading and ActuatorReading since the last call; a silent device gives a reading with value None and its status."""
        ...

    def send(self, command: ActuatorCommand) -> CommandResult:
        """Tell a device; "accepted" means that it took the command, "confirmed" that its read-back says so. Never raises for a device's fault."""
        ...

    def close(self) -> None: ...


class Alarm(Closed):
    """Something a person should know now."""

    kind: str
    """Short machine word: "frost", "vent_stuck", "co2_sensor_dead", "leak"."""
    severity: Literal["info", "warning", "critical"]
    since_s: float
    detail: str
    """What, with value and limit, English."""


class Controller(Protocol):
    """The fast loop of a domain that steers devices: holds an order's set-points, filters for safety. Deterministic; never raises.

    A device whose control right is not REMOTE is in a person's hands: it is left as it stands.
    """

    def act(self, picture: Any, order: Order | None, now_s: float) -> Sequence[ActuatorCommand]:
        """What the devices are told now. Order None, expired or of another domain: the domain's own rules hold."""
        ...

    def stopped(self, picture: Any | None, now_s: float) -> Sequence[ActuatorCommand]:
        """What the devices are told while the stop is on: their safe positions. Needs no picture."""
        ...

    def alarms(self) -> Sequence[Alarm]:
        """Those that stand now."""
        ...

    def edits(self) -> Mapping[str, int]:
        """How often each safety rule changed a command since the start, and "commands": how many there were."""
        ...


class SimulatedHouse(Equipment, Protocol):
    """Equipment whose surroundings are simulated."""

    @property
    def t_s(self) -> float: ...

    @property
    def done(self) -> bool: ...

    def step(self, dt_s: float) -> None: ...


class ControlledPlant(Plant, Protocol):
    """Equipment and a controller as one plant."""

    controller: Controller


class Equipped(Domain, Protocol):
    """A domain that steers devices: what the equipment nodes and `sdx run` need of it beyond contract.Domain."""

    def controller(self) -> Controller: ...

    def plants(self) -> Mapping[str, Sequence[str]]:
        """Kinds of simulated plant with the names of their scenarios; the first of each is taken when none is named."""
        ...

    def reading_types(self) -> Sequence[type[Reading]]:
        """What its perceiver takes beside SensorReading and ActuatorReading: forecasts, prices, dates."""
        ...

    def house(self, scenario: str, seed: int) -> SimulatedHouse:
        """The devices of a simulated plant, without a controller. KeyError with the known names."""
        ...

    def controlled(self, equipment: Equipment, now_s: float) -> ControlledPlant:
        """A plant made of equipment and this domain's controller; its step() waits for nothing and moves a SimulatedHouse's time."""
        ...
