import pytest

from sdx_rag.readers.numbering import article, item, numbered, perhaps_numbered, spelled


@pytest.mark.parametrize(
    "line",
    [
        "Rule 15",
        "Rule 15 Crossing situation",
        "Rule 15 - Crossing",
        "PART B",
        "Chapter IV: Machinery",
        "Annex II",
        "4.2 Stopping",
        "4.2.1. Stopping distance",
        "제15조",
        "제15조(횡단)",
        "제 15 조 (횡단하는 상태)",
        "제15조의2(특례)",
        "제3장 항법",
    ],
)
def test_headings(line: str) -> None:
    assert numbered(line) > 0


@pytest.mark.parametrize(
    "line",
    [
        "Rule 15 applies to vessels",
        "rule 15",
        "Rule 15 says that she gives way.",
        "4.2 bar is the limit",
        "4.2",
        "제15조에 따라",
        "제15조(횡단)의 규정에 따라 피한다",
        "제15조에 따른 선박은 피하여야 한다",
        "In Rule 15",
        "2024 was dry",
        "Part of it",
        "",
        "Section 3 " + "X" * 200,
    ],
)
def test_other_lines(line: str) -> None:
    assert numbered(line) == 0


def test_deeper_numbers_are_deeper_levels() -> None:
    assert (
        numbered("Part A")
        < numbered("Chapter 2")
        < numbered("Section 1")
        < numbered("Rule 4")
        < numbered("4.2 Stopping")
        < numbered("4.2.1 X")
    )
    assert numbered("제2장 항법") < numbered("제1절 총칙") < numbered("제15조(횡단)")
    assert perhaps_numbered("4 Stopping") < numbered("4.2 Stopping")


def test_an_articles_text_on_its_own_line() -> None:
    assert article("제15조(횡단) ① 2척의 동력선") == ("제15조(횡단)", "① 2척의 동력선")
    assert article("제15조에 따라 피한다") is None


@pytest.mark.parametrize(
    ("line", "depth"),
    [("- a", 1), ("(a) x", 1), ("1. x", 1), ("① x", 1), ("가. x", 1), ("(ii) x", 2), ("-5 bar", 0), ("a) x", 1), ("(see) x", 0)],
)
def test_marks_of_items(line: str, depth: int) -> None:
    assert item(line) == depth


@pytest.mark.parametrize(
    ("number", "form", "written"),
    [
        (3, "decimal", "3"),
        (28, "lowerLetter", "bb"),
        (2, "upperLetter", "B"),
        (1994, "lowerRoman", "mcmxciv"),
        (4, "I", "IV"),
        (2, "ganada", "나"),
        (3, "decimalEnclosedCircle", "③"),
        (0, "a", "0"),
        (-1, "i", "-1"),
    ],
)
def test_numbers_of_lists(number: int, form: str, written: str) -> None:
    assert spelled(number, form) == written
