"""Where documents are cut: at what they are built of; and nothing of them is lost."""

import re
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_rag.chunk import TARGET_WORDS, chunks, indexed_text
from sdx_rag.document import Block, Document, Place
from sdx_rag.passages import Chunk


def by_words(texts: Sequence[str]) -> list[int]:
    """A model that has two tokens to a word and two marks."""
    return [2 + 2 * len(text.split()) for text in texts]


def cut(*blocks: Block, limit: int = 512) -> list[Chunk]:
    return chunks(Document("Manual", blocks), by_words, limit)


def heading(text: str, level: int = 1) -> Block:
    return Block(text, "heading", level)


def test_a_rules_paragraph_is_one_passage_with_its_address() -> None:
    found = cut(
        heading("Part B"),
        heading("Rule 15 Crossing situation", 2),
        Block("(a) The ship that has the other to starboard keeps clear."),
        Block("(b) And more."),
        heading("Rule 17 Action by stand-on vessel", 2),
        Block("(a) (i) One keeps out of the way, the other keeps her course."),
        Block("(ii) The latter may act."),
        Block("(b) When she finds herself close, she acts."),
    )
    assert [(chunk.address, chunk.headings[-1]) for chunk in found] == [
        ("R15(a)", "Rule 15 Crossing situation"),
        ("R15(b)", "Rule 15 Crossing situation"),
        ("R17(a)", "Rule 17 Action by stand-on vessel"),
        ("R17(b)", "Rule 17 Action by stand-on vessel"),
    ]
    assert found[2].text == "(a) (i) One keeps out of the way, the other keeps her course.\n(ii) The latter may act."
    assert [chunk.ordinal for chunk in found] == [0, 1, 2, 3]


def test_what_introduces_the_paragraphs_goes_with_each() -> None:
    found = cut(heading("Rule 3"), Block("In these Rules:"), Block("(a) A vessel is a craft."), Block("(b) A master commands."))
    assert [(chunk.address, chunk.text) for chunk in found] == [
        ("R3(a)", "In these Rules:\n(a) A vessel is a craft."),
        ("R3(b)", "In these Rules:\n(b) A master commands."),
    ]


def test_a_long_paragraph_is_parted_at_its_own_parts() -> None:
    parts = [f"({label}) {'word ' * 50}end {label}." for label in ("i", "ii", "iii", "iv")]
    found = cut(heading("Rule 19"), Block("(d) She determines if:"), *map(Block, parts))
    assert [chunk.address for chunk in found] == ["R19(d)", "R19(d)(iv)"]  # three fit, then the last
    assert found[1].text.startswith("(d) She determines if:\n(iv) word")
    alone = cut(heading("Rule 19"), Block("(d) She determines if:"), *map(Block, parts), limit=160)
    assert [chunk.address for chunk in alone] == ["R19(d)", "R19(d)(ii)", "R19(d)(iii)", "R19(d)(iv)"]
    assert all(chunk.text.startswith("(d) She determines if:") for chunk in alone)


def test_letters_after_h_are_letters_and_roman_numbers_roman() -> None:
    labels = ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)", "(g)", "(h)", "(i)", "(j)"]
    assert [chunk.address for chunk in cut(heading("Rule 10"), *(Block(f"{label} Text.") for label in labels))] == [
        f"R10{label}" for label in labels
    ]
    nested = [Block("(a) One " + "word " * 40), Block("(i) two " + "word " * 40), Block("(ii) three " + "word " * 40), Block("(b) Four.")]
    assert [chunk.address for chunk in cut(heading("Rule 9"), *nested, limit=110)] == ["R9(a)", "R9(a)(i)", "R9(a)(ii)", "R9(b)"]


def test_korean_articles_are_cited_as_statutes_are() -> None:
    found = cut(
        heading("제3장 항법"),
        Block("제15조(횡단하는 상태) ① 두 동력선이 횡단하면 피한다. ② 다음 각 호의 선박은 피하지 않는다.\n1. 어선\n2. 범선"),
        Block("제15조의2(예외) 예외로 한다."),
        Block("제16조에 따라 동작한다."),
    )
    assert [chunk.address for chunk in found] == ["제15조제1항", "제15조제2항", "제15조의2"]
    assert found[1].text == "② 다음 각 호의 선박은 피하지 않는다.\n1. 어선\n2. 범선"
    assert found[2].text == "예외로 한다.\n제16조에 따라 동작한다."
    assert found[0].headings == ("제3장 항법", "제15조(횡단하는 상태)")
    assert {chunk.language for chunk in found} == {"ko"}


def test_numbers_of_sections_are_addresses_and_figures_are_not() -> None:
    found = cut(
        heading("4 Pumps"),
        heading("4.2 Valves", 2),
        Block("4.2 MPa is the limit."),
        Block("0.5 마일이 한계다."),
        Block("4.2.1 The pump shall not run dry. It stops at once."),
        Block("4.3 Filters"),
        Block("Clean them."),
        heading("Annex"),
        Block("Free text."),
    )
    assert [(chunk.address, chunk.text) for chunk in found] == [
        ("4.2", "4.2 MPa is the limit.\n0.5 마일이 한계다."),
        ("4.2.1", "The pump shall not run dry. It stops at once."),
        ("4.3", "Clean them."),
        ("", "Free text."),
    ]
    assert found[2].headings == ("4 Pumps", "4.3 Filters")


@pytest.mark.parametrize(
    "text",
    ["Rule 15 applies when two ships cross.", "Rule 15(a) says so, and so on.", "제15조에 따라 피한다.", "4.2 m of water", "15 ships"],
)
def test_a_sentence_that_begins_with_a_number_is_no_heading(text: str) -> None:
    found = cut(heading("Advice"), Block(text))
    assert [(chunk.headings, chunk.address, chunk.text) for chunk in found] == [(("Advice",), "", text)]


@pytest.mark.parametrize(
    ("text", "address", "rest"),
    [
        ("Rule 15 Crossing situation", "R15", "Then."),
        ("Rule 15: Ships that cross do not meet; they keep clear.", "R15", "Ships that cross do not meet; they keep clear.\nThen."),
        ("Article 4", "Art. 4", "Then."),
        ("Regulation 19-1", "Reg. 19-1", "Then."),
        ("제 7 조", "제7조", "Then."),
    ],
)
def test_numbered_lines_that_are_not_marked_as_headings(text: str, address: str, rest: str) -> None:
    assert [(chunk.address, chunk.text) for chunk in cut(Block(text), Block("Then."))] == [(address, rest)]


def test_rules_without_marked_headings_stand_beside_each_other() -> None:
    found = cut(heading("Part B"), Block("Rule 15"), Block("One."), Block("Rule 16"), Block("Two."))
    assert [(chunk.headings, chunk.address) for chunk in found] == [(("Part B", "Rule 15"), "R15"), (("Part B", "Rule 16"), "R16")]


def test_a_title_on_the_line_after_the_number_belongs_to_the_heading() -> None:
    found = cut(
        heading("Rule 17"),
        Block("Action by stand-on vessel"),
        Block("(a) (i) One."),
        Block("(ii) Two."),
        heading("Rule 18"),
        Block("Ends here"),
    )
    assert [(chunk.headings, chunk.address, chunk.text) for chunk in found] == [
        (("Rule 17 Action by stand-on vessel",), "R17(a)", "(a) (i) One.\n(ii) Two."),
        ((), "R18", "Rule 18 Ends here"),
    ]


def test_the_documents_title_is_not_said_again() -> None:
    assert cut(heading("Manual"), heading("Pumps", 2), Block("text"))[0].headings == ("Pumps",)


def test_no_chunk_crosses_a_heading_and_paragraphs_under_one_are_together() -> None:
    found = cut(heading("A"), Block("one."), Block("two."), heading("B", 2), Block("three."), heading("C"), Block("four."))
    assert [(chunk.headings, chunk.text) for chunk in found] == [(("A",), "one.\ntwo."), (("A", "B"), "three."), (("C",), "four.")]


def test_a_heading_with_nothing_under_it_is_a_text() -> None:
    found = cut(heading("A"), heading("B", 2), heading("C"), Block("text"), heading("D"))
    assert [(chunk.headings, chunk.text) for chunk in found] == [(("A",), "B"), (("C",), "text"), ((), "D")]


def test_items_stay_with_what_introduces_them() -> None:
    items = [Block(f"item {n} " + "word " * 30, "item", 1) for n in range(8)]
    found = cut(Block("filler " * 120), Block("Open in this order:"), *items[:3])
    assert [chunk.text[:19] for chunk in found] == ["filler filler fille", "Open in this order:"]
    long = cut(Block("Open in this order:"), *items)
    assert len(long) == 2
    assert all(chunk.text.startswith("Open in this order:\nitem") for chunk in long)


def test_a_table_is_cut_by_rows_under_its_header() -> None:
    rows = [f"pump {n} | {n} bar" for n in range(90)]
    found = cut(Block("\n".join(["name | pressure", *rows]), "table"), limit=200)
    assert len(found) > 3
    assert all(chunk.text.startswith("name | pressure\npump") for chunk in found)
    assert [row for chunk in found for row in chunk.text.split("\n")[1:]] == rows


def test_a_sentence_is_cut_only_if_it_alone_is_too_long() -> None:
    sentences = [f"Sentence {n} {'has words ' * 14}in it." for n in range(30)]
    found = cut(Block(" ".join(sentences)))
    assert len(found) > 4
    assert [sentence for chunk in found for sentence in re.split(r"(?<=\.) ", chunk.text)] == sentences
    endless = cut(Block("word " * 1000))
    assert sum(len(chunk.text.split()) for chunk in endless) == 1000
    assert max(len(chunk.text.split()) for chunk in endless) <= TARGET_WORDS


def test_a_passage_stays_whole_unless_the_model_cannot_take_it() -> None:
    text = "A sentence of six words here. " * 50
    passage = Block(text.strip(), "passage", address="R8", title="Action", source="IMO")
    assert [(chunk.text, chunk.address, chunk.headings, chunk.source) for chunk in cut(passage, limit=9999)] == [
        (text.strip(), "R8", ("Action",), "IMO")
    ]
    parts = cut(passage)
    assert len(parts) == 2
    assert {(chunk.address, chunk.source) for chunk in parts} == {("R8", "IMO")}


def test_place_is_that_of_the_first_page() -> None:
    blocks = (
        Block("one", place=Place(3, (10, 20, 100, 30))),
        Block("two", place=Place(3, (5, 40, 90, 50))),
        Block("three", place=Place(4, (0, 0, 500, 9))),
    )
    assert cut(*blocks)[0].place == Place(3, (5, 20, 100, 50))


def test_what_is_embedded_has_title_and_headings_before_it() -> None:
    chunk = cut(heading("Part B"), heading("Rule 5", 2), Block("Look out."))[0]
    assert indexed_text(chunk, "COLREG") == "COLREG\nPart B\nRule 5\nLook out."


def test_a_document_without_text_has_no_chunks() -> None:
    assert cut() == cut(Block("  \n "), Block("", "table"), Block(" ", "heading", 1), Block("", "passage")) == []


LONG = [
    [heading("Rule 1"), Block("(a) " * 40_000)],
    [heading("Rule 1"), *[Block(f"({'i' * (n % 4 + 1)}) text") for n in range(8_000)]],
    [Block("Do:"), *[Block(f"step {n}", "item", 1) for n in range(8_000)]],
    [Block("h | h\n" + "a | b\n" * 20_000, "table")],
    [Block("Rule 15 " * 20_000), Block("제15조 " * 20_000), Block("①" * 40_000), Block("4." * 40_000)],
    [Block("가" * 100_000), Block("x" * 100_000)],
    [Block("line\n" * 20_000)],
    [heading(f"{n} Title", n % 6) for n in range(5_000)],
]


@pytest.mark.parametrize("blocks", LONG, ids=lambda blocks: f"{blocks[-1].text[:12]!r}")
def test_long_and_odd_documents_take_no_longer_than_others(blocks: list[Block]) -> None:
    began = time.process_time()
    assert cut(*blocks, limit=256)
    assert time.process_time() - began < 6  # some 160,000 characters each


WORD = st.sampled_from(
    ["Rule", "15", "(a)", "(i)", "4.2", "1.", "제15조", "①", "가.", "alpha", "beta.", "gamma:", "|", "피항선은", "Then,", "0.5"]
) | st.text("abc가나.", min_size=1, max_size=8)
TEXT = st.lists(WORD, min_size=1, max_size=40).map(" ".join)
BLOCK = st.builds(
    Block,
    st.one_of(TEXT, st.lists(TEXT, min_size=1, max_size=5).map("\n".join)),
    st.sampled_from(["heading", "text", "item", "table", "passage"]),
    st.integers(0, 4),
    address=st.sampled_from(["", "R1"]),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(BLOCK, max_size=12), st.integers(120, 400))
def test_every_word_is_in_a_chunk_and_every_chunk_fits(blocks: list[Block], limit: int) -> None:
    document = Document("T", tuple(blocks))
    found = chunks(document, by_words, limit)
    said = {word for chunk in found for text in (chunk.text, *chunk.headings) for word in text.split()}
    assert {word for block in blocks for word in block.text.split() if any(map(str.isalnum, word))} <= said
    assert found == chunks(document, by_words, limit)
    assert [chunk.ordinal for chunk in found] == list(range(len(found)))
    for chunk in found:
        assert chunk.text.strip()
        half = by_words([chunk.text])[0] <= limit // 2 + 2
        assert half or by_words([indexed_text(chunk, "T")])[0] <= limit


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("abcd", min_size=2, max_size=6), min_size=1, max_size=900, unique=True), st.integers(64, 300))
def test_order_is_kept(sequence: list[str], limit: int) -> None:
    paragraphs = [Block(" ".join(sequence[at : at + 70])) for at in range(0, len(sequence), 70)]
    assert " ".join(chunk.text for chunk in cut(*paragraphs, limit=limit)).split() == sequence
