"""Free text: who somebody is goes, what was found stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_domains.medicine.privacy.text import scrub

KNOWN = frozenset(("Hong^Gil Dong", "洪^吉洞", "홍^길동", "12345678", "Yu^Ko"))


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("주민번호 900101-1234568 임", "주민번호 [id] 임"),  # the check digit is right
        ("resident 021231-4234567.", "resident [id]."),  # issued after October 2020: no check digit
        ("9001011234567", "[id]"),
        ("900101-1******", "[id]"),
        ("call 010-1234-5678 or 02-123-4567", "call [phone] or [phone]"),
        ("+82 10 1234 5678, (555) 123-4567", "[phone], [phone]"),
        ("write to a.b+c@x-y.co.kr.", "write to [e-mail]."),
        ("passport M12345678 / M123A4567", "passport [id] / [id]"),
        ("MRN: A1234567, Chart No. 889922, Accession# 2024-88", "MRN: [id], Chart No. [id], Accession# [id]"),
        ("등록번호: 00123456, 환자번호 998877", "등록번호: [id], 환자번호 [id]"),
        ("prior of 2024-03-11, 2024.03.11. and 11 Mar 2024", "prior of [date], [date] and [date]"),
        ("2024년 3월 11일, 3월 11일, 20240311, 03/11/2024.", "[date], [date], [date], [date]."),
        ("March 2024; May 3, 2024; MAY 3", "[date]; [date]; [date]"),
        ("Mr. John Smith and Dr. Kim agree", "Mr [name] and Dr [name] agree"),
        ("Patient name: john smith", "Patient name: [name]"),
        ("signed by: Jane Q. Doe", "signed by: [name]"),
        ("KIM^MINSU", "[name]"),
        ("홍길순 님이 내원", "[name] 님이 내원"),
        ("판독의: 이영희. 담당의 박지성 교수", "판독의: [name]. 담당의 [name]"),
        ("누리대학교병원에서 전원", "[place]에서 전원"),
        ("서울특별시 강남구 테헤란로 123 거주", "[place] 거주"),
        ("a 93-year-old, 95세", "a 90+-year-old, 90+세"),
        ("UID 1.3.12.2.1107.5.1.4.60064.3000", "UID [uid]"),
    ],
)
def test_it_goes(said: str, left: str) -> None:
    assert scrub(said) == left


@pytest.mark.parametrize(
    "said",
    [
        "A 7.2 x 5.1 mm solid nodule, series 3 image 120, -950 HU, in the right upper lobe.",
        "Pleural fluid 1500-2000 mL. Lung-RADS 4A; Fleischner 2017: CT at 3-6 months. CTR 0.52.",
        "No pneumothorax since 2019. Patient: stable. History: cough. It may 3 mm differ.",
        "고혈압 환자, 심부전 환자. 우상엽에 8 mm 결절이 있음. 기관지 확장, 전이 의심, 이상 소견 없음. 타병원 CT.",
        "2.25.227302402462083840702407765817195216993 and 1.2.840.10008.5.1.4.1.1.2",
        "Aorta 41 mm at level 12.5; B70f 1.25 mm; 120 kV; a 60-year-old woman, 88세.",
    ],
)
def test_what_was_found_stays(said: str) -> None:
    assert scrub(said, KNOWN) == said


@pytest.mark.parametrize(
    "said", ["GILDONG HONG", "hong_gildong", "Gil-Dong", "홍길동", "길동", "洪吉洞", "HONG, Gil Dong", "KO", "12345678"]
)
def test_names_and_numbers_of_the_header_go_however_they_are_written(said: str) -> None:
    assert scrub(f"seen {said}은 today", KNOWN) == "seen [name]은 today"


def test_a_known_name_inside_a_longer_one_does_not_hide_the_rest() -> None:
    assert scrub("Signed by: Gildong Okafor on call. Dr. Gil-Dong Nguyen.", KNOWN) == "Signed by: [name] on call. Dr [name]."


@given(st.text(max_size=300))
def test_any_text_is_survived_and_twice_is_once(said: str) -> None:
    once = scrub(said, KNOWN)
    assert isinstance(once, str) and "홍길동" not in once


@given(
    st.integers(0, 99),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(1, 8),
    st.integers(0, 999_999),
    st.sampled_from(["-", "", " - "]),
)
def test_every_resident_number_goes(year: int, month: int, day: int, kind: int, rest: int, between: str) -> None:
    number = f"{year:02d}{month:02d}{day:02d}{between}{kind}{rest:06d}"
    assert scrub(f"no. {number} end") == "no. [id] end"
