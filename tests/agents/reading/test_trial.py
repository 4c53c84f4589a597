"""Drafts of held-out phantoms: scored on their text, and a finished case is not read twice."""

import importlib.util
from pathlib import Path

import pytest

for needed in ("numba", "scipy"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"needs {needed}", allow_module_level=True)

from sdx_agents.kept import Kept
from sdx_agents.reading.drafting import Drafter
from sdx_agents.reading.trial import Weighed, calibration, phantoms
from sdx_domains.medicine.privacy.vault import Vault
from sdx_domains.medicine.scoring import CaseScore

RUN = {"suite": "test"}


def test_a_phantom_is_drafted_scored_kept_and_not_read_again(tmp_path: Path):
    drafter, file, lines = Drafter(Vault(tmp_path / "vault")), tmp_path / "kept.jsonl", []
    first = phantoms(drafter, 1, 5, lines.append, Kept(file, RUN))
    case = CaseScore.model_validate(first["cases"][0])
    assert case.case == "phantom-900000005" and {"medical_material", "nodule"} <= set(case.truth)
    assert case.said <= set(case.truth) | set(case.spared) and case.stated == case.stated_ko
    assert all(each.side_right in (True, None) for each in case.placed)

    file.write_text(
        file.read_text().replace('"seconds":', '"seconds":123') + '{"case": "phantom-9000', encoding="utf-8"
    )  # a kill cut the last
    again = phantoms(drafter, 1, 5, lines.append, Kept(file, RUN))
    assert len(file.read_text().splitlines()) == 2  # what was cut off is gone: the next case has a line of its own
    assert again["cases"][0]["seconds"] > 100 and again["summary"]["micro_f1"] == first["summary"]["micro_f1"]


def test_thresholds_are_fitted_on_tuning_phantoms(tmp_path: Path):
    drafter, file = Drafter(Vault(tmp_path / "vault")), tmp_path / "kept.jsonl"
    found = calibration(drafter, 2, 0, lambda line: None, Kept(file, RUN))
    assert found["first_seed"] == 500_000_000 and found["rows"]
    assert all(row["low"] <= row["point"] <= row["high"] for row in found["rows"].values())
    assert found["rows"].keys() == found["risk_at_90_pct"].keys() == found["labels"].keys()
    head, *lines = file.read_text().splitlines()
    there = [Weighed.model_validate_json(line) for line in lines]
    assert [each.case for each in there] == ["phantom-500000000", "phantom-500000001"]
    file.write_text("\n".join([head, *(each.model_copy(update={"there": ()}).model_dump_json() for each in there), ""]), encoding="utf-8")
    assert calibration(drafter, 2, 0, lambda line: None, Kept(file, RUN))["rows"] == {}  # of the kept cases, in which nothing is there
