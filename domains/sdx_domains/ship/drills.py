"""Short rows cut from a row's own prompt: look a figure up, copy it, pick the cheapest option.

A small model learns to look things up in a long prompt late, and everything in an answer depends on it. These rows have
few lines and much to copy, so that the skill comes early; they are also questions that people ask.
"""

import random
import re
from typing import Any

from sdx_domains.contract import digest
from sdx_domains.ship.questions import wording

_TARGET = re.compile(
    r"^(?P<t>T\d+) .*rel (?P<rel>\d+) (?P<side>\w+) rng (?P<range>[\d.]+) crs (?P<course>\d+) spd (?P<speed>[\d.]+)"
    r" cpa (?P<cpa>[\d.]+) tcpa (?P<tcpa>-?[\d.]+)"
)
_OPTION = re.compile(r"^(?P<id>[A-Z]) (?P<action>.+) loss (?P<loss>[\d.]+) cpa (?P<cpa>[\d.]+|-) (?P<judged>.+)$")
MOST_LINES = 2


def derive(row: dict[str, Any]) -> list[dict[str, Any]]:
    """One short row from a row of examples.py, or none where its prompt holds too little; the same one every time."""
    lines = row["messages"][1]["content"].split("\n")
    rng = random.Random(digest(lines))
    language = row["meta"]["language"]
    made = [_repeat_row(lines, language, rng), _targets_row(lines, language, rng), _choice_row(lines, language, rng)]
    able = [messages for messages in made if messages]
    return [{"messages": rng.choice(able), "meta": {**row["meta"], "task": "drill"}}] if able else []


def _targets_row(lines: list[str], language: str, rng: random.Random) -> list[dict[str, str]]:
    shown = [line for line in lines if _TARGET.match(line)]
    if not shown:
        return []
    shown = sorted(rng.sample(shown, rng.randint(1, min(MOST_LINES, len(shown)))))
    matches = [match for line in shown if (match := _TARGET.match(line))]
    topic = rng.choice(("report", "list"))
    asked = [rng.choice(matches)] if topic == "report" else matches
    question = rng.choice(wording()[topic][language]).format(t=asked[0]["t"])
    words = wording()["words"]
    told = [wording()["answers"]["report"][language].format(**m.groupdict() | {"side": words[m["side"]][language]}) for m in asked]
    return _chat(shown, question, " ".join(told))


def _repeat_row(lines: list[str], language: str, rng: random.Random) -> list[dict[str, str]]:
    shown = [line for line in lines if _TARGET.match(line)]
    if not shown:
        return []
    shown = sorted(rng.sample(shown, rng.randint(1, min(MOST_LINES, len(shown)))))
    asked = rng.choice(shown)
    return _chat(shown, rng.choice(wording()["repeat"][language]).format(t=asked.split()[0]), asked)


def _choice_row(lines: list[str], language: str, rng: random.Random) -> list[dict[str, str]]:
    shown = [line for line in lines if _OPTION.match(line)]
    if len(shown) < 2:
        return []
    shown = sorted(rng.sample(shown, rng.randint(2, min(2 * MOST_LINES, len(shown)))))
    matches = [match for line in shown if (match := _OPTION.match(line))]
    least = min(matches, key=lambda match: float(match["loss"]))
    question = rng.choice(wording()["choose"][language])
    return _chat(shown, question, wording()["answers"]["choose"][language].format(**least.groupdict()))


def _chat(lines: list[str], question: str, answer: str) -> list[dict[str, str]]:
    """Without the instructions: the shorter the prompt, the sooner looking up is learnt."""
    return [
        {"role": "user", "content": "\n".join([*lines, f"question: {question}"])},
        {"role": "assistant", "content": answer},
    ]
