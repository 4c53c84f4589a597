from pathlib import Path
from typing import Any

import pytest

from sdx_serving.bench.compare import compare, read_rows
from sdx_serving.results import Results


def changes(found: Any) -> dict[tuple[str, str], str]:
    return {(one.cell, one.figure): one.verdict for one in found.changes}


def test_what_is_faster_slower_and_as_before_is_told(measured: Any) -> None:
    before = [measured("Q8_0", (0.5, 0.5)).row, measured("F16", (0.5, 0.5), scores=(1.0,) * 8).row]
    after = [measured("Q8_0", (0.4, 0.4)).row, measured("F16", (0.52, 0.52), scores=(1.0,) * 6 + (0.0,) * 2).row]
    told = changes(compare(before, after, 0.1))
    fast, slow = "toy Q8_0, llama.cpp, http x1", "toy F16, llama.cpp, http x1"
    assert (told[fast, "request p50 s"], told[fast, "tokens/s"], told[fast, "accuracy"]) == ("better", "better", "as before")
    assert (told[slow, "request p50 s"], told[slow, "accuracy"]) == ("as before", "worse")
    assert changes(compare(before, before, 0.0)) == {key: "as before" for key in told}
    ratios = [change.ratio for change in compare(before, after).changes if change.figure == "request p50 s"]
    assert ratios == pytest.approx([0.8, 1.04])


def test_what_only_one_has_and_what_fails_now_is_told(measured: Any) -> None:
    before = [measured("A").row, measured("B").row]
    after = [measured("B", failure="out of memory: 90 MiB").row, measured("C").row]
    found = compare(before, after)
    assert found.only_before == ("toy A, llama.cpp, http x1",)
    assert found.only_after == ("toy C, llama.cpp, http x1",)
    assert found.failed == ("toy B, llama.cpp, http x1: out of memory: 90 MiB",)
    assert not found.changes


def test_rows_are_read_back_and_an_empty_file_is_named(tmp_path: Path, measured: Any) -> None:
    path = tmp_path / "results.jsonl"
    row = measured("A").row
    Results(path).add(row)
    assert read_rows(path) == [row]
    (tmp_path / "none.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="none.jsonl: no measurement in it"):
        read_rows(tmp_path / "none.jsonl")
