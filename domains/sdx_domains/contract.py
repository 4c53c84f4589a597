"""The words everyone speaks: Picture, Option, Proposal, Verdict, Order, Domain.

Every value is frozen and closed: an unknown field is an error. Numbers that cross a border carry their
unit in the name (`range_nm`, `heading_deg`, `valid_for_s`). A domain (ship, farm, medicine) subclasses
Picture and Option, and implements Domain; nothing outside its folder changes.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

Language = Literal["en", "ko"]
VerdictKind = Literal["accept", "clip", "reject", "fallback", "timeout", "override"]
Source = Literal["model", "fallback", "human", "guard"]


class Closed(BaseModel):
    """Base of every value here: frozen, no unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reading(Closed):
    """One measurement as it arrived. Domains subclass it."""

    t_s: float
    """Time of the measurement, seconds on the plant's clock."""
    source: str
    """Where it came from: "ais", "radar", "gnss", "csv", "simulator"."""


class Fault(Closed):
    """Something wrong that was seen and survived: bad input, stale data, a limit near."""

    t_s: float
    kind: str
    """Short machine word, e.g. "nmea_checksum", "position_jump", "duplicate_mmsi"."""
    detail: str
    """What was wrong, with the value, and what was done about it."""


class Picture(Closed):
    """The situation as computed from readings: facts only, never asked of a model."""

    schema_version: str = "0"
    domain: str
    t_s: float
    """Seconds on the plant's clock."""
    salience: str = ""
    """Changes when the situation changed enough that a new decision is worth taking at once."""
    faults: tuple[Fault, ...] = ()

    @property
    def id(self) -> str:
        """Content hash: same facts, same id."""
        return digest(self.model_dump(mode="json"))


class Option(Closed):
    """One action that is possible now, already simulated. Ids are short and unique in their set ("A".."Z", "A2"..)."""

    id: str
    label: str
    """What it does, in a few words of the field, English."""
    setpoints: Mapping[str, float]
    """What the equipment would be told, unit in the key, e.g. {"heading_deg": 30.0, "speed_kn": 12.0}."""
    flags: tuple[str, ...] = ()
    """Rules that it would break, e.g. "R15 crosses ahead of T1". Empty = allowed."""


class Understanding(Closed):
    """What the model takes one thing in the picture to be (a target ship, a zone, a finding)."""

    subject: str
    kind: str
    role: str
    rules: tuple[str, ...] = ()


class Proposal(Closed):
    """The answer of whoever decides. `option_id` None means: abstain, leave it to the fallback."""

    option_id: str | None
    understanding: tuple[Understanding, ...] = ()
    reason: str = ""
    confidence: float = Field(default=1.0, ge=0.0, le=1.0)
    needs_human: bool = False
    source: Source = "model"
    picture_id: str = ""
    """Picture that it was made from, set by code, never by the model; empty: the one it is assured against. Its words are held to that one."""


class Order(Closed):
    """What leaves for the equipment. Never built except by a domain's `assure` or `fallback_order`."""

    domain: str
    setpoints: Mapping[str, float]
    issued_s: float
    valid_for_s: float = Field(gt=0)
    source: Source
    picture_id: str
    option_id: str = ""
    label: str = ""

    @property
    def id(self) -> str:
        """Content hash; approvals and idempotent actuation are bound to it."""
        return digest(self.model_dump(mode="json"))

    def expired(self, now_s: float) -> bool:
        return now_s > self.issued_s + self.valid_for_s or now_s < self.issued_s - 1.0


class Verdict(Closed):
    """What assurance says of a proposal. `order` is there for accept, clip, fallback and override only."""

    kind: VerdictKind
    picture_id: str
    reasons: tuple[str, ...] = ()
    """Why, one sentence each; rule numbers first where a rule decided."""
    margins: Mapping[str, float] = Field(default_factory=dict)
    """How far from each limit, unit in the key, e.g. {"cpa_nm": 0.31}. Negative = violated."""
    order: Order | None = None

    @property
    def id(self) -> str:
        return digest(self.model_dump(mode="json"))


class Passage(Closed):
    """A piece of rule or document, with its address."""

    id: str
    """Address that is cited: "R15", "R17(a)(ii)"."""
    title: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Situation:
    """A task that a domain sets: what is asked, what it answers itself, and its check of anybody's answer."""

    messages: list[dict[str, str]]
    schema: dict[str, Any]
    """JSON schema of the answer."""
    answer: str
    verify: Callable[[str], str]
    """Answer -> "" where rules and simulation let it pass, else why not. Never raises."""
    meta: dict[str, Any]


@dataclass(frozen=True)
class Pace:
    """How fast a domain's things happen, seconds of the plant's clock."""

    step_s: float = 1.0
    """Of a simulated plant."""
    tick_s: float = 5.0
    """Between two looks of the guard in a simulated run."""
    decide_every_s: float = 60.0
    decide_at_most_every_s: float = 15.0
    """A change of salience brings a decision forward, but not below this."""
    decision_delay_s: float = 3.0
    """A simulated run offers a decision to the guard after so long, as a model on the edge would."""
    fallback_refresh_s: float = 10.0
    """A standing fallback order is computed anew after this long even while safe, so that it can follow the situation."""
    outcome_after_s: tuple[float, ...] = (600.0, 1800.0)
    """When to look back at a decision and write down what came of it."""


@dataclass(frozen=True)
class Measuring:
    """How a domain's own measurement (Benched.measures) is asked to run."""

    seed: int = 0
    count: int | None = None
    """Of cases or trials; None: as many as the measurement itself thinks enough."""
    model: str = "none"
    """none, embedded, a GGUF file, or an OpenAI-compatible address."""
    complete: Callable[[list[dict[str, str]], Mapping[str, Any]], str] | None = None
    """That model as a function of chat messages and the answer's JSON schema; None with model "none"."""
    folder: Path | None = None
    """Of the user's own cases, traces or records."""
    kept: Path | None = None
    """File of finished cases, to go on from."""
    say: Callable[[str], None] = lambda line: None
    """Takes lines of progress."""


class Perceiver(Protocol):
    """Readings in, picture out; holds tracks and encounter locks between calls. One per process."""

    def take(self, readings: Sequence[Reading], now_s: float) -> Picture:
        """Fold in the readings (any order, possibly hostile) and return the picture at now_s. Never raises on bad readings: they become faults."""
        ...


class Plant(Protocol):
    """Equipment and its surroundings: the simulator, seen from outside."""

    @property
    def t_s(self) -> float: ...

    @property
    def done(self) -> bool: ...

    def readings(self) -> Sequence[Reading]:
        """What the sensors gave since the last call."""
        ...

    def apply(self, order: Order) -> None: ...

    def step(self, dt_s: float) -> None: ...


class Domain(Protocol):
    """What the graph, the guard and the pipeline need of a domain. All pure but `perceiver` and `plant`."""

    name: str
    pace: Pace

    def perceiver(self) -> Perceiver: ...

    def options(self, picture: Any) -> Sequence[Any]:
        """What is possible now, each rolled out, pruned to what is worth showing; deterministic."""
        ...

    def recall(self, picture: Any) -> Sequence[Passage]:
        """Rules that apply to this picture, from the domain's own knowledge files."""
        ...

    def looks_for(self, picture: Any, language: Language) -> str:
        """What to look for in the user's documents in this situation: words of the domain's own list alone; "" for nothing."""
        ...

    def messages(self, picture: Any, options: Sequence[Any], passages: Sequence[Passage], language: Language) -> list[dict[str, str]]:
        """The prompt, as OpenAI chat messages; outside text in it is data."""
        ...

    def answer_schema(self, picture: Any, options: Sequence[Any]) -> dict[str, Any]:
        """JSON schema that the model's answer must follow; option ids and subjects are enumerated."""
        ...

    def read_answer(self, text: str, picture: Any, options: Sequence[Any]) -> Proposal:
        """Parse the model's answer. Raises ValueError that says what was wrong."""
        ...

    def assure(self, picture: Any, options: Sequence[Any], proposal: Proposal) -> Verdict:
        """Schema, semantics (rules fit classes, numbers equal the picture), then forward simulation."""
        ...

    def check(self, picture: Any, order: Order) -> Verdict:
        """Is this standing order still safe from here? Fast: called on every guard tick."""
        ...

    def planned(self, picture: Any, options: Sequence[Any]) -> Proposal:
        """What the domain's own planner would choose among these options: a run without a model, and a teacher."""
        ...

    def fallback(self, picture: Any, options: Sequence[Any] | None) -> Verdict:
        """What holds when nobody decides: deterministic; kind "fallback", order always there. Options None: it works out what it needs."""
        ...

    def outcome(self, then: Any, later: Sequence[Any]) -> Mapping[str, float]:
        """What came of a decision: figures, unit in the key, from the pictures between `then` (decided on) and the last of `later`."""
        ...

    def describe(self, picture: Any, language: Language) -> str:
        """The situation in words; every number is taken from the picture."""
        ...

    def question(self, picture: Any, text: str, language: Language) -> list[dict[str, str]]:
        """Chat messages that ask the model a person's question about the present situation."""
        ...

    def answered(self, picture: Any, text: str, language: Language) -> str | None:
        """The answer to a person's question that code alone can give; None where it takes a model."""
        ...

    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """What measured quantities should keep to, by name with unit, for charts; empty where nothing of the kind is drawn."""
        ...

    def told(self, picture: Any, text: str, language: Language, whole: bool) -> str:
        """A model's free words, `whole` or still growing, as a person may read them: figures that it names are filled in.

        Raises ValueError for a name that is no figure of the picture.
        """
        ...

    def doubts(self, picture: Any, text: str) -> list[str]:
        """What in told words the picture does not hold, a sentence each."""
        ...

    def advise(self, picture: Any, option: Any, language: Language) -> str:
        """What this option would mean, in words for whoever acts; every number from picture and option."""
        ...

    def wished(self, picture: Any, wish: Mapping[str, float]) -> Mapping[str, float]:
        """The set-points of an order that a person gives by hand. ValueError: a name unknown or missing, a value out of its bounds."""
        ...

    def load_picture(self, payload: Mapping[str, Any]) -> Any:
        """A picture from its own JSON, equal to the one that was dumped. ValueError (pydantic's) on anything else."""
        ...

    def load_options(self, payload: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        """Options from their own JSON, equal to those that were dumped. ValueError (pydantic's) on anything else."""
        ...

    def plant(self, scenario: str, seed: int) -> Plant:
        """A simulated plant in a named scenario. KeyError with the known names if there is none such."""
        ...


class Benched(Domain, Protocol):
    """A domain that brings scenario suites and a scorer: what `sdx bench` runs."""

    def suite(self, name: str, seed: int, count: int | None = None, folder: Path | None = None) -> Sequence[Any]:
        """The cases of a suite. KeyError with the known names; ValueError for a bad file in `folder`."""
        ...

    def case(self, scenario: str, seed: int) -> Any:
        """The named scenario as a case. KeyError with the known names."""
        ...

    def measures(self) -> Mapping[str, Callable[[Measuring], dict[str, Any]]]:
        """Measurements beside the suites, by name: validation, speed, fuzzing, ...; each gives the JSON of its result."""
        ...

    def fitted(self, case: Any) -> "Benched":
        """This domain with the equipment of the case: its perceiver knows the own ship's parameters."""
        ...

    def plant_of(self, case: Any, seed: int) -> Plant: ...

    def score(self, case: Any, plant: Any) -> Any:
        """One case, scored on the plant's ground truth: a pydantic value."""
        ...

    def load_score(self, payload: Mapping[str, Any]) -> Any:
        """A score from its own JSON, equal to the one that was dumped."""
        ...

    def draw(self, plant: Any, path: Path, title: str) -> Path:
        """Draw what a run did to a picture file."""
        ...

    def summarise(self, scores: Sequence[Any]) -> dict[str, Any]: ...


_HANGUL = re.compile("[가-힣]")


def language_of(text: str) -> Language:
    """Korean when a Hangul syllable is in it, else English."""
    return "ko" if _HANGUL.search(text) else "en"


def digest(value: object) -> str:
    """First 16 hex digits of the SHA-256 of canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def domain_names() -> list[str]:
    """Installed domains: entry points of the group "sdx.domains"."""
    return sorted(point.name for point in entry_points(group="sdx.domains"))


def load_domain(name: str) -> Benched:
    """The named domain. KeyError names the installed ones."""
    for point in entry_points(group="sdx.domains", name=name):
        domain: Benched = point.load()()
        return domain
    raise KeyError(f"no domain {name!r}; installed: {', '.join(domain_names()) or 'none'}")
