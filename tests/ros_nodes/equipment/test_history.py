"""The minute log: rows, views, CSV, loss, a broken file, a power cut."""

import csv
from pathlib import Path

import pytest

from sdx_domains.equipment import ActuatorReading, SensorReading
from sdx_ros_nodes.equipment import history
from sdx_ros_nodes.equipment.history import History


def sensor(t_s: float, value: float | None, name: str = "air_temp_1", status: int = 0) -> SensorReading:
    return SensorReading(t_s=t_s, source="test", sensor=name, quantity="air_temp_c", value=value, status=status)


def logged(path: Path | None, minutes: int, every_s: float = 20.0) -> History:
    log = History(path)
    t_s = 0.0
    while t_s <= 60.0 * minutes:
        log.take([sensor(t_s, t_s / 60.0), ActuatorReading(t_s=t_s, source="test", device="vent", position_pct=40.0, status=301)], t_s)
        t_s += every_s
    return log


def test_each_minute_has_its_last_reading() -> None:
    log = logged(None, 5)
    rows = list(log.rows(0.0, 300.0, "air_temp_1"))
    assert [(row.t_s, row.value) for row in rows] == [(60.0 * i, pytest.approx(i + 2 / 3)) for i in range(5)]
    assert [(row.quantity, row.value, row.status) for row in log.rows(0.0, 60.0, "vent")] == [("position_pct", 40.0, 301)]
    log.close()


def test_views_of_an_hour_a_day_7_and_30_days() -> None:
    log = History(None)
    for minute in range(0, 30 * 24 * 60, 10):
        log.take([sensor(60.0 * minute, float(minute))], 60.0 * minute)
    now = 30 * 86400.0
    log.take([], now)
    assert [len(log.view(span, now, "air_temp_1")) for span in ("hour", "day", "7 days", "30 days")] == [6, 144, 336, 360]
    start, mean = log.view("30 days", now, "air_temp_1")[0]
    assert (start, mean) == (0.0, 55.0)
    with pytest.raises(ValueError, match="no view 'year'"):
        log.view("year", now, "air_temp_1")  # pyright: ignore[reportArgumentType]
    log.close()


def test_what_was_lost_is_counted() -> None:
    log = History(None)
    for minute in range(101):
        t_s = 60.0 * minute
        readings = [] if minute % 50 == 7 else [sensor(t_s, None if minute == 20 else 1.0)]
        log.take(readings, t_s)
    assert log.lost_share(0.0, 6000.0, ["air_temp_1"]) == pytest.approx(0.03)
    assert log.lost_share(0.0, 6000.0, ["air_temp_1", "absent"]) == pytest.approx(0.515)
    log.close()


def test_csv(tmp_path: Path) -> None:
    log = logged(None, 3)
    log.take([sensor(190.0, None, "dead", 1)], 190.0)
    log.take([], 240.0)
    assert log.export_csv(tmp_path / "rows.csv", 0.0, 240.0) == 9
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"t_s": "0.0", "name": "air_temp_1", "quantity": "air_temp_c", "value": str(40 / 60), "status": "0"}
    assert next(row for row in rows if row["name"] == "dead")["value"] == ""
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    log.close()


def test_after_a_power_cut_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    cut = logged(path, 5)
    cut._database.close()  # as a kill: the minute under way is lost
    log = History(path)
    log.take([sensor(1800.0 + 300.0, 7.0)], 2100.0)
    log.close()
    assert [row.t_s for row in History(path).rows(0.0, 1e9, "air_temp_1")] == [0.0, 60.0, 120.0, 180.0, 240.0, 2100.0]


def test_a_broken_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"SQLite format 3\0" + b"nonsense" * 500)
    log = logged(path, 2)
    assert len(list(log.rows(0.0, 120.0, "vent"))) == 2
    assert (tmp_path / "history.sqlite.broken").read_bytes().startswith(b"SQLite format 3")
    log.close()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logged(tmp_path / "history.sqlite", 5).close()
    assert history.main([str(tmp_path / "history.sqlite"), "--csv", str(tmp_path / "rows.csv"), "--span", "hour"]) == 0
    assert capsys.readouterr().out.startswith("12 rows in ")
    assert history.main([str(tmp_path / "absent"), "--csv", str(tmp_path / "rows.csv")]) == 2
    assert "no log" in capsys.readouterr().err


def test_old_rows_go() -> None:
    log = History(None, kept_s=600.0)
    for minute in range(21):
        log.take([sensor(60.0 * minute, 1.0)], 60.0 * minute)
    assert next(log.rows(0.0, 1e9)).t_s == 540.0
    log.close()
