"""The injected-error trial at its bars, on studies that the checks were not written on; the long one is the bench's."""

import json

import pytest

from sdx_domains.contract import Measuring
from sdx_domains.medicine.assure.random_studies import study
from sdx_domains.medicine.assure.trial import ALARMS, CAUGHT, assurance, trial


def test_a_small_trial_meets_the_bars():
    lines: list[str] = []
    found = assurance(Measuring(seed=1, count=3, say=lines.append))
    assert json.dumps(found) and len(lines) == 4
    for language in ("en", "ko"):
        part = found["structured"][language]
        assert part["caught"] >= CAUGHT, part["missed"]
        assert part["false_alarms"] <= ALARMS, part["alarms"]
    assert found["languages_differ"] == 0.0


def test_a_wrong_report_would_be_an_alarm(monkeypatch):
    """With statements that say otherwise than the report, good reports count as false alarms: the trial can fail."""
    from sdx_domains.medicine.assure import trial as module

    good = module.render
    monkeypatch.setattr(module, "render", lambda picture, statements, language, status: good(picture, statements[1:], language, status))
    found = trial([study(500_000_301)], 0)
    assert not found["passed"] and found["structured"]["en"]["false_alarms"] == 1.0


@pytest.mark.slow
def test_the_whole_trial_meets_the_bars():
    found = assurance(Measuring(seed=0, count=100))
    assert found["passed"], {
        way: {language: part[language]["by_kind"] for language in part}
        for way, part in found.items()
        if isinstance(part, dict) and "en" in part
    }
