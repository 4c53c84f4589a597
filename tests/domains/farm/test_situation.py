"""Limit and risks are judged by figures as printed, and a proposal's understanding is held to them."""

import pytest

from sdx_domains.contract import Proposal
from sdx_domains.equipment import Alarm
from sdx_domains.farm.recall import addresses
from sdx_domains.farm.situation import (
    MOST_RISKS,
    limit_names,
    passages_of,
    read_understanding,
    risk_names,
    situation_of,
    understanding_of,
    wrong_understanding,
)


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"hour": 23.0}, "dark"),
        ({"air_temp_c": 29.0}, "heat"),
        ({"air_temp_c": 13.0}, "cold"),
        ({"air_rh_pct": 40.0}, "dry_air"),
        ({"co2_ppm": 380.0}, "co2"),
        ({"out_solar_w_m2": 120.0}, "light"),
        ({}, "none"),
    ],
)
def test_the_limit(house, changes, limit) -> None:
    assert situation_of(house(**changes)).limit == limit


@pytest.mark.parametrize(
    ("changes", "risk"),
    [
        ({"air_temp_c": 11.0}, "chill"),
        ({"air_rh_pct": 95.0}, "condensation"),
        ({"air_rh_pct": 88.0}, "humid"),
        ({"air_rh_pct": 45.0}, "dry"),
        ({"low_c": -2.0}, "frost_outside"),
        ({"low_c": 3.0}, "cold_night"),
        ({"high_c": 30.0}, "hot"),
        ({"sun_w_m2": 60.0}, "dim"),
        ({"sun_w_m2": 900.0}, "bright"),
        ({"rain_mm": 2.0}, "rain"),
        ({"substrate_wc_pct": 40.0}, "dry_slab"),
        ({"substrate_ec_ds_m": 5.4}, "salt"),
        ({"elec_shift_h": 4}, "dear_power"),
        ({"elec_shift_h": 16}, "cheap_power"),
    ],
)
def test_the_risks(house, changes, risk) -> None:
    assert risk in situation_of(house(**changes)).risks
    assert risk not in situation_of(house(low_c=8.0, sun_w_m2=400.0)).risks


def test_frost_takes_the_place_of_a_cold_night(house) -> None:
    assert "cold_night" not in situation_of(house(low_c=-3.0)).risks


def test_an_alarm_is_a_risk_unless_it_only_informs(house) -> None:
    def stands(severity):
        return house(alarms=(Alarm(kind="leak", severity=severity, since_s=0.0, detail=""),))

    assert situation_of(stands("critical")).risks[0] == "alarm"
    assert "alarm" not in situation_of(stands("info")).risks


def test_what_is_not_known_holds_nothing(house) -> None:
    blind = house(unknown=("air_temp_c", "air_rh_pct", "vpd_kpa", "dew_point_c", "co2_ppm", "out_solar_w_m2"), forecast=None, prices=None)
    assert situation_of(blind).limit == "none" and situation_of(blind).risks == ()


def test_only_the_gravest_risks_are_told(house) -> None:
    worst = house(air_temp_c=11.0, air_rh_pct=96.0, low_c=-6.0, sun_w_m2=60.0, rain_mm=3.0, substrate_ec_ds_m=6.0, elec_shift_h=4)
    assert len(situation_of(worst).risks) == MOST_RISKS and situation_of(worst).risks[0] == "chill"


def test_every_passage_that_explains_a_word_exists() -> None:
    for name in (*limit_names(), *risk_names()):
        assert set(passages_of(name)) <= set(addresses())


def test_a_right_understanding_passes_and_a_wrong_one_is_named(house) -> None:
    picture = house(low_c=-2.0)
    right = Proposal(option_id="A", understanding=understanding_of(picture))
    assert wrong_understanding(picture, right) == ()
    wrong = right.model_copy(update={"understanding": read_understanding("light", ("storm",))})
    assert wrong_understanding(picture, wrong) == (
        "the house is limited by none; the proposal says light",
        "there is no risk of storm here; there is frost_outside",
        "nothing is said of frost_outside, which is to be watched",
    )


def test_only_a_model_must_tell_its_understanding(house) -> None:
    silent = Proposal(option_id="A", source="fallback")
    assert wrong_understanding(house(low_c=-2.0), silent) == ()
    assert len(wrong_understanding(house(low_c=-2.0), silent.model_copy(update={"source": "model"}))) == 2
