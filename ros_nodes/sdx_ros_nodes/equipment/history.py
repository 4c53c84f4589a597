"""One row a minute of every sensor and device, in SQLite: views of an hour, a day, 7 and 30 days, CSV, and what was lost.

    python -m sdx_ros_nodes.equipment.history history.sqlite --csv rows.csv --span "7 days"

After KOAT 116 (integrated greenhouse controllers): logging each minute, data loss below 3 %, going on by itself after a power cut.
"""

import argparse
import csv
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from sdx_domains.equipment import ActuatorReading, Reading, SensorReading
from sdx_ros_nodes.equipment.durable_map import open_sqlite

MINUTE_S = 60.0
Span = Literal["hour", "day", "7 days", "30 days"]
SPANS: dict[Span, tuple[float, float]] = {
    "hour": (3600.0, 60.0),
    "day": (86400.0, 300.0),
    "7 days": (7 * 86400.0, 1800.0),
    "30 days": (30 * 86400.0, 7200.0),
}
"""How far back, and the step of the view: a few hundred points each."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS row (t_s REAL, name TEXT, quantity TEXT, value REAL, status INTEGER, PRIMARY KEY (name, t_s)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS row_time ON row (t_s);
"""


class Row(NamedTuple):
    """One minute of one sensor or device. `value`: None when there was none; of a device its position in per cent."""

    t_s: float
    name: str
    quantity: str
    value: float | None
    status: int


class History:
    """The log. `path` None: in memory. A broken file is put aside and a new one begun.

    Args:
        period_s: between two rows, 60 by the rule.
        kept_s: rows older than this are dropped.
    """

    def __init__(self, path: Path | None, period_s: float = MINUTE_S, kept_s: float = 400 * 86400.0) -> None:
        self._database = open_sqlite(path, _SCHEMA)
        self.period_s, self._kept_s = period_s, kept_s
        self._latest: dict[str, Row] = {}
        self._minute: float | None = None

    def take(self, readings: Sequence[Reading], now_s: float) -> int:
        """Fold readings in; at each new minute the latest of every name becomes that minute's row. Says how many rows were written."""
        minute = now_s // self.period_s * self.period_s
        written = 0
        if self._minute is not None and minute > self._minute:
            written = self._write(self._minute)
        if self._minute is None or minute > self._minute:
            self._minute = minute
        for reading in readings:
            row = _row(reading)
            if row is not None:
                self._latest[row.name] = row
        return written

    def _write(self, minute: float) -> int:
        rows = [row._replace(t_s=minute) for row in self._latest.values()]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?, ?)", rows)
            self._database.execute("DELETE FROM row WHERE t_s < ?", (minute - self._kept_s,))
        self._latest.clear()
        return len(rows)

    def last_s(self) -> float:
        """Time of the last row; 0 in an empty log."""
        return float(self._database.execute("SELECT COALESCE(MAX(t_s), 0) FROM row").fetchone()[0])

    def rows(self, from_s: float, to_s: float, name: str | None = None) -> Iterator[Row]:
        """Rows from from_s (in) to to_s (out), by time."""
        query = "SELECT t_s, name, quantity, value, status FROM row WHERE t_s >= ? AND t_s < ?"
        found = self._database.execute(
            query + (" AND name = ?" if name else "") + " ORDER BY t_s, name", (from_s, to_s, *([name] if name else []))
        )
        return (Row(*row) for row in found)

    def view(self, span: Span, now_s: float, name: str) -> list[tuple[float, float | None]]:
        """Means of the last hour, day, 7 or 30 days, for a chart: (start of the step, mean or None)."""
        if span not in SPANS:
            raise ValueError(f"no view {span!r}; there are {', '.join(SPANS)}")
        back, step = SPANS[span]
        step = max(step, self.period_s)
        found = self._database.execute(
            "SELECT CAST(t_s / ? AS INTEGER) * ?, AVG(value) FROM row WHERE name = ? AND t_s >= ? AND t_s <= ? GROUP BY 1 ORDER BY 1",
            (step, step, name, now_s - back, now_s),
        )
        return [(float(t_s), value) for t_s, value in found]

    def lost_share(self, from_s: float, to_s: float, names: Sequence[str]) -> float:
        """Share of minutes without a value, 0..1, over all names."""
        minutes = round((to_s - from_s) / self.period_s)
        marks = ", ".join("?" * len(names))
        (found,) = self._database.execute(
            f"SELECT COUNT(*) FROM row WHERE t_s >= ? AND t_s < ? AND value IS NOT NULL AND name IN ({marks})", (from_s, to_s, *names)
        ).fetchone()
        return 1.0 - found / (minutes * len(names)) if minutes and names else 0.0

    def export_csv(self, path: Path, from_s: float, to_s: float) -> int:
        """Rows as a file, whole or absent; says how many."""
        part = path.with_name(path.name + ".part")
        count = 0
        try:
            with part.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(Row._fields)
                for row in self.rows(from_s, to_s):
                    writer.writerow(["" if value is None else value for value in row])
                    count += 1
            os.replace(part, path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return count

    def close(self) -> None:
        """Write the minute that is under way."""
        if self._minute is not None and self._latest:
            self._write(self._minute)
        self._database.close()


def _row(reading: Reading) -> Row | None:
    if isinstance(reading, SensorReading):
        return Row(reading.t_s, reading.sensor, reading.quantity, reading.value, reading.status)
    if isinstance(reading, ActuatorReading):
        return Row(reading.t_s, reading.device, "position_pct", reading.position_pct, reading.status)
    return None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sdx_ros_nodes.equipment.history", description="Export a minute log.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--csv", type=Path, required=True, help="the file to write")
    parser.add_argument("--span", choices=list(SPANS), default="day", help="how far back from the log's end")
    read = parser.parse_args(arguments)
    if not read.file.is_file():
        print(f"error: no log {read.file}", file=sys.stderr)
        return 2
    log = History(read.file)
    ends = log.last_s() + log.period_s
    count = log.export_csv(read.csv, ends - SPANS[read.span][0], ends)
    log.close()
    print(f"{count} rows in {read.csv}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
