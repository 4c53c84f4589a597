"""Which provision a line belongs to, and which lines open one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_rag.document import Block
from sdx_rag.outline import Outline, heading_in, heading_of, starts


def walked(heading: str, *lines: str) -> list[str]:
    """The address at each line."""
    outline = Outline()
    outline.open(heading_of(Block(heading, "heading", 1)))
    return [outline.addresses[-1] for line in lines if outline.label(line) or True]


@pytest.mark.parametrize(
    ("heading", "lines", "addresses"),
    [
        ("Rule 17", ["Text", "(a) (i) One", "(ii) two", "more", "(b) Three"], ["R17", "R17(a)(i)", "R17(a)(ii)", "R17(a)(ii)", "R17(b)"]),
        ("RULE 3 Definitions", ["(h) a", "(i) b", "(j) c"], ["R3(h)", "R3(i)", "R3(j)"]),
        ("Rule 8", ["(f) a", "(i) b", "(ii) c", "(iii) d"], ["R8(f)", "R8(f)(i)", "R8(f)(ii)", "R8(f)(iii)"]),
        ("제15조(횡단)", ["① 가", "1. 나", "가. 다", "나. 라", "2. 마", "② 바"], [
            "제15조제1항", "제15조제1항제1호", "제15조제1항제1호가목", "제15조제1항제1호나목", "제15조제1항제2호", "제15조제2항",
        ]),
        ("Article 4", ["1. One", "a) two", "b) three", "2. Four"], ["Art. 4(1)", "Art. 4(1)(a)", "Art. 4(1)(b)", "Art. 4(2)"]),
        ("4.2 Start", ["(a) open", "(b) close"], ["4.2(a)", "4.2(b)"]),
        ("Rule 20(b)", ["text", "(i) one"], ["R20(b)", "R20(b)(i)"]),
    ],
)  # fmt: skip
def test_addresses(heading: str, lines: list[str], addresses: list[str]) -> None:
    assert walked(heading, *lines) == addresses


def test_without_a_number_around_it_a_label_is_only_a_list() -> None:
    outline = Outline()
    outline.open(heading_of(Block("Introduction", "heading", 1)))
    assert not outline.label("(a) One")
    assert outline.addresses == ()


def test_a_heading_without_number_stands_under_the_one_around_it() -> None:
    outline = Outline()
    for text, level in (("Rule 8", 1), ("Notes", 2)):
        outline.open(heading_of(Block(text, "heading", level)))
    assert (outline.path, outline.addresses) == (("Rule 8", "Notes"), ("R8",))
    outline.open(heading_of(Block("Annex", "heading", 1)))
    assert (outline.path, outline.addresses) == (("Annex",), ())


@pytest.mark.parametrize("line", ["(a) x", "(iv) x", "1. x", "3) x", "① x", "가. x", "Rule 15", "제15조(경계)", "4.2.1 Title"])
def test_lines_that_begin_something(line: str) -> None:
    assert starts(line)


@pytest.mark.parametrize(
    "line", ["(see annex) x", "1.5 m", "and Rule 15", "a small ship", "Rule 15 applies.", "나는 x", "2024 was dry", "4.2 kPa"]
)
def test_lines_that_go_on(line: str) -> None:
    assert not starts(line)


@given(st.text(st.sampled_from("Rule 15()aiv.①제조항:A 가나-"), max_size=40))
def test_no_line_breaks_an_outline(line: str) -> None:
    outline = Outline()
    outline.open(heading_of(Block("Rule 1", "heading", 1)))
    outline.label(line)
    assert outline.addresses[0] == "R1"
    if found := heading_in(line):
        assert "".join(line.split()).startswith("".join(found[0].text.split()))
        outline.open(found[0])
        assert outline.path[-1] == found[0].text
