"""Texts say what the picture holds, in both languages, and nothing that is not known."""

import re

import pytest

from sdx_domains.farm.figures import NAME, fill
from sdx_domains.farm.language import advise, describe, reason, reason_form
from sdx_domains.farm.prompting import prompts
from sdx_domains.farm.strategies import book

MEASURED_OR_FORECAST = {name for row in [*prompts()["facts"], *prompts()["question_facts"]] for name in row}


def test_a_description_reads_as_a_log_does(house) -> None:
    assert describe(house(), "en") == (
        "At 14:30 the air inside is at 21.4 °C and 74 % RH, VPD 0.66 kPa, with 640 ppm of CO2. Outside it is 6.2 °C with 413 W/m² of sun and "
        "4.1 m/s of wind. The next 24 h bring 1.8 °C to 9.4 °C outside, 15.8 MJ/m² of light, 0.6 mm of rain and wind up to 7.0 m/s. "
        "Power costs 0.23 EUR/kWh now; it is cheapest at 07:00 with 0.08 EUR/kWh and dearest at 19:00 with 0.32 EUR/kWh.\n\n"
        "The tomato crop, in fruit, is 60 days from planting; it had 9.2 mol/m² of light today and 19.1 °C on average over 24 h. "
        "Vents shut, heating valve at 35 %, thermal screen open, lamps off, CO2 valve at 60 %. Nothing holds growth back now. "
        "To watch: a cold night."
    )
    assert describe(house(), "ko").startswith("14:30 현재 실내는 21.4 °C, 상대습도 74%, 포차 0.66 kPa, CO2 640 ppm이다.")


def test_what_is_not_known_is_not_told(house) -> None:
    blind = house(unknown=("air_temp_c", "air_rh_pct", "vpd_kpa", "co2_ppm", "dew_point_c", "out_temp_c"), forecast=None, prices=None)
    told = describe(blind, "en")
    assert "no sensor tells that can be trusted" in told and "There is no weather forecast." in told
    assert "Power" not in told and "Outside" not in told


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_text_can_be_said_of_every_moment(language, moment) -> None:
    hangul = re.compile("[가-힣]")
    for seed in range(25):
        picture, options = moment(seed)
        for option in options[:3]:
            for text in (describe(picture, language), advise(picture, option, language), reason(picture, option, options, language)):
                assert not re.search(r"[{}]|nan|None", text), text
                assert bool(hangul.search(text)) == (language == "ko")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_reason_cites_three_measured_or_forecast_values_and_the_outcome(language, moment) -> None:
    for seed in range(25):
        picture, options = moment(seed)
        if picture.forecast is None or picture.prices is None:
            continue
        form = reason_form(picture, options[seed % 8], options, language)
        names = NAME.findall(form)
        assert len(set(names) & MEASURED_OR_FORECAST) >= 3, form
        assert "temp_mean" in names and ("gain" in names or "profit" in names)
        assert fill(form, picture, options[seed % 8], language) == reason(picture, options[seed % 8], options, language)


def test_a_reason_tells_what_the_plan_changes(house, plans) -> None:
    picture = house()
    options = plans(picture)
    told = {option.strategy: reason(picture, option, options, "en") for option in options}
    assert "Heat to 16.0 °C" in told["cool_night"] and "6.2 °C outside" in told["cool_night"]
    assert "Lamps at 100 %" in told["lamps_cheap"] and "power at 0.23 EUR/kWh" in told["lamps_cheap"]
    assert "ose CO2 to 1000 ppm" in told["rich_co2"] and "CO2 at 640 ppm" in told["rich_co2"]
    assert "ater 0.25 L/m² per 80 J/cm²" in told["short_shots"] and "the slab at 62 %" in told["short_shots"]
    assert "as the rules" in told["rules"] and "as the rules" not in told["dry"]


def test_advice_names_the_plan_in_the_language_asked_for(house, plans) -> None:
    picture = house()
    mixed = next(option for option in plans(picture) if "+" in option.strategy)
    words = book().strategies
    assert f"Plan G, {words['tight_screen'].en}, {words['dry'].en}: heat to" in advise(picture, mixed, "en")
    assert f"G안({words['tight_screen'].ko}, {words['dry'].ko})" in advise(picture, mixed, "ko")
    flagged = mixed.model_copy(update={"flags": ("hard limits crossed 3 times",)})
    assert advise(picture, flagged, "en").endswith("It breaks a limit: hard limits crossed 3 times.")


def test_names_of_strategies_tell_no_number() -> None:
    """A figure in a name would be told of plans whose hours do not hold it."""
    for strategy in book().strategies.values():
        assert not re.search(r"\d", (strategy.en + strategy.ko).replace("CO2", ""))
