"""Daily weather by place: climate("champion") of the aquacrop wheel or a CSV of one's own, and one season out of it."""

import os
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FOLDER_VARIABLE = "SDX_CLIMATES"
"""Environment variable: a folder with climates of one's own, NAME.csv with the columns below."""
COLUMNS = ("date", "tmin_c", "tmax_c", "rain_mm", "et0_mm")
_NAME = re.compile(r"^[a-z0-9_]+$")
_SUFFIX = "_climate.txt"


@dataclass(frozen=True)
class Climate:
    """Days without a gap from `start` on; rows (tmin C, tmax C, rain mm, ET0 mm) as in balance.py."""

    name: str
    start: date
    table: Array

    def rows(self, first: date, days: int) -> Array:
        """(days, 4). ValueError when they are not all there."""
        index = (first - self.start).days
        if index < 0 or index + days > len(self.table):
            last = self.start + timedelta(days=len(self.table) - 1)
            raise ValueError(f"climate {self.name}: no weather from {first} for {days} days; it holds {self.start} to {last}")
        return self.table[index : index + days]

    def has(self, first: date, days: int) -> bool:
        index = (first - self.start).days
        return index >= 0 and index + days <= len(self.table)


@cache
def climate(name: str) -> Climate:
    """A climate by name. KeyError with the known names; ValueError for a bad file, with file, line and field."""
    path = _files().get(name) if _NAME.match(name) else None
    if path is None:
        raise KeyError(f"no climate {name!r}; known: {', '.join(_files()) or 'none (install aquacrop, or set ' + FOLDER_VARIABLE + ')'}")
    return _read_wheel(name, path) if path.name.endswith(_SUFFIX) else read_csv(path)


def climates() -> tuple[str, ...]:
    """Known names."""
    return tuple(_files())


def _files() -> dict[str, Path]:
    """Own ones first. The wheel is only looked into, not imported: that takes seconds."""
    own = os.environ.get(FOLDER_VARIABLE)
    found = {path.stem: path for path in sorted(Path(own).glob("*.csv")) if _NAME.match(path.stem)} if own else {}
    spec = find_spec("aquacrop")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted((Path(folder) / "data").glob(f"*{_SUFFIX}")):
            found.setdefault(path.name.removesuffix(_SUFFIX), path)
    return found


def _read_wheel(name: str, path: Path) -> Climate:
    """Day, month, year, tmin, tmax, rain, ET0 in columns, a line of headings first."""
    raw = np.loadtxt(path, skiprows=1)
    return _checked(name, path, [date(int(y), int(m), int(d)) for d, m, y in raw[:, :3]], raw[:, 3:7].copy())


def read_csv(path: Path) -> Climate:
    """A CSV with the columns date (ISO), tmin_c, tmax_c, rain_mm, et0_mm, a row per day. ValueError names file, line and field."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    heads = [item.strip() for item in lines[0].split(",")] if lines else []
    missing = [item for item in COLUMNS if item not in heads]
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}; needed are {', '.join(COLUMNS)}")
    days: list[date] = []
    rows: list[list[float]] = []
    for number, line in enumerate(lines[1:], 2):
        cells = dict(zip(heads, line.split(","), strict=False))
        for field in COLUMNS:
            try:
                value = date.fromisoformat(cells[field].strip()) if field == "date" else float(cells[field])
            except (KeyError, ValueError):
                raise ValueError(f"{path}, line {number}: {field} is {cells.get(field)!r}") from None
            if isinstance(value, date):
                days.append(value)
                rows.append([])
            else:
                rows[-1].append(value)
    return _checked(path.stem, path, days, np.array(rows).reshape(-1, 4))


def _checked(name: str, path: Path, days: list[date], table: Array) -> Climate:
    """Days in order without a gap, values that weather can have."""
    if not days:
        raise ValueError(f"{path}: no day in it")
    for before, after in pairwise(days):
        if after - before != timedelta(days=1):
            raise ValueError(f"{path}: after {before} comes {after}; give every day once, in order")
    wrong = ~np.isfinite(table).all(axis=1) | (table[:, 0] > table[:, 1]) | (np.abs(table[:, :2]) > 60).any(axis=1)
    wrong |= (table[:, 2] < 0) | (table[:, 2] > 1000) | (table[:, 3] < -0.5) | (table[:, 3] > 20)
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"{path}: {days[i]} has tmin, tmax, rain, et0 = {table[i].tolist()}, which no day has")
    table[:, 3] = np.maximum(table[:, 3], 0.1)  # a share of ET0 is asked for, so it must not be 0
    table.setflags(write=False)
    return Climate(name, days[0], table)
