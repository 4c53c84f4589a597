"""The data layouts of TANGO2 as chat rows: ship scenes (SDS), greenhouse actions (SDF), chest-CT reports (SDM).

A folder or file says by its shape which layout it is: sds_folder(), farm and report tables by their columns. What a row
needs and lacks is a Fault at its file and line. Every row carries `meta.group`, the scene, day or patient that must not
be torn apart by a split.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdx_domains.contract import Reading
from sdx_finetune.datasets.faults import Fault, shown
from sdx_finetune.datasets.formats import IMAGE
from sdx_finetune.datasets.sources import Found, table

Language = str
ASK = {
    ("describe", "en"): "Describe the situation and advise by COLREG in two paragraphs.",
    ("describe", "ko"): "상황을 설명하고 COLREG에 따라 조언하라. 두 문단으로 쓴다.",
    ("advice", "en"): "Advise own ship by COLREG.",
    ("advice", "ko"): "COLREG에 따라 본선에 조언하라.",
    ("compact", "ko"): "속력, 방향, 근거를 한 줄로 답하라.",
}
SAMPLE_ANSWERS = {
    "output_describe_en.txt": ("describe", "en"),
    "output_describe_kor.txt": ("describe", "ko"),
    "output_advice_en.txt": ("advice", "en"),
    "output_advice_kor.txt": ("advice", "ko"),
    "output_advice_compact.txt": ("compact", "ko"),
}
FLAT_ANSWERS = {
    "describe_ko": ("describe", "ko"),
    "advice_ko": ("advice", "ko"),
    "describe_en": ("describe", "en"),
    "advice_en": ("advice", "en"),
}
OPENINGS = tuple(f"w{number}" for number in range(1, 9))
REPORT_COLUMNS = ("object_id", "findings", "impression")
CT_LABELS = (
    "Medical material", "Arterial wall calcification", "Cardiomegaly", "Pericardial effusion", "Coronary artery wall calcification",
    "Hiatal hernia", "Lymphadenopathy", "Emphysema", "Atelectasis", "Lung nodule", "Lung opacity", "Pulmonary fibrotic sequela",
    "Pleural effusion", "Mosaic attenuation pattern", "Peribronchial thickening", "Consolidation", "Bronchiectasis",
    "Interlobular septal thickening",
)  # fmt: skip
"""The 18 labels of CT-RATE that SDM's table marks -1 (uncertain), 0 or 1."""


# -- SDS: ship scenes


def sds_folder(folder: Path) -> Iterator[Found] | None:
    """Rows of an SDS folder, None if it is none. Layouts: frames with input.csv and output.csv; a folder per sample;
    flat csv/, png/ and answer folders; recorded sessions with samples/ (their answers are computed by the ship domain)."""
    if frames := sorted(path.parent for path in folder.rglob("output.csv") if (path.parent / "input.csv").exists()):
        return _frames(frames)
    if any(folder.rglob("input_data.csv")):
        return _samples(sorted(path.parent for path in folder.rglob("input_data.csv")))
    if (folder / "csv").is_dir() and any((folder / name).is_dir() for name in FLAT_ANSWERS):
        return _flat(folder)
    if (folder / "session_manifest.json").exists() or any(folder.rglob("samples/sample_*.csv")):
        return _session(sorted({path.parent.parent for path in folder.rglob("samples/sample_*.csv")}))
    return None


def _frames(folders: Sequence[Path]) -> Iterator[Found]:
    for folder in folders:
        lines: dict[str, list[dict[str, str]]] = {}
        for _, record in table(folder / "input.csv", ",", "utf-8-sig"):
            if isinstance(record, dict):
                lowered = {name.strip().lower(): cell for name, cell in record.items()}
                lines.setdefault(Path(lowered.get("file_name", "")).stem, []).append(lowered)
        for place, record in table(folder / "output.csv", ",", "utf-8-sig"):
            at = f"{folder.name}/{place}"
            if isinstance(record, Fault):
                yield at, record
                continue
            lowered = {name.strip().lower(): cell for name, cell in record.items()}
            stem = Path(lowered.get("file_name", "")).stem
            if stem not in lines:
                fix = "give the frame its ships in input.csv, or remove the answer"
                yield at, Fault(at, "file_name", shown(lowered.get("file_name")), "no row of input.csv has this frame", fix)
                continue
            task = ("describe", _language(lowered.get("text", "")))
            yield at, _scene(_ship_lines(lines[stem]), task, lowered.get("text", ""), folder / f"{stem}.png", folder.name)


def _samples(folders: Sequence[Path]) -> Iterator[Found]:
    for folder in folders:
        ships = _readings(folder / "input_data.csv")
        if isinstance(ships, Fault):
            yield ships.place, ships
            continue
        found = [name for name in SAMPLE_ANSWERS if (folder / name).exists()]
        if not found:
            yield (
                folder.name,
                Fault(
                    folder.name, "", shown(sorted(p.name for p in folder.iterdir())), "no answer", f"add one of {', '.join(SAMPLE_ANSWERS)}"
                ),
            )
        for name in found:
            text = (folder / name).read_text(encoding="utf-8-sig").strip()
            yield f"{folder.name}/{name}", _scene(ships, SAMPLE_ANSWERS[name], text, folder / "input_image.png", folder.name)


def _flat(folder: Path) -> Iterator[Found]:
    for path in sorted((folder / "csv").glob("*.csv")):
        ships = _readings(path)
        if isinstance(ships, Fault):
            yield ships.place, ships
            continue
        answers = [(name, folder / name / f"{path.stem}.txt") for name in FLAT_ANSWERS if (folder / name / f"{path.stem}.txt").exists()]
        if not answers:
            place = f"csv/{path.name}"
            yield (
                place,
                Fault(place, "", shown(path.stem), "no answer of this name", f"add {path.stem}.txt to one of {', '.join(FLAT_ANSWERS)}"),
            )
        for name, answer in answers:
            text = answer.read_text(encoding="utf-8-sig").strip()
            # tango_sds-unity_<kind>-<date>-v1.0-<hash>: one scene of the simulator a file.
            yield f"{name}/{answer.name}", _scene(ships, FLAT_ANSWERS[name], text, folder / "png" / f"{path.stem}.png", path.stem)


def _session(folders: Sequence[Path]) -> Iterator[Found]:
    from sdx_domains.ship.inputs.tango_csv import TangoCsvError, read_tango_csv
    from sdx_domains.ship.language import answer
    from sdx_domains.ship.options import all_options, shown_options
    from sdx_domains.ship.perceive import ShipPerceiver
    from sdx_domains.ship.planner import best

    for folder in folders:
        for path in sorted(folder.glob("samples/sample_*.csv")):
            place = f"{folder.name}/{path.name}"
            try:
                readings = read_tango_csv(path)
            except TangoCsvError as error:
                yield place, _unread(place, error)
                continue
            picture = ShipPerceiver().take(readings, readings[-1].t_s)
            option = best(picture, shown_options(picture, all_options(picture)))
            for language in ("en", "ko"):
                row = _scene(_told(readings), ("describe", language), answer(picture, option, language), None, folder.name)
                yield f"{place}:{language}", row


def _readings(path: Path) -> list[str] | Fault:
    from sdx_domains.ship.inputs.tango_csv import TangoCsvError, read_tango_csv

    place = f"{path.parent.name}/{path.name}"
    try:
        return _told(read_tango_csv(path))
    except (TangoCsvError, FileNotFoundError) as error:
        return _unread(place, error)


def _unread(place: str, error: Exception) -> Fault:
    problem, _, fix = str(error).split("\n")[0].rpartition("; ")
    return Fault(place, "", "", problem or str(error), fix or "correct the file")


def _told(readings: Sequence[Reading]) -> list[str]:
    """A line per ship; values as in the file, cpa and tcpa left out: they are for the model to be told by code, or to reason out."""
    from sdx_domains.ship.picture import OwnReading, TargetReading

    lines = []
    for reading in readings:
        if isinstance(reading, OwnReading):
            lines.append(f"own {reading.lat_deg:.6f} {reading.lon_deg:.6f} {reading.sog_kn:.1f} kn {reading.heading_deg:.1f} deg")
        elif isinstance(reading, TargetReading):
            size = f" {reading.length_m:.0f}x{reading.beam_m:.0f} m" if reading.length_m and reading.beam_m else ""
            name = reading.track_id.removeprefix("csv:")
            lines.append(
                f"ship {name} {reading.lat_deg:.6f} {reading.lon_deg:.6f} {reading.sog_kn:.1f} kn {reading.heading_deg:.1f} deg{size}"
            )
    return lines


def _ship_lines(records: Sequence[Mapping[str, str]]) -> list[str]:
    own_first = sorted(records, key=lambda record: record.get("my_ship", "").strip() not in ("1", "1.0"))
    lines = []
    for number, record in enumerate(own_first):
        name = "own" if number == 0 else f"ship {record.get('ship_id', '')}"
        position = f"{record.get('latitude', '')} {record.get('longitude', '')}"
        lines.append(f"{name} {position} {record.get('knot', '')} kn {record.get('heading', '')} deg")
    return lines


def _scene(ships: Sequence[str], task: tuple[str, Language], text: str, image: Path | None, group: str) -> dict[str, Any]:
    """A record in the layout "chat"."""
    mark = f"{IMAGE}\n" if image is not None else ""
    user = f"{mark}AIS\n" + "\n".join(ships) + f"\n{ASK[task]}"
    meta = {"group": group, "task": task[0], "language": task[1]}
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": text}]
    return {"messages": turns, "images": [str(image)] if image is not None else [], "meta": meta}


def _language(text: str) -> Language:
    return "ko" if re.search(r"[가-힣]", text) else "en"


# -- SDF: greenhouse actions


def is_farm(record: Mapping[str, Any]) -> bool:
    """A row of SDF's prompt table (`q` with `a` as a JSON object, or `a_w1`...) or of its merged minutes (`open_rate_ch1`...)."""
    object_in_a = str(record.get("a") or "").lstrip().startswith("{")
    return ("q" in record and ("a_w1" in record or object_in_a)) or any(name.startswith("open_rate_ch") for name in record)


def farm_rows(found: Iterator[Found]) -> Iterator[Found]:
    """SDF's tables as rows: environment in, openings w1..w8 (0-100 %) out."""
    before: tuple[str, dict[str, Any]] | None = None
    for place, record in found:
        if isinstance(record, Fault):
            yield place, record
        elif "q" in record:
            yield place, _farm_answer(place, record)
        elif before is None:
            before = place, record
        else:
            yield before[0], _farm_minute(before[0], before[1], record)
            before = place, record


def _farm_answer(place: str, record: Mapping[str, Any]) -> dict[str, Any] | Fault:
    given = record.get("a") or {name: record.get(f"a_{name}") for name in OPENINGS if record.get(f"a_{name}") not in (None, "")}
    try:
        openings = json.loads(given) if isinstance(given, str) else given
    except json.JSONDecodeError as error:
        return Fault(place, "a", shown(given), f"no JSON ({error.msg})", 'write {"w1": 0, ..., "w8": 100}')
    if not isinstance(openings, Mapping):
        return Fault(place, "a", shown(given), "no JSON object", 'write {"w1": 0, ..., "w8": 100}')
    return _farm_row(place, str(record["q"]), openings, "a")


def _farm_minute(place: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any] | Fault:
    """What the next minute's openings were, asked of this minute's readings."""
    channels = sorted((name for name in now if re.fullmatch(r"open_rate_ch\d+", name)), key=lambda name: int(name[12:]))
    ask = json.dumps({name: value for name, value in now.items() if value not in (None, "")}, ensure_ascii=False)
    return _farm_row(place, ask, {f"w{i}": then[name] for i, name in enumerate(channels, 1)}, channels[0] if channels else "open_rate_ch1")


def _farm_row(place: str, ask: str, openings: Mapping[str, Any], field: str) -> dict[str, Any] | Fault:
    numbers: dict[str, int] = {}
    for name, value in openings.items():
        try:
            number = round(float(value))
        except (TypeError, ValueError):
            return Fault(place, f"{field}.{name}", shown(value), "an opening that is no number", "give a whole number from 0 to 100")
        if not 0 <= number <= 100:
            return Fault(place, f"{field}.{name}", shown(value), "an opening outside 0..100 %", "correct it or remove the row")
        numbers[name] = number
    if not numbers:
        return Fault(place, field, shown(dict(openings)), "no openings", "give w1..w8 or a_w1..a_w8")
    user = f"{ask}\nOpenings of the windows as JSON, w1 to w{len(numbers)}, 0-100 %."
    day = re.search(r"\d{4}-\d{2}-\d{2}", ask)
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": json.dumps(numbers)}]
    return {"messages": turns, "meta": {"group": day.group() if day else place.split(":")[0], "task": "openings"}}


# -- SDM: chest-CT reports


def is_report(columns: Sequence[str]) -> bool:
    return all(name in columns for name in REPORT_COLUMNS)


def report_rows(found: Iterator[Found]) -> Iterator[Found]:
    """SDM's table as rows: findings in, labels out; findings in, impression out. The patient (object_id) is the group."""
    for place, record in found:
        if isinstance(record, Fault):
            yield place, record
            continue
        meta = {"group": str(record["object_id"]), **({"split": record["split"]} if record.get("split") else {})}
        indication = f"Indication: {record['indication']}\n" if record.get("indication") else ""
        findings = f"{indication}Findings: {record['findings']}" if record["findings"] else ""
        ask = f"{findings}\nImpression:" if findings else record["findings"]
        yield f"{place}:impression", _report(ask, record["impression"], {**meta, "task": "impression"})
        labels = _labels(place, record)
        if isinstance(labels, Fault) or labels:
            yield (
                f"{place}:labels",
                labels
                if isinstance(labels, Fault)
                else _report(
                    f"{findings}\nLabels as JSON, 1 present, 0 absent, -1 uncertain:" if findings else record["findings"],
                    json.dumps(labels, ensure_ascii=False),
                    {**meta, "task": "labels"},
                ),
            )


def _report(user: str, answer: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": answer}], "meta": dict(meta)}


def _labels(place: str, record: Mapping[str, Any]) -> dict[str, int] | Fault:
    given = {label: record[label] for label in CT_LABELS if record.get(label) not in (None, "")}
    for label, value in given.items():
        if str(value).removesuffix(".0") not in ("-1", "0", "1"):
            return Fault(place, label, shown(value), "a label that is not -1, 0 or 1", "write 1 present, 0 absent, -1 uncertain")
    return {label: int(float(value)) for label, value in given.items()}
