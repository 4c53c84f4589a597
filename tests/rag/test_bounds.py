"""Which sizes a sentence speaks of, against the one that is asked about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_rag.bounds import excluded, spans

SMALL = "A single solid nodule smaller than 6 mm (below 100 mm3) needs no routine follow-up in a patient at low risk."
MIDDLE = "A single solid nodule of 6 to 8 mm gets a CT at 6 to 12 months."
LARGE = "For a single solid nodule larger than 8 mm consider a CT at 3 months, PET/CT or tissue sampling."
KO_SMALL = "6 mm 미만의 단일 고형결절은 저위험 환자에서 추적검사가 필요 없다."
KO_LARGE = "8 mm를 넘는 단일 고형결절은 3개월 CT를 고려한다."


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("What follow-up for a 12 mm solid nodule?", [LARGE, KO_LARGE]),
        ("What follow-up for a 1.2 cm solid nodule?", [LARGE, KO_LARGE]),
        ("10 mm 고형결절은 어떻게 추적하나요?", [LARGE, KO_LARGE]),
        ("Follow-up of a 7 mm nodule", [MIDDLE]),
        ("Follow-up of an 8 mm nodule", [MIDDLE]),
        ("Follow-up of a 6 mm nodule", [MIDDLE]),
        ("4 mm 결절은 추적이 필요한가?", [SMALL, KO_SMALL]),
        ("What about nodules below 6 mm?", [SMALL, MIDDLE, LARGE, KO_SMALL, KO_LARGE]),
        ("Does a nodule need follow-up?", [SMALL, MIDDLE, LARGE, KO_SMALL, KO_LARGE]),
    ],
)
def test_only_sentences_that_speak_of_the_size_are_left(question: str, left: list[str]) -> None:
    assert [text for text in (SMALL, MIDDLE, LARGE, KO_SMALL, KO_LARGE) if not excluded(question, text)] == left


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("vessels of 50 m or more in length", (50_000, float("inf"))),
        ("not more than 2 minutes", (float("-inf"), 2)),
        ("at least 35 years", (35, float("inf"))),
        ("between 20 and 25 mm", (20, 25)),
        ("지름 6~8 mm", (6, 8)),
        ("35세 이상", (35, float("inf"))),
    ],
)
def test_a_limit_is_read_as_it_is_meant(text: str, bounds: tuple[float, float]) -> None:
    (span,) = spans(text)
    assert (span.low, span.high) == bounds


def test_sizes_of_a_list_are_each_meant_and_other_units_do_not_count() -> None:
    assert not excluded("a 7 mm nodule", "A nodule below 6 mm, or of 6, 7 or 8 mm.")
    assert not excluded("after 30 minutes", SMALL)
    assert not excluded("a 12 mm nodule", "It was measured with a slice of 1 mm."), "a bare figure limits nothing"


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_read(question: str, sentence: str) -> None:
    assert excluded(question, sentence) in (True, False)
