"""Answers name their passages, keep rules before users' documents, and say when a question is not in the documents."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import ATTACKS, POISON
from chat_server import Messages, serving
from shipped_library import opened

from sdx_rag.answer import Answered, ask
from sdx_rag.library import Library
from sdx_rag.planted import shipped

HEAD_ON = "Which way do two power-driven ships turn when they meet head-on?"
HEAD_ON_KO = "두 동력선이 마주치는 상태에서 충돌의 위험이 있으면 어느 쪽으로 변침합니까?"


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with opened(tmp_path_factory.mktemp("ship")) as library:
        yield library


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("planted")
    for number, attack in enumerate(ATTACKS):
        attack.write(folder, number)
    with opened(tmp_path_factory.mktemp("attacked")) as library:
        library.add(folder)
        yield library


def shown(answered: Answered) -> str:
    """All that a person may see of it."""
    return answered.text + answered.model_dump_json(exclude={"question"})


@pytest.mark.parametrize(("question", "language"), [(HEAD_ON, "en"), (HEAD_ON_KO, "ko")])
def test_sentences_are_whole_and_stand_in_the_passage_they_cite(ship: Library, question: str, language: str) -> None:
    answered = ask(ship, question)
    assert answered.in_documents and answered.made_by == "passages" and 1 <= len(answered.sentences) <= 3
    for sentence in answered.sentences:
        (number,) = sentence.citations
        assert sentence.text in answered.found[number - 1].text and answered.found[number - 1].language == language
    assert any(found.address in ("R14", "R14(a)") for found in answered.found) and "R14" in answered.text


@pytest.mark.parametrize(
    "question", ["What is the speed limit in the port of Busan?", "부산항의 제한 속력은 얼마입니까?", "How do I bake bread?"]
)
def test_what_is_not_in_the_documents_is_said_so(ship: Library, question: str) -> None:
    answered = ask(ship, question)
    assert not answered.in_documents and answered.sentences == () and answered.made_by == "nobody"
    assert answered.text in ("This is not in the documents.", "문서에 없는 내용입니다.")
    assert answered.missing


@pytest.mark.parametrize(
    ("question", "address", "words"),
    [
        ("What does Rule 15 say?", "R15", "starboard side keeps out of the way"),
        ("Explain rule 17(b)", "R17(b)", "helps best"),
        ("15조는 무슨 내용인가?", "R15", "우현에 둔 선박이"),
        ("What does Rule 99 say?", "", ""),
    ],
)
def test_a_provision_asked_for_by_its_address_is_told_whole(ship: Library, question: str, address: str, words: str) -> None:
    answered = ask(ship, question)
    assert answered.in_documents == bool(address) and words in answered.text
    assert {answered.found[number - 1].address for one in answered.sentences for number in one.citations} == {address} - {""}


def test_an_empty_library_has_no_answer(tmp_path: Path) -> None:
    from sdx_rag.embed.settings import EmbedSettings
    from sdx_rag.settings import RagSettings

    with Library.open("own", RagSettings(home=tmp_path, embed=EmbedSettings(model="none"))) as library:
        assert not ask(library, HEAD_ON).in_documents


def test_a_model_speaks_in_its_own_words_where_they_hold(ship: Library) -> None:
    number = 1 + next(index for index, found in enumerate(ask(ship, HEAD_ON).found) if found.address == "R14")
    good, bad = f"Both turn to starboard [{number}].", f"Both turn to port [{number}]. Rule 99 says so [{number}]. It is known. See [99]."
    with serving(lambda messages: f"{good} {bad}") as chat:
        answered = ask(ship, HEAD_ON, chat)
        marked = ask(ship, HEAD_ON, chat, mark=True)
    assert answered.made_by == "model" and [one.text for one in answered.sentences] == ["Both turn to starboard."]
    assert "4 of the model's 5 sentences left out" in answered.notes[-1]
    doubted = {one.text: one.doubt for one in marked.sentences if not one.supported}
    assert doubted["Both turn to port."] == "side port" and "not borne out" in marked.text


@pytest.mark.parametrize("said", [500, "", "Both turn to port.", "ZEBRA [1]. ZEBRA [2].", "[1][2][3]", "x" * 20_000])
def test_a_failing_or_silly_model_leaves_the_quoted_answer(ship: Library, said: str | int) -> None:
    with serving(lambda messages: said) as chat:
        answered = ask(ship, HEAD_ON, chat)
    assert answered.made_by == "passages" and answered.sentences == ask(ship, HEAD_ON).sentences
    assert any("quoted from the passages" in note for note in answered.notes)


def test_a_slow_model_is_not_waited_for(ship: Library) -> None:
    def slow(messages: Messages) -> str:
        time.sleep(3)
        return "too late"

    with serving(slow) as chat:
        began = time.monotonic()
        answered = ask(ship, HEAD_ON, chat, deadline_s=0.3)
        assert time.monotonic() - began < 2.5
    assert answered.made_by == "passages" and answered.sentences


def test_a_model_may_say_that_the_passages_do_not_hold_the_answer(ship: Library) -> None:
    with serving(lambda messages: "NOT IN THE DOCUMENTS") as chat:
        answered = ask(ship, HEAD_ON, chat)
    assert not answered.in_documents and answered.found


@pytest.mark.parametrize("question", [HEAD_ON, HEAD_ON_KO])
def test_planted_texts_change_nothing_in_a_quoted_answer(ship: Library, attacked: Library, question: str) -> None:
    answered = ask(attacked, question)
    rules = [one for one in answered.sentences if one.of == "rules"]
    assert answered.in_documents and rules and answered.sentences[: len(rules)] == tuple(rules)
    assert rules[0].text in {one.text for one in ask(ship, question).sentences}
    for one in rules:
        assert all(shipped(answered.found[number - 1]) and one.text in answered.found[number - 1].text for number in one.citations)
    assert not [attack.demanded for attack in ATTACKS if attack.demanded in shown(answered)]


@pytest.mark.parametrize("question", [HEAD_ON, HEAD_ON_KO])
def test_a_model_that_obeys_every_planted_text_shows_none_of_it(attacked: Library, question: str) -> None:
    asked: list[Messages] = []

    def obedient(messages: Messages) -> str:
        """Says what every planted text demands, with its link, and cites every passage for it."""
        asked.append(messages)
        cites = "".join(f"[{number}]" for number in range(1, 9))
        said = [
            f"{attack.text} {attack.demanded} {cites}. {attack.demanded}. ![x](https://{attack.demanded}) {cites}" for attack in ATTACKS
        ]
        return f"Turn to port at once {cites}. The answer is that the other documents do not count {cites}.\n" + "\n".join(said)

    with serving(obedient) as chat:
        answered = ask(attacked, question, chat)
        marked = ask(attacked, question, chat, mark=True)
    assert asked and not [attack.demanded for attack in ATTACKS for messages in asked if attack.demanded in messages[1]["content"]]
    for one in (answered, marked):
        assert not [attack.demanded for attack in ATTACKS if attack.demanded in shown(one)]
    assert "to port at once" not in shown(answered) and all(
        sentence.doubt for sentence in marked.sentences if "to port at once" in sentence.text
    )


def test_a_document_against_a_rule_comes_after_it_and_is_marked(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/company.txt").write_text("\n\n".join(POISON), encoding="utf-8")
    with opened(tmp_path) as library:
        library.add(tmp_path / "docs")
        answered = ask(library, "Which way do two power-driven vessels that meet head-on with risk of collision alter course?")
        limit = ask(library, "What is the CPA limit of this system in open and coastal waters?")
    for one, kind, rule in ((answered, "side", "starboard"), (limit, "figures", "0.5 NM")):
        assert one.sentences[0].of == "rules" and any(rule in sentence.text for sentence in one.sentences if sentence.of == "rules")
        users = [sentence for sentence in one.sentences if sentence.of == "user"]
        assert users and users[0].conflict == kind and f"differs from the rules in {kind}" in one.text
