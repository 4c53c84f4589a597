"""The four layouts of TANGO2's ship CSV files, and what is said of a broken one."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_domains.ship.inputs.tango_csv import TangoCsvError, read_tango_csv
from sdx_domains.ship.picture import OwnReading, TargetReading

HEADER = (
    "file_name,timestamp,ship_id,my_ship,ship_type,length,width,draft,latitude,longitude,knot,heading,bbox_x,bbox_y,bbox_width,bbox_height"
)
OWN = "frame_1.png,{t},100,1,Cargo,19,7,2,35.100000,129.100000,12.0,10.0,,,,"
OTHER = "frame_1.png,{t},200,0,Tanker,397,60,12,35.200000,129.100000,9.5,190.0,10,20,30,40"


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_rows_become_readings(tmp_path: Path) -> None:
    file = write(tmp_path / "input_data.csv", HEADER, OTHER.format(t="2026-02-27 10:00:00"), OWN.format(t="2026-02-27 10:00:00"))
    own = OwnReading(t_s=0.0, source="csv", lat_deg=35.1, lon_deg=129.1, sog_kn=12.0, cog_deg=10.0, heading_deg=10.0)
    other = TargetReading(
        t_s=0.0,
        source="csv",
        track_id="csv:200",
        lat_deg=35.2,
        lon_deg=129.1,
        sog_kn=9.5,
        cog_deg=190.0,
        heading_deg=190.0,
        ship_type=80,
        length_m=397,
        beam_m=60,
    )
    assert read_tango_csv(file) == read_tango_csv(tmp_path) == (own, other)


def test_layout_a_many_frames_a_minute_apart_in_mixed_case(tmp_path: Path) -> None:
    header = HEADER.replace("ship_id", "Ship_ID").replace("my_ship", " My_Ship").replace("latitude", "Latitude")
    stamps = ["2025-09-22 10:00:00", "2025-09-22 10:01:00"]
    lines = [row.format(t=t) for t in stamps for row in (OWN, OTHER)]
    write(tmp_path / "dataset1/input.csv", "\ufeff" + header, *lines)
    assert [reading.t_s for reading in read_tango_csv(tmp_path / "dataset1")] == [0.0, 0.0, 60.0, 60.0]
    without = [line.replace("frame_1", f"frame_{n}") for n in (3, 4) for line in (OWN.format(t=""), OTHER.format(t=""))]
    assert [reading.t_s for reading in read_tango_csv(write(tmp_path / "b.csv", HEADER, *without))] == [0.0, 0.0, 60.0, 60.0]


def test_layout_c_has_cpa_and_tcpa_and_one_file_per_situation(tmp_path: Path) -> None:
    stem = "tango_sds-unity_crossing_collision-20260728-v1.0-abc"
    file = write(tmp_path / f"csv/{stem}.csv", HEADER + ",cpa,tcpa", OWN.format(t=0) + ",,", OTHER.format(t=0) + ",0.12,-30")
    assert len(read_tango_csv(file)) == 2
    write(tmp_path / "csv/second.csv", HEADER, OWN.format(t=0))
    with pytest.raises(TangoCsvError, match=r"holds 2 separate situations: read one of them, e\.g\. .*\.csv"):
        read_tango_csv(tmp_path)


def test_layout_d_counts_video_frames(tmp_path: Path) -> None:
    header = HEADER.replace("timestamp", "video_frame")
    for number, frame in enumerate((0, 30, 90)):
        write(tmp_path / f"scenario_1/samples/sample_{number:06d}.csv", header, OWN.format(t=frame), OTHER.format(t=frame))
    assert [reading.t_s for reading in read_tango_csv(tmp_path / "scenario_1")] == [0.0, 0.0, 1.0, 1.0, 3.0, 3.0]
    with pytest.raises(TangoCsvError, match="it has the folders scenario_1: give one of them"):
        read_tango_csv(tmp_path)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1772186400", "1772186410"),
        ("1772186400000", "1772186410000"),
        ("20260227100000", "20260227100010"),
        ("20260227_100000", "20260227_100010"),
        ("2026/02/27 10:00:00", "2026-02-27T10:00:10Z"),
        ("10:00", "10:00:10.0"),
        ("0.0", "10.0"),
    ],
)
def test_clocks(tmp_path: Path, first: str, second: str) -> None:
    file = write(tmp_path / "x.csv", HEADER, OWN.format(t=first), OWN.format(t=second))
    assert [reading.t_s for reading in read_tango_csv(file)] == pytest.approx([0.0, 10.0])


def test_korean_windows_text_and_semicolons(tmp_path: Path) -> None:
    file = write(
        tmp_path / "x.csv", HEADER.replace(",", ";"), OWN.format(t=0).replace(",", ";").replace("Cargo", "화물선"), encoding="cp949"
    )
    assert isinstance(read_tango_csv(file)[0], OwnReading)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [OWN.format(t=0), OTHER.format(t=0).replace("190.0", "north")],
            "x.csv, row 3, column heading: 'north' is not a number; correct the cell",
        ),
        ([OWN.format(t=0).replace("12.0", "678")], "row 2, column knot: '678' is outside 0 .. 102.2"),
        ([OWN.format(t=0).replace("35.100000", "95")], "column latitude: '95' is outside -90 .. 90"),
        ([OWN.format(t=0).replace("35.100000", "nan")], "column latitude: 'nan' is outside"),
        ([OWN.format(t="yesterday")], "column timestamp: 'yesterday' is no time; write seconds"),
        ([OWN.format(t=0).replace(",1,Cargo", ",yes,Cargo")], "column my_ship: 'yes' is neither 1 nor 0; write 1 for own ship"),
        ([OTHER.format(t=0)], "row 2, column my_ship: '0' and no other row of this frame is 1; mark own ship"),
        ([OWN.format(t=0), OWN.format(t=0)], "row 3, column my_ship: '1' marks a second own ship"),
        ([OWN.format(t=0), OTHER.format(t=0).replace("200,0", ",0")], "row 3, column ship_id: '' is empty"),
        ([OWN.format(t=0), "frame_1.png,0"], "row 3, column latitude: '' is not a number"),
        ([], "has a header and no rows"),
    ],
)
def test_an_error_names_file_row_column_and_value(tmp_path: Path, lines: list[str], message: str) -> None:
    file = write(tmp_path / "x.csv", HEADER, *lines)
    with pytest.raises(TangoCsvError) as error:
        read_tango_csv(file)
    assert message in str(error.value) and str(file) in str(error.value)


def test_missing_columns_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TangoCsvError, match="no column knot, heading; found ship_id, my_ship, latitude, longitude"):
        read_tango_csv(write(tmp_path / "x.csv", "ship_id,my_ship,latitude,longitude", "1,1,2,3"))
    with pytest.raises(FileNotFoundError, match="give a CSV file"):
        read_tango_csv(tmp_path / "none")


def test_an_endless_cell_is_no_csv(tmp_path: Path) -> None:
    with pytest.raises(TangoCsvError, match="is no CSV file: field larger"):
        read_tango_csv(write(tmp_path / "x.csv", HEADER, "x" * 200_000))


def test_many_problems_are_told_at_once_but_not_all(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", HEADER, *[OWN.format(t=t).replace("12.0", "x") for t in range(25)])
    with pytest.raises(TangoCsvError) as error:
        read_tango_csv(file)
    assert str(error.value).count("column knot") == 10 and str(error.value).endswith("and 15 more")


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), header=st.booleans())
def test_any_file_gives_readings_or_a_told_problem(tmp_path: Path, data: bytes, header: bool) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes((HEADER.encode() + b"\n" if header else b"") + data)
    try:
        assert read_tango_csv(file)
    except TangoCsvError as error:
        assert str(file) in str(error)
