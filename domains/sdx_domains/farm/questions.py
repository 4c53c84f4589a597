"""Questions about the house and their answers from the picture: what a small model's chat learns, and the path without any model.

Wording is data (questions.yaml); an answer names its figures ("{air_temp}", figures.py) and code fills them in. Start at answered().
"""

import random
import re
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Language
from sdx_domains.farm import what_if
from sdx_domains.farm.figures import fill, holds, known, wording
from sdx_domains.farm.language import alarm_names, named, sayable
from sdx_domains.farm.picture import FarmPicture
from sdx_domains.farm.situation import situation_of

GENERAL_SHARE = 0.12
GENERAL = "general"
_FLAGS = re.IGNORECASE | re.ASCII
"""ASCII: a Korean particle right after "CO2" or "VPD" ends the word."""


@cache
def book() -> dict[str, Any]:
    """questions.yaml."""
    return yaml.safe_load((files(__package__ or "") / "questions.yaml").read_text(encoding="utf-8"))


def ask(picture: FarmPicture, language: Language, rng: random.Random) -> tuple[str, str, str]:
    """A question that somebody might ask now, its answer with figures by name, and the topic."""
    topic = GENERAL if rng.random() < GENERAL_SHARE else rng.choice(list(book()["topics"]))
    asked = book()[GENERAL]["ask"] if topic == GENERAL else book()["topics"][topic]["ask"]
    return rng.choice(asked[language]), answer(picture, topic, language), topic


def topic_of(text: str) -> str | None:
    """The topic that a question is about, by its words; None when it is none of questions.yaml."""
    if re.search(book()["off_topic"], text, _FLAGS):
        return None
    return next((name for name, topic in book()["topics"].items() if re.search(topic["match"], text, _FLAGS)), None)


def answer(picture: FarmPicture, topic: str, language: Language) -> str:
    """The answer to a topic from the picture alone, figures by name. KeyError for an unknown topic."""
    if topic == GENERAL:
        return book()[GENERAL]["answer"][language]
    figures = known(picture)
    for form in book()["topics"][topic]["answers"]:
        if holds(form["all"], figures) and sayable(form[language], figures) and all(name in figures for name in form.get("needs", ())):
            return named(form[language], _words(picture, language))
    return book()["unknown"][language]


def answered(picture: FarmPicture, text: str, language: Language) -> str | None:
    """What can be said to a question without any model: a "what if" by simulation, else from the picture; None when it is about neither."""
    told = what_if.answered(picture, text, language)
    if told is not None:
        return told
    topic = topic_of(text)
    return None if topic is None else fill(answer(picture, topic, language), picture, language=language)


def _words(picture: FarmPicture, language: Language) -> dict[str, str]:
    """What an answer names that is no figure."""
    words, found = wording()[language], situation_of(picture)
    none = book()["words"]["none"][language]
    return {
        "limit": words["limits"][found.limit],
        "risks": ", ".join(words["risks"][name] for name in found.risks) or none,
        "alarms": ", ".join(alarm_names(picture, language)) or none,
        "crop": words["crops"].get(picture.crop.name, picture.crop.name),
        "stage": words["stages"][picture.crop.stage],
    }
