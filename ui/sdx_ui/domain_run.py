"""One run of a domain as a stream of rows: a simulated plant in simulated time, or real equipment behind a bus.

Rows are plain dictionaries with "t_s" and "kind": decision, order, alarm, day, and at the end score. Knows no domain by name.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sdx_agents.episode import Decider, Episode
from sdx_domains.contract import Language, Order, Pace, Plant, Reading, load_domain
from sdx_domains.equipment import ActuatorCommand, Alarm, CommandResult, Device, Equipment
from sdx_ui.voyage import Row, row_of

log = logging.getLogger(__name__)

DAY_S = 86_400.0
LOOK_EVERY_S = 5.0
"""Of this machine: how often real equipment is read and told."""


@dataclass(frozen=True)
class Asked:
    """What a run was asked for; see `sdx run DOMAIN --help`."""

    domain: str
    plant: str = ""
    """A kind of simulated plant, or the address of a bus; empty: the first kind."""
    scenario: str = ""
    """Empty: the first of the kind."""
    seed: int = 0
    days: float | None = None
    speed: float = 0.0
    """Plant seconds per second; 0: as fast as it goes."""
    guarded: bool = True
    language: Language = "en"
    plot: Path | None = None
    site: Path | None = None
    facts: Path | None = None
    forecast: str = ""
    """Address of a weather service, of a bus."""

    @property
    def on_bus(self) -> bool:
        return "://" in self.plant


def scenario_of(asked: Asked) -> str:
    """The scenario to run.

    Raises:
        KeyError: no such domain or plant; says what there is. ValueError: a bus has no scenario.
    """
    domain: Any = load_domain(asked.domain)
    if asked.on_bus:
        if asked.scenario or asked.plot:
            raise ValueError(f"{asked.plant} is real: --scenario and --plot are for simulated plants")
        return ""
    kinds = domain.plants()
    kind = asked.plant or next(iter(kinds))
    if kind not in kinds:
        raise KeyError(f"no plant {kind!r}; there are {', '.join(kinds)}, or the address of a bus, modbus://host:port or mqtt://host:1883")
    name = asked.scenario or kinds[kind][0]
    domain.case(name, asked.seed)
    return name


def run(asked: Asked, decide: Decider) -> Iterator[Row]:
    """The rows, to the end of the scenario or of the days."""
    yield from (_on_bus(asked, decide) if asked.on_bus else _simulated(asked, scenario_of(asked), decide))


def _simulated(asked: Asked, scenario: str, decide: Decider) -> Iterator[Row]:
    domain = load_domain(asked.domain)
    case = domain.case(scenario, asked.seed)
    domain = domain.fitted(case)
    plant = domain.plant_of(case, asked.seed)
    paced = Paced(plant, asked.speed)
    episode = Episode(domain, paced, decide, guarded=asked.guarded, until_s=plant.t_s + (asked.days or float("inf")) * DAY_S)
    yield from _rows(episode, plant, lambda _: domain.score(case, plant).model_dump(mode="json"))
    if asked.plot is not None:
        domain.draw(plant, asked.plot, scenario)
    score = domain.score(case, plant).model_dump(mode="json")
    yield {**score, "t_s": plant.t_s, "kind": "score", "verdicts": dict(episode.verdicts)}


def _on_bus(asked: Asked, decide: Decider) -> Iterator[Row]:
    """Real equipment: time goes as it goes, and in the end the devices stand in their safe positions."""
    domain: Any = load_domain(asked.domain)
    clock = Clock(time.time(), asked.speed or 1.0)
    equipment = _opened(asked, domain, clock)
    try:
        plant = domain.controlled(equipment, clock.now_s())
        episode = Episode(domain, plant, decide, until_s=plant.t_s + (asked.days or float("inf")) * DAY_S)
        episode.pace = looking(domain.pace, LOOK_EVERY_S * clock.speed)
        yield from _rows(episode, plant, lambda picture: {"situation": domain.describe(picture, asked.language)})
        yield {"t_s": plant.t_s, "kind": "end", "verdicts": dict(episode.verdicts)}
    finally:
        for command in domain.controller().stopped(None, clock.now_s()):
            if (result := equipment.send(command)).fate in ("rejected", "timeout"):
                log.warning("%s is not in its safe position: %s: %s", command.device, result.fate, result.detail)
        equipment.close()


def _opened(asked: Asked, domain: Any, clock: "Clock") -> "BusInTime":
    from sdx_ros_nodes.buses import open_bus, with_surroundings

    bus = with_surroundings(open_bus(asked.plant, asked.site, clock=clock.now_s), domain.reading_types(), asked.facts, asked.forecast)
    return BusInTime(bus, clock)


def looking(pace: Pace, every_s: float) -> Pace:
    """The pace with steps and ticks of at most every_s of the plant's time, as real equipment wants them."""
    step_s = min(pace.step_s, every_s)
    return replace(pace, step_s=step_s, tick_s=step_s * max(1, round(min(pace.tick_s, every_s) / step_s)))


def _rows(episode: Episode, plant: Any, of_day: Callable[[Any], dict[str, Any]]) -> Iterator[Row]:
    began_s, days = plant.t_s, 0
    standing: dict[tuple[str, str], Alarm] = {}
    for picture, happened in episode.ticks():
        yield from map(row_of, happened)
        now = {(alarm.kind, alarm.detail.split(" ", 1)[0]): alarm for alarm in _alarms(plant)}
        yield from (_alarm_row(picture.t_s, now[key], True) for key in now.keys() - standing.keys())
        yield from (_alarm_row(picture.t_s, standing[key], False) for key in standing.keys() - now.keys())
        standing = now
        if (picture.t_s - began_s) // DAY_S > days:
            days = int((picture.t_s - began_s) // DAY_S)
            yield {**of_day(picture), "t_s": round(picture.t_s, 1), "kind": "day", "day": days}


def _alarms(plant: Any) -> Sequence[Alarm]:
    controller = getattr(plant, "controller", None)
    return controller.alarms() if controller is not None else ()


def _alarm_row(t_s: float, alarm: Alarm, active: bool) -> Row:
    return {
        "t_s": round(t_s, 1),
        "kind": "alarm",
        "alarm": alarm.kind,
        "severity": alarm.severity,
        "detail": alarm.detail,
        "active": active,
    }


class Clock:
    """Time that begins at `start_s` and runs `speed` times as fast as this machine's; 0: as fast as it is asked to."""

    def __init__(self, start_s: float, speed: float) -> None:
        self.speed = speed
        self._start_s, self._began_s, self._asked_s = start_s, time.monotonic(), 0.0

    def now_s(self) -> float:
        return self._start_s + self.speed * (time.monotonic() - self._began_s)

    def wait(self, dt_s: float) -> None:
        """Until dt_s later than the end of the last wait; who came late waits not at all, and need not catch up."""
        if self.speed == 0.0:
            return
        passed_s = self.now_s() - self._start_s
        self._asked_s = max(self._asked_s + dt_s, passed_s)
        time.sleep((self._asked_s - passed_s) / self.speed)


class Paced:
    """A simulated plant whose time runs no faster than `speed` times that of this machine; 0 sets no bound."""

    def __init__(self, plant: Plant, speed: float) -> None:
        self._plant, self._clock = plant, Clock(plant.t_s, speed)

    @property
    def t_s(self) -> float:
        return self._plant.t_s

    @property
    def done(self) -> bool:
        return self._plant.done

    def readings(self) -> Sequence[Reading]:
        return self._plant.readings()

    def apply(self, order: Order) -> None:
        self._plant.apply(order)

    def step(self, dt_s: float) -> None:
        self._plant.step(dt_s)
        self._clock.wait(dt_s)


class BusInTime:
    """A bus as a house whose time a plant may move: a step is a wait."""

    done = False

    def __init__(self, equipment: Equipment, clock: Clock) -> None:
        self._equipment, self._clock = equipment, clock

    @property
    def t_s(self) -> float:
        return self._clock.now_s()

    def step(self, dt_s: float) -> None:
        self._clock.wait(dt_s)

    def devices(self) -> Sequence[Device]:
        return self._equipment.devices()

    def read(self) -> Sequence[Reading]:
        return self._equipment.read()

    def send(self, command: ActuatorCommand) -> CommandResult:
        return self._equipment.send(command)

    def close(self) -> None:
        self._equipment.close()
