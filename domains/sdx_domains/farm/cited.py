"""How many of the numbers that texts cite equal the picture, per language, and how many made-up ones are noticed.

    python -m sdx_domains.farm.cited 40        # moments of simulated seasons; JSON

Texts: descriptions, advice, reasons and answers as people get them, read back by faithful.py, which knows nothing of how they were made.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sdx_domains.contract import Language
from sdx_domains.farm.examples import QUESTIONS, Moment, moments
from sdx_domains.farm.faithful import numbers_in, unsupported_numbers
from sdx_domains.farm.figures import fill, known
from sdx_domains.farm.language import advise, describe, reason
from sdx_domains.farm.picture import FarmOption, FarmPicture
from sdx_domains.farm.planner import best
from sdx_domains.farm.questions import ask

SEED = 2_000_000
"""Seasons of examples.py that no recipe trains on."""
LANGUAGES: tuple[Language, ...] = ("en", "ko")
MOVED = (0.7, 60.0)
"""By so much a number is moved to see whether that is noticed; never onto another figure's value."""
_DIGITS = re.compile(r"(?<![\dO:])\d+(?:\.\d+)?(?![:\d])")


def cited(count: int, seed: int = SEED) -> dict[str, Any]:
    """Per language: texts, numbers that they cite, the share that the picture holds, the share of moved numbers that was noticed."""
    found = {language: {"texts": 0, "numbers": 0, "wrong": 0, "moved": 0, "noticed": 0} for language in LANGUAGES}
    for moment in islice(moments(seed), count):
        picture, option, rng = moment[0], best(moment[1]), moment[2]
        for language in LANGUAGES:
            tally = found[language]
            for text in _texts(moment, option, language):
                tally["texts"] += 1
                tally["numbers"] += numbers_in(text)
                tally["wrong"] += len(unsupported_numbers(text, picture, [option]))
                if moved := moved_number(text, picture, option, rng):
                    tally["moved"] += 1
                    tally["noticed"] += bool(unsupported_numbers(moved, picture, [option]))
    return {language: tally | _shares(tally) for language, tally in found.items()}


def moved_number(text: str, picture: FarmPicture, option: FarmOption, rng: random.Random) -> str:
    """The text with one of its numbers moved to a value that no figure has; "" where it has none to move."""
    places = [match for match in _DIGITS.finditer(text) if match.group() != "24"]
    if not places:
        return ""
    place = rng.choice(places)
    facts = [figure.value for figure in known(picture, option).values()]
    values = (float(place.group()) + rng.uniform(*MOVED) for _ in range(1000))
    value = next((value for value in values if all(abs(value - fact) > MOVED[0] for fact in facts)), None)
    decimals = len(place.group().partition(".")[2])
    return "" if value is None else text[: place.start()] + f"{value:.{decimals}f}" + text[place.end() :]


def _texts(moment: Moment, option: FarmOption, language: Language) -> Iterator[str]:
    picture, options, rng, _ = moment
    yield describe(picture, language)
    yield advise(picture, option, language)
    yield reason(picture, option, options, language)
    for _ in range(QUESTIONS):
        yield fill(ask(picture, language, rng)[1], picture, language=language)


def _shares(tally: dict[str, int]) -> dict[str, float]:
    right = (tally["numbers"] - tally["wrong"]) / max(tally["numbers"], 1)
    return {"cited_right": round(right, 4), "moved_noticed": round(tally["noticed"] / max(tally["moved"], 1), 4)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("moments", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=SEED)
    args = parser.parse_args(argv)
    print(json.dumps(cited(args.moments, args.seed), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
