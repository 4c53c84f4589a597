"""`sdx up`: which processes a domain's plant, guard, agent and page are, what they are told, when the whole counts as healthy.

The ship has nodes of its own; every domain that steers devices shares the equipment nodes. Start at run_up().
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from sdx_domains.contract import load_domain
from sdx_serving.connect import embedded_model_path
from sdx_serving.engine import Serving
from sdx_serving.engines.llama_cpp import LlamaCpp
from sdx_ui import machine
from sdx_ui.supervisor import READY_S, Crew, Ending, Part, watch

COLOURS = {"engine": 35, "plant": 36, "guard": 33, "agent": 32, "page": 34, "sdx": 1}
GIVE_UP = 5
"""A part that ended so often before the whole was ready will not come up."""
SILENT_S = 5.0
"""A node whose heartbeat the page has missed for so long is taken to hang."""


@dataclass(frozen=True)
class Sailing:
    """One domain of a run: its plant and its page."""

    domain: str
    scenario: str
    speed: float
    port: int
    many: bool = False
    """Other domains run beside it: its parts carry its name."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def part(self, role: str) -> str:
        return f"{self.domain}-{role}" if self.many else role


@dataclass(frozen=True)
class UpOptions:
    """What `sdx up` was asked for; see its --help."""

    sailings: tuple[Sailing, ...]
    model: str
    approval: str
    seconds: float | None
    seed: int
    runs: Path


def sailings(domains: Sequence[str], scenarios: Sequence[str], speeds: Sequence[str], port: int) -> tuple[Sailing, ...]:
    """One for each domain, with ports from `port` on.

    Args:
        scenarios, speeds: "VALUE" of the first domain, or "DOMAIN=VALUE".

    Raises:
        KeyError: no such domain or scenario; names the known ones. ValueError: a speed that is none, or of no domain here.
    """
    told = {"--scenario": _told(domains, scenarios, "--scenario"), "--speed": _told(domains, speeds, "--speed")}
    found: list[Sailing] = []
    for place, name in enumerate(domains):
        domain: Any = load_domain(name)
        equipped = hasattr(domain, "plants")
        scenario = told["--scenario"].get(name) or (next(iter(domain.plants().values()))[0] if equipped else SHIP_SCENARIO)
        for each in scenario.split(","):
            domain.case(each.strip(), 0)  # KeyError names the known ones
        speed, most = told["--speed"].get(name), MOST_SPEED if equipped else MOST_SHIP_SPEED
        times = float(speed) if speed else HOUSE_SPEED if equipped else 1.0
        if not 0.1 <= times <= most:
            raise ValueError(f"--speed {times:g} of {name}: 0.1 to {most:g} simulated seconds per second")
        found.append(Sailing(name, scenario, times, port + place, len(domains) > 1))
    return tuple(found)


def _told(domains: Sequence[str], values: Sequence[str], option: str) -> dict[str, str]:
    """["imazu-05", "farm=winter-nl-0"] by domain."""
    pairs = [value.split("=", 1) if "=" in value else [domains[0], value] for value in values]
    if stray := [name for name, _ in pairs if name not in domains]:
        raise ValueError(f"{option} {stray[0]}=...: this run has {', '.join(domains)}")
    return dict(pairs)


def run_up(options: UpOptions) -> int:
    """Run until Ctrl-C or the end of --for. 0 when it ended healthy, 1 when it did not or could not start.

    Raises:
        EngineError: no such model.
    """
    checks = [*(machine.port(sailing.port) for sailing in options.sailings), machine.disk(options.runs, machine.RUN_GB)]
    missing = [check for check in checks if not check.ok]
    for check in missing:
        print(f"error: {check.line()}", file=sys.stderr)
    if missing:
        return 1
    folder = options.runs / datetime.now().strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    ending = Ending()
    started = time.monotonic()
    with engine(options, folder) as (address, own):
        crew = Crew([part for sailing in options.sailings for part in parts(sailing, options, folder, address)], folder, say)
        if own is not None:
            crew.follow("engine", own)
        try:
            return sail(crew, options, ending, started)
        finally:
            crew.stop()
            say("sdx", f"every process has ended; logs and audit are in {folder}")


def sail(crew: Crew, options: UpOptions, ending: Ending, started: float) -> int:
    """Start, wait until every plant moves, report until the end."""
    crew.start()
    for sailing in options.sailings:
        fault = until_moving(crew, sailing.url, ending)
        if ending.wished.is_set():
            return 0
        if fault:
            say("sdx", f"not ready: {sailing.domain}: {fault}")
            return 1
        what = f"the {sailing.domain} moves, the page is at {sailing.url}"
        say("sdx", f"ready in {time.monotonic() - started:.1f} s: {what}  (Ctrl-C ends all)")
    watch(crew, ending.wished, time.monotonic() + options.seconds if options.seconds else None)
    if options.seconds and not ending.wished.is_set():
        for sailing in options.sailings:
            if fault := faults(sailing.url):
                say("sdx", f"not healthy at the end: {sailing.domain}: {fault}")
                return 1
    return 0


@contextmanager
def engine(options: UpOptions, folder: Path) -> Iterator[tuple[str, LlamaCpp | None]]:
    """The address of the model engine, and the engine if it is started here; "" for none."""
    if options.model == "none":
        yield "", None
    elif options.model.startswith(("http://", "https://")):
        yield options.model, None
    else:
        path = embedded_model_path() if options.model == "embedded" else Path(options.model).expanduser()
        with LlamaCpp(Serving(str(path)), log=folder / "engine.log") as running:
            say("engine", f"{running.serving.path.name} at {running.base_url}")
            yield running.base_url, running


def parts(sailing: Sailing, options: UpOptions, folder: Path, engine_url: str) -> list[Part]:
    """The processes of a domain, each with its question of health. A node counts as hung when the page misses its heartbeat."""
    pulse = Pulse(sailing.url)
    audit = folder.resolve() / "audit" / (sailing.domain if sailing.many else "")
    told = values_of(sailing, options, audit, engine_url)

    def node(role: str, module: str) -> Part:
        parameters = [word for key, value in told[role].items() for word in ("-p", f"{key}:={value}")]
        clock = ["-r", f"/clock:=/{sailing.domain}/clock"] if sailing.many else []  # two plants, two times
        command = [sys.executable, "-m", f"sdx_ros_nodes.{module}", "--ros-args", *clock, *parameters]
        return Part(sailing.part(role), command, healthy=lambda: pulse.beats(role), hang_s=HANG_S[sailing.domain == "ship"])

    page = [sys.executable, "-m", "sdx_ui.page.app", "--domain", sailing.domain, "--port", str(sailing.port)]
    page += ["--engine", engine_url] if engine_url else []
    return [
        *(node(role, module) for role, module in (SHIP_NODES if sailing.domain == "ship" else HOUSE_NODES).items()),
        Part(sailing.part("page"), page, healthy=lambda: answers(f"{sailing.url}/api/state")),
    ]


def values_of(sailing: Sailing, options: UpOptions, audit: Path, engine_url: str) -> dict[str, dict[str, Any]]:
    """Parameters of the nodes, by role."""
    domain = {} if sailing.domain == "ship" else {"domain": sailing.domain}
    values: dict[str, dict[str, Any]] = {
        "plant": {**domain, "scenario": sailing.scenario, "seed": options.seed, "rate": float(sailing.speed)},
        "guard": {**domain, "approval": options.approval, "audit": audit},
        "agent": {**domain, "engine": engine_url or "none", "audit": audit},
    }
    if domain:  # a simulated house runs faster than life, and a plan takes longer than a course
        values["guard"]["tick_hz"] = 10.0
        values["agent"]["deadline_s"] = 30.0
    return values


SHIP_NODES = {"plant": "ship_plant_node", "guard": "ship_guard_node", "agent": "ship_agent_node"}
HOUSE_NODES = {"plant": "equipment_plant_node", "guard": "equipment_guard_node", "agent": "agent_node"}
"""Of every other domain."""
HANG_S = {True: 5.0, False: 60.0}
"""A part may be silent for so long, a ship's and another domain's: that one may compile its twin when it first looks."""
SHIP_SCENARIO = "imazu-05"
HOUSE_SPEED, MOST_SPEED, MOST_SHIP_SPEED = 60.0, 3600.0, 20.0
"""Simulated seconds per second."""


class Wish(Protocol):
    """Whether somebody wants it to end."""

    @property
    def wished(self) -> threading.Event: ...


class Pulse:
    """Heartbeats as the page heard them, asked for at most twice a second. With the page away, nobody counts as hung."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._asked = float("-inf")
        self._ages: dict[str, float | None] = {}

    def beats(self, name: str) -> bool:
        now = time.monotonic()
        if now - self._asked > 0.5:
            self._asked = now
            found = health(self._url)
            self._ages = {part: value["age_s"] for part, value in found["parts"].items()} if found else {}
        age = self._ages.get(name)
        return age is None or age < SILENT_S


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def health(url: str) -> dict[str, Any] | None:
    """The page's /api/health; None when it does not answer."""
    try:
        return httpx.get(f"{url}/api/health", timeout=2.0, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return None


def faults(url: str) -> str:
    """What is wrong, in words; "" when all is well."""
    found = health(url)
    if found is None:
        return "the page does not answer"
    if found["ok"]:
        return ""
    silent = [name for name, part in found["parts"].items() if not part["ok"]]
    return f"silent: {', '.join(silent)}" if silent else "no fresh picture of the situation"


def plant_time(url: str) -> float | None:
    """Of the picture that the page shows."""
    try:
        picture = httpx.get(f"{url}/api/state", timeout=2.0, trust_env=False).json()["picture"]
    except (httpx.HTTPError, ValueError, KeyError):
        return None
    return picture["t_s"] if picture else None


def until_moving(crew: Crew, url: str, ending: Wish) -> str:
    """Wait until all parts are alive and the plant was seen at two times; "" then, else what is wrong."""
    ends = time.monotonic() + READY_S
    first: float | None = None
    fault = "interrupted"
    while not ending.wished.is_set():
        crew.report()
        if crew.failures:
            return "; ".join(f"{name}: {reason}" for name, reason in crew.failures.items())
        dying = [name for name, count in crew.restarts.items() if count >= GIVE_UP]
        if dying:
            return f"{', '.join(dying)} ends again and again; see the lines above, and {crew.folder}"
        now = plant_time(url)
        fault = faults(url) or ("the plant stands still" if now == first else "")
        if first is not None and not fault:
            return ""
        if time.monotonic() > ends:
            return f"{fault} after {READY_S:.0f} s"
        first = now if first is None else first
        ending.wished.wait(0.5)
    return fault


def say(part: str, line: str) -> None:
    """One line, the part's name in front, coloured on a terminal."""
    name = f"{part:>6}"
    colour = COLOURS.get(part.rpartition("-")[2], 0)
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        name = f"\x1b[{colour}m{name}\x1b[0m"
        line = line[: max(20, shutil.get_terminal_size().columns * 3)]
    print(f"{name} | {line}", flush=True)
