"""Plans that are offered: deterministic, inside the box, the rules' among them, worth choosing between; and fast."""

import time
from itertools import pairwise

import numpy as np
import pytest
from readings import picture_of

from sdx_domains.farm.ahead import prices_ahead, weather_ahead
from sdx_domains.farm.control.limits import outside
from sdx_domains.farm.greenhouse.vectors import ELEC_EUR_KWH, OUT_TEMP_C, SETPOINT_NAMES, SOLAR_W_M2
from sdx_domains.farm.options import ahead_of, outcomes_of_plan, shown_options
from sdx_domains.farm.picture import FarmOption, FarmPicture
from sdx_domains.farm.plan import Plan
from sdx_domains.farm.planner import NOT_WORTH_EUR_M2, best, planned, worth_eur_m2
from sdx_domains.farm.strategies import RULES, alike, book, changed, words


@pytest.fixture(scope="module")
def picture() -> FarmPicture:
    elec = [0.30 if (10 + hour) % 24 in range(17, 22) else 0.08 if (10 + hour) % 24 < 6 else 0.16 for hour in range(72)]
    return picture_of(2.0, elec_eur_kwh=elec)


@pytest.fixture(scope="module")
def options(picture: FarmPicture) -> tuple[FarmOption, ...]:
    return shown_options(picture)


def test_what_is_offered(picture: FarmPicture, options: tuple[FarmOption, ...]) -> None:
    assert 3 <= len(options) <= 8 and [option.id for option in options] == list("ABCDEFGH"[: len(options)])
    rules = [option for option in options if option.strategy == RULES]
    assert len(rules) == 1 and rules[0].outcome.gain_eur_m2 == 0.0
    assert len({option.strategy for option in options}) == len(options)
    for option in options:
        plan = Plan.of_setpoints(option.setpoints)
        assert outside(plan) == [] and plan.start_s == picture.t_s and len(plan.knots) == 6
        assert option.outcome.hours == 72 == len(option.outcome.air_temp_c)
        assert option.outcome.gain_eur_m2 == pytest.approx(option.outcome.profit_eur_m2 - rules[0].outcome.profit_eur_m2, abs=2e-5)
        assert FarmOption.model_validate(option.model_dump(mode="json")) == option
        assert words(option.strategy, "ko") and words(option.strategy) == option.label


def test_the_same_picture_gives_the_same_options(picture: FarmPicture, options: tuple[FarmOption, ...]) -> None:
    again = shown_options(FarmPicture.model_validate(picture.model_dump(mode="json")))
    assert again == options


def test_ids_do_not_give_the_best_away(options: tuple[FarmOption, ...]) -> None:
    order = [list(book().strategies).index(option.strategy.split("+")[0]) for option in options if "+" not in option.strategy]
    assert order == sorted(order)
    assert all("+" not in early.strategy or "+" in late.strategy for early, late in pairwise(options))


def test_without_a_forecast_or_a_twin_there_is_little_to_offer(picture: FarmPicture) -> None:
    (only,) = shown_options(picture.model_copy(update={"forecast": None}))
    assert only.strategy == RULES
    assert shown_options(picture.model_copy(update={"twin": ()})) == ()


def test_the_planner_takes_the_most_worth_and_never_a_flagged_plan(picture: FarmPicture, options: tuple[FarmOption, ...]) -> None:
    rules = next(option for option in options if option.strategy == RULES)
    chosen = best(options)
    assert worth_eur_m2(chosen.outcome) >= max(worth_eur_m2(o.outcome) for o in options) - NOT_WORTH_EUR_M2
    flagged = [o if o is rules else o.model_copy(update={"flags": ("hard limits crossed 1 times",)}) for o in options]
    assert best(flagged).strategy == RULES
    proposed = planned(picture, options)
    assert proposed.option_id == chosen.id and proposed.reason and proposed.understanding and planned(picture, ()).option_id is None
    with pytest.raises(ValueError, match="rules' plan is not among"):
        best([o for o in options if o is not rules])


def test_time_out_of_bounds_is_paid_for(options: tuple[FarmOption, ...]) -> None:
    rules = next(option.outcome for option in options if option.strategy == RULES)
    more = {"rh_more_d": 0.3, "temp_more_d": 0.6}
    worse = rules.model_copy(update={"rh_out_share": rules.rh_out_share + 0.1, "temp_out_share": rules.temp_out_share + 0.2, **more})
    rate = book().exchange
    price = 0.3 * (rate.rh_out_eur_m2_d + rate.rh_more_eur_m2_d) + 0.6 * (rate.temp_out_eur_m2_d + rate.temp_more_eur_m2_d)
    assert worth_eur_m2(rules) - worth_eur_m2(worse) == pytest.approx(price)


def test_a_plan_rolled_out_anew_tells_what_its_option_told(picture: FarmPicture, options: tuple[FarmOption, ...]) -> None:
    rules = next(option for option in options if option.strategy == RULES)
    mine, beside, breaks = outcomes_of_plan(picture, Plan.of_setpoints(rules.setpoints))
    assert mine.profit_eur_m2 == pytest.approx(rules.outcome.profit_eur_m2, abs=5e-3) and breaks == ()
    assert beside.gain_eur_m2 == 0.0 and mine.gain_eur_m2 == pytest.approx(0.0, abs=5e-3)


@pytest.mark.parametrize("name", list(book().strategies))
def test_a_strategy_changes_its_own_set_points_for_its_own_hours(picture: FarmPicture, name: str) -> None:
    ahead = ahead_of(picture)
    schedule = changed(ahead.rules, (name,), ahead.weather, ahead.prices)
    moved = {SETPOINT_NAMES[place] for place in np.flatnonzero((schedule != ahead.rules).any(axis=0))}
    assert moved <= set(book().strategies[name].change)
    assert (schedule[book().hours :] == ahead.rules[book().hours :]).all()


def test_time_beyond_the_rules_is_told(options: tuple[FarmOption, ...]) -> None:
    rules = next(option.outcome for option in options if option.strategy == RULES)
    assert rules.rh_more_d == rules.temp_more_d == 0.0
    for option in options:
        beyond = 3.0 * (option.outcome.rh_out_share - rules.rh_out_share)
        soon = sum(not 50.0 <= rh <= 85.0 for rh in option.outcome.air_rh_pct[:6])
        soon_rules = sum(not 50.0 <= rh <= 85.0 for rh in rules.air_rh_pct[:6])
        assert option.outcome.rh_more_d == pytest.approx(max(beyond, (soon - soon_rules) / 24.0, 0.0), abs=1e-4)


def test_a_mix_never_holds_two_that_contradict(options: tuple[FarmOption, ...]) -> None:
    assert alike("warm_day", "cool_day") and not alike("warm_day", "cool_night") and not alike("warm_day", "rich_co2")
    for option in options:
        parts = option.strategy.split("+")
        assert not any(alike(one, two) for i, one in enumerate(parts) for two in parts[i + 1 :])


def test_cheap_hours_are_cheap(picture: FarmPicture) -> None:
    ahead = ahead_of(picture)
    schedule = changed(np.zeros_like(ahead.rules), ("lamps_cheap",), ahead.weather, ahead.prices)
    hours = book().hours
    lit = schedule[:hours, SETPOINT_NAMES.index("lamp_pct")] > 0
    power = ahead.prices[:hours, ELEC_EUR_KWH]
    assert 0 < lit.sum() < hours and power[lit].max() < power[~lit].min()


def test_what_is_ahead_begins_with_what_is_measured(picture: FarmPicture) -> None:
    warm = picture_of(0.5, temp_c=4.0)
    rows = weather_ahead(warm)
    assert rows.shape == (73, 9) and np.isfinite(rows).all()
    assert rows[0, OUT_TEMP_C] == pytest.approx(8.0, abs=0.03) and rows[48, OUT_TEMP_C] == pytest.approx(4.0, abs=0.05)
    longer = weather_ahead(warm.model_copy(update={"t_s": warm.t_s + 86400.0}))
    assert longer[72, SOLAR_W_M2] == pytest.approx(longer[48, SOLAR_W_M2])
    assert prices_ahead(warm.model_copy(update={"prices": None})).shape == (73, 5)


def test_eight_plans_of_three_days_in_a_second(picture: FarmPicture) -> None:
    began = time.perf_counter()
    shown_options(picture)
    assert time.perf_counter() - began < 5.0  # 0.2 s where nothing else runs
