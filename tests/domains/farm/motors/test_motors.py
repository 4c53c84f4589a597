"""Window motors minute by minute: reading, actions, balance, predictors, interlocks."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_domains.contract import Measuring
from sdx_domains.farm.motors.agent import Asked, interlocked, messages, read_openings
from sdx_domains.farm.motors.baselines import HoldLast
from sdx_domains.farm.motors.bench import compare, measure
from sdx_domains.farm.motors.generate import generate
from sdx_domains.farm.motors.minutes import Minutes, actions, answers, balanced, read_minutes
from sdx_domains.farm.motors.score import score

pytest.importorskip("numba")
pytest.importorskip("lightgbm")
MOTORS = [f"w{number}" for number in range(1, 9)]


def a_table(days: int, seed: int = 0) -> pd.DataFrame:
    """A warm spring: whoever runs this house opens by 10 % every 20 minutes above 25 C, shuts below 21 C and in rain."""
    rng = np.random.default_rng(seed)
    times = pd.date_range("2026-03-01", periods=days * 1440, freq="min", tz="UTC", name="ts")
    hour = np.asarray(times.hour) + np.asarray(times.minute) / 60.0
    temp = 18.0 + 10.0 * np.sin((hour - 8.0) / 24.0 * 2 * np.pi) + np.repeat(rng.normal(0, 2, days), 1440) + rng.normal(0, 0.1, len(times))
    rain = np.repeat(rng.random(days * 12) < 0.1, 120)
    openings, now = [], 0.0
    for minute, warm in enumerate(temp):
        openings.append(now)
        if rain[minute]:
            now = 0.0
        elif minute % 20 == 0:
            now = min(100.0, now + 10.0) if warm > 25.0 else max(0.0, now - 10.0) if warm < 21.0 else now
    table = {
        "temp": temp,
        "humi": 70.0,
        "out_temp": temp - 6.0,
        "out_rain": rain.astype(float),
        "SI": np.maximum(0, 8e4 * np.sin((hour - 6) / 12 * np.pi)),
    }
    return pd.DataFrame(table | dict.fromkeys(MOTORS, np.array(openings)), index=times)


@pytest.fixture(scope="module")
def minutes() -> Minutes:
    return Minutes(a_table(8), ())


def test_a_table_of_the_collector_is_read_and_what_is_wrong_in_it_is_told(tmp_path: Path) -> None:
    table = a_table(1).iloc[:10].reset_index().astype(object)
    table = table.rename(
        columns={f"w{n}": f"open_rate_ch{n}" for n in range(1, 9)} | {"temp": "probe_1_In_temp", "out_temp": "probe_2_Out_temp"}
    )
    table.loc[2, "probe_1_In_temp"] = 999
    table.loc[4, "ts"] = "yesterday"
    table.loc[6, "open_rate_ch3"] = "open"
    path = tmp_path / "minutes.csv"
    table.to_csv(path, index=False)
    found = read_minutes(path)
    assert found.motors == MOTORS and len(found.table) == 8  # without a time, without an opening
    assert np.isnan(found.table["temp"].iloc[2])
    told = "\n".join(found.faults)
    assert "minutes.csv:4: temp" in told and "minutes.csv:6: ts 'yesterday'" in told and "minutes.csv:8: w3 'open'" in told


def test_a_table_without_openings_is_refused_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "no.csv"
    path.write_text("ts,temp,out_temp\n2026-03-01T00:00:00Z,20,10\n")
    with pytest.raises(ValueError, match=r"no\.csv: no column open_rate_ch1 or w1; it has ts, temp, out_temp"):
        read_minutes(path)


def test_an_action_needs_the_very_next_minute(minutes: Minutes) -> None:
    table = minutes.table.drop(minutes.table.index[500])
    gap = Minutes(table, ())
    assert minutes.table.index[499] not in answers(gap).index
    acts = actions(minutes)
    changed = (minutes.table[MOTORS].diff().abs().sum(axis=1) > 0).shift(-1)[acts.index]
    assert (acts == changed).all() and acts.sum() > 20


def test_a_balanced_set_holds_every_action_and_a_fifth_of_it_are_actions(minutes: Minutes) -> None:
    times, acts = balanced(minutes, seed=1), actions(minutes)
    assert acts[times].sum() == acts.sum() and acts[times].mean() == pytest.approx(0.2, abs=0.005)
    assert times.equals(balanced(minutes, seed=1)) and not times.equals(balanced(minutes, seed=2))


def test_holding_is_nearly_always_exact_and_finds_no_change(minutes: Minutes) -> None:
    found = score(HoldLast().predict(minutes, answers(minutes).index), minutes)
    assert found["exact"] > 0.95 and found["change_f1"] == 0.0


def test_whoever_learns_beats_holding_at_changes_and_nobody_opens_in_rain(minutes: Minutes) -> None:
    rows = compare(minutes, say=lambda line: None)
    f1 = {row["who"]: row["change_f1"] for row in rows if row["minutes"] == "balanced" and row["guard"] == "interlocked"}
    assert f1["boosting"] > 0.6 and f1["rule"] > 0.6 > f1["hold last"]
    assert all(row["rain_open"] == 0.0 for row in rows if row["guard"] == "interlocked")
    assert any(row["rain_open"] > 0.0 for row in rows if row["guard"] == "bare")


def test_a_model_that_cannot_be_read_moves_nothing_and_is_counted(minutes: Minutes) -> None:
    said = iter(['{"w1": 5}', "-999", json.dumps(dict.fromkeys(MOTORS, 40)), json.dumps(dict.fromkeys(MOTORS, 400))])
    model, times = Asked(lambda ask, schema: next(said)), answers(minutes).index[700:704]
    openings = model.predict(minutes, times)
    assert model.unread == 3 and (openings.iloc[2] == 40).all()
    assert (openings.iloc[[0, 1, 3]] == minutes.table.loc[times[[0, 1, 3]], MOTORS]).all(axis=None)


def test_the_question_is_that_of_the_imported_rows(minutes: Minutes) -> None:
    ask = messages(minutes.table.iloc[0], MOTORS)[0]["content"]
    known, _, rest = ask.partition("\n")
    assert rest == "Openings of the windows as JSON, w1 to w8, 0-100 %."
    assert {"ts", "temp", "out_rain", "open_rate_ch8"} <= set(json.loads(known))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=8, max_size=8), st.sampled_from([0.0, 1.0, float("nan")]))
def test_nothing_leaves_the_range_and_rain_shuts(values: list[float], rain: float) -> None:
    table = a_table(1).iloc[:1].assign(out_rain=rain, **dict.fromkeys(MOTORS, 30.0))
    kept = interlocked(pd.DataFrame([values], index=table.index, columns=MOTORS), Minutes(table, ()))
    assert kept.ge(0).all(axis=None) and kept.le(100).all(axis=None)
    assert rain == 0.0 or (kept == 0.0).all(axis=None)


@given(st.text(max_size=60))
def test_no_text_is_taken_for_openings(text: str) -> None:
    with pytest.raises(ValueError):
        read_openings(text, MOTORS)


def test_the_made_up_house_is_one_that_a_grower_works() -> None:
    made = generate(4, seed=3)
    acts = actions(made)
    assert acts.sum() > 10 and made.table["temp"].between(-15, 50).all()
    day = made.table.index.hour.isin(range(2, 8))  # 11 to 17 in Jeonju
    assert made.table.loc[day, MOTORS].to_numpy().mean() > 2.0 > made.table.loc[~day, MOTORS].to_numpy().mean()
    assert made.table.equals(generate(4, seed=3).table) and not made.table.equals(generate(4, seed=4).table)


def test_a_made_up_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    made = generate(1, seed=1)
    made.table.rename(columns={f"w{n}": f"open_rate_ch{n}" for n in range(1, 9)}).to_csv(tmp_path / "minutes.csv")
    found = read_minutes(tmp_path / "minutes.csv")
    assert not found.faults and found.table[MOTORS].equals(made.table[MOTORS])


def test_a_model_takes_part_in_the_measurement() -> None:
    def complete(ask: list[dict[str, str]], schema: object) -> str:
        return json.dumps(dict.fromkeys(MOTORS, 30))

    found = measure(Measuring(seed=1, count=6, model="thirty", complete=complete))
    rows = {(row["who"], row["guard"]): row for row in found["rows"] if row["minutes"] == "balanced"}
    assert rows["thirty", "bare"]["unread"] == 0 and rows["thirty", "bare"]["rows"] <= 200
    assert rows["thirty", "bare"]["exact"] < rows["hold last", "bare"]["exact"]


def test_a_folder_of_tables_is_measured_as_one_and_its_faults_are_said(tmp_path: Path) -> None:
    table = a_table(6)
    for name, part in (("a", table.iloc[: 3 * 1440]), ("b", table.iloc[3 * 1440 :].astype(object))):
        if name == "b":
            part.iloc[5, 0] = "warm"
        part.to_csv(tmp_path / f"{name}.csv")
    said: list[str] = []
    found = measure(Measuring(folder=tmp_path, say=said.append))
    assert found["folder"] == str(tmp_path) and any("b.csv:7: temp 'warm'" in line for line in said)
    assert max(row["change_f1"] for row in found["rows"]) > 0.5
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no \.csv or \.parquet table"):
        measure(Measuring(folder=empty))
