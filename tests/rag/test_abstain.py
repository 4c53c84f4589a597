"""What is asked decides: words that no document has, prices and names; and the fit keeps the share of refusals it was asked for."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shipped_library import opened

from sdx_rag.abstain import features, fit, judge
from sdx_rag.evidence import question_terms, weigh
from sdx_rag.library import Library
from sdx_rag.thresholds import own, read, write


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with opened(tmp_path_factory.mktemp("ship")) as library:
        yield library


def judged(library: Library, question: str):  # type: ignore[no-untyped-def]
    found = library.search(question, read().passages)
    evidence = weigh(library, question, found)
    return judge(evidence, found, read().decisions), features(evidence, found)


def test_terms_of_a_question_are_its_matter_in_both_languages(ship: Library) -> None:
    english = {term.text: term for term in question_terms(ship, "How many blasts does the give-way vessel sound in Busan?")}
    korean = {term.text: term for term in question_terms(ship, "피항선은 기적을 몇 번 울립니까?")}
    assert "give-way vessel" in english and "피항선" in korean and "how" not in english and "몇" not in korean
    assert not english["busan"].known and english["busan"].weight > 1.5 * english["give-way vessel"].weight
    assert korean["피항선"].held(["give", "way", "vessel", "giveway"]) == 1.0


@pytest.mark.parametrize("pair", [("What lights does a vessel at anchor show?", "What do the lights of a vessel at anchor cost?"),
                                  ("조종불능선은 어떤 등화를 켭니까?", "조종불능선 등화의 가격은 얼마입니까?")])  # fmt: skip
def test_the_topic_alone_is_no_answer(ship: Library, pair: tuple[str, str]) -> None:
    (there, of_there), (not_there, of_not_there) = judged(ship, pair[0]), judged(ship, pair[1])
    assert there.answerable and not not_there.answerable and there.probability > not_there.probability
    assert (of_there["outside"], of_not_there["outside"]) == (0.0, 1.0)


def test_words_that_no_document_has_are_named(ship: Library) -> None:
    judgement, _ = judged(ship, "How do I renew my passport?")
    assert not judgement.answerable and set(judgement.missing) >= {"renew", "passport"}


def test_a_fit_tells_apart_what_differs_and_refuses_as_asked() -> None:
    random = np.random.default_rng(5)
    rows = [
        ({"held": float(random.normal(0.7 if known else 0.3, 0.15)), "noise": float(random.random())}, known)
        for known in [True, False] * 60
    ]
    decision = fit(rows, ["held", "noise"], 0.95)
    assert decision.coefficients["held"] > 5 * abs(decision.coefficients["noise"]) and 0 < decision.threshold < 1
    scores = {known: [_score(row, decision) for row, label in rows if label is known] for known in (True, False)}
    assert np.mean(np.array(scores[False]) < decision.threshold) >= 0.93 and np.mean(np.array(scores[True]) >= decision.threshold) > 0.7


def _score(row: dict[str, float], decision) -> float:  # type: ignore[no-untyped-def]
    return float(1 / (1 + np.exp(-(decision.intercept + sum(decision.coefficients[name] * row[name] for name in row)))))


def test_a_fit_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="without one are needed"):
        fit([({"held": 1.0}, True)], ["held"], 0.95)


def test_thresholds_of_the_users_own_take_the_place_of_the_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDX_RAG", str(tmp_path))
    shipped = read()
    write(shipped.model_copy(update={"passages": 3}), own(), "Made by a test.")
    assert read() == shipped.model_copy(update={"passages": 3})
    assert own().read_text().startswith("# What") and "Made by a test." in own().read_text() and list(tmp_path.iterdir()) == [own()]
    own().write_text("passages: 0\n")
    with pytest.raises(ValueError, match="thresholds.yaml: passages"):
        read()
