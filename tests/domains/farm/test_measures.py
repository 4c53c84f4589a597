"""What `sdx bench farm` finds beside the suites: each name leads to a function that runs and gives JSON."""

import json
from pathlib import Path

import pytest

pytest.importorskip("numba")

from sdx_domains.contract import Measuring, load_domain
from sdx_domains.farm import NAME


def test_the_fuzz_trial_runs_and_nothing_escapes() -> None:
    found = load_domain(NAME).measures()["fuzz"](Measuring(count=3000, seed=3))
    assert json.loads(json.dumps(found))["escaped"] == 0 and found["plans"] == 300


def test_validation_asks_for_its_traces(tmp_path: Path) -> None:
    validation = load_domain(NAME).measures()["validation"]
    with pytest.raises(ValueError, match="--dir"):
        validation(Measuring())
    with pytest.raises(FileNotFoundError, match="no traces"):
        validation(Measuring(folder=tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sim", "citations"])
def test_the_others_run_too(name: str) -> None:
    assert json.dumps(load_domain(NAME).measures()[name](Measuring(count=2)))
