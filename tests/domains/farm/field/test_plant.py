"""The plant is AquaCrop day by day: the same as a whole run; orders, faults, drawing, scoring."""

import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from sdx_domains.contract import Order
from sdx_domains.farm.field.perceive import FieldPerceiver
from sdx_domains.farm.field.picture import DAY_S, DailyForecastReading, DayReading, SiteReading, SoilReading
from sdx_domains.farm.field.plant import MAX_MM_D, SENSOR_DEPTHS_M, FieldPlant, run_ruled
from sdx_domains.farm.field.plots import draw
from sdx_domains.farm.field.scenarios import EXPERIENCE_YEARS, HELD_OUT_YEARS, TUNING_YEARS, case, suite
from sdx_domains.farm.field.scoring import FieldScore, score, summarise
from sdx_domains.farm.field.weather import FOLDER_VARIABLE, climate

Ordered = Callable[[float, int], Order]


def test_day_by_day_is_the_same_as_a_whole_run(tmp_path: Path) -> None:
    season = case("field-champion-1986")
    plant = FieldPlant(season, 1)
    with pytest.raises(ValueError, match="no day"):
        draw(plant, tmp_path / "early.png", "")
    early = score(season, plant)
    assert not early.harvested and early.yield_t_ha == 0.0
    while not plant.done:
        plant.step(DAY_S)
    assert plant.t_s == 132 * DAY_S
    assert plant.field.yield_t_ha() == pytest.approx(run_ruled(season, irrigation_method=0)[0], abs=1e-9)
    plant.step(DAY_S)
    assert plant.t_s == 132 * DAY_S and plant.readings() == ()
    found = score(season, plant)
    assert found.harvested and found.irrigation_mm == 0.0 and 60.0 < found.yield_pct < 90.0 and found.irrigations == 0
    assert found.profit_usd_ha == pytest.approx(180.0 * found.yield_t_ha - 728.0, abs=0.2)
    assert FieldScore.model_validate(found.model_dump(mode="json")) == found
    assert summarise([found, found])["yield_t_ha"] == found.yield_t_ha and summarise([]) == {"cases": 0}
    assert draw(plant, tmp_path / "season.png", "rainfed").stat().st_size > 5000


def test_an_order_waters_its_day_and_the_newest_one_counts(order: Ordered) -> None:
    plant = FieldPlant(case("field-champion-1988"), 0)
    plant.apply(order(20.0, 0))
    plant.step(DAY_S)
    plant.apply(order(15.0, 3))
    plant.step(DAY_S)
    plant.apply(order(12.0, 2))
    for _ in range(3):
        plant.step(DAY_S)
    assert [row["valve_mm"] for row in plant.log] == [20.0, 0.0, 12.0, 0.0, 0.0]
    assert plant.field.now.irr_cum == pytest.approx(32.0)


@pytest.mark.parametrize("setpoints", [
    {"irrigation_mm": float("nan"), "day": 0.0}, {"irrigation_mm": -5.0, "day": 0.0}, {"irrigation_mm": 10.0}, {"day": 0.0},
    {"irrigation_mm": 10.0, "day": 0.5}, {"heading_deg": 10.0, "day": 0.0},
])  # fmt: skip
def test_what_is_no_irrigation_gives_no_water(setpoints: dict[str, float]) -> None:
    plant = FieldPlant(case("field-champion-1988"), 0)
    plant.apply(Order(domain="x", setpoints=setpoints, issued_s=0.0, valid_for_s=1.0, source="human", picture_id=""))
    plant.step(DAY_S)
    assert plant.log[0]["valve_mm"] == 0.0


def test_no_day_gets_more_than_the_machine_gives(order: Ordered) -> None:
    plant = FieldPlant(case("field-champion-1988"), 0)
    plant.apply(order(500.0, 0))
    plant.step(DAY_S)
    assert plant.log[0]["valve_mm"] == MAX_MM_D
    with pytest.raises(ValueError, match="whole days"):
        plant.step(3600.0)


def test_readings_come_once_a_day_and_are_noisy() -> None:
    plant = FieldPlant(case("field-champion-1988"), 0)
    first = plant.readings()
    assert [type(r) for r in first] == [SiteReading] + [SoilReading] * len(SENSOR_DEPTHS_M) + [DailyForecastReading]
    assert plant.readings() == ()
    plant.step(DAY_S)
    assert any(isinstance(r, DayReading) for r in plant.readings())
    soil = [r.vwc_m3_m3 for r in first if isinstance(r, SoilReading)]
    assert 0.0 < np.std(np.array(soil, dtype=float)) < 0.02
    again = FieldPlant(case("field-champion-1988"), 0).readings()
    other = FieldPlant(case("field-champion-1988"), 1).readings()
    assert again == first and other != first


def test_a_season_never_knows_its_own_weather_beforehand() -> None:
    for name in ("field-tuning", "field-irrigation"):
        for season in suite(name):
            assert season.year not in season.past_years
            assert set(season.past_years) <= set(EXPERIENCE_YEARS)
    assert not set(HELD_OUT_YEARS) & (set(TUNING_YEARS) | set(EXPERIENCE_YEARS))
    assert [season.year for season in suite("field-irrigation", 2)] == [1991, 1992]


@pytest.mark.parametrize(
    "name", ["field", "field-moon-1991", "field-champion-91", "field-champion-1991-flood", "house-champion-1991", "field-champion-19x1"]
)
def test_an_unknown_scenario_names_the_known(name: str) -> None:
    with pytest.raises(KeyError, match="champion"):
        case(name)


def test_an_unknown_suite_names_the_known() -> None:
    with pytest.raises(KeyError, match="field-irrigation"):
        suite("field")


def test_a_season_that_the_climate_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="1982-01-01 to 2018-12-31"):
        FieldPlant(case("field-champion-2030"), 0)


def test_a_climate_of_ones_own_makes_a_season(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Ordered) -> None:
    source = climate("tunis").rows(date(1990, 1, 1), 730)
    rows = [f"{date(1990, 1, 1) + timedelta(days=i)},{a},{b},{c},{d}" for i, (a, b, c, d) in enumerate(source.tolist())]
    (tmp_path / "jeonju.csv").write_text("date,tmin_c,tmax_c,rain_mm,et0_mm\n" + "\n".join(rows) + "\n", encoding="utf-8")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    season = case("field-jeonju-1991")
    assert season.past_years == (1990,) and case("field-jeonju-1990").past_years[0] == 1991
    plant = FieldPlant(season, 0)
    picture = FieldPerceiver().take(plant.readings(), 0.0)
    assert picture.climate == "jeonju" and picture.unfit == () and picture.past_years == (1990,)
    assert case("field-tunis-1995").past_years == tuple(range(1983, 1995))


def test_aquacrop_leaves_the_import_path_as_it_was() -> None:
    before = list(sys.path)
    FieldPlant(case("field-champion-1986"), 0)
    assert sys.path == before
