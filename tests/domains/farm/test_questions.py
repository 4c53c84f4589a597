"""Every way to put a question is understood, and answered from the picture with figures that it holds."""

import pytest

from sdx_domains.equipment import Alarm
from sdx_domains.farm.questions import GENERAL, answer, answered, book, topic_of

ASKED = [
    (topic, language, text) for topic, entry in book()["topics"].items() for language in ("en", "ko") for text in entry["ask"][language]
]


@pytest.mark.parametrize(("topic", "language", "text"), ASKED)
def test_a_question_is_understood_by_its_words(topic, language, text) -> None:
    assert topic_of(text) == topic


def test_what_is_not_about_the_house_is_left_to_others(house) -> None:
    for language in ("en", "ko"):
        for text in book()[GENERAL]["ask"][language]:
            assert answered(house(), text, language) is None, text


@pytest.mark.parametrize(
    ("changes", "question", "told"),
    [
        (
            {},
            "Why are the vents shut?",
            "The vents are shut: at 21.4 °C and 74 % RH there is nothing to cool or dry, and outside it is 6.2 °C.",
        ),
        ({"wind_m_s": 16.0}, "Why are the vents shut?", "The vents are shut because of the wind, 16.0 m/s."),
        ({"rain_mm_h": 1.2}, "why are the windows closed", "The vents are shut because of rain, 1.2 mm/h."),
        ({"positions": {"vent_lee": 30.0}, "air_rh_pct": 88.0}, "Why are the vents open?", "to dry the air: humidity is at 88 %"),
        ({"positions": {"vent_lee": 30.0}, "air_temp_c": 27.0}, "Why are the vents open?", "to cool: inside it is 27.0 °C"),
        ({"air_rh_pct": 91.0}, "Is it too humid?", "It is too humid: 91 % RH"),
        ({}, "is it too humid in there", "The humidity is right: 74 % RH, VPD 0.66 kPa."),
        ({}, "When is power cheapest?", "Power is cheapest at 07:00 with 0.08 EUR/kWh; now it costs 0.23 EUR/kWh."),
        ({}, "How cold does it get tonight?", "Tonight falls to 1.8 °C outside, coldest at 04:00."),
        ({"rain_mm": 0.0}, "Will it rain?", "No rain is forecast for the next 24 h."),
        ({"forecast": None}, "Will it rain?", "That is not known now: no sensor or forecast tells it."),
        ({"prices": None}, "When is power cheapest?", "That is not known now"),
        ({"unknown": ("co2_ppm",)}, "What is the CO2?", "That is not known now"),
        ({}, "환기창이 왜 닫혀 있나?", "환기창은 닫혀 있다. 실내 21.4 °C, 습도 74%로 식히거나 제습할 일이 없고 외기는 6.2 °C이다."),
        ({"air_rh_pct": 91.0}, "지금 너무 습한가요?", "과습하다. 습도 91%"),
        ({}, "오늘 난방을 얼마나 썼나?", "계량을 시작한 뒤 난방에 0.00 kWh/m²를 썼다."),
    ],
)
def test_an_answer_fits_what_is_so(house, changes, question, told) -> None:
    assert told in answered(house(**changes), question, "ko" if question[-2] > "가" or question[0] > "가" else "en")


def test_alarms_are_told_in_words(house) -> None:
    picture = house(alarms=(Alarm(kind="vent_stuck", severity="critical", since_s=0.0, detail="12 %"),))
    assert answered(picture, "Is anything wrong?", "en") == "Alarms: a vent is stuck."
    assert answered(picture, "경보가 있나?", "ko") == "경보: 환기창 고착."
    assert answered(house(), "Are there alarms?", "en") == "Alarms: none."


def test_every_topic_has_an_answer_or_says_that_it_is_not_known(moment) -> None:
    for seed in range(10):
        picture, _ = moment(seed)
        for topic in book()["topics"]:
            for language in ("en", "ko"):
                assert answer(picture, topic, language)
