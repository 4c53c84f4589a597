import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_rag.document import Block
from sdx_rag.readers.clean import cleaned, cleaned_blocks, hidden_notes, ranked, spaced, table_text


def test_what_is_seen_stays_and_what_is_not_goes() -> None:
    assert cleaned("a\u200bb\u202ec\u00add\ufeff\x00\x07e") == "abcde"
    assert cleaned("x\u00a0y\u3000z\r\n1\u20282\x0c3\t4") == "x y z\n1\n2\n3\t4"
    assert cleaned("\u3164\u115f\u2800\ufe0f\U000e0041") == ""
    assert cleaned("✓ 30 °C 가 漢 é ½ → ①") == "✓ 30 °C 가 漢 é ½ → ①"


def test_taken_apart_hangul_is_put_together() -> None:
    assert cleaned(unicodedata.normalize("NFD", "충돌의 위험")) == "충돌의 위험"


@settings(derandomize=True, max_examples=200)
@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = cleaned(text)
    assert cleaned(once) == once
    assert len(spaced(text).splitlines()) <= 1


def test_only_what_hides_is_noted() -> None:
    assert hidden_notes(["soft\u00adhyphen \u200b \ufeff"]) == ()
    assert hidden_notes(["\U000e0041", "\u202e"]) == ("2 hidden characters left out",)


def test_blocks_without_text_go() -> None:
    assert cleaned_blocks([Block("\u200b \n"), Block(" a \n\n b ")]) == (Block("a\n\nb"),)


def test_tables_and_levels() -> None:
    assert table_text([["a\nb", "c"], ["", " "], ["1", ""]]) == "a b | c\n1 | "
    assert [block.level for block in ranked([Block("x", "heading", 7), Block("y", "item", 2), Block("z", "heading", 3)])] == [2, 2, 1]
