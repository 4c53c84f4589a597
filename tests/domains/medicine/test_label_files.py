"""The labeller scored on CSV files of reports and labels: one file or two, and what is missing is named."""

from pathlib import Path

import pytest

from sdx_domains.medicine.label_files import score_folder
from sdx_domains.medicine.labels import ct_rate

NAMES = [label.name for label in ct_rate()]
REPORTS = {
    "a": ("There is a right pleural effusion.", "Pleural effusion.", {"Pleural effusion"}),
    "b": ("No pleural effusion. Centrilobular emphysema in both upper lobes.", "Emphysema.", {"Emphysema"}),
    "c": ("Normal examination.", "", {"Emphysema"}),
}


def labels_of(truth: set[str]) -> str:
    return ",".join("1" if name in truth else "0" for name in NAMES)


def one_file(folder: Path) -> None:
    lines = [f"object_id,findings,impression,{','.join(NAMES)}"]
    lines += [f'{name},"{findings}","{impression}",{labels_of(truth)}' for name, (findings, impression, truth) in REPORTS.items()]
    (folder / "all.csv").write_text("\n".join(lines), encoding="utf-8")


def two_files(folder: Path) -> None:
    reports = ["VolumeName,Findings_EN,Impressions_EN"] + [f'{name},"{found}","{said}"' for name, (found, said, _) in REPORTS.items()]
    labels = [f"VolumeName,{','.join(NAMES)}"] + [f"{name},{labels_of(truth)}" for name, (_, _, truth) in REPORTS.items()]
    (folder / "reports.csv").write_text("\n".join(reports), encoding="utf-8")
    (folder / "labels.csv").write_text("\n".join(labels), encoding="utf-8")


@pytest.mark.parametrize("write", [one_file, two_files])
def test_labels_are_scored_whether_they_stand_beside_the_reports_or_apart(tmp_path, write):
    write(tmp_path)
    found = score_folder(tmp_path)
    assert found["reports"] == 3
    assert found["labels"]["pleural_effusion"] == {"f1": 1.0, "there": 1, "found": 1, "false": 0}
    assert found["labels"]["emphysema"] == {"f1": 0.6667, "there": 2, "found": 1, "false": 0}
    assert found["macro_f1"] == pytest.approx((1.0 + 2 / 3) / 2, abs=1e-4)


def test_a_folder_without_labels_says_what_is_wanted(tmp_path):
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="Findings_EN"):
        score_folder(tmp_path)
