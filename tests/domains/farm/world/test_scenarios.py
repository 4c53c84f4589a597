"""Names of seasons and suites, and that tuning never sees a held-out one."""

from datetime import date
from pathlib import Path

import pytest

from sdx_domains.farm.world.climate import generate
from sdx_domains.farm.world.scenarios import book, scenario
from sdx_domains.farm.world.suites import suite
from sdx_domains.farm.world.weather_files import write_csv


def test_a_name_tells_season_site_number_failure_and_days() -> None:
    case = scenario("winter-kr-3+blackout@10")
    assert (case.site, case.first_day, case.days, case.regime) == ("jeonju", date(2026, 1, 10), 10, "korea")
    assert case.twin == "winter-kr-3@10" and case.name == "winter-kr-3+blackout@10"
    failure = case.failures[0]
    assert failure.kind == "blackout" and failure.until_s - failure.from_s == pytest.approx(3600.0, abs=5.0)
    assert scenario(case.twin).model_copy(update={"name": case.name, "twin": case.twin, "failures": case.failures}) == case


def test_the_default_takes_the_seed_as_its_number() -> None:
    assert scenario("greenhouse", 4) == scenario("spring-nl-4") == scenario("spring-nl", 4)
    assert scenario("greenhouse@3").days == 3 and scenario("greenhouse+leak@3").failures


def test_names_keep_their_meaning() -> None:
    for case in [*suite("greenhouse"), *suite("faults"), *suite("tuning")]:
        again = scenario(case.name)
        assert again == case or again.model_copy(update={"days": case.days, "name": case.name, "twin": case.twin}) == case


@pytest.mark.parametrize(
    "name", ["moon-nl-0", "spring-mars-0", "spring-nl-0+meteor", "spring-nl-0@0", "spring-nl-0@999", "", "spring-nl-0 "]
)
def test_unknown_names_say_what_there_is(name: str) -> None:
    with pytest.raises(KeyError, match="there are|1 to 400 days"):
        scenario(name)


def test_tuning_and_held_out_share_no_weather() -> None:
    held = {scenario(f"{season}-nl-{number}").weather_seed for season in book()["seasons"] for number in (0, 1, 99, 99999)}
    tuning = {scenario(f"tuning-spring-nl-{number}").weather_seed for number in (0, 1, 99, 99999)}
    assert not held & tuning
    for seed in (0, 1, 7):
        mine = {case.weather_seed for case in suite("tuning", seed)}
        assert not mine & {case.weather_seed for name in ("greenhouse", "plan", "faults") for case in suite(name, seed)}


def test_the_held_out_suite_is_long_and_varied() -> None:
    cases = suite("greenhouse")
    assert len(cases) >= 8 and all(case.days == 60 for case in cases)
    assert len({case.site for case in cases}) == 4 and len({case.regime for case in cases}) == 4
    assert len({case.first_day for case in cases}) == 4


def test_suites_are_cut_by_count_and_days_and_shifted_by_seed() -> None:
    assert [case.days for case in suite("greenhouse@7", count=2)] == [7, 7]
    assert suite("greenhouse", 1)[0].weather_seed == suite("greenhouse", 0)[0].weather_seed + 100
    with pytest.raises(KeyError, match="there are greenhouse, tuning"):
        suite("autumnal")


def test_each_failure_has_its_season_without_it() -> None:
    cases = suite("faults")
    names = {case.name for case in cases}
    assert all(case.twin in names for case in cases if case.failures)
    kinds = {failure.kind for case in cases for failure in case.failures}
    assert {"sensor_bias", "device_stuck", "sensor_dead", "blackout", "forecast_wrong"} <= kinds
    assert all(failure.from_s < case.duration_s for case in cases for failure in case.failures)


def test_a_folder_of_weather_files_makes_cases(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no .epw or .csv"):
        suite("plan", folder=tmp_path)
    write_csv(generate("seoul", date(2026, 3, 1), 3, 1), tmp_path / "seoul.csv")
    (case,) = suite("plan@2", folder=tmp_path)
    assert case.weather_file.endswith("seoul.csv") and case.days == 2
