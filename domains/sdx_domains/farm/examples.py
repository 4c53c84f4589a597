"""Training rows: moments of simulated seasons, each with the answer that the planner, the twin and the picture give.

    python -m sdx_domains.farm.examples 20 1000000        # twenty rows to look at

Seasons are grown under the planner's plans, now and then under another allowed one or under the rules alone, with and without
failures, so that the rows hold the states in which a decision is asked for later. A season's number is its seed, from TRAINING_SEED on:
its weather is drawn apart from that of the scenarios (held out and tuning), whose seeds are refused.
"""

import argparse
import json
import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import count as counting
from itertools import islice
from typing import Any

from sdx_domains.contract import Language, Proposal, Situation
from sdx_domains.farm import prompting, what_if
from sdx_domains.farm.assurance import assure
from sdx_domains.farm.branch import branch
from sdx_domains.farm.language import reason_form
from sdx_domains.farm.picture import FarmOption, FarmPicture
from sdx_domains.farm.planner import CLOSE_EUR_M2, best, worth_eur_m2
from sdx_domains.farm.questions import ask
from sdx_domains.farm.situation import situation_of, understanding_of
from sdx_domains.farm.world.scenarios import FarmScenario, book, scenario

TRAINING_SEED = 1_000_000
WEATHER_SEED = 10_000_000
"""Added to a season's seed; scenarios.yaml keeps its own below."""
DAYS, DECIDE_EVERY_S, TICK_S = 4, 5 * 3600.0, 300.0
"""Five hours, not six: decisions fall on every hour of the day."""
SETTLED_S = 6 * 3600.0
"""The first decision of a season: before, the estimate of the house has not settled."""
FAILURE_SHARE, OTHER_SHARE, RULES_SHARE = 0.3, 0.15, 0.15
QUESTIONS, WHAT_IF_SHARE = 4, 0.25
"""Rows of questions per moment, and in which share of the moments one more is a "what if"."""
Moment = tuple[FarmPicture, tuple[FarmOption, ...], random.Random, dict[str, Any]]
"""Picture, plans, the season's dice, what tells it from others."""


def rows(count: int, seed: int = TRAINING_SEED) -> Iterator[dict[str, Any]]:
    """Yield `count` rows {"messages", "meta"}. Raises ValueError for a seed that scenarios may use."""
    yield from islice((row for moment in moments(seed) for row in rows_of(moment)), count)


def situations(count: int, seed: int = TRAINING_SEED) -> Iterator[Situation]:
    """Yield `count` decisions to be made, for any teacher to answer: judged by words, limits and simulation, as in a house.

    Raises ValueError for a seed that scenarios may use.
    """
    for picture, options, rng, meta in islice(moments(seed), count):
        language: Language = rng.choice(("en", "ko"))
        yield situation(picture, options, language, {**meta, "task": "decide", "language": language})


def moments(seed: int) -> Iterator[Moment]:
    """Yield, without end, moments of seasons from `seed` on in which a plan is to be chosen."""
    if seed < TRAINING_SEED:
        raise ValueError(f"seed {seed} belongs to the scenarios; take one from {TRAINING_SEED} on")
    for season_seed in counting(seed):
        rng = random.Random(season_seed)
        case = case_of(season_seed)
        for index, (picture, options) in enumerate(season(case, season_seed, rng)):
            yield picture, options, rng, {"seed": season_seed, "index": index, "case": case.name}


def situation(picture: FarmPicture, options: tuple[FarmOption, ...], language: Language, meta: dict[str, Any]) -> Situation:
    """The decision that a picture asks for, with the planner's answer and assurance as its check."""

    def verify(answer: str) -> str:
        try:
            verdict = assure(picture, options, prompting.read_answer(answer, picture, options))
        except ValueError as error:
            return str(error)
        return "" if verdict.kind == "accept" else "; ".join(verdict.reasons) or verdict.kind

    chat = prompting.messages(picture, options, (), language)
    text = prompting.write_answer(teacher_proposal(picture, options, language))
    return Situation(chat, prompting.answer_schema(picture, options), text, verify, meta)


def teacher_proposal(picture: FarmPicture, options: tuple[FarmOption, ...], language: Language) -> Proposal:
    """The answer to learn: the planner's plan, the computed situation, a reason that names the figures."""
    chosen = best(options)
    worths = sorted((worth_eur_m2(option.outcome) for option in options if not option.flags), reverse=True)
    doubtful = bool(chosen.flags) or "alarm" in situation_of(picture).risks
    close = len(worths) > 1 and worths[0] - worths[1] < CLOSE_EUR_M2
    return Proposal(
        option_id=chosen.id,
        understanding=understanding_of(picture),
        reason=reason_form(picture, chosen, options, language),
        confidence=0.4 if doubtful else 0.7 if close else 0.9,  # close: a second plan is as good
        needs_human=doubtful,
    )


def season(case: FarmScenario, seed: int, rng: random.Random) -> Iterator[tuple[FarmPicture, tuple[FarmOption, ...]]]:
    """Grow a season; yield picture and plans at each decision, then carry one of the plans out."""
    greenhouse = branch()
    plant, perceiver = greenhouse.plant_of(case, seed), greenhouse.perceiver()
    decide_s = SETTLED_S + 3600.0 * rng.randrange(6)
    while not plant.done:
        picture = perceiver.take(plant.readings(), plant.t_s)
        if plant.t_s >= decide_s and isinstance(picture, FarmPicture):
            decide_s += DECIDE_EVERY_S
            options = tuple(greenhouse.options(picture))
            if len(options) > 1:
                yield picture, options
                _carry_out(plant, picture, options, rng)
        plant.step(TICK_S)


def _carry_out(plant: Any, picture: FarmPicture, options: tuple[FarmOption, ...], rng: random.Random) -> None:
    """The best plan, now and then another one that is allowed, or none: then the rules hold."""
    if rng.random() < RULES_SHARE:
        return
    allowed = [option for option in options if not option.flags]
    chosen = rng.choice(allowed) if allowed and rng.random() < OTHER_SHARE else best(options)
    verdict = assure(picture, options, Proposal(option_id=chosen.id, source="fallback", picture_id=picture.id))
    if verdict.order is not None:
        plant.apply(verdict.order)


def case_of(seed: int) -> FarmScenario:
    """A few days of any season at any site: the number drawn for prices, the weather's seed the season's own."""
    rng = random.Random(f"case {seed}")
    name = f"{rng.choice(list(book()['seasons']))}-{rng.choice(list(book()['sites']))}-{rng.randrange(100)}"
    failure = f"+{rng.choice(list(book()['failures']))}" if rng.random() < FAILURE_SHARE else ""
    found = scenario(f"tuning-{name}{failure}@{DAYS}")
    return found.model_copy(
        update={
            "name": f"training-{name}{failure}-{seed}",
            "twin": "",
            "weather_seed": WEATHER_SEED + seed,
            "first_day": found.first_day + timedelta(days=rng.randrange(75)),
            "days_planted": rng.uniform(30.0, 160.0),
        }
    )


def rows_of(moment: Moment) -> Iterator[dict[str, Any]]:
    """The decision in both languages, and questions about the same moment: one search serves them all."""
    picture, options, rng, meta = moment
    languages: tuple[Language, ...] = ("en", "ko")
    for language in languages:
        asked = situation(picture, options, language, {**meta, "task": "decide", "language": language})
        yield {"messages": [*asked.messages, {"role": "assistant", "content": asked.answer}], "meta": asked.meta}
    for _ in range(QUESTIONS):
        language = rng.choice(languages)
        question, text, topic = ask(picture, language, rng)
        yield _question_row(picture, question, text, language, {**meta, "task": "question", "topic": topic, "language": language})
    if rng.random() < WHAT_IF_SHARE:
        language = rng.choice(languages)
        question = what_if.asked(language, rng)
        found = what_if.simulate(picture, question, language, options)
        if found is not None:
            kind = {**meta, "task": "question", "topic": "what_if", "language": language}
            yield _question_row(picture, question, what_if.form(found, language), language, kind)


def _question_row(picture: FarmPicture, question: str, text: str, language: Language, meta: dict[str, Any]) -> dict[str, Any]:
    chat = prompting.question_messages(picture, question, language)
    return {"messages": [*chat, {"role": "assistant", "content": text}], "meta": meta}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="rows to print")
    parser.add_argument("seed", type=int, nargs="?", default=TRAINING_SEED)
    args = parser.parse_args(argv)
    try:
        for row in rows(args.count, args.seed):
            print(json.dumps(row, ensure_ascii=False))
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
