"""Minutes of a house as one table: read, checked, which of them are actions. Start at read_minutes()."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

MINUTE = pd.Timedelta(minutes=1)
SHOWN_FAULTS = 50


@dataclass(frozen=True)
class Minutes:
    """`table`: one row a minute, indexed by UTC time, columns of motors.yaml and w1..w8 (openings, %); NaN where nothing was measured."""

    table: pd.DataFrame
    faults: tuple[str, ...]
    """File, line, column, value and what was done, for the first SHOWN_FAULTS; the rest is counted in the last one."""

    @property
    def motors(self) -> list[str]:
        return [name for name in settings()["motors"] if name in self.table]


@cache
def settings() -> dict[str, Any]:
    """motors.yaml."""
    return yaml.safe_load((files("sdx_domains.farm.motors") / "motors.yaml").read_text(encoding="utf-8"))


def read_minutes(path: Path) -> Minutes:
    """A CSV or Parquet table of merged minutes: `ts`, `temp`, `out_temp`, ..., `open_rate_ch1`... or `w1`...; `probe_1_In_temp` is read as `temp`.

    Raises:
        ValueError: no `ts`, no openings or a needed column is missing; names the file and the columns that it has.
    """
    raw = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    table = _merged(raw.rename(columns=_plain))
    motors = [name for name in settings()["motors"] if name in table]
    missing = [name for name in ("ts", *settings()["needed"]) if name not in table] + ([] if motors else ["open_rate_ch1 or w1"])
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}; it has {', '.join(map(str, raw.columns[:20]))}")
    faults: list[str] = []
    times = pd.to_datetime(table["ts"], utc=True, errors="coerce", format="ISO8601")
    for line in np.flatnonzero(times.isna()):
        faults.append(f"{path.name}:{line + 2}: ts {table['ts'].iloc[line]!r} is no time; the row was left out")
    kept = {name: _numbers(table[name], name, path, faults) for name in (*_columns(), *motors) if name in table}
    frame = pd.DataFrame(kept).set_axis(times.dt.floor("min"))[times.notna().to_numpy()].sort_index()
    twice = frame.index.duplicated(keep="last")
    if twice.any():
        faults.append(f"{path.name}: {int(twice.sum())} minutes are there twice; the last of each was kept")
    told = faults[:SHOWN_FAULTS] + ([f"and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else [])
    return Minutes(frame[~twice].dropna(subset=motors), tuple(told))


def followed(table: pd.DataFrame) -> pd.Series:
    """True where the next row is exactly one minute later: only there is an answer known."""
    return pd.Series(table.index.diff()[1:].append(pd.TimedeltaIndex([pd.NaT])) == MINUTE, index=table.index)


def answers(minutes: Minutes) -> pd.DataFrame:
    """The openings of the next minute, for rows that have one (see followed())."""
    return minutes.table[minutes.motors].shift(-1)[followed(minutes.table)]


def actions(minutes: Minutes) -> pd.Series:
    """True where any opening changes within the next minute; over the rows of answers()."""
    then = answers(minutes)
    return (then != minutes.table.loc[then.index, minutes.motors]).any(axis=1)


def balanced(minutes: Minutes, seed: int) -> pd.Index:
    """Times of a set in which `action_share` are actions; half of the others lie within `hard_negative_min` of one."""
    acts = actions(minutes)
    wanted = round(acts.sum() * (1.0 / settings()["action_share"] - 1.0))
    span = 2 * settings()["hard_negative_min"] + 1
    near = acts.astype(float).rolling(span, center=True, min_periods=1).max().gt(0) & ~acts
    rng = np.random.default_rng(seed)
    hard = _drawn(acts.index[near], wanted // 2, rng)
    rest = _drawn(acts.index[~acts & ~near], wanted - len(hard), rng)
    return acts.index[acts].append([hard, rest]).sort_values()


def _drawn(times: pd.Index, count: int, rng: np.random.Generator) -> pd.Index:
    return times[np.sort(rng.choice(len(times), min(count, len(times)), replace=False))]


def _columns() -> list[str]:
    return [name for name in settings()["ranges"] if name != "opening"]


def _plain(column: object) -> str:
    """ "probe_2_Out_temp" is "out_temp", "In_humi" is "humi", "open_rate_ch3" is "w3"."""
    name = re.sub(r"^probe_\d+_", "", str(column).strip())
    name = re.sub(r"^[Ii]n_", "", name)
    name = re.sub(r"^Out_", "out_", name)
    return re.sub(r"^(?:open_rate_ch|a_w)(\d)$", r"w\1", name)


def _merged(table: pd.DataFrame) -> pd.DataFrame:
    """Several probes of one quantity become their mean."""
    several = [name for name in set(table.columns[table.columns.duplicated()])]
    for name in several:
        mean = table[name].apply(pd.to_numeric, errors="coerce").mean(axis=1)
        table = table.drop(columns=name).assign(**{name: mean})
    return table


def _numbers(column: pd.Series, name: str, path: Path, faults: list[str]) -> np.ndarray:
    low, high = settings()["ranges"].get(name, settings()["ranges"]["opening"])
    values = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = (values.isna() & column.notna() & (column.astype(str).str.strip() != "")) | (values < low) | (values > high)
    for line in np.flatnonzero(wrong):
        faults.append(f"{path.name}:{line + 2}: {name} {column.iloc[line]!r} is no number from {low} to {high}; left empty")
    return values.mask(wrong).to_numpy()
