"""A whole domain that steers devices, in one file: a tank of water with a heater, to be held at a temperature of at most 60 degrees.

It stands outside of the project's folders, as a domain of somebody else does: nodes and commands must run it all the same.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdx_domains.contract import Closed, Language, Measuring, Option, Order, Pace, Passage, Picture, Proposal, Reading, Verdict
from sdx_domains.equipment import ActuatorCommand, ActuatorReading, Alarm, CommandResult, Device, Equipment, SensorReading

NAME = "heated_tank"
HOTTEST_C = 60.0
SCENARIOS = {"cold": 15.0, "warm": 35.0, "hot": 65.0}
OUTSIDE_C = 10.0


def install(folder: Path) -> Path:
    """This file as an installed package: in `folder`, which then belongs on the path. Returns the folder."""
    (folder / f"{NAME}.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    about = folder / f"{NAME}-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(f"[sdx.domains]\n{NAME} = {NAME}:HeatedTank\n")
    return folder


class NoteReading(Reading):
    """A reading of the domain's own kind."""

    text: str


class TankPicture(Picture):
    domain: str = NAME
    temp_c: float
    heater_pct: float
    note: str = ""
    right: str = "REMOTE"
    alarms: tuple[Alarm, ...] = ()


class TankScore(Closed):
    case: str
    temp_c: float
    heat_kwh: float


class TankPerceiver:
    def __init__(self) -> None:
        self._temp_c: float | None = None
        self._heater_pct, self._note, self._right = 0.0, "", "REMOTE"

    def take(self, readings: Sequence[Reading], now_s: float) -> TankPicture:
        for reading in readings:
            if isinstance(reading, SensorReading) and reading.value is not None:
                self._temp_c = reading.value
            elif isinstance(reading, ActuatorReading) and reading.position_pct is not None:
                self._heater_pct, self._right = reading.position_pct, reading.right
            elif isinstance(reading, NoteReading):
                self._note = reading.text
        if self._temp_c is None:
            raise ValueError("no temperature yet")
        return TankPicture(t_s=now_s, temp_c=self._temp_c, heater_pct=self._heater_pct, note=self._note, right=self._right)


class TankController:
    """Proportional to what is missing; without an order it keeps 20 degrees."""

    def __init__(self) -> None:
        self._alarms: tuple[Alarm, ...] = ()
        self._count = 0

    def act(self, picture: TankPicture, order: Order | None, now_s: float) -> Sequence[ActuatorCommand]:
        if picture.right != "REMOTE":
            return ()
        held = order is not None and not order.expired(now_s)
        wanted_c = order.setpoints["temp_c"] if order is not None and held else 20.0
        position = 20.0 * (wanted_c - picture.temp_c)
        hot = picture.temp_c > HOTTEST_C
        self._alarms = (Alarm(kind="hot", severity="critical", since_s=now_s, detail=f"tank at {picture.temp_c:.1f} C"),) if hot else ()
        return self._told(0.0 if hot else position, now_s, "controller", order.id if order is not None and held else "")

    def stopped(self, picture: TankPicture | None, now_s: float) -> Sequence[ActuatorCommand]:
        return self._told(0.0, now_s, "safety", "")

    def alarms(self) -> Sequence[Alarm]:
        return self._alarms

    def edits(self) -> Mapping[str, int]:
        return {"commands": self._count}

    def _told(self, position_pct: float, now_s: float, issuer: str, order_id: str) -> list[ActuatorCommand]:
        self._count += 1
        told = {"position_pct": min(max(position_pct, 0.0), 100.0)}
        times = {"issued_s": now_s, "expires_s": now_s + 600.0}
        command = {"id": f"{issuer}-{self._count}", "device": "heater", "op": "set_position", "issuer": issuer, "order_id": order_id}
        return [ActuatorCommand.model_validate({**command, **times, "value": told})]


class Tank:
    """Water of 1 m3 with a heater of 50 kW: a simulated house."""

    def __init__(self, scenario: str, seed: int) -> None:
        if scenario not in SCENARIOS:
            raise KeyError(f"no scenario {scenario!r}; known: {', '.join(SCENARIOS)}")
        self.temp_c, self.position_pct, self.t_s, self.heat_kwh = SCENARIOS[scenario] + 0.1 * seed, 0.0, 0.0, 0.0
        self.told: list[ActuatorCommand] = []
        self._told_note = False

    @property
    def done(self) -> bool:
        return self.t_s >= 2 * 86_400.0

    def devices(self) -> Sequence[Device]:
        return [Device(name="heater", kind="valve"), Device(name="water", kind="sensor", quantity="water_temp_c")]

    def read(self) -> Sequence[Reading]:
        note = [] if self._told_note else [NoteReading(t_s=self.t_s, source="tank", text="filled")]
        self._told_note = True
        sensor = SensorReading(t_s=self.t_s, source="tank", sensor="water", quantity="water_temp_c", value=self.temp_c)
        return [*note, sensor, ActuatorReading(t_s=self.t_s, source="tank", device="heater", position_pct=self.position_pct)]

    def send(self, command: ActuatorCommand) -> CommandResult:
        self.told.append(command)
        self.position_pct = command.value["position_pct"]
        return CommandResult(command_id=command.id, fate="confirmed")

    def close(self) -> None: ...

    def step(self, dt_s: float) -> None:
        kw = 50.0 * self.position_pct / 100.0
        self.temp_c += dt_s * (kw / 4186.0 - (self.temp_c - OUTSIDE_C) / 80_000.0)
        self.heat_kwh += kw * dt_s / 3600.0
        self.t_s += dt_s


class TankPlant:
    """Equipment and the controller as one plant."""

    def __init__(self, equipment: Equipment, now_s: float) -> None:
        self.equipment: Any = equipment
        self._t_s = now_s
        self.controller, self._perceiver = TankController(), TankPerceiver()
        self._order: Order | None = None
        self._read: list[Reading] = []

    @property
    def t_s(self) -> float:
        return float(getattr(self.equipment, "t_s", self._t_s))

    @property
    def done(self) -> bool:
        return bool(getattr(self.equipment, "done", False))

    def readings(self) -> Sequence[Reading]:
        read, self._read = [*self._read, *self.equipment.read()], []
        return read

    def apply(self, order: Order) -> None:
        self._order = order

    def step(self, dt_s: float) -> None:
        new = list(self.equipment.read())
        self._read += new
        picture = self._perceiver.take(new, self.t_s)
        for command in self.controller.act(picture, self._order, self.t_s):
            self.equipment.send(command)
        self._t_s += dt_s
        if hasattr(self.equipment, "step"):
            self.equipment.step(dt_s)


class HeatedTank:
    """contract.Benched and equipment.Equipped."""

    name = NAME
    pace = Pace(step_s=60.0, tick_s=300.0, decide_every_s=3600.0, decide_at_most_every_s=900.0, decision_delay_s=60.0)

    def perceiver(self) -> TankPerceiver:
        return TankPerceiver()

    def options(self, picture: TankPicture) -> Sequence[Option]:
        return [Option(id=name, label=f"hold {c} C", setpoints={"temp_c": c}) for name, c in {"A": 30.0, "B": 50.0, "C": 90.0}.items()]

    def recall(self, picture: TankPicture) -> Sequence[Passage]:
        return []

    def looks_for(self, picture: TankPicture, language: Language) -> str:
        return ""

    def messages(
        self, picture: TankPicture, options: Sequence[Option], passages: Sequence[Passage], language: Language
    ) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"{picture.temp_c:.1f} C; {[option.id for option in options]}"}]

    def answer_schema(self, picture: TankPicture, options: Sequence[Option]) -> dict[str, Any]:
        return {"type": "object", "properties": {"option": {"enum": [option.id for option in options]}}, "required": ["option"]}

    def read_answer(self, text: str, picture: TankPicture, options: Sequence[Option]) -> Proposal:
        return Proposal(option_id=json.loads(text)["option"])

    def assure(self, picture: TankPicture, options: Sequence[Option], proposal: Proposal) -> Verdict:
        chosen = next((option for option in options if option.id == proposal.option_id), None)
        if chosen is None or chosen.setpoints["temp_c"] > HOTTEST_C:
            return Verdict(kind="reject", picture_id=picture.id, reasons=("nothing chosen, or too hot",))
        return Verdict(kind="accept", picture_id=picture.id, order=self._order(picture, chosen.setpoints["temp_c"], "model", chosen.label))

    def check(self, picture: TankPicture, order: Order) -> Verdict:
        fits = order.setpoints["temp_c"] <= HOTTEST_C
        return Verdict(kind="accept" if fits else "reject", picture_id=picture.id, reasons=() if fits else ("too hot",))

    def planned(self, picture: TankPicture, options: Sequence[Option]) -> Proposal:
        return Proposal(option_id="B", source="fallback", reason="50 C is wanted")

    def fallback(self, picture: TankPicture, options: Sequence[Option] | None) -> Verdict:
        return Verdict(kind="fallback", picture_id=picture.id, order=self._order(picture, 25.0, "fallback", "keep 25 C"))

    def describe(self, picture: TankPicture, language: Language) -> str:
        return f"{'물' if language == 'ko' else 'The water has'} {picture.temp_c:.1f} C."

    def advise(self, picture: TankPicture, option: Option, language: Language) -> str:
        return option.label

    def wished(self, picture: TankPicture, wish: Mapping[str, float]) -> Mapping[str, float]:
        if wish.keys() != {"temp_c"} or not 0.0 <= wish["temp_c"] <= HOTTEST_C:
            raise ValueError(f"temp_c 0 to {HOTTEST_C:g} may be set by hand, got {dict(wish)}")
        return wish

    def answered(self, picture: TankPicture, text: str, language: Language) -> str | None:
        return f"{picture.temp_c:.0f} C" if "warm" in text else None

    def bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"temp_c": (20.0, HOTTEST_C)}

    def outcome(self, then: TankPicture, later: Sequence[TankPicture]) -> dict[str, float]:
        return {"warmest_c": max(picture.temp_c for picture in later)}

    def told(self, picture: TankPicture, text: str, language: Language, whole: bool) -> str:
        return text

    def doubts(self, picture: TankPicture, text: str) -> list[str]:
        return []

    def question(self, picture: TankPicture, text: str, language: Language) -> list[dict[str, str]]:
        return [{"role": "user", "content": text}]

    def load_picture(self, payload: Mapping[str, Any]) -> TankPicture:
        return TankPicture.model_validate(payload)

    def load_options(self, payload: Sequence[Mapping[str, Any]]) -> Sequence[Option]:
        return [Option.model_validate(item) for item in payload]

    def plant(self, scenario: str, seed: int) -> TankPlant:
        return TankPlant(self.house(scenario, seed), 0.0)

    def controller(self) -> TankController:
        return TankController()

    def plants(self) -> Mapping[str, Sequence[str]]:
        return {"tank": tuple(SCENARIOS)}

    def reading_types(self) -> Sequence[type[Reading]]:
        return (NoteReading,)

    def house(self, scenario: str, seed: int) -> Tank:
        return Tank(scenario, seed)

    def controlled(self, equipment: Equipment, now_s: float) -> TankPlant:
        return TankPlant(equipment, now_s)

    def suite(self, name: str, seed: int, count: int | None = None, folder: Path | None = None) -> Sequence[str]:
        if name != "both":
            raise KeyError(f"no suite {name!r}; known: both")
        return tuple(SCENARIOS)[: count or 2]

    def case(self, scenario: str, seed: int) -> str:
        self.house(scenario, seed)
        return scenario

    def measures(self) -> Mapping[str, Callable[[Measuring], dict[str, Any]]]:
        return {"losses": losses}

    def fitted(self, case: str) -> "HeatedTank":
        return self

    def plant_of(self, case: str, seed: int) -> TankPlant:
        return self.plant(case, seed)

    def score(self, case: str, plant: TankPlant) -> TankScore:
        return TankScore(case=case, temp_c=round(plant.equipment.temp_c, 2), heat_kwh=round(plant.equipment.heat_kwh, 1))

    def load_score(self, payload: Mapping[str, Any]) -> TankScore:
        return TankScore.model_validate(payload)

    def draw(self, plant: TankPlant, path: Path, title: str) -> Path:
        path.write_text(f"{title}: {plant.equipment.temp_c:.1f} C")
        return path

    def summarise(self, scores: Sequence[TankScore]) -> dict[str, Any]:
        return {"mean_temp_c": sum(score.temp_c for score in scores) / len(scores)}

    def _order(self, picture: TankPicture, temp_c: float, source: Any, label: str) -> Order:
        return Order(
            domain=NAME, setpoints={"temp_c": temp_c}, issued_s=picture.t_s, valid_for_s=7200.0, source=source,
            picture_id=picture.id, label=label,
        )  # fmt: skip


def losses(asked: Measuring) -> dict[str, Any]:
    """How fast an unheated tank cools."""
    tank = Tank("warm", asked.seed)
    steps = asked.count or 60
    for _ in range(steps):
        tank.step(60.0)
    asked.say(f"{steps} minutes")
    return {"fell_k": round(SCENARIOS["warm"] + 0.1 * asked.seed - tank.temp_c, 3)}
