"""Every file type gives the same rows; what cannot be read says why and what to do."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdx_finetune.datasets.gather import gather

ROWS = [{"prompt": f"question {n}", "completion": f'대답 {n}, "quoted"\nsecond line'} for n in range(5)]


def as_jsonl(path: Path) -> None:
    path.write_text("\ufeff" + "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), encoding="utf-8")


def as_json(path: Path) -> None:
    path.write_text(json.dumps({"data": ROWS}), encoding="utf-8")


def as_table(path: Path) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["prompt", "completion"], delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(ROWS)


def as_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.jsonl", as_jsonl), ("a.json", as_json), ("a.csv", as_table), ("a.tsv", as_table), ("a.parquet", as_parquet)],
)
def test_the_same_rows_from_every_file_type(name: str, write, tmp_path: Path) -> None:
    write(tmp_path / name)
    found = gather([tmp_path / name])
    assert not found.faults
    assert [row["messages"][1]["content"] for row in found.rows] == [row["completion"] for row in ROWS]


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    as_jsonl(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_text('{"instruction": "x", "input": "y", "output": "z"}\n')
    found = gather([tmp_path])
    assert len(found.rows) == 6 and found.rows[5]["messages"][0]["content"] == "x\n\ny"


def test_columns_are_mapped_and_a_group_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("frage,antwort,tag\nWer weicht aus?,Wir.,mo\n,Wir.,di\n")
    found = gather([file], {"user": "frage", "assistant": "antwort", "group": "tag"})
    assert found.rows[0]["messages"][0]["content"] == "Wer weicht aus?" and found.rows[0]["meta"] == {"group": "mo"}
    assert found.faults[0].place == "log.csv:3" and found.faults[0].field == "frage"


@pytest.mark.parametrize(
    ("mapping", "message"),
    [({"user": "a"}, "`assistant`, the text to learn, is not mapped"), ({"answer": "a", "assistant": "b"}, "'answer' is not a target")],
)
def test_a_wrong_mapping_is_refused(mapping: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        gather([tmp_path], mapping)


def test_a_column_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("question,answer\na,b\n")
    found = gather([tmp_path / "log.csv"], {"user": "questions", "assistant": "answer"})
    assert found.faults[0].fix == "map user=question"


def test_a_row_with_too_many_cells_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("prompt,completion\na,b,c\nd,e\n")
    found = gather([tmp_path / "log.csv"])
    assert found.faults[0].place == "log.csv:2" and "3 cells in a table of 2 columns" in found.faults[0].problem and len(found.rows) == 1


def test_another_encoding_is_named_and_can_be_given(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_bytes("prompt,completion\n질문,대답\n".encode("cp949"))
    assert "cp949" in gather([file]).faults[0].fix
    assert gather([file], encoding="cp949").rows[0]["messages"][1]["content"] == "대답"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("a.xlsx", b"x", "are not read"), ("a.jsonl", b"", "is empty"), ("a.csv", b"a,a\n1,2\n", "stand there twice")],
)
def test_a_file_of_no_use_says_what_to_give(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        gather([tmp_path / name])


def test_a_broken_parquet_file_and_bad_bytes_are_faults(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "b.jsonl").write_bytes(b'{"prompt": "\xff", "completion": "b"}\n')
    assert gather([tmp_path / "a.parquet"]).faults[0].problem == "no readable Parquet file"
    assert "no UTF-8" in gather([tmp_path / "b.jsonl"]).faults[0].problem


def test_images_become_whole_paths(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    part = {"type": "image_url", "image_url": {"url": "a.png"}}
    row = {"messages": [{"role": "user", "content": [part, {"type": "text", "text": "what?"}]}, {"role": "assistant", "content": "a ship"}]}
    (tmp_path / "own.jsonl").write_text(json.dumps(row))
    found = gather([tmp_path / "own.jsonl"])
    assert found.rows[0]["images"] == [str(tmp_path / "a.png")] and found.rows[0]["messages"][0]["content"] == "<image>what?"


def test_an_unclosed_quote_is_told_where_it_begins(tmp_path: Path) -> None:
    lines = ["prompt,completion", "a,b", 'c,"d', *(f"q{n},a{n}" for n in range(50))]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    found = gather([tmp_path / "log.csv"])
    assert len(found.rows) == 1 and found.faults[0].place == "log.csv:3" and "close the quote" in found.faults[0].fix


def test_files_in_folders_and_capital_suffixes_are_read_and_told_apart(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "A.JSONL").write_text('{"prompt": "a", "completion": "b"}\n')
    (tmp_path / "sub/b.jsonl").write_text('{"prompt": "c", "completion": "d"}\n{"x": 1}\n')
    found = gather([tmp_path])
    assert len(found.rows) == 2 and [fault.place for fault in found.faults] == ["sub/b.jsonl:2"]
    both = gather([tmp_path / "A.JSONL", tmp_path / "sub/b.jsonl"])
    assert both.faults[0].place == f"{tmp_path / 'sub/b.jsonl'}: b.jsonl:2"


def test_a_table_of_questions_and_answers_is_no_greenhouse(tmp_path: Path) -> None:
    (tmp_path / "quiz.csv").write_text("q,a\nWhat is 2+2?,4\n")
    found = gather([tmp_path / "quiz.csv"])
    assert "map columns" in found.faults[0].fix
    assert gather([tmp_path / "quiz.csv"], {"user": "q", "assistant": "a"}).rows[0]["messages"][1]["content"] == "4"


def test_an_output_table_alone_is_no_ship_scene(tmp_path: Path) -> None:
    (tmp_path / "output.csv").write_text("instruction,output\nsay hi,hi\n")
    assert len(gather([tmp_path]).rows) == 1
