from pathlib import Path

import pytest

from sdx_finetune.recipe import DataSpec, Recipe
from sdx_finetune.rows import check_row, distinct, load_function, make_rows, read_rows, shards_of


def quiet(_: str) -> None:
    pass


def test_shards_hold_the_rows_asked_for(tmp_path: Path, recipe: Recipe) -> None:
    paths = make_rows(recipe.data, "train", tmp_path, 1, quiet)
    rows = list(read_rows(paths))
    assert len(rows) == 120
    assert [len(path.read_text(encoding="utf-8").splitlines()) for path in paths] == [50, 50, 20]
    assert rows[0].turns()[-1]["role"] == "assistant"


def test_a_killed_run_makes_only_what_is_missing_and_the_same_rows(tmp_path: Path, recipe: Recipe) -> None:
    paths = make_rows(recipe.data, "train", tmp_path / "whole", 1, quiet)
    whole = [row.key for row in read_rows(paths)]
    make_rows(recipe.data, "train", tmp_path / "killed", 1, quiet)
    lost = shards_of(recipe.data, "train", tmp_path / "killed")[1].path
    lost.rename(lost.with_suffix(".1234.partial"))
    said: list[str] = []
    again = make_rows(recipe.data, "train", tmp_path / "killed", 1, said.append)
    assert [row.key for row in read_rows(again)] == whole
    assert said[0] == "train: 2 of 3 shards there, 1 to make"


def test_arguments_reach_the_generator_and_change_the_files(tmp_path: Path, recipe: Recipe) -> None:
    other = recipe.data.model_copy(update={"arguments": {"ships": 1}})
    paths = make_rows(other, "eval", tmp_path, 1, quiet)
    assert "T2 cpa" not in next(read_rows(paths)).turns()[1]["content"]
    assert paths != [shard.path for shard in shards_of(recipe.data, "eval", tmp_path)]


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        ("toy_rows:short_rows", "gave 49 rows; it must give exactly count"),
        ("toy_rows:broken_rows", r"row 1: messages must end with an assistant turn, the last is 'user'"),
        ("toy_rows:nothing", "has no function 'nothing'"),
        ("no_such_module:rows", "cannot be imported"),
    ],
)
def test_a_faulty_generator_is_named_with_its_fault(tmp_path: Path, recipe: Recipe, generator: str, said: str) -> None:
    spec = DataSpec.model_validate({**recipe.data.model_dump(), "generator": generator})
    with pytest.raises(ValueError, match=said):
        make_rows(spec, "train", tmp_path, 1, quiet)
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r"rows\.jsonl:2: not JSON"),
        ('{"messages": []}', r"rows\.jsonl:2: messages must end with an assistant turn"),
        ('{"messages": [{"role": "pilot", "content": "x"}]}', r"rows\.jsonl:2: messages\.0\.role: .*'pilot'"),
        ('{"messages": [{"role": "assistant", "content": " "}]}', r"messages\.0\.content is empty"),
    ],
)
def test_a_bad_line_is_told_with_file_line_and_field(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": [{"role": "assistant", "content": "x"}]}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        list(read_rows([path]))


def test_repeats_and_held_out_rows_are_dropped_and_counted() -> None:
    def row(text: str) -> dict[str, object]:
        return {"messages": [{"role": "assistant", "content": text}]}

    made = [check_row(row(text), "test") for text in ("a", "b", "a", "c", "b")]
    kept, repeats, leaks = distinct(iter(made), frozenset({made[3].key}))
    assert ([r.messages[0].content for r in kept], repeats, leaks) == (["a", "b"], 2, 1)


def test_a_dotted_name_gives_the_function() -> None:
    assert load_function("json:dumps")([1]) == "[1]"
