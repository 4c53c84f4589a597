"""The labeller against a user's own reports with labels, in CSV files as CT-RATE's or TANGO2's. Start at score_folder()."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdx_domains.medicine.labels import ct_rate
from sdx_domains.medicine.language.labeller import label
from sdx_domains.medicine.scoring import f1

TEXTS = (("Findings_EN", "Impressions_EN"), ("findings", "impression"))
"""Columns of the report: CT-RATE (Hamamci et al. 2024), TANGO2."""
NAMES = ("VolumeName", "object_id", "AccessionNo")
"""Columns that name a study; reports and labels in two files are joined by the first that both have."""

Row = Mapping[str, str]


def score_folder(folder: Path) -> dict[str, Any]:
    """F1 of each of the 18 labels, "uncertain" counted as there, and their mean over the labels that occur.

    Raises:
        ValueError: no reports or no labels among the folder's CSV files; says which columns are looked for.
    """
    rows = _rows(folder)
    read = [(_labels(row), label("\n".join(_texts(row)), "en")) for row in rows]
    by_label: dict[str, dict[str, Any]] = {}
    for each in ct_rate():
        pairs = [(truth[each.key], said[each.key] != "no") for truth, said in read if each.key in truth]
        tp, fp, fn = (sum(pair == kind for pair in pairs) for kind in ((True, True), (False, True), (True, False)))
        if tp + fn:
            by_label[each.key] = {"f1": round(f1(tp, fp, fn), 4), "there": tp + fn, "found": tp, "false": fp}
    mean = sum(row["f1"] for row in by_label.values()) / len(by_label) if by_label else None
    return {"reports": len(rows), "macro_f1": None if mean is None else round(mean, 4), "labels": by_label}


def _rows(folder: Path) -> list[Row]:
    tables = [_table(path) for path in sorted(folder.rglob("*.csv"))]
    whole = [row for table in tables for row in table if _texts(row) and _labels(row)]
    if whole:
        return whole
    reports = [table for table in tables if table and _column(table[0], TEXTS)]
    labels = [table for table in tables if table and _labels(table[0])]
    joined = [row for table in reports for other in labels for row in _joined(table, other)]
    if not joined:
        wanted = " or ".join(", ".join(columns) for columns in TEXTS)
        raise ValueError(
            f"{folder}: no CSV file with reports ({wanted}) and labels ({ct_rate()[0].name}, ...; 0 or 1), joined by {NAMES[0]}"
        )
    return joined


def _table(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _joined(reports: Sequence[Row], labels: Sequence[Row]) -> Iterator[Row]:
    name = next((each for each in NAMES if each in reports[0] and each in labels[0]), None)
    if name is None:
        return
    known = {row[name]: row for row in labels}
    yield from ({**row, **known[row[name]]} for row in reports if row[name] in known)


def _column(row: Row, choices: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    return next((columns for columns in choices if columns[0] in row), None)


def _texts(row: Row) -> list[str]:
    columns = _column(row, TEXTS)
    return [row[name] for name in columns if row.get(name)] if columns else []


def _labels(row: Row) -> dict[str, bool]:
    """Label key -> whether it is there; -1 is not known and left out."""
    return {each.key: float(row[each.name]) == 1.0 for each in ct_rate() if row.get(each.name, "") in ("0", "1", "0.0", "1.0")}
