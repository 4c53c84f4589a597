"""The constants come from the rows, and hold for devices whose rows were left out."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sdx_serving.devices.device import devices
from sdx_serving.recommend.constants import Constants, constants, fitted, read_priors
from sdx_serving.recommend.fit import fit, left_out, refit, write_fitted
from sdx_serving.recommend.rows import Implausible, Row, published, read_rows
from sdx_serving.recommend.timing import tokens_per_s
from sdx_serving.recommend.trial import published_trial

KNOWN = devices(Path("/nowhere"))
PRIORS = read_priors()
SHARED = Path(__file__).resolve().parents[4] / "shared/data/devices/decode_rates.csv"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return read_rows(published(), KNOWN, PRIORS)


def changed(tmp_path: Path, **values: str) -> Path:
    """published.csv with one row that has other values."""
    with published().open(newline="") as file:
        lines: list[Mapping[str, str]] = list(csv.DictReader(file))
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows([{**lines[0], **values}])
    return path


def test_shipped_constants_are_what_the_rows_give(rows: list[Row], tmp_path: Path) -> None:
    again = refit(rows, PRIORS)
    assert again.decode_factor == pytest.approx(fitted().decode_factor, rel=0.01)
    assert dict(again.constants) == pytest.approx(dict(fitted().constants), rel=0.01)
    assert write_fitted(again, tmp_path / "fitted.yaml").read_text().startswith("# Written by")


def test_devices_left_out_are_estimated_within_the_bar(rows: list[Row]) -> None:
    result = published_trial(published(), KNOWN, PRIORS)
    assert len(result["rows"]) == len(rows) == 26 and result["devices"] >= 10
    assert result["median_error"] <= 0.20 and result["within_1_5"] >= 0.90


def test_rows_of_others_are_held_against_what_ships(tmp_path: Path) -> None:
    one = published_trial(changed(tmp_path, tok_s="30", runtime="VLLM", quant="w4a16-g128"), KNOWN, PRIORS, constants())["rows"][0]
    assert one["ratio"] == pytest.approx(one["estimated"] / 30, rel=0.01) and 45 < one["estimated"] < 60


@pytest.mark.skipif(not SHARED.is_file(), reason="no rows beside the checkout")
def test_rows_beside_the_checkout_too() -> None:
    result = published_trial(SHARED, KNOWN, PRIORS)
    assert result["median_error"] <= 0.20 and result["within_1_5"] >= 0.90


def test_leaving_out_means_that_no_row_of_the_device_has_a_say(rows: list[Row]) -> None:
    rows = [row for row in rows if row.place.device in ("rk3588-16", "galaxy-s22", "jetson-thor-t5000")]
    wrong = [replace(row, tokens_per_s=row.tokens_per_s / 2) if row.place.device == "rk3588-16" else row for row in rows]
    estimates = {row.label: value for row, value in left_out(rows, PRIORS) if row.place.device == "rk3588-16"}
    assert estimates == {row.label: value for row, value in left_out(wrong, PRIORS) if row.place.device == "rk3588-16"}


def test_the_fit_finds_constants_that_made_the_rows(rows: list[Row]) -> None:
    truth = Constants(PRIORS, {**fitted().constants, "share:igpu": 0.6, "layer_ms:gpu": 0.2})
    made = [replace(row, tokens_per_s=tokens_per_s(row.facts, row.place, row.load, truth, row.with_prefill)) for row in rows]
    found = fit(made, PRIORS)
    assert found.get("layer_ms:gpu") == pytest.approx(0.2, rel=0.35)
    for row in made:
        assert tokens_per_s(row.facts, row.place, row.load, found, row.with_prefill) == pytest.approx(row.tokens_per_s, rel=0.15)


def test_one_wild_row_does_not_drag_the_others(rows: list[Row]) -> None:
    wild = [replace(rows[0], tokens_per_s=rows[0].tokens_per_s / 8), *rows[1:]]
    calm, dragged = fit(rows, PRIORS), fit(wild, PRIORS)
    assert dragged.get("share:igpu") == pytest.approx(calm.get("share:igpu"), rel=0.1)


def test_a_row_faster_than_memory_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Implausible, match=r"rows.csv:2 jetson-agx-orin-64 Qwen3-4B .* 90 tok/s would read"):
        read_rows(changed(tmp_path, tok_s="90"), KNOWN, PRIORS)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"device": "abacus"}, "no device file or column 'abacus'"),
        ({"tok_s": "fast"}, "could not convert"),
        ({"quant": "Q99"}, "quantisation 'Q99'"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, values: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match="rows.csv:2") as caught:
        read_rows(changed(tmp_path, **values), KNOWN, PRIORS)
    assert told in str(caught.value)
