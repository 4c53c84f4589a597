"""Logs of the challenge: units, the heating reckoned back, gaps; then read as a trace."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from sdx_domains.farm.greenhouse.agc import CLIMATE, EPOCH, WEATHER, agc_trace, heating_valve, main
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.state import AIR_C, PIPE_C, initial
from sdx_domains.farm.greenhouse.step import FLOWS, step
from sdx_domains.farm.greenhouse.trace import read_trace
from sdx_domains.farm.greenhouse.vectors import ACTUATORS, HEATING, VENT_LEE

PARAMETERS = Parameters.read()
DAY = date(2020, 2, 1)
INSIDE: dict[str, float] = dict(zip(CLIMATE, (19.0, 78.0, 600.0, 45.0, 40.0, 20.0, 50.0, 0.0, 100.0, 90.0), strict=True))
OUTSIDE: dict[str, float] = dict(zip(WEATHER, (120.0, 6.0, 85.0, 3.0), strict=True))


def _log(path: Path, values: dict[str, float], spoil: Callable[[int, str], str | None] = lambda _i, _n: None) -> Path:
    first = (DAY - EPOCH).days
    rows = [",".join(("%time", *values))]
    for place in range(-5, 2 * 288 + 5):
        cells = [spoil(place, name) or repr(value) for name, value in values.items()]
        rows.append(",".join((repr(first + place / 288), *cells)))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_log_becomes_a_trace_that_the_simulator_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    climate, weather = _log(tmp_path / "c.csv", INSIDE, lambda i, _n: "NaN" if i % 4 == 1 else None), _log(tmp_path / "w.csv", OUTSIDE)
    out = tmp_path / "trace.csv"
    assert main([str(climate), str(weather), "--from", "2020-02-01", "--days", "2", "--out", str(out)]) == 0
    assert "trace.csv" in capsys.readouterr().out
    trace = read_trace(out)
    assert len(trace.weather) == 2 * 288 and trace.step_s == 300.0
    assert trace.actuators[:, VENT_LEE] == pytest.approx(0.3)
    assert trace.observed[10, :4] == pytest.approx([19.0, 78.0, 600.0, 45.0])
    columns = agc_trace(climate, weather, DAY, 2, PARAMETERS)
    assert columns["co2_valve"][0] == pytest.approx(90 / 36 / 5.0)  # 90 kg/ha h = 2.5 mg/m2 s
    assert columns["lamps"][0] == 1.0 and columns["thermal_screen"][0] == 0.5


def test_the_heating_that_made_the_pipe_warm_is_found_again() -> None:
    state, flows, actuators = initial(PARAMETERS), np.zeros(FLOWS), np.zeros(ACTUATORS)
    weather = np.array([0.0, 2.0, 85.0, 410.0, 3.0, 0.0, 0.0, -8.0, 9.0])
    positions, pipe, air = np.repeat([0.8, 0.2, 0.5], 36), np.empty(108), np.empty(108)
    for place, position in enumerate(positions):
        pipe[place], air[place] = state[PIPE_C], state[AIR_C]
        actuators[HEATING] = position
        for _ in range(5):
            step(state, weather, actuators, PARAMETERS.array(), 60.0, flows)
    found = heating_valve(pipe, air, PARAMETERS)
    assert np.abs(found[:-1] - positions[:-1]).mean() < 0.08


def test_gaps_and_strange_logs_are_told(tmp_path: Path) -> None:
    weather = _log(tmp_path / "w.csv", OUTSIDE)
    gap = _log(tmp_path / "c.csv", INSIDE, lambda i, name: "NaN" if name == "CO2air" and 100 < i < 130 else None)
    with pytest.raises(ValueError, match="CO2air is missing for more than 1 h"):
        agc_trace(gap, weather, DAY, 2, PARAMETERS)
    with pytest.raises(ValueError, match="Tair is missing"):
        agc_trace(_log(tmp_path / "c.csv", INSIDE), weather, date(2020, 5, 1), 2, PARAMETERS)
    with pytest.raises(ValueError, match="no column Tair"):
        agc_trace(weather, weather, DAY, 2, PARAMETERS)
