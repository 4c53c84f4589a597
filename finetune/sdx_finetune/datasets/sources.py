"""Files as records, each with the place where it stands. Start at read().

JSON lines, a JSON list, CSV and TSV, Parquet, or a folder in one of the layouts of tango.py. What cannot be read is a
Fault in the stream, so that one bad line does not hide the others.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from sdx_finetune.datasets.faults import Fault, shown

SHOWN_BYTES = 40
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
Found = tuple[str, Any | Fault]
"""(place, record) or (place, the fault that stands for it)."""


def read(path: Path, encoding: str = "utf-8-sig") -> Iterator[Found]:
    """Every record of a file. FileNotFoundError or ValueError, saying what to give, when there is none to read."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give a file ({', '.join(SUFFIXES)}) or a folder of a known layout")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: files of type {path.suffix or 'none'!r} are not read; give one of {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes); export it again")
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(path)
    if suffix == ".json":
        return _json_list(path)
    if suffix == ".parquet":
        return _parquet(path)
    return table(path, "\t" if suffix == ".tsv" else ",", encoding)


def _json_lines(path: Path) -> Iterator[Found]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.isspace():
                continue
            place = f"{path.name}:{number}"
            try:
                yield place, orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield place, _not_json(place, line, error)


def _not_json(place: str, line: bytes, error: Exception) -> Fault:
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        spot = line[max(0, wrong.start - 10) : wrong.start + 10]
        return Fault(place, "", shown(spot), f"byte {wrong.start} is no UTF-8", "save the file as UTF-8, e.g. iconv -f cp949 -t utf-8")
    hint = "quote keys and texts with double quotes" if "'" in text[:3] else "write one whole JSON object per line"
    return Fault(place, "", shown(text.strip()), f"not JSON ({str(error).split(':')[0]})", hint)


def _json_list(path: Path) -> Iterator[Found]:
    try:
        held = orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        fault = Fault(
            path.name, "", shown(path.read_bytes()[:SHOWN_BYTES]), f"not JSON ({error})", "if it holds one object per line, name it .jsonl"
        )
        yield path.name, fault
        return
    within = held.get("data") if isinstance(held, dict) else None
    rows = held if isinstance(held, list) else within if isinstance(within, list) else [held]
    for number, record in enumerate(rows):
        yield f"{path.name}[{number}]", record


def table(path: Path, separator: str, encoding: str) -> Iterator[Found]:
    """Rows of a table with a header. A row with too few or too many cells is a fault; so is an unclosed quote, which ends the table."""
    began = 1
    try:
        with path.open(encoding=encoding, newline="") as file:
            lines = csv.reader(file, delimiter=separator, strict=True)
            header = next(lines, [])
            if twice := sorted({name for name in header if header.count(name) > 1}):
                raise ValueError(f"{path}: the columns {twice} stand there twice; give each its own name")
            began = lines.line_num + 1
            for cells in lines:
                place, began = f"{path.name}:{began}", lines.line_num + 1
                if len(cells) == len(header):
                    yield place, dict(zip(header, cells, strict=True))
                elif cells:
                    problem = f"{len(cells)} cells in a table of {len(header)} columns"
                    yield place, Fault(place, "", shown(cells), problem, f"quote cells that hold {separator!r} or line breaks")
    except UnicodeDecodeError as error:
        found = error.object[max(0, error.start - 10) : error.start + 10]
        place = f"{path.name}:{began}"
        yield (
            place,
            Fault(place, "", shown(bytes(found)), f"not {encoding}, here or soon after", "save it as UTF-8, or give --encoding cp949"),
        )
    except csv.Error as error:
        place = f"{path.name}:{began}"
        fix = 'close the quote that begins in this row and write quotes inside a cell as ""; the rows after it were not read'
        yield place, Fault(place, "", "", f"no table any more ({error})", fix)


def _parquet(path: Path) -> Iterator[Found]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for record in batch.to_pylist():
                yield f"{path.name}[{number}]", record
                number += 1
    except (pa.ArrowInvalid, OSError) as error:
        yield path.name, Fault(path.name, "", shown(str(error)), "no readable Parquet file", "export it again")
