"""Versions are what their rows are, whole or not there, and a recipe can train from one."""

import json
from pathlib import Path

import pytest

from sdx_finetune.datasets.gather import gather
from sdx_finetune.datasets.store import ALL, Card, Store
from sdx_finetune.recipe import DataSpec
from sdx_finetune.rows import read_rows

FACTS = {"name": "port", "sources": ["own.jsonl"], "licence": "CC0-1.0", "description": "", "dropped": 0, "tokens": 9, "tokenizer": "t", "languages": {"en": 3}, "groups": 3}  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> list[dict]:
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"질문 {n}", "completion": f"b{n}", "meta": {"day": n}}) for n in range(3)))
    return gather([file]).rows


def test_a_version_is_the_hash_of_its_rows(rows: list[dict], tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    first, again, fewer = store.add({ALL: rows}, FACTS), store.add({ALL: rows}, FACTS), store.add({ALL: rows[:2]}, FACTS)
    assert first == again and first.version != fewer.version
    assert store.card("port") == fewer and store.card(f"port@{first.version}") == first
    assert [row for _, row in store.rows(f"port@{first.version}")] == rows
    assert [card.rows for card in store.versions("port")] in ([3, 2], [2, 3]) and store.names() == ["port"]
    assert "port@" in (store.folder("port") / "README.md").read_text(encoding="utf-8")


def test_a_failed_write_leaves_nothing(rows: list[dict], tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    with pytest.raises(TypeError):
        store.add({ALL: [*rows, {"key": "x", "bad": object()}]}, FACTS)
    assert not list((tmp_path / "home").rglob("*.jsonl")) and store.names() == []


def test_what_a_killed_write_left_is_written_over(rows: list[dict], tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    version = store.add({ALL: rows}, FACTS).version
    (store.folder("port") / "card.json").unlink()
    (store.home / "port" / version / "all.jsonl").write_text('{"half')
    assert store.add({ALL: rows}, FACTS).version == version
    assert len(list(store.rows("port"))) == 3


@pytest.mark.parametrize(
    ("name", "message"), [("nothing", "no data set 'nothing'.*there are: port"), ("port@beef", "has no version 'beef'; it has: ")]
)
def test_what_is_not_there_is_named_with_what_is(name: str, message: str, rows: list[dict], tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    store.add({ALL: rows}, FACTS)
    with pytest.raises(KeyError, match=message):
        store.folder(name)


@pytest.mark.parametrize("name", ["../x", "A", "", "a b", "x" * 65])
def test_a_name_that_is_no_folder_is_refused(name: str, rows: list[dict], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot name a data set"):
        Store(tmp_path / "home").add({ALL: rows}, FACTS | {"name": name})


def test_training_reads_a_stored_split(rows: list[dict], tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    card: Card = store.add({"train": rows[:2], "eval": rows[2:]}, FACTS)
    DataSpec(dataset=f"port@{card.version}")
    read = list(read_rows([store.files("port")["train"]]))
    assert [row.messages[1].content for row in read] == ["b0", "b1"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "port"}, "names no version"),
        ({}, "either dataset"),
        ({"dataset": "port@1", "generator": "a:b"}, "either dataset"),
        ({"generator": "a:b"}, "wants train_rows and eval_rows"),
    ],
)
def test_a_recipe_names_one_source_and_its_version(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataSpec(**fields)


def test_a_group_that_is_added_makes_a_version_and_a_licence_changes_the_card(rows: list[dict], tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    first = store.add({ALL: rows}, FACTS)
    grouped = store.add({ALL: [row | {"meta": {"group": "g"}} for row in rows]}, FACTS)
    assert grouped.version != first.version and next(store.rows("port"))[1]["meta"] == {"group": "g"}
    again = store.add({ALL: rows}, FACTS | {"licence": "MIT"})
    assert again.version == first.version and store.card("port").licence == "MIT"
    assert "MIT" in (store.folder("port") / "README.md").read_text(encoding="utf-8")
