"""Options are rolled out over one ensemble, repeatable; the planner waters a thirsty field and leaves a full one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sdx_domains.farm.field.options import options, planner, weathers
from sdx_domains.farm.field.parameters import crop, soil
from sdx_domains.farm.field.picture import FieldOption, FieldPicture
from sdx_domains.farm.field.planner import best, planned
from sdx_domains.farm.field.rollout import KNOTS, roll_out

Played = Callable[..., FieldPicture]


def test_a_thirsty_field_is_watered_and_a_moist_one_is_not(played: Played) -> None:
    assert best(options(played(62))).amount_mm > 0.0
    assert best(options(played(20, every=4))).amount_mm == 0.0


def test_none_today_later_amounts_are_offered_with_what_they_lead_to(played: Played) -> None:
    found = options(played(62))
    assert [option.id for option in found] == list("ABCDEF")
    assert found[0].setpoints == {"irrigation_mm": 0.0, "day": 62.0} and found[0].outcome.gain_usd_ha == 0.0
    assert any(option.in_days > 0 and option.setpoints["day"] == 62 + option.in_days for option in found)
    for option in found:
        out = option.outcome
        assert 0.0 < out.yield_low_t_ha <= out.yield_t_ha < 16.0 and 0.0 < out.yield_pct < 105.0
        assert out.season_mm >= option.amount_mm and out.later_mm >= 0.0
        assert len(out.dryness_pct) == 14 and all(value > -50.0 for value in out.dryness_pct)
    today = [option for option in found if option.in_days == 0]
    assert today[-1].outcome.dryness_pct[0] < today[0].outcome.dryness_pct[0]


def test_the_same_picture_gives_the_same_options(played: Played) -> None:
    assert options(played(62)) == options(played(62))
    assert tuple(FieldOption.model_validate(o.model_dump(mode="json")) for o in options(played(62))) == options(played(62))


def test_at_the_end_of_the_season_water_is_worth_nothing(played: Played) -> None:
    last = played(130, every=9)
    found = options(last)
    assert best(found).amount_mm == 0.0
    assert all(option.in_days < last.days_to_harvest for option in found)


def test_dear_water_is_saved(played: Played) -> None:
    picture = played(62)
    dear = picture.model_copy(update={"prices": picture.prices.model_copy(update={"water_usd_mm_ha": 500.0})})
    assert best(options(dear)).amount_mm == 0.0


def test_the_planner_gives_its_reason_in_figures_of_the_picture(played: Played) -> None:
    picture = played(62)
    chosen = planned(picture, options(picture))
    assert chosen.option_id and f"{picture.depletion_mm:.1f} mm" in chosen.reason
    assert planned(picture, ()).option_id is None
    with pytest.raises(ValueError, match="no irrigation"):
        best(options(picture)[1:])


def test_every_weather_of_the_ensemble_reaches_to_harvest(played: Played) -> None:
    picture = played(62)
    members = weathers(picture, 20)
    assert members.shape == (20, picture.days_to_harvest, 4)
    assert not np.array_equal(members[0], members[1])


def test_a_rule_keeps_to_its_curve_cap_and_last_day(played: Played) -> None:
    picture = played(62)
    rules = np.array([[0.5] * KNOTS + [amount, last] for amount, last in ((25.0, 1.0), (5.0, 1.0), (25.0, 0.4))])
    found = roll_out(np.array(picture.twin), picture.dap, weathers(picture, 6), np.empty((1, 0)), rules, crop(), soil())[0]
    assert (found[0, :, 0] > found[2, :, 0]).all() and (found[2, :, 1] == 0.0).all()
    assert (found[1, :, 1] <= 5.0 * picture.days_to_harvest).all()


def test_a_higher_worth_of_yield_asks_for_more_water(played: Played) -> None:
    picture = played(50, every=14)
    low, high = (options(picture, replace(planner(), yield_weight=weight))[0].outcome for weight in (0.2, 3.0))
    assert high.season_mm > low.season_mm and high.yield_t_ha > low.yield_t_ha
