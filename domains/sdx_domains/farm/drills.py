"""Short rows cut from a row's own prompt: read a figure by its name, pick the plan of least loss.

A small model learns to look things up in a long prompt late, and everything in an answer depends on it. These rows have few lines, so that
the skill comes early; they are also questions that people ask.
"""

import random
import re
from typing import Any

from sdx_domains.contract import digest
from sdx_domains.farm.questions import book

_FACT = re.compile(r"(?:^| )(?P<name>[a-z_]\w*) (?P<value>[-+]?\d[\d.:]*)(?= |$)")
_OPTION = re.compile(r"^(?P<id>[A-Z]\d?) (?P<strategy>\S+) loss (?P<loss>\d+) .*(?:ok|breaks)$")
MOST_LINES = 4


def derive(row: dict[str, Any]) -> list[dict[str, Any]]:
    """One short row from a row of examples.py, or none where its prompt holds too little; the same one every time."""
    lines = row["messages"][1]["content"].split("\n")
    rng = random.Random(digest(lines))
    language = row["meta"]["language"]
    able = [messages for messages in (_read_row(lines, language, rng), _choice_row(lines, language, rng)) if messages]
    return [{"messages": rng.choice(able), "meta": {**row["meta"], "task": "drill"}}] if able else []


def _read_row(lines: list[str], language: str, rng: random.Random) -> list[dict[str, str]]:
    shown = [line for line in lines if _FACT.match(line)]
    if not shown:
        return []
    line = rng.choice(shown)
    fact = rng.choice(list(_FACT.finditer(line)))
    words = book()["drills"]
    question = rng.choice(words["read"][language]).format(name=fact["name"])
    return _chat([line], question, words["told"][language].format(**fact.groupdict()))


def _choice_row(lines: list[str], language: str, rng: random.Random) -> list[dict[str, str]]:
    shown = [line for line in lines if _OPTION.match(line)]
    if len(shown) < 2:
        return []
    shown = sorted(rng.sample(shown, rng.randint(2, min(MOST_LINES, len(shown)))))
    matches = [match for line in shown if (match := _OPTION.match(line))]
    least = min(matches, key=lambda match: int(match["loss"]))
    words = book()["drills"]
    return _chat(shown, rng.choice(words["choose"][language]), words["chosen"][language].format(**least.groupdict()))


def _chat(lines: list[str], question: str, answer: str) -> list[dict[str, str]]:
    """Without the instructions: the shorter the prompt, the sooner looking up is learnt."""
    return [
        {"role": "user", "content": "\n".join([*lines, f"question: {question}"])},
        {"role": "assistant", "content": answer},
    ]
