"""Questions: answered by the model over the present picture, in the language they were asked in, failing softly."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sdx_serving.client import EngineUnavailable, Scripted
from sdx_ui.knowledge import Rules
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


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rules]:
    """The shipped rules of the ship, found by their words."""
    pytest.importorskip("tantivy")
    home: Path = tmp_path_factory.mktemp("rag")
    (home / "rag.yaml").write_text("embed: {model: none}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDX_RAG", str(home))
        rules = Rules("ship")
        rules("first").result(120)  # indexes
    yield rules
    rules.close()


@pytest.mark.parametrize(
    ("question", "head", "cited"),
    [
        ("Who gives way when two power-driven vessels cross?", "From the rules:", "R15"),
        ("추월하는 선박은 어떻게 해야 하나?", "규칙에서:", "R13"),
    ],
)
def test_what_the_rules_say_stands_below_the_models_words(store: BridgeStore, rules: Rules, question: str, head: str, cited: str) -> None:
    last = list(chat.answer(store, Scripted("T1 is near"), question, rules))[-1]
    said, _, told = last.partition(f"\n\n{head}\n")
    assert said.startswith("T1 is near")
    assert cited in told and told.count("\n") < 6


def test_a_question_that_no_rule_answers_is_answered_by_the_model_alone(store: BridgeStore, rules: Rules) -> None:
    assert list(chat.answer(store, Scripted("none"), "How long must apple cake stay in the oven?", rules))[-1] == "none"


@pytest.mark.parametrize(
    "question", ["What is the most dangerous target?", "Why this manoeuvre?", "가장 위험한 타선은?", "Is T1 a stand-on vessel?"]
)
def test_a_question_about_the_present_picture_is_the_models_alone(store: BridgeStore, rules: Rules, question: str) -> None:
    assert list(chat.answer(store, Scripted("T1"), question, rules))[-1] == "T1"


def test_the_rules_answer_without_a_model_too(store: BridgeStore, rules: Rules) -> None:
    last = list(chat.answer(store, None, "Who gives way when two power-driven vessels cross?", rules))[-1]
    assert "No language model" in last and "R15" in last


def test_a_library_that_fails_or_hangs_takes_nothing_from_the_answer(store: BridgeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(1) as pool:

        def fails(question: str) -> "Future[str]":
            return pool.submit(lambda: str(1 // 0))

        assert list(chat.answer(store, Scripted("yes"), "What is safe speed?", fails))[-1] == "yes"
        monkeypatch.setattr(chat, "LOOK_UP_S", 0.1)
        began = time.monotonic()
        last = list(chat.answer(store, Scripted("yes"), "What is safe speed?", lambda question: pool.submit(time.sleep, 2.0)))[-1]
        assert last.startswith("yes") and "ask again in a moment" in last
        assert time.monotonic() - began < 2.0
