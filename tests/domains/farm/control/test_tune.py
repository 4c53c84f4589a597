"""The tuning: never on held-out seasons, goes on where it was killed, rewrites the figures and nothing else."""

import json

import pytest
import yaml

from sdx_domains.farm.control.rules import shipped_rules
from sdx_domains.farm.control.tune import Tried, rewritten, seasons, tune, tuning_book
from sdx_domains.farm.world.scenarios import scenario
from sdx_domains.farm.world.suites import suite


def test_no_tuning_season_is_held_out():
    held_out = {case.weather_seed for case in suite("greenhouse")}
    assert all(case.name.startswith("tuning-") and case.weather_seed not in held_out for case in suite("tuning"))
    assert scenario("tuning-spring-nl-0").weather_seed != scenario("spring-nl-0").weather_seed


def test_ranges_are_of_known_figures_and_hold_the_shipped_ones():
    for name, (low, high) in tuning_book()["ranges"].items():
        assert low <= getattr(shipped_rules(), name) <= high


def test_a_search_goes_on_where_it_was(tmp_path, capsys):
    over, journal = seasons(1, count=1), tmp_path / "tune.jsonl"
    best, rows = tune(journal, seed=4, candidates=6, over=over)
    lines = journal.read_text().splitlines()
    assert len(lines) == len(rows) == 6
    journal.write_text("\n".join(lines[:3]) + '\n{"key": "cut of')
    again, same = tune(journal, seed=4, candidates=6, over=over)
    assert again == best and [found for _, found in same] == [found for _, found in rows]
    assert max(found.worth(tuning_book()) for _, found in rows) == Tried(
        *next(r["result"] for r in map(json.loads, lines) if r["figures"] == best)
    ).worth(tuning_book())
    assert "worth" in capsys.readouterr().out


def test_time_out_of_bounds_beyond_what_is_allowed_costs():
    book = tuning_book()
    assert Tried(2.0, book["rh_out_most"], book["temp_out_most"]).worth(book) == 2.0
    assert Tried(2.0, book["rh_out_most"] + 0.1, 0.0).worth(book) == pytest.approx(2.0 - 0.1 * book["penalty_eur_m2"])


def test_rewriting_changes_numbers_only():
    text = "# words 1.0\nday_c: 20.0    # at 10\nnight_c: -3.5\n"
    new = rewritten(text, {"day_c": 21.5})
    assert new == "# words 1.0\nday_c: 21.5    # at 10\nnight_c: -3.5\n" and yaml.safe_load(new)["day_c"] == 21.5
    with pytest.raises(ValueError, match="rules.yaml has 0 lines of noon_c"):
        rewritten(text, {"noon_c": 1.0})
