"""CSV files of the TANGO2 ship data sets to readings: read_tango_csv(). One row is one ship in one frame.

Layouts: (a) a folder with input.csv of many frames, a minute apart; (b) a folder per sample with input_data.csv; (c) flat
csv/<stem>.csv, one situation each; (d) a recorded scenario with samples/sample_NNNNNN.csv that count `video_frame`.
Columns come in any case and order; boxes, cpa and tcpa are not read: nothing is taken on trust that can be computed.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

from sdx_domains.contract import Reading
from sdx_domains.ship.picture import OwnReading, TargetReading

REQUIRED = ("ship_id", "my_ship", "latitude", "longitude", "knot", "heading")
MAX_SPEED_KN = 102.2
"""Beyond this AIS has no code, and no ship goes faster."""
VIDEO_FRAMES_PER_S = 30.0
FRAME_STEP_S = 60.0
"""Layout (a) without timestamps: frame_N is N minutes."""
SHOWN_ERRORS = 10
AIS_TYPES = {
    "fishing": 30,
    "tug": 52,
    "pilot": 50,
    "sail": 36,
    "yacht": 37,
    "pleasure": 37,
    "passenger": 60,
    "ferry": 60,
    "cruise": 60,
    "cargo": 70,
    "container": 70,
    "bulk": 70,
    "tanker": 80,
}


class TangoCsvError(ValueError):
    """A file that cannot be read as it stands; the message names file, row, column and value, and what to do."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a file, columns in lower case."""

    path: Path
    number: int
    """As a spreadsheet counts: the header is 1."""
    fields: dict[str, str]

    def error(self, column: str, problem: str, fix: str) -> TangoCsvError:
        return TangoCsvError(f"{self.path}, row {self.number}, column {column}: {self.fields.get(column, '')!r} {problem}; {fix}")


def read_tango_csv(path: str | Path) -> tuple[Reading, ...]:
    """Readings of a CSV file, or of the folder of one recording (layouts a, b, d), by time; seconds since its first row.

    Own ship (my_ship = 1) gives OwnReading, the others TargetReading "csv:<ship_id>". A heading counts as course too:
    the files have no other. Raises TangoCsvError with up to 10 problems at once; FileNotFoundError when nothing is there.
    """
    rows = [row for file in _files(Path(path)) for row in _rows(file)]
    problems: list[TangoCsvError] = []
    timed: list[tuple[float, Reading]] = []
    for row in rows:
        try:
            t_s = _time_s(row)
            timed.append((t_s, _reading(row, t_s)))
        except TangoCsvError as error:
            problems.append(error)
    problems += [] if problems else _own_ship_problems(rows, timed)
    if problems:
        more = f"\n... and {len(problems) - SHOWN_ERRORS} more" if len(problems) > SHOWN_ERRORS else ""
        raise TangoCsvError("\n".join(map(str, problems[:SHOWN_ERRORS])) + more)
    start_s = min((t_s for t_s, _ in timed), default=0.0)
    readings = [reading.model_copy(update={"t_s": t_s - start_s}) for t_s, reading in timed]
    return tuple(sorted(readings, key=lambda reading: (reading.t_s, not isinstance(reading, OwnReading))))


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give a CSV file or the folder of one recording")
    if path.is_file():
        return [path]
    for name in ("input.csv", "input_data.csv"):
        if (path / name).is_file():
            return [path / name]
    if samples := sorted((path / "samples").glob("sample_*.csv")):
        return samples
    singles = sorted((path / "csv").glob("*.csv")) or sorted(path.glob("*.csv"))
    if singles:
        raise TangoCsvError(f"{path} holds {len(singles)} separate situations: read one of them, e.g. {singles[0]}")
    inner = [child.name for child in sorted(path.iterdir()) if child.is_dir()]
    hint = f"; it has the folders {', '.join(inner[:5])}: give one of them" if inner else ""
    raise TangoCsvError(f"{path} has neither input.csv, input_data.csv nor samples/sample_*.csv{hint}")


def _rows(path: Path) -> list[_Row]:
    text = _text(path)
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    try:
        table = list(csv.reader(text.splitlines(), delimiter=delimiter))
    except csv.Error as error:
        raise TangoCsvError(f"{path} is no CSV file: {error}") from error
    columns = [name.strip().lower() for name in table[0]] if table else []
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise TangoCsvError(
            f"{path}, row 1: no column {', '.join(missing)}; found {', '.join(columns) or 'nothing'}; add what is missing to the header"
        )
    rows = [
        _Row(path, number, _fields(columns, cells))
        for number, cells in enumerate(table[1:], start=2)
        if any(cell.strip() for cell in cells)
    ]
    if not rows:
        raise TangoCsvError(f"{path} has a header and no rows")
    return rows


def _fields(columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    return {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}


def _text(path: Path) -> str:
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise TangoCsvError(f"{path} is neither UTF-8 nor CP949 text: save it as UTF-8")


def _reading(row: _Row, t_s: float) -> Reading:
    lat_deg = _number(row, "latitude", -90.0, 90.0)
    lon_deg = _number(row, "longitude", -180.0, 180.0)
    sog_kn = _number(row, "knot", 0.0, MAX_SPEED_KN)
    heading_deg = _number(row, "heading", -180.0, 360.0) % 360.0
    if _is_own(row):
        return OwnReading(
            t_s=t_s, source="csv", lat_deg=lat_deg, lon_deg=lon_deg, sog_kn=sog_kn, cog_deg=heading_deg, heading_deg=heading_deg
        )
    if not row.fields["ship_id"]:
        raise row.error("ship_id", "is empty", "give every ship an id")
    return TargetReading(
        t_s=t_s,
        source="csv",
        track_id=f"csv:{row.fields['ship_id']}",
        lat_deg=lat_deg,
        lon_deg=lon_deg,
        sog_kn=sog_kn,
        cog_deg=heading_deg,
        heading_deg=heading_deg,
        ship_type=_ship_type(row.fields.get("ship_type", "")),
        length_m=_optional(row, "length", 0.0, 600.0),
        beam_m=_optional(row, "width", 0.0, 120.0),
    )


def _is_own(row: _Row) -> bool:
    value = row.fields["my_ship"].lower()
    if value in ("1", "1.0", "true"):
        return True
    if value in ("0", "0.0", "false", ""):
        return False
    raise row.error("my_ship", "is neither 1 nor 0", "write 1 for own ship, 0 for the others")


def _number(row: _Row, column: str, low: float, high: float) -> float:
    text = row.fields.get(column, "")
    try:
        value = float(text)
    except ValueError:
        raise row.error(column, "is not a number", "correct the cell or remove the row") from None
    if not (isfinite(value) and low <= value <= high):
        raise row.error(column, f"is outside {low:g} .. {high:g}", "correct the cell or remove the row")
    return value


def _optional(row: _Row, column: str, low: float, high: float) -> float | None:
    """A column that may be absent, empty or 0, all of which say "not known"."""
    return (_number(row, column, low, high) or None) if row.fields.get(column) else None


def _ship_type(text: str) -> int | None:
    """An AIS type code: the number itself, or that of a word such as "cargo"; None = not known."""
    if re.fullmatch(r"\d{1,2}(\.0)?", text):
        return int(float(text)) or None
    return next((code for word, code in AIS_TYPES.items() if word in text.lower()), None)


def _time_s(row: _Row) -> float:
    """Seconds on whatever clock the file has: timestamp, else video frame, else the frame's number in its file name."""
    stamp, frame, name = (row.fields.get(column, "") for column in ("timestamp", "video_frame", "file_name"))
    if stamp:
        for read in _CLOCKS:
            try:
                return read(stamp)
            except (ValueError, OverflowError):
                continue
        raise row.error("timestamp", "is no time", "write seconds, milliseconds since 1970 or 2026-01-31 12:00:00")
    if frame:
        return _number(row, "video_frame", 0.0, 1e9) / VIDEO_FRAMES_PER_S
    numbers = re.findall(r"\d+", Path(name).stem)
    return float(numbers[-1]) * FRAME_STEP_S if numbers and name.lower().startswith("frame") else 0.0


def _packed(text: str) -> float:
    """ "20260131120000", also with "_" or "-" between date and time."""
    digits = re.sub(r"[_\-T]", "", text)
    if not re.fullmatch(r"20\d{12}", digits):
        raise ValueError(text)
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def _seconds(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return value / 1000.0 if abs(value) >= 1e11 else value


def _calendar(text: str) -> float:
    moment = datetime.fromisoformat(text.replace("/", "-"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _clock(text: str) -> float:
    """ "10:15" or "10:15:30.5" without a date."""
    match = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?", text)
    if match is None:
        raise ValueError(text)
    return int(match.group(1)) * 3600.0 + int(match.group(2)) * 60.0 + float(match.group(3) or 0.0)


_CLOCKS: tuple[Callable[[str], float], ...] = (_packed, _seconds, _calendar, _clock)


def _own_ship_problems(rows: Sequence[_Row], timed: Sequence[tuple[float, Reading]]) -> list[TangoCsvError]:
    """Frames without own ship, or with two."""
    own: dict[tuple[Path, str, float], list[_Row]] = {}
    first: dict[tuple[Path, str, float], _Row] = {}
    for row, (t_s, reading) in zip(rows, timed, strict=True):
        frame = (row.path, row.fields.get("file_name", ""), t_s)
        first.setdefault(frame, row)
        own.setdefault(frame, []).extend([row] if isinstance(reading, OwnReading) else [])
    problems = [
        first[frame].error("my_ship", "and no other row of this frame is 1", "mark own ship with 1")
        for frame, found in own.items()
        if not found
    ]
    return problems + [
        found[1].error("my_ship", "marks a second own ship in this frame", "keep one") for found in own.values() if len(found) > 1
    ]
