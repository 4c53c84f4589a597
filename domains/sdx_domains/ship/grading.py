"""Grade a model's answer to a row of examples.py against the row's own: what `sdx bench model` reports.

Every metric is judged from the prompt that the model saw and the answer that the domain computed for it.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from sdx_domains.ship.prompting import schema_for

Metrics = dict[str, bool | float | None]

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_RULE = re.compile(r"(?<![A-Za-z])R(\d+)|제\s*(\d+)\s*조")
_LABEL = re.compile(r"(?<![A-Za-z0-9])T\d+")
_OPTION = re.compile(r"^([A-Z]) ")
_NAME = re.compile(r"\{(?:(T\d+)\.)?(\w+)\}")
_MILES, _MINUTES = r"\s*(?:NM|nautical miles)\b|\s*해리", r"\s*(?:min(?:utes)?\b|분)"
_AFTER = {
    "relative": r"(?!\s*(?:deg|NM|min|kn|도|분))",
    "alteration": r"(?!\s*(?:deg|NM|min|kn|도|분))",
    "range": _MILES,
    "cpa": _MILES,
    "min_cpa": _MILES,
    "tcpa": _MINUTES,
    "ago": _MINUTES,
    "start": _MINUTES,
    "speed": r"\s*(?:kn|knots|노트)",
    "others": r"\s*(?:other|ships?|척)",
}
"""Names of figures that a reason may use, each with what must follow it: a figure with a wrong unit is a wrong figure."""
_OF_TARGET = frozenset({"relative", "range", "cpa", "tcpa", "ago"})


def grade(row: Any, answer: str) -> Metrics:
    """Metrics of one answer; `row` has `.messages` (with role and content) and `.meta`. None leaves a metric out."""
    prompt, expected = row.messages[-2].content, row.messages[-1].content
    if row.meta["task"] == "question":
        return {"answer_exact": answer.strip() == expected, "answer_figures": _figures_equal(answer, expected)}
    try:
        given = json.loads(answer)
        targets, option, reason = given["targets"], given["option"], given["reason"]
    except (ValueError, KeyError, TypeError):
        return {"valid_json": False, "role": 0.0, "encounter": 0.0, "rules_f1": 0.0, "turn_side": False, "option": False, "numbers": 0.0}
    wanted = json.loads(expected)
    rules = [_f1(targets[label]["rules"], target["rules"]) for label, target in wanted["targets"].items()]
    return {
        "valid_json": True,
        "role": _share([targets[label]["role"] == target["role"] for label, target in wanted["targets"].items()]),
        "encounter": _share([targets[label]["encounter"] == target["encounter"] for label, target in wanted["targets"].items()]),
        "rules_f1": sum(rules) / len(rules) if rules else None,
        "turn_side": _side(prompt, option) == _side(prompt, wanted["option"]),
        "option": option == wanted["option"],
        "allowed_option": _line(prompt, option).endswith(" ok") or not _line(prompt, wanted["option"]).endswith(" ok"),
        "numbers": _supported(prompt, option, reason, [rule for target in targets.values() for rule in target["rules"]]),
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
    known = {number for line in told for number in _NUMBER.findall(line)}
    ships = re.search(r"ships (\d+)", lines[0])
    known |= {str(int(ships.group(1)) - 1)} if ships else set()
    cited = {match.group() for rule in rules for match in [re.search(r"\d+", rule)] if match}
    hits = [(first or second) in cited for first, second in _RULE.findall(reason)]
    hits += [_named_right(match, prompt) for match in _NAME.finditer(reason)]
    bare = _LABEL.sub(" ", _RULE.sub(" ", _NAME.sub(" ", reason)))
    hits += [number in known for number in _NUMBER.findall(bare)]
    return _share(hits)


def _named_right(name: re.Match[str], prompt: str) -> bool:
    label, key = name.groups()
    if key not in _AFTER or (label is not None) != (key in _OF_TARGET):
        return False
    shown = label is None or any(line.startswith(f"{label} ") for line in prompt.split("\n"))
    return shown and re.match(_AFTER[key], name.string[name.end() :]) is not None


def _figures_equal(answer: str, expected: str) -> bool | None:
    """Are the figures, by name or as a number, the expected ones in their order?"""
    figure = re.compile(rf"{_NAME.pattern}|{_NUMBER.pattern}")
    wanted = [match.group() for match in figure.finditer(expected)]
    return [match.group() for match in figure.finditer(answer)] == wanted if wanted else None
