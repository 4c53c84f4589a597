"""A "what if" is understood in both languages, and what it leads to comes out of the twin."""

import random
from collections.abc import Mapping

import pytest

from sdx_domains.contract import Language
from sdx_domains.farm import prompting, what_if
from sdx_domains.farm.domain import FarmDomain
from sdx_domains.farm.faithful import unsupported_numbers
from sdx_domains.farm.figures import Figure
from sdx_domains.farm.what_if import Assumed, answered, asked, assumed_by, simulate


def told(picture, text: str, language: Language) -> str:
    answer = answered(picture, text, language)
    assert answer is not None
    return answer


def figures_of(grown, text: str, language: Language = "en") -> Mapping[str, Figure]:
    picture, options = grown
    found = simulate(picture, text, language, options)
    assert found is not None
    return found.figures


@pytest.mark.parametrize(
    ("text", "language", "assumed"),
    [
        ("What if it rains tonight?", "en", Assumed("rain", None, "tonight")),
        ("what if the power is out for two hours?", "en", Assumed("outage", 2.0, "")),
        ("What happens if we have a power cut?", "en", Assumed("outage", 1.0, "")),
        ("what if it gets 5 degrees colder?", "en", Assumed("colder", 5.0, "")),
        ("what if I set the night to 15 C?", "en", Assumed("heat", 15.0, "tonight")),
        ("Suppose tomorrow is overcast", "en", Assumed("cloudy", None, "tomorrow")),
        ("what if I hold CO2 at 600 ppm", "en", Assumed("co2", 600.0, "")),
        ("오늘 밤 비가 오면 어떻게 되나?", "ko", Assumed("rain", None, "tonight")),
        ("정전이 두 시간 되면 어떻게 되지?", "ko", Assumed("outage", 2.0, "")),
        ("기온이 5도 떨어지면 어떻게 되나?", "ko", Assumed("colder", 5.0, "")),
        ("밤 온도를 15도로 하면 어떨까?", "ko", Assumed("heat", 15.0, "tonight")),
        ("CO2를 600 ppm으로 하면?", "ko", Assumed("co2", 600.0, "")),
        ("Is it too humid?", "en", None),
        ("What if pigs could fly?", "en", None),
        ("습도가 너무 높나?", "ko", None),
    ],
)
def test_what_is_assumed(text, language, assumed) -> None:
    assert assumed_by(text, language) == assumed


def test_every_shipped_question_is_understood_as_its_own_entry() -> None:
    book = what_if.book()
    for entry in book["entries"]:
        for language in ("en", "ko"):
            for say in entry["say"][language]:
                for number in entry["say"].get("n", [None]):
                    text = say.format(n=number)
                    found = assumed_by(text, language)
                    assert found is not None and (found.name, found.number) == (entry["name"], number), text
    assert assumed_by(asked("en", random.Random(3)), "en") is not None


def test_a_number_beyond_what_is_simulated_is_refused_in_the_question_s_language(house) -> None:
    with pytest.raises(ValueError, match="99.0 °C is beyond what is simulated here"):
        assumed_by("what if I heat to 99 C", "en")
    assert "범위(5.0 °C~30.0 °C)를 벗어난다" in told(house(), "난방을 99도로 하면 어떻게 되나?", "ko")


def test_without_a_twin_nothing_is_simulated(house) -> None:
    assert simulate(house(), "What if it rains tonight?", "en") is None
    assert "cannot be simulated now" in told(house(), "What if it rains tonight?", "en")
    assert answered(house(), "How warm is it?", "en") is None
    assert "simulated" not in prompting.question_messages(house(), "What if it rains tonight?", "en")[1]["content"]


def test_a_colder_night_takes_more_heat(grown) -> None:
    figures = {name: figure.value for name, figure in figures_of(grown, "What if it gets 6 degrees colder?").items()}
    assert figures["if_heat"] > figures["base_heat"] + 0.1
    assert figures["if_temp_min"] <= figures["base_temp_min"]
    assert figures["if_gain"] == pytest.approx(figures["if_profit"] - figures["base_profit"]) and figures["if_gain"] < 0


def test_a_cooler_set_point_saves_heat(grown) -> None:
    figures = figures_of(grown, "What if we heat to 14 C?")
    assert figures["if_heat"].value < figures["base_heat"].value - 0.1
    assert figures["if_temp_mean"].value < figures["base_temp_mean"].value


def test_a_power_cut_cools_the_house(grown) -> None:
    figures = figures_of(grown, "What if the power is out for six hours?")
    assert figures["if_temp_min"].value < figures["base_temp_min"].value - 1.0


def test_dear_heat_costs_money(grown) -> None:
    assert figures_of(grown, "What if heating gets twice as expensive?")["if_gain"].value < 0


@pytest.mark.parametrize(("text", "language"), [("What if it gets 6 degrees colder?", "en"), ("6도 더 추워지면 어떻게 되나?", "ko")])
def test_the_answer_holds_the_simulated_figures_and_a_model_gets_them_too(grown, text, language) -> None:
    picture, figures = grown[0], figures_of(grown, text, language)
    answer = told(picture, text, language)
    assert f"{figures['if_temp_min'].value:.1f} °C" in answer
    assert unsupported_numbers(answer, picture, (), what_if.remembered(picture)) == []
    assert unsupported_numbers(answer, picture, ()) != []
    prompt = prompting.question_messages(picture, text, language)[1]["content"]
    assert "simulated what if colder 6: if_hours 48 base_temp_min" in prompt
    assert f"if_temp_min {figures['if_temp_min'].value:.1f}" in prompt


def test_the_domain_fills_in_and_holds_words_to_the_simulated_figures(grown) -> None:
    picture, figures = grown[0], figures_of(grown, "What if it gets 6 degrees colder?")
    domain = FarmDomain()
    said = domain.told(picture, "The house falls to {if_temp_min}, heat to {if_he", "en", whole=False)
    assert said == f"The house falls to {figures['if_temp_min'].value:.1f} °C, heat to "
    assert domain.doubts(picture, said) == [] and domain.doubts(picture, "The house falls to 55.5 °C.") != []
    assert domain.answered(picture, "What if it gets 6 degrees colder?", "en") == told(picture, "What if it gets 6 degrees colder?", "en")
