"""Questions: answered by the model over the present picture, in the language they were asked in, failing softly."""

from typing import Any

import pytest

from sdx_serving.client import EngineUnavailable, Scripted
from sdx_ui.page import chat
from sdx_ui.page.store import BridgeStore


@pytest.fixture
def store(situation: dict[str, Any]) -> BridgeStore:
    store = BridgeStore()
    store.put_picture(situation["picture"])
    return store


def test_the_answer_grows(store: BridgeStore) -> None:
    assert list(chat.answer(store, Scripted("T1 is near"), "What is near?")) == ["T1", "T1 is", "T1 is near", "T1 is near"]


def test_the_model_is_asked_about_the_present_picture(store: BridgeStore) -> None:
    client = Scripted("yes")
    list(chat.answer(store, client, "What is the CPA of T1?"))
    assert store.picture is not None
    assert client.asked == [store.domain.question(store.picture, "What is the CPA of T1?", "en")]


def test_a_question_in_korean_is_asked_in_korean(store: BridgeStore) -> None:
    client = Scripted("네")
    list(chat.answer(store, client, "가장 위험한 타선은?"))
    assert store.picture is not None
    assert client.asked == [store.domain.question(store.picture, "가장 위험한 타선은?", "ko")]


def test_an_endless_question_is_cut(store: BridgeStore) -> None:
    client = Scripted("yes")
    list(chat.answer(store, client, "x" * 100_000))
    assert len(client.asked[0][-1]["content"]) < 20_000


@pytest.mark.parametrize(("question", "words"), [("Hello?", "did not answer"), ("안녕?", "답하지 않았습니다")])
def test_a_dead_engine_is_told_in_words(store: BridgeStore, question: str, words: str) -> None:
    client = Scripted(EngineUnavailable("nothing answers at http://127.0.0.1:1/v1"))
    assert words in list(chat.answer(store, client, question))[-1]


def test_without_a_model_or_a_picture_it_says_so(store: BridgeStore) -> None:
    assert "No language model" in next(chat.answer(store, None, "Hello?"))
    assert "no picture" in next(chat.answer(BridgeStore(), Scripted("x"), "Hello?"))
