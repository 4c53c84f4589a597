"""The sentences that answer, whole, in the order of reading, and in the language of the question."""

from collections.abc import Iterator

import pytest
from shipped_library import opened

from sdx_rag.evidence import by_weight, weigh
from sdx_rag.extract import extract, preferred
from sdx_rag.library import Library
from sdx_rag.passages import Found
from sdx_rag.thresholds import read
from sdx_rag.words import sentences


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with opened(tmp_path_factory.mktemp("farm"), "farm") as library:
        yield library


@pytest.mark.parametrize(
    ("question", "answer", "language"),
    [
        ("How often may a pump be started per hour?", "no more than 10 starts per hour", "en"),
        ("Which feed pH may an agent ask for?", "between 5.5 and 6.5", "en"),
        ("펌프는 한 시간에 몇 번까지 기동할 수 있습니까?", "시간당 10회를 넘게 기동하지 않는다", "ko"),
    ],
)
def test_the_sentence_that_answers_is_among_them(farm: Library, question: str, answer: str, language: str) -> None:
    found = farm.search(question, 10)
    evidence = weigh(farm, question, found)
    taken = extract(question, evidence, found, read().extraction)
    assert 1 <= len(taken) <= 3 and any(answer in one.text for one in taken)
    assert all(one.text in sentences(found[one.passage].text) and found[one.passage].language == language for one in taken)
    assert [evidence.sentences.index(one) for one in taken] == sorted(evidence.sentences.index(one) for one in taken)


def test_of_both_languages_of_an_address_one_is_read() -> None:
    both = [
        Found(id=id, document="builtin/a.yaml", title="A", address=address, text="x", language=language, score=1.0)  # type: ignore[arg-type]
        for id, address, language in ((1, "R1", "en"), (2, "R1", "ko"), (3, "R2", "en"))
    ]
    assert preferred(both, "ko") == [1, 2] and preferred(both, "en") == [0, 2]


def test_passages_that_hold_more_of_the_question_come_first(farm: Library) -> None:
    question = "Which feed pH may an agent ask for?"
    found = farm.search(question, 10)
    evidence, ordered = by_weight(weigh(farm, question, found), found, 100.0)
    assert list(evidence.held) == sorted(evidence.held, reverse=True) and set(map(id, ordered)) == set(map(id, found))
    assert all(one.text in ordered[one.passage].text for one in evidence.sentences)
    unchanged, same = by_weight(evidence, ordered, 0.0)
    assert [one.score for one in same] == sorted((one.score for one in found), reverse=True) and len(unchanged.sentences) == len(
        evidence.sentences
    )


def test_without_passages_there_is_nothing(farm: Library) -> None:
    assert extract("What?", weigh(farm, "What?", []), [], read().extraction) == []
