"""Questions about a situation and their answers from the picture: what the embedded model's chat learns and is tested on.

Wording is data (questions.yaml); an answer names its figures ("{T1.cpa}", figures.py) and code fills them in.
"""

import random
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Language
from sdx_domains.ship.figures import own_figures
from sdx_domains.ship.language import names_of, target_figures
from sdx_domains.ship.picture import ShipPicture, Target
from sdx_domains.ship.prompting import shown_targets

ABOUT_TARGET = ("cpa", "tcpa", "range", "motion", "role", "rules", "encounter")
ABOUT_SITUATION = ("nearest", "danger", "count", "own", "visibility")
GENERAL_SHARE = 0.15


@cache
def wording() -> dict[str, Any]:
    return yaml.safe_load((files("sdx_domains.ship") / "questions.yaml").read_text(encoding="utf-8"))


def ask(picture: ShipPicture, language: Language, rng: random.Random) -> tuple[str, str, str]:
    """A question that somebody might ask now, its answer, and the topic."""
    targets = shown_targets(picture)
    if rng.random() < GENERAL_SHARE:
        topic = "general"
    else:
        topic = rng.choice(ABOUT_SITUATION + (ABOUT_TARGET if targets else ()))
    target = rng.choice(targets) if targets else None
    question = rng.choice(wording()[topic][language]).format(t=target.label if target else "")
    return question, answer(picture, topic, target, language), topic


def answer(picture: ShipPicture, topic: str, target: Target | None, language: Language) -> str:
    """The answer to a topic, from the picture alone, its figures by name. Topics in ABOUT_TARGET need a target."""
    shown = shown_targets(picture)
    if topic == "nearest":
        target = min(shown, key=lambda t: t.range_nm, default=None)
    if topic == "danger":
        target = max((t for t in shown if t.encounter != "none"), key=lambda t: t.risk, default=None)
    key = _answer_key(topic, target)
    template: str = wording()["answers"][key][language]
    return template.format(**_own_values(picture, language), **(_target_values(target, language) if target else {}))


def _answer_key(topic: str, target: Target | None) -> str:
    if topic == "danger":
        return "danger" if target else "danger_none"
    if topic == "nearest" and target is None:
        return "none_seen"
    if target is not None and topic == "tcpa" and target.tcpa_min < 0:
        return "tcpa_past"
    if target is not None and topic == "rules" and not target.rules:
        return "rules_none"
    return topic


def _word(key: str, language: Language) -> str:
    return wording()["words"][key][language]


def _own_values(picture: ShipPicture, language: Language) -> dict[str, str]:
    regime = _word("restricted" if picture.environment.restricted_visibility else "good", language)
    return names_of(own_figures(picture)) | {"regime": regime}


def _target_values(target: Target, language: Language) -> dict[str, str]:
    return names_of(target_figures(target, language), target.label) | {
        "t": target.label,
        "role": _word("none_role" if target.role == "none" else target.role, language),
        "rules": ", ".join(target.rules),
        "encounter": _word(target.encounter, language),
    }
