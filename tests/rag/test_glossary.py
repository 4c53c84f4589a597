"""Terms of two languages: the longest is taken, endings do not matter, and a wrong file is told by its entry."""

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_rag.glossary import SYNONYM, TRANSLATION, Entry, Glossary

ENTRIES = [
    Entry(en=("give-way vessel", "give-way ship"), ko=("피항선", "피항 선박")),
    Entry(en=("vessel", "ship"), ko=("선박", "배")),
    Entry(en=("CPA", "closest point of approach"), ko=("최근접점",)),
    Entry(en=("starboard",), ko=("우현",)),
    Entry(en=("channel",), ko=("수로",)),
    Entry(en=("pulmonary nodule",), ko=("폐결절",)),
    Entry(en=("follow-up",), ko=("추적검사", "추적 관찰")),
]
GLOSSARY = Glossary(ENTRIES)


@pytest.mark.parametrize(
    ("query", "translated"),
    [
        ("피항선은 언제 우현으로 도나요?", "give-way vessel starboard"),
        ("피항 선박의 우현", "give-way vessel starboard"),
        ("피항선박이 우현으로", "give-way vessel starboard"),  # a space left out
        ("폐결절추적검사는?", "pulmonary nodule follow-up"),  # one word of two terms
        ("제15조에서 CPA가 0.5마일이면 선박은", "rule 15 cpa 0.5 vessel"),
        ("배가 간다", "vessel"),
        ("배수로", "channel"),  # "배" is no word here, "수로" ends one
        ("수로측량선", "channel"),
        ("배수로관", ""),  # "수로" inside another word
        ("What do give way vessels do?", "피항선"),
        ("ships and their closest point of approach", "선박 최근접점"),
        ("a ship's starboard side", "선박 우현"),
        ("hello", ""),
        ("안녕하세요", ""),
        ("", ""),
    ],
)
def test_translated(query: str, translated: str) -> None:
    assert GLOSSARY.translated(query) == translated


def test_expanded_weighs_the_own_words_most() -> None:
    found = GLOSSARY.expanded("피항선은?")
    assert found["give"] == found["giveway"] == TRANSLATION
    assert found["피항선은"] == found["피항선"] == pytest.approx(5**-0.5)  # of five tokens
    assert found["선박"] == SYNONYM
    assert GLOSSARY.expanded("CPA") == {"cpa": 1.0, "closest": SYNONYM, "point": SYNONYM, "approach": SYNONYM} | {
        token: pytest.approx(TRANSLATION / 2) for token in ("최근접점", "최근", "근접", "접점")
    }
    assert GLOSSARY.expanded("hello") == {"hello": 1.0}


def test_a_term_of_two_meanings_has_both() -> None:
    both = Glossary([Entry(en=("bow",), ko=("선수",)), Entry(en=("athlete",), ko=("선수",))])
    assert both.translated("선수는") == "bow athlete"


def test_without_terms_there_is_nothing_to_say() -> None:
    assert Glossary([]).translated("피항선") == ""
    assert Glossary([]).expanded("vessels") == {"vessel": 1.0}


def test_latin_letters_in_a_korean_term_are_words() -> None:
    mixed = Glossary([Entry(en=("electrical conductivity",), ko=("EC", "전기전도도")), Entry(en=("X-ray",), ko=("X선",))])
    assert mixed.translated("배액 EC가 높다") == "electrical conductivity"
    assert mixed.translated("X선은") == "X-ray"
    assert "conductivity" not in mixed.translated("tech 배액의 X선")


def test_files_are_one_glossary(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- {en: [pump], ko: [펌프]}\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("- {en: [valve], ko: [밸브]}\n", encoding="utf-8")
    assert Glossary.read([tmp_path / "a.yaml", tmp_path / "b.yaml"]).translated("펌프의 밸브") == "pump valve"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {en: [a], ko: [가]}\n- {en: [b]}\n", "entry 2.ko: Field required"),
        ("- {en: [a], ko: []}\n", "entry 1.ko: Tuple should have at least 1 item"),
        ("- {en: [''], ko: [가]}\n", "entry 1.en.0: String should have at least 1 character .given: ''"),
        ("- {en: a, ko: [가]}\n", "entry 1.en: Input should be a valid tuple .given: 'a'"),
        ("- {en: [a], ko: [가], source: b}\n", "entry 1.source: Extra inputs are not permitted"),
        ("en: [a]\n", "must be a list of {en"),
        ("", "must be a list of {en"),
        ("- {en: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_told_by_file_and_entry(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "glossary.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"glossary.yaml: .*{told}"):
        Glossary.read([path])


TERMS = st.lists(st.text("가나다라 ", min_size=1, max_size=5).filter(str.strip), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(TERMS, st.text("가나다라 은는을a1?", max_size=30))
def test_matches_are_in_the_query_in_order_and_apart(terms: list[str], query: str) -> None:
    found = Glossary([Entry(en=("x",), ko=(term,)) for term in terms]).matches(query)
    assert all(0 <= match.begin < match.end <= len(query) for match in found)
    assert all(one.end <= other.begin for one, other in pairwise(found))
    known = {"".join(term.split()) for term in terms}
    assert all("".join(query[match.begin : match.end].split()) in known for match in found)


@given(
    st.sampled_from([entry.ko[0] for entry in ENTRIES]),
    st.sampled_from(["", "은", "의", "에서", "으로"]),
    st.sampled_from(["", "그런데 ", "(", "A "]),
)
def test_a_term_is_found_whatever_stands_beside_it(term: str, particle: str, before: str) -> None:
    entry = next(entry for entry in ENTRIES if entry.ko[0] == term)
    assert entry.en[0].lower() in GLOSSARY.translated(before + term + particle).lower()


def test_a_long_glossary_and_a_long_query_take_no_time() -> None:
    many = Glossary(
        Entry(en=(f"term {n}",), ko=("".join(chr(0xAC00 + (n * 37 + at * 911) % 11172) for at in range(2 + n % 4)),)) for n in range(600)
    )
    query = "선박이 우현으로 도는 동안 시정이 나빠지면 얼마나 멀리 있어야 합니까? " * 5
    many.expanded(query)
    began = time.perf_counter()
    many.expanded(query)
    assert time.perf_counter() - began < 0.25
