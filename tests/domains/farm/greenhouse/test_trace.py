"""Traces: read, refused when wrong, replayed; the simulator against the recorded house (needs the shared data)."""

import os
from pathlib import Path

import numpy as np
import pytest

from sdx_domains.farm.greenhouse import fit as fitting
from sdx_domains.farm.greenhouse import validate
from sdx_domains.farm.greenhouse.fit import FITTED, errors, fit, write_fit
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.trace import NEEDED, OBSERVED, OUTSIDE, POSITIONS, Trace, read_trace, replay
from sdx_domains.farm.greenhouse.validate import cross_validation, fold, read_traces, table
from sdx_domains.farm.greenhouse.vectors import SKY_TEMP_C, VENT_LEE, VENT_WIND

SHARED = Path(os.environ.get("SDX_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data")) / "farm"
PUBLISHED = Parameters.read("published")
ROW_S = 900.0
traces_there = pytest.mark.skipif(not list(SHARED.glob("greenhouse_*.csv")), reason=f"no traces in {SHARED}; set SDX_SHARED_DATA")


def _made(tmp_path: Path, parameters: Parameters, days: int = 2) -> Path:
    """A trace that the simulator itself wrote, with every device moved."""
    rng = np.random.default_rng(5)
    count = days * 96
    hours = np.arange(count) * ROW_S / 3600.0
    columns = {"t_s": hours * 3600.0, "hour": hours % 24.0}
    columns |= {name: np.full(count, start) for name, start in zip(OBSERVED, (18.0, 80.0, 450.0, 30.0, 19.0, 9e4, 2000.0), strict=True)}
    sun = np.maximum(0.0, -400.0 * np.cos(2 * np.pi * hours / 24))
    columns |= dict(
        zip(OUTSIDE, (sun, 8 + 3 * np.sin(hours / 4), np.full(count, 80.0), np.full(count, 400.0), np.full(count, 4.0)), strict=True)
    )
    columns |= {name: np.repeat(rng.random((count + 7) // 8), 8)[:count] * (0.3 if name == "vent" else 1.0) for name in POSITIONS}
    path = tmp_path / "made.csv"
    _write(path, columns)
    found = replay(read_trace(path), parameters)
    _write(path, columns | dict(zip(OBSERVED, found.T, strict=True)))
    return path


def _write(path: Path, columns: dict[str, np.ndarray]) -> None:
    rows = [",".join(columns), *(",".join(repr(float(value)) for value in row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_a_trace_is_read_with_sky_and_both_vents(tmp_path: Path) -> None:
    trace = read_trace(_made(tmp_path, PUBLISHED))
    assert (trace.step_s, trace.hour, trace.day_rows) == (ROW_S, 0.0, 96)
    assert np.array_equal(trace.actuators[:, VENT_LEE], trace.actuators[:, VENT_WIND])
    below = trace.weather[:, 1] - trace.weather[:, SKY_TEMP_C]
    assert below.min() > 1.0 and below.max() < 30.0


def test_wrong_traces_are_refused_by_column_row_and_value(tmp_path: Path) -> None:
    path = _made(tmp_path, PUBLISHED, days=1)
    text = path.read_text(encoding="utf-8")
    for broken, word in ((text.replace("vent,", "vents,", 1), "vent"), (text.replace("900.0,", "wet,", 1), "row 3: t_s is 'wet'")):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(ValueError, match=word):
            read_trace(path)


def test_a_replay_meets_the_record_of_its_own_simulator_and_a_fit_finds_a_changed_house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = PUBLISHED.replaced(boiler_w_m2=130 * 0.93, roof_tau=0.57 * 0.9)
    trace = read_trace(_made(tmp_path, changed))
    monkeypatch.setattr(fitting, "RANGES", {name: fitting.RANGES[name] for name in ("boiler_w_m2", "roof_tau")})
    monkeypatch.setattr(fitting, "FITTED", ("boiler_w_m2", "roof_tau"))
    found = fit([trace], PUBLISHED)
    assert found["boiler_w_m2"] == pytest.approx(changed["boiler_w_m2"], rel=0.01)
    assert found["roof_tau"] == pytest.approx(changed["roof_tau"], rel=0.02)
    assert errors(trace, found)[0] < 0.1 < errors(trace, PUBLISHED)[0]


def test_a_fit_is_written_as_a_file_that_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    write_fit(path, PUBLISHED.replaced(boiler_w_m2=99.0), "published", ["a", "b"])
    back = Parameters.read(path)
    assert back["boiler_w_m2"] == 99.0 and list(tmp_path.iterdir()) == [path]
    assert set(FITTED) <= set(back.names)


def test_too_short_a_trace_is_no_base_for_a_fit(tmp_path: Path) -> None:
    trace = read_trace(_made(tmp_path, PUBLISHED, days=1))
    with pytest.raises(ValueError, match="two days"):
        fit([trace], PUBLISHED)
    with pytest.raises(ValueError, match="two traces"):
        cross_validation([trace], PUBLISHED)
    with pytest.raises(FileNotFoundError, match="no traces"):
        read_traces(tmp_path / "none")


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    return read_traces(SHARED)


@traces_there
def test_the_published_parameters_alone_are_within_the_bars_on_all_traces(traces: list[Trace]) -> None:
    folds = [fold(trace, PUBLISHED) for trace in traces]
    assert len(folds) == 3 and all(one.passed for one in folds), table(folds)


@traces_there
def test_the_shipped_house_is_closer_than_the_published_one(traces: list[Trace]) -> None:
    shipped = Parameters.read()
    for trace in traces:
        found = fold(trace, shipped)
        assert found.air_temp_k < 1.0 and found.air_rh_points < 2.5 and found.co2_ppm < 25.0, found
        assert found.pipe_temp_k < 1.0 and found.fruit_dry_g_m2 < 0.5
    together = [np.mean([errors(trace, parameters)[0] for trace in traces]) for parameters in (shipped, PUBLISHED)]
    assert together[0] < together[1]


@pytest.mark.slow
@traces_there
def test_each_trace_in_turn_left_out_of_the_fit_is_within_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert validate.main(["--dir", str(SHARED)]) == 0
    assert capsys.readouterr().out.count("yes") == 3
    assert NEEDED == 4
