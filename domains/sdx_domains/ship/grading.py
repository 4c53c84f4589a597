"""Grade a model's answer to a row of examples.py against the row's own: what `sdx bench model` reports.

Every metric is judged from the prompt that the model saw and the answer that the domain computed for it.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from sdx_domains.ship.figures import NAME, misused
from sdx_domains.ship.prompting import schema_for

Metrics = dict[str, bool | float | None]
SHARES = ("role", "encounter", "rules_f1", "numbers")
YES_NO = ("turn_side", "option", "reason_subject", "needs_human")

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_RULE = re.compile(r"(?<![A-Za-z])R(\d+)|제\s*(\d+)\s*조")
_LABEL = re.compile(r"(?<![A-Za-z0-9])T\d+")
_OPTION = re.compile(r"^([A-Z]) ")


def grade(row: Any, answer: str) -> Metrics:
    """Metrics of one answer; `row` has `.messages` (with role and content) and `.meta`. None leaves a metric out."""
    prompt, expected = row.messages[-2].content, row.messages[-1].content
    if row.meta["task"] == "question":
        return {"answer_exact": answer.strip() == expected, "answer_figures": _figures_equal(answer, expected)}
    wanted = json.loads(expected)
    try:
        return _graded(json.loads(answer), wanted, prompt)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"valid_json": False, **dict.fromkeys(SHARES, 0.0), **dict.fromkeys(YES_NO, False)}


def _graded(given: Any, wanted: Any, prompt: str) -> Metrics:
    targets, option, reason = given["targets"], given["option"], given["reason"]
    rules = [_f1(targets[label]["rules"], target["rules"]) for label, target in wanted["targets"].items()]
    rest = NAME.sub(" ", reason)
    return {
        "valid_json": True,
        "role": _share([targets[label]["role"] == target["role"] for label, target in wanted["targets"].items()]),
        "encounter": _share([targets[label]["encounter"] == target["encounter"] for label, target in wanted["targets"].items()]),
        "rules_f1": sum(rules) / len(rules) if rules else None,
        "turn_side": _side(prompt, option) == _side(prompt, wanted["option"]),
        "option": option == wanted["option"],
        "allowed_option": _line(prompt, option).endswith(" ok") if _line(prompt, wanted["option"]).endswith(" ok") else None,
        "numbers": 0.0
        if "{" in rest or "}" in rest
        else _supported(prompt, option, reason, [rule for target in targets.values() for rule in target["rules"]]),
        "reason_subject": set(_LABEL.findall(reason)) == set(_LABEL.findall(wanted["reason"])),
        "needs_human": given["needs_human"] == wanted["needs_human"],
    }


def schema_of(row: Any) -> dict[str, Any] | None:
    """The JSON schema that the row's answer is held to; None for a question."""
    if row.meta["task"] == "question":
        return None
    lines = row.messages[-2].content.split("\n")
    labels = [line.split()[0] for line in lines if _LABEL.match(line)]
    return schema_for(labels, [match.group(1) for line in lines if (match := _OPTION.match(line))])


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def _f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    if not given and not wanted:
        return 1.0
    return 2.0 * len(set(given) & set(wanted)) / (len(set(given)) + len(set(wanted)))


def _line(prompt: str, option: str) -> str:
    return next((line for line in prompt.split("\n") if line.startswith(f"{option} ")), "")


def _side(prompt: str, option: str) -> str:
    words = _line(prompt, option).split(" cpa ")[0].split()
    return "starboard" if "starboard" in words else "port" if "port" in words else "none"


def _supported(prompt: str, option: str, reason: str, rules: Sequence[str]) -> float | None:
    """Share of the reason's figures that are right: a name that exists, of a target that is shown, with its own unit after it;
    a number that stands, digit by digit, in the lines it speaks of; a rule that the answer cites."""
    labels = set(_LABEL.findall(reason))
    lines = prompt.split("\n")
    told = [line for line in lines if line.split()[0] in labels] + [_line(prompt, option), lines[0]]
    known = {number for line in told for number in _NUMBER.findall(_LABEL.sub(" ", line).partition(" ships ")[0])}
    ships = re.search(r"ships (\d+)", lines[0])
    known |= {str(int(ships.group(1)) - 1)} if ships else set()
    cited = {match.group() for rule in rules for match in [re.search(r"\d+", rule)] if match}
    hits = [(first or second) in cited for first, second in _RULE.findall(reason)]
    hits += [_named_right(match, prompt) for match in NAME.finditer(reason)]
    bare = _LABEL.sub(" ", _RULE.sub(" ", NAME.sub(" ", reason)))
    hits += [number in known for number in _NUMBER.findall(bare)]
    return _share(hits)


def _named_right(name: re.Match[str], prompt: str) -> bool:
    """Of a target that is shown, said of it, with its own word and unit; "ago" only of one that has passed."""
    label = name.group("label")
    line = next((line for line in prompt.split("\n") if line.startswith(f"{label} ")), "") if label else ""
    passed = " tcpa -" in line
    return (label is None or bool(line)) and not misused(name) and (name.group("name") != "ago" or passed)


def _figures_equal(answer: str, expected: str) -> bool | None:
    """Are the names and the numbers the expected ones, in their order? Labels and rules are no figures."""
    wanted = _figures(expected)
    return _figures(answer) == wanted if any(wanted) else None


def _figures(text: str) -> tuple[list[str], list[str]]:
    bare = _LABEL.sub(" ", _RULE.sub(" ", NAME.sub(" ", text)))
    return [match.group() for match in NAME.finditer(text)], _NUMBER.findall(bare)
