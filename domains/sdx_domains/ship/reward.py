"""The simulation as a judge of decisions, for reinforcement (`method: grpo`) and as a metric.

    python -m sdx_domains.ship.reward 500 540000000 > rows.jsonl     # decisions that can be judged; then `sdx data import`

Each row carries its picture, so that any answer can be rolled out and assured again, as the guard would.
"""

import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from sdx_domains.ship.assurance import assure
from sdx_domains.ship.examples import TRAINING_SEED, moments, situation
from sdx_domains.ship.options import all_options, shown_options
from sdx_domains.ship.picture import ShipOption, ShipPicture
from sdx_domains.ship.prompting import answer_schema, read_answer

UNREADABLE, REFUSED, ACCEPTED = -0.5, 0.0, 1.0
LOSS_WEIGHT_PER_MIN = 0.05
MOST_LOSS = 0.5
"""An accepted manoeuvre that loses ten minutes against the cheapest offered one is worth half of it."""


def rows(count: int, seed: int = TRAINING_SEED) -> Iterator[dict[str, Any]]:
    """Yield `count` decisions with the planner's answer and, in meta, the picture. ValueError for a seed of the suites."""
    for picture, options, languages, _, meta in islice(moments(seed), count):
        facts = {**meta, "task": "decide", "language": languages[0]}
        asked = situation(picture, options, languages[0], facts)
        answer = {"role": "assistant", "content": asked.answer}
        yield {"messages": [*asked.messages, answer], "meta": {**facts, "picture": picture.model_dump_json()}}


def reward(row: Any, answer: str) -> float:
    """What an answer is worth, -0.5..1: unreadable -0.5, refused by rules or simulation 0, accepted 1 less the time it loses.

    `row` has `.meta` as rows() makes it. KeyError when the picture is missing.
    """
    if "picture" not in row.meta:
        raise KeyError("the row's meta has no picture: rows to be judged come from `python -m sdx_domains.ship.reward`")
    picture, options = _judged(row.meta["picture"])
    try:
        proposal = read_answer(answer, picture, options)
    except ValueError:
        return UNREADABLE
    if assure(picture, options, proposal).kind != "accept":
        return REFUSED
    chosen = next(option for option in options if option.id == proposal.option_id)
    lost_min = (chosen.cost - min(option.cost for option in options)) / 60.0
    return ACCEPTED - min(MOST_LOSS, LOSS_WEIGHT_PER_MIN * max(0.0, lost_min))


def grade(row: Any, answer: str) -> dict[str, bool | float]:
    """Metrics of an answer, for `sdx finetune evaluate --scorer`: is it accepted, and what is it worth."""
    worth = reward(row, answer)
    return {"accepted": worth > REFUSED, "reward": worth}


def schema_of(row: Any) -> dict[str, Any]:
    """The JSON schema that the row's answer is held to."""
    return answer_schema(*_judged(row.meta["picture"]))


@lru_cache(maxsize=64)
def _judged(picture_json: str) -> tuple[ShipPicture, tuple[ShipOption, ...]]:
    """The picture and the options of its prompt; kept, because a group of answers is judged on one."""
    picture = ShipPicture.model_validate_json(picture_json)
    return picture, shown_options(picture, all_options(picture))


if __name__ == "__main__":
    for made in rows(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(made, ensure_ascii=False))
