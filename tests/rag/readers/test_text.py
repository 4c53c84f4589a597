from sdx_rag.readers.limits import Limits
from sdx_rag.readers.text import read_text


def blocks(text: str) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, block.text) for block in read_text(text.encode(), "a.txt", Limits()).blocks]


def test_rules_of_a_convention() -> None:
    text = """PART B - STEERING AND SAILING

Rule 15 Crossing situation
(a) When two power-driven
vessels are crossing, one gives way.
(i) She keeps clear. Rule 16 applies
to her.

Rule 16. Action by give-way vessel

Every vessel acts early.
"""
    assert blocks(text) == [
        ("heading", 1, "PART B - STEERING AND SAILING"),
        ("heading", 2, "Rule 15 Crossing situation"),
        ("item", 1, "(a) When two power-driven vessels are crossing, one gives way."),
        ("item", 2, "(i) She keeps clear. Rule 16 applies to her."),
        ("heading", 2, "Rule 16. Action by give-way vessel"),
        ("text", 0, "Every vessel acts early."),
    ]


def test_articles_of_a_korean_law() -> None:
    text = "제2장 항법\n제2절 시계 안의 항법\n제15조(횡단) ① 2척의 동력선이 횡단하면 우현 쪽 선박을 피한다.\n② 제14조에 따른\n선박은 제외한다.\n제16조(동작)\n피항선은 일찍 동작한다."
    assert blocks(text) == [
        ("heading", 1, "제2장 항법"),
        ("heading", 2, "제2절 시계 안의 항법"),
        ("heading", 3, "제15조(횡단)"),
        ("item", 1, "① 2척의 동력선이 횡단하면 우현 쪽 선박을 피한다."),
        ("item", 1, "② 제14조에 따른 선박은 제외한다."),
        ("heading", 3, "제16조(동작)"),
        ("text", 0, "피항선은 일찍 동작한다."),
    ]


def test_headings_of_a_manual() -> None:
    text = "Manual\n======\n\n4 Stopping\n\n4.2 At full speed\nShe stops.\n\nWARNING SIGNS\n\n4. This is a sentence, not a heading.\n"
    assert [(kind, text) for kind, _, text in blocks(text)] == [
        ("heading", "Manual"),
        ("heading", "4 Stopping"),
        ("heading", "4.2 At full speed"),
        ("text", "She stops."),
        ("heading", "WARNING SIGNS"),
        ("item", "4. This is a sentence, not a heading."),
    ]
    levels = {text: level for _, level, text in blocks(text)}
    assert levels["Manual"] < levels["4 Stopping"] < levels["4.2 At full speed"]


def test_lists_and_columns() -> None:
    assert blocks("Before:\n- one\n  goes on\n- two\n\nName    Limit\npump    3 bar\n") == [
        ("text", 0, "Before:"),
        ("item", 1, "one goes on"),
        ("item", 1, "two"),
        ("table", 0, "Name | Limit\npump | 3 bar"),
    ]
