"""Questions about the present situation, answered by the model that serves the agent. Talk only: a chat changes nothing."""

from collections.abc import Iterator
from typing import Any, Protocol

from sdx_domains.contract import Language, language_of
from sdx_serving.client import ChatError
from sdx_ui.page.store import BridgeStore

MAX_TOKENS = 256
DEADLINE_S = 30.0
LONGEST_QUESTION = 500
SORRY: dict[Language, dict[str, str]] = {
    "en": {
        "nothing": "There is no picture of the situation yet.",
        "no_model": "No language model is running (started with --model none). The situation panel describes what is seen.",
        "failed": "The model did not answer: {error}",
        "doubt": "Not so in the picture: {doubts}.",
    },
    "ko": {
        "nothing": "아직 상황 정보가 없습니다.",
        "no_model": "언어 모델이 실행되고 있지 않습니다(--model none). 상황 패널을 보십시오.",
        "failed": "모델이 답하지 않았습니다: {error}",
        "doubt": "상황 정보와 다릅니다: {doubts}.",
    },
}


class Talks(Protocol):
    """The part of a chat client that is needed here."""

    def stream(
        self, messages: Any, schema: Any = None, max_tokens: int = 512, temperature: float = 0.0, deadline_s: float = 60.0
    ) -> Iterator[str]: ...


def answer(store: BridgeStore, client: Talks | None, question: str) -> Iterator[str]:
    """The answer so far, again and again as it grows. Never raises for a model that fails."""
    language = language_of(question)
    picture = store.picture
    if picture is None:
        yield SORRY[language]["nothing"]
        return
    if client is None:
        yield SORRY[language]["no_model"]
        return
    text = shown = ""
    try:
        messages = store.domain.question(picture, question[:LONGEST_QUESTION], language)
        for piece in client.stream(messages, max_tokens=MAX_TOKENS, deadline_s=DEADLINE_S):
            text += piece
            shown = store.domain.told(picture, text, language, whole=False)
            yield shown
        shown = store.domain.told(picture, text, language, whole=True)
        doubts = store.domain.doubts(picture, shown)
        yield f"{shown}\n\n{SORRY[language]['doubt'].format(doubts='; '.join(doubts))}" if doubts else shown
    except (ChatError, ValueError) as error:
        yield f"{shown}\n\n{SORRY[language]['failed'].format(error=error)}".strip()
