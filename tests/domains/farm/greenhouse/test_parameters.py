"""Parameter files: complete, in order, explained; overlays; perturbed houses."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml

from sdx_domains.farm.greenhouse import parameters
from sdx_domains.farm.greenhouse.parameters import FRUIT_STAGES, PARAMETERS, Parameters


def test_every_place_of_the_array_is_a_row_with_unit_and_source() -> None:
    rows = yaml.safe_load((files(parameters.__package__ or "") / "houses" / "published.yaml").read_text(encoding="utf-8"))
    assert len(rows) == PARAMETERS
    for place, (name, row) in enumerate(rows.items()):
        assert getattr(parameters, name.upper()) == place
        assert set(row) <= {"value", "unit", "source", "vary"} and row["unit"] and len(row["source"]) > 5, name


def test_shipped_house_is_the_published_one_fitted_to_traces() -> None:
    shipped, published = Parameters.read(), Parameters.read("published")
    ratio = shipped.values / published.values
    assert ((ratio > 0.5) & (ratio < 2.0)).all()
    assert 5 <= (ratio != 1.0).sum() <= 20
    assert sum(shipped[f"fruit_share_{stage}"] for stage in range(1, FRUIT_STAGES + 1)) == pytest.approx(1.0, abs=0.01)


def test_array_is_a_copy_and_replaced_leaves_the_first_alone() -> None:
    shipped = Parameters.read()
    shipped.array()[:] = 0.0
    other = shipped.replaced(lamp_w_m2=50.0)
    assert (shipped["lamp_w_m2"], other["lamp_w_m2"]) == (116.0, 50.0)
    with pytest.raises(KeyError, match="lamp_kw"):
        shipped.replaced(lamp_kw=1.0)


def test_perturbed_houses_differ_where_houses_differ_and_repeat_by_seed() -> None:
    shipped = Parameters.read()
    one, same, other = (shipped.perturbed(np.random.default_rng(seed), 0.1) for seed in (1, 1, 2))
    assert np.array_equal(one.values, same.values) and not np.array_equal(one.values, other.values)
    change = np.abs(one.values / shipped.values - 1.0)
    assert (change[~shipped.vary] == 0.0).all()
    assert (change[shipped.vary] <= 0.1 + 1e-12).all() and change.max() > 0.05


def _own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_own_file_over_the_published_one(tmp_path: Path) -> None:
    own = Parameters.read(_own(tmp_path, "base: published\nvalues: {boiler_w_m2: 90}\n"))
    assert own["boiler_w_m2"] == 90.0 and own["lamp_w_m2"] == 116.0


@pytest.mark.parametrize(
    ("text", "word"),
    [("base: published\nvalues: {boilr_w_m2: 90}\n", "boilr_w_m2"), ("base: published\nvalues: {boiler_w_m2: .nan}\n", "boiler_w_m2")],
)
def test_a_wrong_file_is_told_by_name(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Parameters.read(_own(tmp_path, text))
    with pytest.raises(FileNotFoundError, match="palace"):
        Parameters.read("palace")
