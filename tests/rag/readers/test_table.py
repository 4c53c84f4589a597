import csv
import io

import pytest

from sdx_rag.document import Document
from sdx_rag.readers.limits import Limits
from sdx_rag.readers.table import read_table


def table(text: str) -> Document:
    return read_table(text.encode(), "a.csv", Limits())


def passages(text: str) -> dict[str, str]:
    return {block.address: block.text for block in table(text).blocks}


def test_a_row_is_a_passage_with_its_columns_and_number() -> None:
    assert passages('name,limit\npump,3 bar\n"valve, main",\n\nfan,"2\nm/s"\n') == {
        "row 2": "name: pump; limit: 3 bar",
        "row 3": "name: valve, main",
        "row 5": "name: fan; limit: 2 m/s",
    }
    assert all(block.kind == "passage" for block in table("a,b\n1,2\n").blocks)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_agrees(delimiter: str) -> None:
    rows = [["what, where", "limit"], ["pump; main", "3"], ["fan", "4"]]
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows(rows)
    assert passages(file.getvalue())["row 3"] == "what, where: fan; limit: 4"


def test_a_first_row_with_figures_is_no_header() -> None:
    assert passages("pump,3\nfan,4\n") == {"row 1": "column 1: pump; column 2: 3", "row 2": "column 1: fan; column 2: 4"}


def test_ragged_rows_are_read_and_noted() -> None:
    read = table("name,limit,unit\npump,3\nfan,4,m/s,extra\nvent,5,m/s\n")
    assert [block.text for block in read.blocks] == [
        "name: pump; limit: 3",
        "name: fan; limit: 4; unit: m/s; column 4: extra",
        "name: vent; limit: 5; unit: m/s",
    ]
    assert read.notes == ("2 rows have more or fewer cells than the header's 3: 2, 3",)


def test_quotes_that_do_not_close_lose_no_row() -> None:
    read = table('name,limit\npump,"3\nfan,4\nvent,5\n')
    assert [block.address for block in read.blocks] == ["row 2", "row 3", "row 4"]
    assert "quotes do not match" in read.notes[0]


def test_a_wide_row_is_told_in_parts_that_begin_with_its_name() -> None:
    header = ["name", *(f"h{place}" for place in range(60))]
    read = passages(",".join(header) + "\npump" + ",".join(["", *(f"v{place}" for place in range(60))]) + "\n")
    assert list(read) == ["row 2, columns 1-24", "row 2, columns 25-48", "row 2, columns 49-61"]
    assert all(text.startswith("name: pump; ") for text in read.values())
    assert read["row 2, columns 49-61"].endswith("h59: v59")
    assert sum(text.count("; ") for text in read.values()) == 60


def test_rows_of_a_long_table_stand_together_and_none_is_lost() -> None:
    read = table("name,limit\n" + "".join(f"pump {row},x{row}\n" for row in range(12_001)))
    assert len(read.blocks) <= 5_000
    assert read.blocks[0].address == "rows 2-4"
    told = "\n".join(block.text for block in read.blocks).splitlines()
    assert told == [f"name: pump {row}; limit: x{row}" for row in range(12_001)]
