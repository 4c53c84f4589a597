"""Claims of sentences as radiologists write them, English and Korean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.medicine.assure.reading import claims, compares, misspelt, sentences


@pytest.mark.parametrize(
    ("text", "side", "lobes", "zones"),
    [
        ("A nodule in the right upper lobe.", "right", {"RUL"}, set()),
        ("RLL consolidation", "right", {"RLL"}, set()),
        ("Opacity in the lingula", "left", {"LUL"}, set()),
        ("Effusion on both sides", "bilateral", set(), set()),
        ("Right and left effusions", "bilateral", set(), set()),
        ("Emphysema in both lungs, upper zones", "bilateral", set(), {"upper"}),
        ("우상엽 폐결절", "right", {"RUL"}, set()),
        ("좌측 하엽에 경화", "left", {"LLL"}, set()),
        ("양폐 하폐야에 간유리음영", "bilateral", set(), {"lower"}),
        ("양폐에 미만성으로 폐기종", "bilateral", set(), {"diffuse"}),
        ("Cardiomegaly.", "", set(), set()),
    ],
)
def test_places(text, side, lobes, zones):
    said = claims(text)
    assert (said.laterality, set(said.lobes), set(said.zones)) == (side, lobes, zones)


def test_figures_have_values_units_and_decimals():
    said = claims("F1: 12.4 x 9 mm, 1.2 cm, about 320 mL, -45 HU, index 12.3 %, ratio 0.58 (slice 7/12)")
    assert [(a.value, b.value, a.unit) for a, b in said.pairs] == [(12.4, 9.0, "mm")]
    assert [(n.value, n.unit) for n in said.numbers] == [(1.2, "cm"), (320.0, "ml"), (-45.0, "hu"), (12.3, "pct"), (0.58, "none")]
    assert said.slices == ((7, 12),)
    assert claims("영상 7/12").slices == ((7, 12),) and claims("폐결절 3개").numbers[0].unit == "count"


@pytest.mark.parametrize(
    "text", ["Unchanged since 2020", "no interval change", "New nodule", "이전 검사와 비교하여 커졌음", "새로 생긴 결절", "has grown"]
)
def test_comparisons_are_seen(text):
    assert compares(text)


@pytest.mark.parametrize("text", ["A nodule in the right lung.", "No pleural effusion.", "우상엽에 폐결절이 있음", "Not assessed."])
def test_plain_findings_compare_nothing(text):
    assert compares(text) == ""


def test_typos_are_named_with_what_they_are_near():
    assert misspelt("A lung nodul in the right lung", strict=False) == [("nodul", "nodule")]
    assert misspelt("우상엽에 폐결젤이 있음", strict=False)[0][1].startswith("폐결절")
    assert misspelt("우상엽에 폐결절이 있음", strict=True) == []


def test_free_text_is_cut_into_sentences_without_numbers_and_headings():
    text = "Pleura: No effusion. Small air 1.5 mL on the left.\n1. First line."
    assert sentences(text) == ("No effusion.", "Small air 1.5 mL on the left.", "First line.")


@given(st.text(max_size=200))
@settings(max_examples=40, deadline=None)
def test_any_text_can_be_read(text):
    said = claims(text)
    assert said.laterality in ("", "right", "left", "bilateral")
    assert isinstance(misspelt(text, strict=False), list) and isinstance(compares(text), str)
