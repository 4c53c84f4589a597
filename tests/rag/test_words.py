"""Words of both languages: what is alike is one token, what differs is not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_rag.words import LONGEST, address_tokens, language_of, normalised, query_tokens, sentences, tokens

SAME = [
    ("Rule 15(a)", "R15(a)", "rule 15 (a)", "제15조 (a)항", "규칙 15(a)", "Ｒｕｌｅ １５（ａ）"),
    ("제15조제1항제2호", "제15조 제1항 제2호", "Article 15(1)(2)"),
    ("제15조의2", "제 15 조의 2"),
    ("Section 4.2", "§4.2", "sec. 4.2", "4.2절"),
    ("GC-1", "gc1", "GC‐1"),
    ("vessels crossing", "vessel crosses", "Vessel's crossed"),
    ("1,000 ppm", "1000ppm"),
    ("8 mm", "8mm", "8㎜"),
    ("22.5°", "22.5°\u200b"),
    ("row 17", "17행"),
]


@pytest.mark.parametrize("texts", SAME, ids=lambda texts: texts[0])
def test_the_same_thing_written_otherwise_has_a_token_in_common(texts: tuple[str, ...]) -> None:
    first = set(tokens(texts[0]))
    assert first
    for text in texts[1:]:
        shared = {token for token in first & set(tokens(text)) if token not in ("제", "조")}
        assert max(map(len, first)) == max(map(len, shared)), (text, tokens(text))


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("passing 0.5 NM ahead", "0.5nmi"),
        ("0.5마일보다 가까우면", "0.5nmi"),
        ("22.5 degrees abaft", "22.5deg"),
        ("22.5도보다", "22.5deg"),
        ("6개월마다", "6month"),
        ("every 6 months", "6month"),
        ("nodules of 6-8 mm", "6mm"),
        ("between 6 and 8 mm", "6mm"),
        ("give-way vessel", "giveway"),
        ("look-out", "lookout"),
        ("CO2 dosing", "co2"),
        ("PM2.5", "pm2.5"),
        ("rules 13, 14(a) and 15", "r15"),
        ("see 4.2.1", "§4.2"),
        ("피항선은", "피항선"),
        ("피항선의", "피항선"),
        ("물을", "물"),
        ("통항로를", "통항로"),
        ("통항로", "항로"),
    ],
)
def test_token_is_there(text: str, token: str) -> None:
    assert token in tokens(text)


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("15 도착", "15deg"),
        ("see 4.2 m", "§4.2"),
        ("15조 원", "r15"),
        ("Rule 15 (see annex)", "r15(see)"),
        ("ruler 15", "r15"),
        ("온도", "온"),
        ("5 Ms Kim", "5m"),
    ],
)
def test_token_is_not_there(text: str, token: str) -> None:
    assert token not in tokens(text)


def test_a_provision_brings_those_around_it() -> None:
    assert tokens("R17(a)(ii)") == ["r17(a)(ii)", "r17(a)", "r17"]
    assert tokens("제15조의2 제1항") == ["r15-2(1)", "r15-2"]
    assert tokens("Section 4.2(a)") == ["§4.2(a)", "§4.2", "§4"]


def test_an_address_that_is_only_a_number_is_an_address_all_the_same() -> None:
    assert address_tokens("4.2") == ["§4.2", "§4"]
    assert address_tokens("R15(a)") == ["r15(a)", "r15"]
    assert address_tokens("row 17") == ["row17"]
    assert address_tokens("제15조제1항") == ["r15(1)", "r15"]
    assert address_tokens("") == []


def test_a_query_is_left_its_meaning() -> None:
    assert query_tokens("What does the give-way vessel have to do?") == ["give", "way", "giveway", "vessel"]
    assert query_tokens("무엇을 해야 하나요? 피항선은?") == ["피항선은", "피항선", "피항", "항선", "선은"]
    assert query_tokens("vessel and vessel") == ["vessel"]
    assert query_tokens("who is it?") == ["who", "is", "it"]  # nothing else to look for
    assert query_tokens("?!") == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Rule 15", "en"),
        ("", "en"),
        ("123", "en"),
        ("피항선", "ko"),
        ("CPA가 0.5 NM 미만이면?", "ko"),
        ("What does 피항선 mean?", "ko"),
        ("Call the master of the vessel, Captain 김, at once when visibility falls.", "en"),
        ("ㅋㅋ", "en"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See Rule 15(a). Then turn 0.5 NM to starboard. Done!", ["See Rule 15(a).", "Then turn 0.5 NM to starboard.", "Done!"]),
        ("Act early, e.g. Turn now. Stop.", ["Act early, e.g. Turn now.", "Stop."]),
        ("Rule 15. Crossing situation. She turns.", ["Rule 15. Crossing situation.", "She turns."]),
        ("1. Open it. 2. Close it.", ["1. Open it.", "2. Close it."]),
        ("가. 첫째. 나. 둘째.", ["가. 첫째.", "나. 둘째."]),
        ("피항한다.그리고 침로를 바꾼다. 끝", ["피항한다.", "그리고 침로를 바꾼다.", "끝"]),
        ("name | value\na | 1", ["name | value", "a | 1"]),
        ('He said "Go." Then left.', ['He said "Go."', "Then left."]),
        ("The limit is approx. 5 m. pH is 5.8.", ["The limit is approx. 5 m.", "pH is 5.8."]),
        ("Wait... Then go. no capital", ["Wait...", "Then go. no capital"]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


TEXTS = st.text(alphabet=st.sampled_from("abR1520.()（）,'-§° \n가나다조항선을ａ㎜①\u200b\u0301한"), max_size=80) | st.text(max_size=60)


@given(TEXTS)
def test_no_text_breaks_tokens(text: str) -> None:
    found = tokens(text)
    assert found == tokens(normalised(text))
    assert all(token and len(token) <= LONGEST and not any(map(str.isspace, token)) for token in found)
    assert set(query_tokens(text)) <= set(found)
    assert bool(query_tokens(text)) == bool(found)


@given(TEXTS)
def test_no_letter_of_a_text_is_without_a_token(text: str) -> None:
    clean = normalised(text)
    assert bool(tokens(text)) == any(char.isalnum() for char in clean if char.isascii() or "가" <= char <= "힣") or not clean.isascii()


@given(TEXTS)
def test_sentences_lose_and_move_nothing(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text", ["rule 1, " * 5_000, "(" * 50_000, "1." * 30_000, "a-" * 30_000, "1 to " * 20_000, "가" * 50_000, "제 1 " * 20_000]
)
def test_long_and_odd_texts_take_no_longer_than_others(text: str) -> None:
    began = time.perf_counter()
    tokens(text)
    sentences(text)
    assert time.perf_counter() - began < 5
