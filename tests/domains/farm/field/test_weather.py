"""Climates of the wheel and of one's own; a bad file says where it is bad."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from sdx_domains.farm.field import weather
from sdx_domains.farm.field.weather import FOLDER_VARIABLE, climate, climates, read_csv

GOOD = "date,tmin_c,tmax_c,rain_mm,et0_mm\n2024-05-01,8,20,0,3.5\n2024-05-02,9,22,4.2,3.1\n"


def written(folder: Path, text: str, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_wheel_brings_champion() -> None:
    found = climate("champion")
    assert found.start == date(1982, 1, 1)
    assert found.rows(date(1991, 5, 1), 132).shape == (132, 4)
    assert "tunis" in climates()
    with pytest.raises(ValueError, match="1982-01-01 to 2018-12-31"):
        found.rows(date(2018, 12, 1), 60)


def test_every_climate_of_the_wheel_can_be_read() -> None:
    for name in ("tunis", "brussels", "hyderabad", "cordoba", "suffolk"):
        assert np.isfinite(climate(name).table).all()


def test_ones_own_csv_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, GOOD, "jeonju.csv")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    climate.cache_clear()
    assert climate("jeonju").rows(date(2024, 5, 2), 1).tolist() == [[9.0, 22.0, 4.2, 3.1]]
    with pytest.raises(KeyError, match="jeonju"):
        climate("nowhere")
    with pytest.raises(KeyError):
        climate("../jeonju")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("et0_mm", "et_mm"), "no column et0_mm"),
        (GOOD.replace("4.2", "much"), "line 3: rain_mm is 'much'"),
        (GOOD.replace("2024-05-02", "2024-05-04"), "after 2024-05-01 comes 2024-05-04"),
        (GOOD.replace("9,22,4.2", "9,22,-1"), "2024-05-02 has"),
        (GOOD.replace("8,20", "28,20"), "2024-05-01 has"),
        (GOOD.replace("3.5", "nan"), "which no day has"),
        ("", "no column date"),
        (GOOD.splitlines()[0], "no day in it"),
    ],
)
def test_a_bad_csv_says_where(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_csv(written(tmp_path, text))


def test_no_wheel_no_folder_no_climate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(weather, "find_spec", lambda name: None)
    with pytest.raises(KeyError, match=FOLDER_VARIABLE):
        climate("moon")
