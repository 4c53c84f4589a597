"""Lines of finished cases: gone on from by the same run alone, whole even after a kill."""

from pathlib import Path

import pytest

from sdx_agents.kept import Kept

RUN = {"suite": "x", "commit": "1"}


def test_the_same_run_goes_on_and_what_a_kill_cut_off_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "new/kept.jsonl"
    Kept(path, RUN).add("one")
    path.write_bytes(path.read_bytes() + "둘".encode()[:2])
    again = Kept(path, RUN)
    assert again.lines == ["one"]
    again.add("two")
    assert Kept(path, RUN).lines == ["one", "two"]


def test_another_run_is_told_and_its_lines_stay(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    Kept(path, RUN).add("one")
    with pytest.raises(ValueError, match="holds another run"):
        Kept(path, RUN | {"commit": "2"})
    assert Kept(path, RUN).lines == ["one"]


@pytest.mark.parametrize("text", ["dear diary\n", "dear diary"])
def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match="dear diary"):
        Kept(path, RUN)
    assert path.read_text() == text
