"""Every name gives the picture's number with its unit; another name is refused with those that there are."""

import re

import pytest

from sdx_domains.farm.figures import NAME, ahead, fill, fill_so_far, known, shown


def test_measured_values_are_filled_in_with_their_units(house) -> None:
    text = "{air_temp} {rh} {co2} {vpd} {out_temp} {wind} {vents} {heating} {dli} {age} {substrate_ec} {substrate_ph} {time}"
    assert (
        fill(text, house(), language="en") == "21.4 °C 74 % 640 ppm 0.66 kPa 6.2 °C 4.1 m/s 0 % 35 % 9.2 mol/m² 60 days 3.4 dS/m 5.9 14:30"
    )
    assert fill("{rh} {age} {elec_now}", house(), language="ko") == "74% 60일 0.23유로/kWh"


def test_the_forecast_is_read_by_the_local_clock(house) -> None:
    picture = house(hour=14.5)
    night = {h % 24: value for h, value in ahead(picture, "out_temp") if 18 <= h <= 32}
    assert fill("{tonight_low}", picture, language="en") == f"{min(night.values()):.1f} °C"
    assert fill("{tonight_low_at}", picture, language="en") == "04:00"
    assert fill("{out_temp@18}", picture, language="en") == f"{night[18]:.1f} °C"
    tomorrow = [value for h, value in ahead(picture, "solar") if 24 <= h < 48]
    assert fill("{solar_tomorrow}", picture, language="en") == f"{sum(tomorrow) * 0.0036:.1f} MJ/m²"
    # in the small hours tonight is what is left of this night
    assert known(house(hour=3.0))["tonight_low"].value == min(v for h, v in ahead(house(hour=3.0), "out_temp") if h <= 8)


def test_prices_name_the_cheapest_and_the_dearest_hour(house) -> None:
    picture = house(hour=14.5)
    day = [(h, v) for h, v in ahead(picture, "elec") if h <= 14.5 + 24]
    cheapest = min(day, key=lambda pair: pair[1])
    told = fill("{elec_low} {elec_low_at}", picture, language="en")
    assert told == f"{cheapest[1]:.2f} EUR/kWh {int(cheapest[0]) % 24:02d}:00"


def test_a_plan_tells_its_outcome_and_its_set_points(house, plans) -> None:
    picture = house()
    plan = next(option for option in plans(picture) if option.strategy == "warm_day")
    outcome = plan.outcome
    assert fill("{temp_mean} {hours}", picture, plan, "en") == f"{outcome.temp_mean_c:.1f} °C 72 h"
    assert fill("{heat_plan} {heat_set} {co2_plan}", picture, plan, "en") == "20.0–21.0 °C 20.0 °C 800 ppm"
    assert fill("{heat_plan}", picture, plan, "ko") == "20.0~21.0 °C"
    assert shown(known(picture, plan)["rh_out"], "en") == f"{100 * outcome.rh_out_share:.0f} %"


@pytest.mark.parametrize("name", ["{cpa}", "{gain}", "{air_temp", "{}", "{{rh}}", "{out_temp@25}", "{nothing@12}", "{if_heat}"])
def test_a_name_that_is_no_figure_now_is_refused(house, name) -> None:
    with pytest.raises(ValueError, match="figure"):
        fill(f"It is {name}.", house(), language="en")


def test_what_no_sensor_tells_is_no_figure(house) -> None:
    with pytest.raises(ValueError, match=r"\{co2\} names no figure that is known now; there are .*air_temp"):
        fill("{co2}", house(unknown=("co2_ppm",)), language="en")
    with pytest.raises(ValueError, match="low_ahead"):
        fill("{low_ahead}", house(forecast=None), language="en")


def test_a_growing_text_never_shows_half_a_name(house) -> None:
    picture, whole = house(), "Inside it is {air_temp} at {rh} RH."
    for end in range(len(whole) + 1):
        assert not re.search(r"[{}]", fill_so_far(whole[:end], picture, "en"))
    assert fill_so_far(whole, picture, "en") == fill(whole, picture, language="en")


def test_every_known_figure_can_be_told_in_both_languages(moment) -> None:
    for seed in range(4):
        picture, options = moment(seed)
        for name in known(picture, options[seed % 8]):
            assert NAME.fullmatch(f"{{{name}}}")
            for language in ("en", "ko"):
                assert fill(f"{{{name}}}", picture, options[seed % 8], language)
