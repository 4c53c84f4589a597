"""`sdx up` for the ship: which processes there are, what they are told, when the whole counts as healthy."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from sdx_domains.ship.scenarios import scenario
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
class UpOptions:
    """What `sdx up` was asked for; see its --help."""

    scenario: str
    model: str
    port: int
    approval: str
    seconds: float | None
    seed: int
    speed: float
    runs: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def run_up(options: UpOptions) -> int:
    """Run until Ctrl-C or the end of --for. 0 when it ended healthy, 1 when it did not or could not start.

    Raises:
        KeyError: no such scenario. EngineError: no such model.
    """
    missing = [check for check in (machine.port(options.port), machine.disk(options.runs, machine.RUN_GB)) if not check.ok]
    for check in missing:
        print(f"error: {check.line()}", file=sys.stderr)
    if missing:
        return 1
    for name in options.scenario.split(","):
        scenario(name.strip(), options.seed)  # KeyError names the known ones
    folder = options.runs / datetime.now().strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    ending = Ending()
    started = time.monotonic()
    with engine(options, folder) as (address, own):
        crew = Crew(parts(options, folder, address), folder, say)
        if own is not None:
            crew.follow("engine", own)
        try:
            return sail(crew, options, ending, started)
        finally:
            crew.stop()
            say("sdx", f"every process has ended; logs and audit are in {folder}")


def sail(crew: Crew, options: UpOptions, ending: Ending, started: float) -> int:
    """Start, wait until the ship moves, report until the end."""
    crew.start()
    fault = until_moving(crew, options.url, ending)
    if ending.wished.is_set():
        return 0
    if fault:
        say("sdx", f"not ready: {fault}")
        return 1
    say("sdx", f"ready in {time.monotonic() - started:.1f} s: the ship moves, the page is at {options.url}  (Ctrl-C ends all)")
    watch(crew, ending.wished, time.monotonic() + options.seconds if options.seconds else None)
    if options.seconds and not ending.wished.is_set() and (fault := faults(options.url)):
        say("sdx", f"not healthy at the end: {fault}")
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


def parts(options: UpOptions, folder: Path, engine_url: str) -> list[Part]:
    """The processes, each with its question of health. A node counts as hung when the page misses its heartbeat."""
    pulse = Pulse(options.url)

    def node(name: str, **values: Any) -> Part:
        parameters = [word for key, value in values.items() for word in ("-p", f"{key}:={value}")]
        command = [sys.executable, "-m", f"sdx_ros_nodes.ship_{name}_node", "--ros-args", *parameters]
        return Part(name, command, healthy=lambda: pulse.beats(name), hang_s=5.0)

    page = [sys.executable, "-m", "sdx_ui.page.app", "--port", str(options.port), *(["--engine", engine_url] if engine_url else [])]
    audit = folder.resolve() / "audit"
    return [
        node("plant", scenario=options.scenario, seed=options.seed, rate=float(options.speed)),
        node("guard", approval=options.approval, audit=audit),
        node("agent", engine=engine_url or "none", audit=audit),
        Part("page", page, healthy=lambda: answers(f"{options.url}/api/state")),
    ]


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


def place(url: str) -> tuple[float, float] | None:
    """Own ship's position as the page shows it."""
    try:
        picture = httpx.get(f"{url}/api/state", timeout=2.0, trust_env=False).json()["picture"]
    except (httpx.HTTPError, ValueError, KeyError):
        return None
    return (picture["own"]["lat_deg"], picture["own"]["lon_deg"]) if picture else None


def until_moving(crew: Crew, url: str, ending: Wish) -> str:
    """Wait until all parts are alive and own ship was seen at two places; "" then, else what is wrong."""
    ends = time.monotonic() + READY_S
    first: tuple[float, float] | None = None
    fault = "interrupted"
    while not ending.wished.is_set():
        crew.report()
        if crew.failures:
            return "; ".join(f"{name}: {reason}" for name, reason in crew.failures.items())
        dying = [name for name, count in crew.restarts.items() if count >= GIVE_UP]
        if dying:
            return f"{', '.join(dying)} ends again and again; see the lines above, and {crew.folder}"
        now = place(url)
        fault = faults(url) or ("the ship does not move" if now == first else "")
        if first is not None and not fault:
            return ""
        if time.monotonic() > ends:
            return f"{fault} after {READY_S:.0f} s"
        first = first or now
        ending.wished.wait(0.5)
    return fault


def say(part: str, line: str) -> None:
    """One line, the part's name in front, coloured on a terminal."""
    name = f"{part:>6}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        name = f"\x1b[{COLOURS.get(part, 0)}m{name}\x1b[0m"
        line = line[: max(20, shutil.get_terminal_size().columns * 3)]
    print(f"{name} | {line}", flush=True)
