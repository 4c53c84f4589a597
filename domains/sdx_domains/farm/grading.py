"""Grade a model's answer to a row of examples.py against the row's own: what `sdx bench model` reports.

Every metric is judged from the prompt that the model saw and the answer that the domain computed for it.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from sdx_domains.contract import language_of
from sdx_domains.farm.figures import NAME, OUTCOME, SET_POINTS, SHARES_OUT
from sdx_domains.farm.prompting import schema_for

Metrics = dict[str, bool | float | None]
SHARES = ("risks_f1", "figures")
YES_NO = ("limit", "option", "good_option", "language", "needs_human")
GOOD_LOSS = 5
"""EUR per 1000 m²: a plan this near to the best one is as good a choice."""
LEAST_CITED = 3
PLAN_NAMES = frozenset(
    {*OUTCOME, *SHARES_OUT, "plan_hours", *(f"{stem}_{part}" for stem in SET_POINTS for part in ("plan", "set", "min", "max"))}
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_OPTION = re.compile(r"^(?P<id>[A-Z]\d?) \S+ loss (?P<loss>\d+) .*(?P<judged>ok|breaks)$")


def grade(row: Any, answer: str) -> Metrics:
    """Metrics of one answer; `row` has `.messages` (with role and content) and `.meta`. None leaves a metric out."""
    prompt, expected = row.messages[-2].content, row.messages[-1].content
    if row.meta["task"] == "question":
        right = language_of(answer) == row.meta["language"]
        return {"answer_exact": answer.strip() == expected, "answer_figures": _figures_equal(answer, expected), "language": right}
    wanted = json.loads(expected)
    try:
        return _graded(json.loads(answer), wanted, prompt, row.meta["language"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"valid_json": False, **dict.fromkeys(SHARES, 0.0), **dict.fromkeys(YES_NO, False), "cited": False}


def _graded(given: Any, wanted: Any, prompt: str, language: str) -> Metrics:
    reason, plans = given["reason"], _plans(prompt)
    chosen = plans.get(given["option"])
    return {
        "valid_json": True,
        "limit": given["limit"] == wanted["limit"],
        "risks_f1": _f1(given["risks"], wanted["risks"]),
        "option": given["option"] == wanted["option"],
        "good_option": chosen is not None and chosen["judged"] == plans[wanted["option"]]["judged"] and int(chosen["loss"]) <= GOOD_LOSS,
        "figures": _supported(prompt, reason),
        "cited": len(set(_names(reason)) - PLAN_NAMES) >= LEAST_CITED,
        "language": language_of(reason) == language,
        "needs_human": given["needs_human"] == wanted["needs_human"],
    }


def schema_of(row: Any) -> dict[str, Any] | None:
    """The JSON schema that the row's answer is held to; None for a question."""
    return None if row.meta["task"] == "question" else schema_for(list(_plans(row.messages[-2].content)))


def _plans(prompt: str) -> dict[str, dict[str, str]]:
    """Plans of a prompt by id: loss and "ok" or "breaks"."""
    return {match["id"]: match.groupdict() for line in prompt.split("\n") if (match := _OPTION.match(line))}


def _f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    if not given and not wanted:
        return 1.0
    return 2.0 * len(set(given) & set(wanted)) / (len(set(given)) + len(set(wanted)))


def _supported(prompt: str, reason: str) -> float | None:
    """Share of the reason's figures that are right: a name of a fact that the prompt holds or of the plan; a number that stands in it."""
    rest = NAME.sub(" ", reason)
    if "{" in rest or "}" in rest:
        return 0.0
    facts = {word for line in prompt.split("\n") for word in line.split()}
    numbers = set(_NUMBER.findall(prompt))
    hits = [name in facts or name in PLAN_NAMES for name in _names(reason)]
    hits += [number in numbers for number in _NUMBER.findall(re.sub(r"CO2", " ", rest))]
    return sum(hits) / len(hits) if hits else None


def _names(text: str) -> list[str]:
    return [match["name"] for match in NAME.finditer(text)]


def _figures_equal(answer: str, expected: str) -> bool | None:
    """Are the names and the numbers the expected ones, in their order? None where the expected answer has none."""
    given, wanted = (
        ([*_names(text)], _NUMBER.findall(re.sub(r"CO2|24[ -]?h|24시간", " ", NAME.sub(" ", text)))) for text in (answer, expected)
    )
    return given == wanted if any(wanted) else None
