"""Files and folders of any known layout as checked rows. Start at gather()."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path

import orjson

from sdx_finetune.datasets import tango
from sdx_finetune.datasets.faults import Fault, shown
from sdx_finetune.datasets.formats import MAPPED, Row, parse
from sdx_finetune.datasets.sources import SUFFIXES, Found, read

TABLES = (".csv", ".tsv", ".parquet")


@dataclass(slots=True)
class Gathered:
    """What came out of the sources: rows without exact repeats, where each stands, and what was wrong."""

    rows: list[Row] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    read: int = 0

    @property
    def dropped(self) -> int:
        return self.read - len(self.rows)


def gather(paths: Iterable[Path], mapping: Mapping[str, str] | None = None, encoding: str = "utf-8-sig") -> Gathered:
    """Read everything. ValueError or FileNotFoundError, saying what to give, when a path or the mapping is of no use."""
    if mapping:
        check_mapping(mapping)
    paths = list(paths)
    several = len(paths) > 1
    out = Gathered()
    first_of: dict[str, str] = {}
    for path in paths:
        folder = path.parent if path.is_file() else path
        for place, record in _records(path, mapping, encoding):
            out.read += 1
            where = f"{path}: {place}" if several else place
            if several and isinstance(record, Fault):
                record = replace(record, place=where)
            _take(out, where, record, mapping, folder, first_of)
    return out


def check_mapping(mapping: Mapping[str, str]) -> None:
    unknown = sorted(set(mapping) - set(MAPPED))
    if unknown or "assistant" not in mapping:
        problem = f"{unknown[0]!r} is not a target" if unknown else "`assistant`, the text to learn, is not mapped"
        raise ValueError(
            f"--map: {problem}; write TARGET=COLUMN with TARGET one of {', '.join(MAPPED)}, e.g. user=question assistant=answer"
        )


def _take(out: Gathered, place: str, record: object, mapping: Mapping[str, str] | None, folder: Path, first_of: dict[str, str]) -> None:
    if isinstance(record, Fault):
        out.faults.append(record)
        return
    row, faults = parse(record, place, None if isinstance(record, dict) and "messages" in record else mapping)
    faults += _lost_images(row, place, folder) if row is not None else []
    out.faults += faults
    if row is None or any(fault.drops for fault in faults):
        return
    row["key"] = key_of(row)
    if row["key"] in first_of:
        problem = f"the same as {first_of[row['key']]}"
        out.faults.append(Fault(place, "", shown(row["messages"][-1]["content"]), problem, "remove one of the two"))
        return
    first_of[row["key"]] = place
    out.rows.append(row)
    out.places.append(place)


def key_of(row: Row) -> str:
    """Content hash of what is learnt. Many times faster than contract.digest, which serves where other programs compute the same."""
    return sha256(orjson.dumps([row["messages"], row["images"], row.get("rejected")])).hexdigest()[:16]


def _lost_images(row: Row, place: str, folder: Path) -> list[Fault]:
    """Local images that are not there; those that are become absolute paths. URLs are left for who trains."""
    faults = []
    for number, name in enumerate(row["images"]):
        if name.startswith(("http://", "https://", "data:")):
            continue
        path = Path(name) if Path(name).is_absolute() else folder / name
        if not path.is_file():
            faults.append(Fault(place, f"images.{number}", shown(name), "no such file", f"put it at {path}, or correct the path"))
        row["images"][number] = str(path.resolve())
    return faults


def _records(path: Path, mapping: Mapping[str, str] | None, encoding: str) -> Iterator[Found]:
    if path.is_dir():
        scenes = tango.sds_folder(path)
        if scenes is not None:
            return scenes
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not files:
            raise ValueError(f"{path} holds no data of a known layout; give a file ({', '.join(SUFFIXES)}) or a folder of ship scenes")
        return chain.from_iterable(_named(file.relative_to(path), _records(file, mapping, encoding)) for file in files)
    found = read(path, encoding)
    return found if mapping or path.suffix.lower() not in TABLES else _by_columns(found)


def _named(file: Path, found: Iterator[Found]) -> Iterator[Found]:
    """Places of a file inside a folder, with the sub-folder that it lies in."""
    if file.parent == Path():
        yield from found
        return
    for place, record in found:
        at = f"{file.parent}/{place}"
        yield at, replace(record, place=at) if isinstance(record, Fault) else record


def _by_columns(found: Iterator[Found]) -> Iterator[Found]:
    """A table of a known meaning, told by the columns of its first whole row."""
    for place, record in found:
        if isinstance(record, Fault):
            yield place, record
            continue
        rest = chain([(place, record)], found)
        yield from tango.farm_rows(rest) if tango.is_farm(record) else tango.report_rows(rest) if tango.is_report(tuple(record)) else rest
