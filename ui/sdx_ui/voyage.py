"""One run as a stream of rows: a scenario sailed to its end in simulated time, or a recording looked at.

Rows are plain dictionaries with "t_s" and "kind"; the command line prints them or writes them as JSON lines.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from math import cos, radians, sin
from pathlib import Path
from typing import Any

from sdx_agents.episode import Decider, Episode, Step, agent_decider, planner_decider
from sdx_domains.contract import Fault, Language, Reading, load_domain
from sdx_domains.ship.geometry import KN_MS, LocalPlane
from sdx_domains.ship.perceive import NotEnoughData
from sdx_domains.ship.picture import OwnReading, ShipPicture

LOOK_EVERY_S = 10.0
"""Recorded seconds between two pictures."""
DECIDE_EVERY_S = 60.0
"""Recorded seconds between two proposals, unless the situation changed."""

Row = dict[str, Any]


@contextmanager
def decider(model: str, language: str, name: str = "ship") -> Iterator[Decider]:
    """Who decides in the named domain: the planner for "none", else an agent whose engine ends with the block."""
    domain = load_domain(name)
    if model == "none":
        yield planner_decider(domain)
        return
    from sdx_agents.graph import Agent
    from sdx_serving.connect import open_chat

    with open_chat(model) as chat:
        yield agent_decider(Agent(domain, chat), language)


def known_scenario(name: str, seed: int) -> Any:
    """The scenario; KeyError names the known ones. Asked before a model is started for it."""
    from sdx_domains.ship.scenarios import scenario

    return scenario(name, seed)


def through_scenario(name: str, seed: int, decide: Decider, guarded: bool, plot: Path | None = None) -> Iterator[Row]:
    """Each decision and each new order, then the score; `plot`: file for a drawing of the tracks."""
    case = known_scenario(name, seed)
    domain = load_domain("ship").fitted(case)
    plant = domain.plant_of(case, seed)
    episode = Episode(domain, plant, decide, guarded=guarded)
    for step in episode.run():
        yield row_of(step)
    if plot is not None:
        domain.draw(plant, plot, case.name)
    yield {"t_s": plant.t_s, "kind": "score", **domain.score(case, plant).model_dump(mode="json"), "verdicts": dict(episode.verdicts)}


def row_of(step: Step) -> Row:
    """A decision or a new order as a row."""
    row: Row = {"t_s": round(step.t_s, 1), "kind": step.kind, "mode": step.mode}
    if step.verdict is not None:
        row |= {"verdict": step.verdict.kind, "reasons": list(step.verdict.reasons), "margins": dict(step.verdict.margins)}
    if step.order is not None:
        row |= {"order": step.order.label or dict(step.order.setpoints), "source": step.order.source}
    if step.proposal is not None:
        row |= {"option": step.proposal.option_id, "reason": step.proposal.reason, "latency_s": round(step.latency_s, 3)}
    return row


def over_recording(path: Path, decide: Decider, language: Language, own: OwnReading | None = None) -> Iterator[Row]:
    """What was seen, and what would have been proposed. Nothing is carried out.

    Raises:
        ValueError: the file holds no own-ship position and none was given.
    """
    domain: Any = load_domain("ship")
    perceiver = domain.perceiver()
    decided_s, salience, seen = float("-inf"), "", False
    for now_s, readings, faults in batches(path, LOOK_EVERY_S):
        for what, alike in groupby(sorted(faults, key=lambda fault: fault.kind), key=lambda fault: fault.kind):
            details = [fault.detail for fault in alike]
            yield {"t_s": round(now_s, 1), "kind": "fault", "what": what, "count": len(details), "detail": details[0]}
        mine = [sailed_on(own, now_s)] if own is not None else []
        try:
            picture = perceiver.take([*mine, *readings], now_s)
        except NotEnoughData:
            continue
        seen = True
        if now_s - decided_s < DECIDE_EVERY_S and picture.salience == salience:
            continue
        decided_s, salience = now_s, picture.salience
        yield look(domain, picture, decide, language)
    if not seen:
        raise ValueError(f"{path} holds no own-ship position and heading: say where own ship was with --own LAT,LON,HEADING,SPEED")


def sailed_on(own: OwnReading, now_s: float) -> OwnReading:
    """Own ship at now_s, having kept course and speed since second 0."""
    assert own.lat_deg is not None and own.lon_deg is not None and own.cog_deg is not None and own.sog_kn is not None
    plane, run_m = LocalPlane(own.lat_deg, own.lon_deg), own.sog_kn * KN_MS * now_s
    lat_deg, lon_deg = plane.to_geo(run_m * cos(radians(own.cog_deg)), run_m * sin(radians(own.cog_deg)))
    return own.model_copy(update={"t_s": now_s, "lat_deg": float(lat_deg), "lon_deg": float(lon_deg)})


def look(domain: Any, picture: ShipPicture, decide: Decider, language: Language) -> Row:
    """Description, proposal and verdict for one picture."""
    decided = decide(picture)
    verdict = decided.failed or domain.assure(picture, decided.options, decided.proposal)
    chosen = next((option for option in decided.options if option.id == decided.proposal.option_id), None)
    return {
        "t_s": round(picture.t_s, 1),
        "kind": "situation",
        "description": domain.describe(picture, language),
        "advice": domain.advise(picture, chosen, language) if chosen else "",
        "option": decided.proposal.option_id,
        "label": chosen.label if chosen else "",
        "reason": decided.proposal.reason,
        "verdict": verdict.kind,
        "reasons": list(verdict.reasons),
        "latency_s": round(decided.latency_s, 3),
    }


def batches(path: Path, every_s: float) -> Iterator[tuple[float, list[Reading], list[Fault]]]:
    """A recording in slices of `every_s`: (end of the slice, readings, faults)."""
    if path.is_dir() or path.suffix.lower() == ".csv":
        from sdx_domains.ship.inputs.tango_csv import read_tango_csv

        yield from _sliced(read_tango_csv(path), every_s)
        return
    from sdx_domains.ship.inputs.nmea import NmeaDecoder

    decoder = NmeaDecoder()
    readings: list[Reading] = []
    reported = 0
    now_s = 0.0
    with path.open(encoding="ascii", errors="replace") as lines:
        for number, line in enumerate(lines):
            # A file without receive times: lines are taken to come ten a second.
            readings += decoder.feed(line, number / 10.0)
            now_s = max([now_s, number / 10.0])
            if readings and now_s % every_s < 0.05:
                yield now_s, readings, decoder.faults[reported:]
                readings, reported = [], len(decoder.faults)
    yield now_s, readings, decoder.faults[reported:]


def _sliced(readings: Iterable[Reading], every_s: float) -> Iterator[tuple[float, list[Reading], list[Fault]]]:
    waiting: list[Reading] = []
    ends_s: float | None = None
    for reading in sorted(readings, key=lambda item: item.t_s):
        ends_s = reading.t_s + every_s if ends_s is None else ends_s
        if reading.t_s > ends_s:
            yield waiting[-1].t_s, waiting, []
            waiting, ends_s = [], reading.t_s + every_s
        waiting.append(reading)
    if waiting:
        yield waiting[-1].t_s, waiting, []


def parse_own(text: str | None) -> OwnReading | None:
    """ "LAT,LON,HEADING,SPEED" in degrees and knots. ValueError says what is wrong."""
    if text is None:
        return None
    try:
        lat, lon, heading, speed = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--own wants LAT,LON,HEADING,SPEED, e.g. 55.0,12.9,10,12; got {text!r}") from error
    return OwnReading(t_s=0.0, source="operator", lat_deg=lat, lon_deg=lon, heading_deg=heading, cog_deg=heading, sog_kn=speed)
