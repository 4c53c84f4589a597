"""Questions about the present situation, answered by the model that serves the agent, and by the rules. Talk only: a chat changes nothing."""

import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol

from sdx_domains.contract import Language, language_of
from sdx_serving.client import ChatError

log = logging.getLogger(__name__)

MAX_TOKENS = 256
DEADLINE_S = 30.0
LONGEST_QUESTION = 500
LOOK_UP_S = 5.0
"""Of the rules, after the model's last word."""
PRESENT = re.compile(r"\bT\d|\b(this|now|currently|our|most dangerous)\b|지금|현재|가장 위험|이 (조종|상황|변침)", re.IGNORECASE)
"""Asks about the picture, of which no rule knows: the model alone answers."""
Asks = Callable[[str], "Future[str]"]
"""A question -> what the rules and documents say to it, with citations; "" when they say nothing."""
SORRY: dict[Language, dict[str, str]] = {
    "en": {
        "nothing": "There is no picture of the situation yet.",
        "no_model": "No language model is running (started with --model none). The situation panel describes what is seen.",
        "failed": "The model did not answer: {error}",
        "doubt": "Not so in the picture: {doubts}.",
        "rules": "From the rules:",
        "later": "(the rules are being prepared: ask again in a moment)",
    },
    "ko": {
        "nothing": "아직 상황 정보가 없습니다.",
        "no_model": "언어 모델이 실행되고 있지 않습니다(--model none). 상황 패널을 보십시오.",
        "failed": "모델이 답하지 않았습니다: {error}",
        "doubt": "상황 정보와 다릅니다: {doubts}.",
        "rules": "규칙에서:",
        "later": "(규칙을 준비하고 있습니다. 잠시 뒤에 다시 물어 주십시오)",
    },
}


class Talks(Protocol):
    """The part of a chat client that is needed here."""

    def stream(
        self, messages: Any, schema: Any = None, max_tokens: int = 512, temperature: float = 0.0, deadline_s: float = 60.0
    ) -> Iterator[str]: ...


class Shown(Protocol):
    """What questions are about: a picture that is there by now, and the domain that it belongs to."""

    @property
    def picture(self) -> Any: ...

    @property
    def domain(self) -> Any: ...


def answer(store: Shown, client: Talks | None, question: str, rules: Asks | None = None) -> Iterator[str]:
    """The answer so far, again and again as it grows: the model's words, then the rules'. Never raises for a model that fails."""
    question = question[:LONGEST_QUESTION]
    looked_up = rules(question) if rules and not PRESENT.search(question) else None  # meanwhile the model speaks
    said = ""
    for said in _of_model(store, client, question):
        yield said
    sorry = SORRY[language_of(question)]
    if words := _in_time(looked_up, sorry["later"]):
        yield f"{said}\n\n{sorry['rules']}\n{words}"


def _in_time(looked_up: "Future[str] | None", later: str) -> str:
    try:
        return looked_up.result(LOOK_UP_S) if looked_up else ""
    except TimeoutError:
        return later
    except Exception as error:  # noqa: BLE001 - a library that fails takes nothing from the model's answer
        log.warning("rules were not looked up: %s: %s", type(error).__name__, error)
        return ""


def _of_model(store: Shown, client: Talks | None, question: str) -> Iterator[str]:
    language = language_of(question)
    picture = store.picture
    if picture is None:
        yield SORRY[language]["nothing"]
        return
    if client is None:
        yield store.domain.answered(picture, question, language) or SORRY[language]["no_model"]
        return
    text = shown = ""
    try:
        messages = store.domain.question(picture, question, language)
        for piece in client.stream(messages, max_tokens=MAX_TOKENS, deadline_s=DEADLINE_S):
            text += piece
            shown = store.domain.told(picture, text, language, whole=False)
            yield shown
        shown = store.domain.told(picture, text, language, whole=True)
        doubts = store.domain.doubts(picture, shown)
        yield f"{shown}\n\n{SORRY[language]['doubt'].format(doubts='; '.join(doubts))}" if doubts else shown
    except (ChatError, ValueError) as error:
        yield f"{shown}\n\n{SORRY[language]['failed'].format(error=error)}".strip()
