"""Training rows: situations from simulated voyages, each with the answer that the planner and the picture give.

    python -m sdx_domains.ship.examples 20 1000000        # twenty rows to look at

Voyages are sailed by the deterministic planner, now and then by another allowed option, so that the rows hold
the states in which a decision is asked for later. Seeds from TRAINING_SEED on; scenario suites use smaller ones.
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator
from itertools import count as counting
from itertools import islice
from pathlib import Path
from typing import Any

from sdx_domains.contract import Language, Proposal, Situation, Understanding
from sdx_domains.ship import prompting
from sdx_domains.ship.assurance import assure, fallback
from sdx_domains.ship.geometry import wrap180
from sdx_domains.ship.language import reason_form
from sdx_domains.ship.options import all_options, shown_options
from sdx_domains.ship.perceive import ShipPerceiver
from sdx_domains.ship.picture import ShipOption, ShipPicture
from sdx_domains.ship.planner import best
from sdx_domains.ship.questions import ask
from sdx_domains.ship.recall import passages
from sdx_domains.ship.scenarios import Scenario, scenario, suite
from sdx_domains.ship.simulator.world import ShipWorld

TRAINING_SEED = 1_000_000
KINDS = {"random": 0.64, "restricted": 0.12, "rogue": 0.12, "degraded": 0.12}
QUIET_SHARE = 0.1
"""Of pictures without any risk only this share becomes a row: they are easy and many."""
STANDING_SHARE = 0.2
"""Likewise of pictures in which the answer is to stand on: turns and returns are few and matter more."""
LATE_SHARE, LATE_S = 0.6, 1200.0
"""This share of voyages carries out no decision until some time up to LATE_S: so most rows ask for a manoeuvre, some of them urgently."""
ACTING_SHARE = 0.6
"""And of those that ask for a turn or a change of speed: more voyages make better rows than more rows of one voyage."""
QUESTION_SHARE = 0.5
BOTH_SHARE = 0.25
"""Of decisions, this share is given in both languages."""
OTHER_OPTION_SHARE = 0.12
DECIDE_EVERY_S = 150.0
TICK_S = 10.0
SAME_BEARING_DEG, SAME_RANGE_NM, SAME_COURSE_DEG, SAME_SPEED_KN = 3.0, 0.3, 3.0, 0.5
"""A voyage is left out when every target starts this close to a benchmark case's."""


def rows(count: int, seed: int = TRAINING_SEED, exclude: str = "") -> Iterator[dict[str, Any]]:
    """Yield `count` rows {"messages", "meta"}. `exclude`: folder of DNV situation files whose geometry is left out too.

    Raises ValueError for a seed that scenario suites may use.
    """
    if seed < TRAINING_SEED:
        raise ValueError(f"seed {seed} belongs to the evaluation suites; take one from {TRAINING_SEED} on")
    barred = [*suite("imazu"), *(suite("dnv", folder=Path(exclude)) if exclude else [])]
    yield from islice((row for voyage_seed in counting(seed) for row in _voyage_rows(voyage_seed, barred)), count)


def situations(count: int, seed: int = TRAINING_SEED) -> Iterator[Situation]:
    """Yield `count` decisions to be made, for any teacher to answer: judged by the rules and by simulation, as at sea.

    Raises ValueError for a seed that scenario suites may use.
    """
    for picture, options, languages, _, meta in islice(moments(seed), count):
        yield situation(picture, options, languages[0], {**meta, "task": "decide", "language": languages[0]})


def moments(seed: int) -> "Iterator[Moment]":
    """Yield, without end, pictures of voyages from `seed` on in which something is to be decided.

    Raises ValueError for a seed that scenario suites may use.
    """
    if seed < TRAINING_SEED:
        raise ValueError(f"seed {seed} belongs to the evaluation suites; take one from {TRAINING_SEED} on")
    barred = suite("imazu")
    for voyage_seed in counting(seed):
        yield from _asked(voyage_seed, barred)


def situation(picture: ShipPicture, options: tuple[ShipOption, ...], language: Language, meta: dict[str, Any]) -> Situation:
    """The decision that a picture asks for, with the planner's answer and assurance as its check."""

    def verify(answer: str) -> str:
        try:
            verdict = assure(picture, options, prompting.read_answer(answer, picture, options))
        except ValueError as error:
            return str(error)
        return "" if verdict.kind == "accept" else "; ".join(verdict.reasons) or verdict.kind

    chat = prompting.messages(picture, options, passages(picture), language)
    text = prompting.write_answer(picture, teacher_proposal(picture, options, language))
    return Situation(chat, prompting.answer_schema(picture, options), text, verify, meta)


Moment = tuple[ShipPicture, tuple[ShipOption, ...], list[Language], random.Random, dict[str, Any]]
"""Picture, options, both languages in a drawn order, the voyage's dice, what tells it from others."""


def _voyage_rows(seed: int, barred: list[Scenario]) -> Iterator[dict[str, Any]]:
    for picture, options, languages, rng, meta in _asked(seed, barred):
        for language in languages[: 1 + (rng.random() < BOTH_SHARE)]:
            asked = situation(picture, options, language, {**meta, "task": "decide", "language": language})
            yield {"messages": [*asked.messages, {"role": "assistant", "content": asked.answer}], "meta": asked.meta}
        if rng.random() < QUESTION_SHARE:
            yield _question_row(picture, languages[0], rng, meta)


def _asked(seed: int, barred: list[Scenario]) -> Iterator[Moment]:
    """Pictures of one voyage that become rows, with their options, both languages in a drawn order, and the dice."""
    rng = random.Random(seed)
    case = _case(seed, rng)
    if any(same_geometry(case, other) for other in barred):
        return
    for index, (picture, options) in enumerate(voyage(case, seed, rng)):
        if rng.random() > _share(picture, options):
            continue
        languages: list[Language] = ["en", "ko"]
        rng.shuffle(languages)
        yield picture, options, languages, rng, {"seed": seed, "index": index, "case": case.name}


def _case(seed: int, rng: random.Random) -> Scenario:
    kind = rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
    return scenario(f"{kind}-{seed}", seed)


def _question_row(picture: ShipPicture, language: Language, rng: random.Random, meta: dict[str, Any]) -> dict[str, Any]:
    question, text, topic = ask(picture, language, rng)
    chat = prompting.question_messages(picture, question, language)
    row_meta = {**meta, "task": "question", "topic": topic, "language": language}
    return {"messages": [*chat, {"role": "assistant", "content": text}], "meta": row_meta}


def _share(picture: ShipPicture, options: tuple[ShipOption, ...]) -> float:
    """How many of such pictures become rows."""
    if all(target.encounter == "none" for target in picture.targets):
        return QUIET_SHARE
    return STANDING_SHARE if best(picture, options).kind in ("keep", "hold") else ACTING_SHARE


def voyage(case: Scenario, seed: int, rng: random.Random) -> Iterator[tuple[ShipPicture, tuple[ShipOption, ...]]]:
    """Sail a scenario; yield picture and shown options at each decision."""
    world, perceiver = ShipWorld(case, seed), ShipPerceiver()
    late_s = rng.uniform(0.0, LATE_S) if rng.random() < LATE_SHARE else 0.0
    decided_s, salience = -DECIDE_EVERY_S, ""
    while not world.done:
        picture = perceiver.take(world.readings(), world.t_s)
        changed = picture.salience != salience and world.t_s - decided_s >= 15.0
        if changed or world.t_s - decided_s >= DECIDE_EVERY_S * rng.uniform(0.7, 1.3):
            decided_s, salience = world.t_s, picture.salience
            options = shown_options(picture, all_options(picture))
            yield picture, options
            if world.t_s >= late_s:
                _sail(world, picture, options, rng)
        for _ in range(round(TICK_S)):
            world.step(1.0)


def _sail(world: ShipWorld, picture: ShipPicture, options: tuple[ShipOption, ...], rng: random.Random) -> None:
    order = fallback(picture, options).order
    allowed = [option for option in options if not option.flags and option.attainable_cpa_nm >= picture.cpa_limit_nm]
    if allowed and order is not None and rng.random() < OTHER_OPTION_SHARE:
        other = rng.choice(allowed)
        order = order.model_copy(update={"setpoints": other.setpoints, "option_id": other.id})
    if order is not None:
        world.apply(order)


def teacher_proposal(picture: ShipPicture, options: tuple[ShipOption, ...], language: Language) -> Proposal:
    """The answer to learn: the planner's option, the computed classes and rules, a reason that names the picture's figures."""
    order = fallback(picture, options).order
    chosen = next((option for option in options if order is not None and option.id == order.option_id), None)
    if chosen is None:
        raise ValueError(f"the fallback chose {order.option_id if order else None!r}, which is not among {[o.id for o in options]}")
    short = chosen.attainable_cpa_nm < picture.cpa_limit_nm and any(target.stage > 0 for target in picture.targets)
    doubtful = bool(chosen.flags) or short
    close = bool(picture.targets) and chosen.attainable_cpa_nm < picture.cpa_limit_nm + 0.2
    understanding = tuple(
        Understanding(subject=target.label, kind=target.encounter, role=target.role, rules=target.rules)
        for target in prompting.shown_targets(picture)
    )
    return Proposal(
        option_id=chosen.id,
        understanding=understanding,
        reason=reason_form(picture, chosen, language),
        confidence=0.4 if doubtful else 0.7 if close else 0.9,
        needs_human=doubtful,
    )


def same_geometry(case: Scenario, other: Scenario) -> bool:
    """Do the two start alike: as many targets, each near one of the other's in bearing, range, course and speed?"""
    mine, theirs = _starts(case), _starts(other)
    return len(mine) == len(theirs) and all(any(_near(a, b) for b in theirs) for a in mine)


def _starts(case: Scenario) -> list[tuple[float, float, float, float]]:
    """Per target: relative bearing (deg), range (NM), course relative to own (deg), speed (kn)."""
    picture = ShipPerceiver().take(ShipWorld(case.model_copy(update={"sensing": type(case.sensing)()}), 0).readings(), 0.0)
    return [(t.rel_bearing_deg, t.range_nm, wrap180(t.cog_deg - picture.own.heading_deg), t.sog_kn) for t in picture.targets]


def _near(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return (
        abs(wrap180(a[0] - b[0])) < SAME_BEARING_DEG
        and abs(a[1] - b[1]) < SAME_RANGE_NM
        and abs(wrap180(a[2] - b[2])) < SAME_COURSE_DEG
        and abs(a[3] - b[3]) < SAME_SPEED_KN
    )


def alike(seeds: Iterable[int], folder: Path) -> list[str]:
    """Training voyages of these seeds that start like a case of the Imazu suite or like a DNV situation in `folder`."""
    barred = [*suite("imazu"), *suite("dnv", folder=folder)]
    found = []
    for seed in seeds:
        case = _case(seed, random.Random(seed))
        found += [f"{case.name} is like {other.name}" for other in barred if same_geometry(case, other)]
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="rows to print, or voyages to check with --alike")
    parser.add_argument("seed", type=int, nargs="?", default=TRAINING_SEED)
    parser.add_argument("--alike", type=Path, metavar="FOLDER", help="instead, name voyages that start like a situation of FOLDER")
    args = parser.parse_args(argv)
    if args.alike is not None:
        found = alike(range(args.seed, args.seed + args.count), args.alike)
        print("\n".join(found) or f"none of {args.count} voyages is like an Imazu case or a situation of the folder")
        return 1 if found else 0
    for row in rows(args.count, args.seed):
        print(json.dumps(row, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
