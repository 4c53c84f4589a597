"""TANGO2's layouts, written here as its specification says, become rows that keep scenes and patients together."""

import json
from pathlib import Path

import pytest

from sdx_finetune.datasets.gather import gather
from sdx_finetune.datasets.splits import group_of

HEADER = "file_name,timestamp,ship_id,my_ship,ship_type,length,width,draft,latitude,longitude,knot,heading"
OWN = "frame_1.png,2026-01-01 00:00:00,1,1,cargo,100,20,6,35.000000,129.000000,12.0,0.0"
OTHER = "frame_1.png,2026-01-01 00:00:00,2,0,cargo,80,15,5,35.033300,129.037300,11.0,270.0"
TEXT = "시정은 10 NM이다.\n\n제15조에 따라 우현으로 변침한다."


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"png")


def test_frames_with_one_answer_each(tmp_path: Path) -> None:
    write(tmp_path / "dataset1/input.csv", f"{HEADER.title()}\n{OTHER}\n{OWN}\n")
    write(tmp_path / "dataset1/output.csv", f'file_name,text\nframe_1.png,"{TEXT}"\nframe_9.png,"x"\n')
    image(tmp_path / "dataset1/frame_1.png")
    found = gather([tmp_path])
    user = found.rows[0]["messages"][0]["content"]
    assert user.startswith("<image>\nAIS\nown 35.000000 129.000000 12.0 kn") and "ship 2 35.033300" in user
    assert found.rows[0]["messages"][1]["content"] == TEXT and group_of(found.rows[0]) == "group=dataset1"
    assert found.faults[0].field == "file_name" and "frame_9" in found.faults[0].value


def test_a_folder_per_sample_gives_a_row_per_answer(tmp_path: Path) -> None:
    write(tmp_path / "s1/input_data.csv", f"{HEADER}\n{OWN}\n{OTHER}\n")
    image(tmp_path / "s1/input_image.png")
    for name in ("describe_en", "describe_kor", "advice_en", "advice_kor", "advice_compact"):
        write(tmp_path / f"s1/output_{name}.txt", f"{name} text")
    write(tmp_path / "s2/input_data.csv", f"{HEADER}\n{OWN.replace('12.0', 'fast')}\n")
    write(tmp_path / "s3/input_data.csv", f"{HEADER}\n{OWN}\n")
    found = gather([tmp_path])
    assert len(found.rows) == 5 and {row["meta"]["language"] for row in found.rows} == {"en", "ko"}
    assert all(group_of(row) == "group=s1" for row in found.rows)
    assert "row 2, column knot: 'fast'" in found.faults[0].problem and "no answer" in found.faults[1].problem


def test_flat_files_by_stem(tmp_path: Path) -> None:
    stem = "tango_sds-unity_crossing-20260728-v1.0-abc"
    write(tmp_path / f"csv/{stem}.csv", f"{HEADER},cpa,tcpa\n{OWN},,\n{OTHER},0.1,600\n")
    image(tmp_path / f"png/{stem}.png")
    write(tmp_path / f"describe_ko/{stem}.txt", TEXT)
    write(tmp_path / f"advice_ko/{stem}.txt", TEXT)
    found = gather([tmp_path])
    assert not found.faults and [row["meta"]["task"] for row in found.rows] == ["describe", "advice"]
    assert all("0.1" not in row["messages"][0]["content"].replace("10", "") for row in found.rows)


def test_a_recorded_session_gets_answers_that_the_ship_domain_computes(tmp_path: Path) -> None:
    write(tmp_path / "session_manifest.json", "{}")
    header = HEADER.replace("file_name", "video_frame")
    body = f"{OWN}\n{OTHER}".replace("frame_1.png", "30")
    write(tmp_path / "scenario_1/samples/sample_000001.csv", f"{header}\n{body}\n")
    found = gather([tmp_path])
    assert not found.faults and len(found.rows) == 2
    english, korean = (row["messages"][1]["content"] for row in found.rows)
    assert english.count("\n\n") == 1 and "crosses from starboard" in english and "우현" in korean


def test_greenhouse_answers_as_a_table(tmp_path: Path) -> None:
    row = '"{""temp"": 21.5}","{""w1"": 0, ""w2"": 55}"'
    file = write(tmp_path / "farm.csv", f'q,a\n{row}\n"{{""temp"": 3}}","{{""w1"": 130}}"\n"{{}}","open"\n')
    found = gather([file])
    assert json.loads(found.rows[0]["messages"][1]["content"]) == {"w1": 0, "w2": 55}
    assert [(fault.place, fault.field) for fault in found.faults] == [("farm.csv:3", "a.w1"), ("farm.csv:4", "a")]


def test_greenhouse_minutes_ask_for_the_next_openings(tmp_path: Path) -> None:
    lines = [f"2026-03-01 10:0{n}:00,{20 + n},{10 * n},{100 - 10 * n}" for n in range(3)]
    file = write(tmp_path / "minutes.csv", "ts,temp,open_rate_ch1,open_rate_ch2\n" + "\n".join(lines) + "\n")
    found = gather([file])
    answers = [json.loads(row["messages"][1]["content"]) for row in found.rows]
    assert answers == [{"w1": 10, "w2": 90}, {"w1": 20, "w2": 80}] and found.rows[0]["meta"]["group"] == "2026-03-01"


def test_reports_give_impression_and_labels_a_patient(tmp_path: Path) -> None:
    header = "object_id,findings,impression,indication,split,Cardiomegaly,Lung nodule"
    good, bad = "p1,Small nodule.,Nodule.,cough,train,0,1", "p2,Big heart.,Cardiomegaly.,,train,yes,0"
    found = gather([write(tmp_path / "reports.csv", f"{header}\n{good}\n{bad}\n")])
    assert [row["meta"]["task"] for row in found.rows] == ["impression", "labels", "impression"]
    assert json.loads(found.rows[1]["messages"][1]["content"]) == {"Cardiomegaly": 0, "Lung nodule": 1}
    assert {group_of(row) for row in found.rows} == {"group=p1", "group=p2"}
    assert found.faults[0].field == "Cardiomegaly" and found.faults[0].value == "'yes'"


@pytest.mark.parametrize("name", ["a.txt", "b.png"])
def test_a_folder_of_nothing_known_says_what_to_give(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, "x")
    with pytest.raises(ValueError, match="holds no data of a known layout"):
        gather([tmp_path])
