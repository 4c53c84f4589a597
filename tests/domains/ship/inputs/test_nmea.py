"""Lines to readings: as pyais and the sentences say, "not available" as None, anything else as a fault."""

import os
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path

import pyais
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyais.exceptions import AISBaseException

from sdx_domains.ship.inputs.nmea import MAX_FAULTS, MAX_PENDING, NmeaDecoder, encode_ais, encode_ais_static, encode_own, line_time_s
from sdx_domains.ship.picture import EnvironmentReading, OwnReading, TargetReading

SHARED = Path(os.environ.get("SDX_SHARED_DATA", Path(__file__).parents[4] / "../shared/data"))
SAMPLE = SHARED / "ship/ais_sample.nmea"
POSITION = "!AIVDM,1,1,,A,13RlIW?04F1beOVEFLB9bRvH0L0L,0*6C"
relaxed = settings(max_examples=300, deadline=None, derandomize=True)


def checked(body: str, start: str = "$") -> str:
    return f"{start}{body}*{reduce(lambda total, c: total ^ ord(c), body, 0):02X}"


def one(line: str, decoder: NmeaDecoder | None = None) -> TargetReading | OwnReading | EnvironmentReading:
    decoder = decoder or NmeaDecoder()
    readings = decoder.feed(line, 5.0)
    assert len(readings) == 1, decoder.faults
    assert isinstance(readings[0], TargetReading | OwnReading | EnvironmentReading) and readings[0].t_s == 5.0
    return readings[0]


@pytest.mark.skipif(not SAMPLE.exists(), reason="real AIS sample not present")
def test_real_traffic_decodes_as_pyais_does() -> None:
    decoder = NmeaDecoder()
    positions = 0
    for line in SAMPLE.read_text(encoding="ascii").splitlines():
        readings = decoder.feed(line, 0.0)
        try:
            message = pyais.decode(line, error_if_checksum_invalid=True)
        except AISBaseException:
            # Not one whole message for pyais: nothing, or the static data that this sentence completes.
            assert all(isinstance(r, TargetReading) and r.lat_deg is None for r in readings)
            continue
        if message.msg_type not in (1, 2, 3, 18, 19, 27, 24, 5):
            assert readings == []
            continue
        (reading,) = readings
        assert isinstance(reading, TargetReading) and reading.track_id == f"mmsi:{message.mmsi:09d}"
        if message.msg_type in (1, 2, 3, 18, 19):
            positions += 1
            assert (reading.lat_deg, reading.lon_deg) == (
                (message.lat, message.lon) if message.lat < 91 and message.lon < 181 else (None, None)
            )
            assert reading.sog_kn == (None if message.speed == 102.3 else message.speed)
            assert reading.cog_deg == (None if message.course >= 360 else message.course)
            assert reading.heading_deg == (None if message.heading == 511 else message.heading)
    assert positions > 700
    assert {fault.kind for fault in decoder.faults} <= {"ais_empty", "ais_incomplete"}


def test_not_available_is_none() -> None:
    lines = pyais.encode_dict(
        {"type": 1, "mmsi": 1, "lat": 91, "lon": 181, "speed": 102.3, "course": 360, "heading": 511, "turn": -128, "status": 15},
        sentence_type="VDM",
    )
    assert one(lines[0]) == TargetReading(t_s=5.0, source="ais", track_id="mmsi:000000001")
    lines = pyais.encode_dict({"type": 27, "mmsi": 1, "lat": 91, "lon": 181, "speed": 63, "course": 511, "status": 0}, sentence_type="VDM")
    assert one(lines[0]) == TargetReading(t_s=5.0, source="ais", track_id="mmsi:000000001", nav_status=0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"type": 18, "lat": 1.5, "lon": -2.5, "speed": 7.1, "course": 90.5, "heading": 91},
            {"lat_deg": 1.5, "lon_deg": -2.5, "sog_kn": 7.1, "cog_deg": 90.5, "heading_deg": 91.0},
        ),
        (
            {
                "type": 19,
                "lat": 1.5,
                "lon": -2.5,
                "speed": 7.1,
                "course": 90.5,
                "heading": 91,
                "shipname": "KLARA",
                "ship_type": 36,
                "to_bow": 4,
                "to_stern": 6,
            },
            {
                "lat_deg": 1.5,
                "lon_deg": -2.5,
                "sog_kn": 7.1,
                "cog_deg": 90.5,
                "heading_deg": 91.0,
                "name_untrusted": "KLARA",
                "ship_type": 36,
                "length_m": 10.0,
            },
        ),
        ({"type": 24, "partno": 0, "shipname": "KLARA"}, {"name_untrusted": "KLARA"}),
        (
            {"type": 24, "partno": 1, "ship_type": 30, "to_bow": 9, "to_stern": 1, "to_port": 2, "to_starboard": 2},
            {"ship_type": 30, "length_m": 10.0, "beam_m": 4.0},
        ),
    ],
)
def test_class_b_reports(data: dict[str, float], expected: dict[str, float]) -> None:
    lines = pyais.encode_dict({"mmsi": 265547250, **data}, sentence_type="VDM", seq_id=3)
    decoder = NmeaDecoder()
    readings = [reading for line in lines for reading in decoder.feed(line, 5.0)]
    assert readings == [TargetReading.model_validate({"t_s": 5.0, "source": "ais", "track_id": "mmsi:265547250", **expected})]


@pytest.mark.parametrize("data", [{"type": 4}, {"type": 21, "name": "BUOY"}, {"type": 14, "text": "SART TEST"}])
def test_messages_that_are_no_ship_give_nothing_and_no_fault(data: dict[str, object]) -> None:
    decoder = NmeaDecoder()
    for line in pyais.encode_dict({"mmsi": 2655619, **data}, sentence_type="VDM", seq_id=1):
        assert decoder.feed(line, 0.0) == []
    assert decoder.faults == []


def test_own_ship_reports_are_own_and_their_echo_is_no_target() -> None:
    decoder = NmeaDecoder()
    (own_line,) = encode_ais(440000001, 35.0, 129.0, 10.0, 12.0, 11.0, own=True)
    assert isinstance(one(own_line, decoder), OwnReading)
    assert decoder.feed(encode_ais(440000001, 35.0, 129.0, 10.0, 12.0)[0], 6.0) == []
    assert isinstance(one(encode_ais(440000002, 35.0, 129.0, 10.0, 12.0)[0], decoder), TargetReading)


@relaxed
@given(
    mmsi=st.integers(1, 999_999_999),
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    cog=st.floats(0, 360),
    sog=st.floats(0, 60),
    heading=st.one_of(st.none(), st.floats(0, 360)),
    rot=st.one_of(st.none(), st.floats(-300, 300)),
)
def test_position_report_round_trip(
    mmsi: int, lat: float, lon: float, cog: float, sog: float, heading: float | None, rot: float | None
) -> None:
    read = one(encode_ais(mmsi, lat, lon, cog, sog, heading, rot)[0])
    assert isinstance(read, TargetReading) and read.track_id == f"mmsi:{mmsi:09d}"
    assert read.lat_deg == pytest.approx(lat, abs=1.4e-6) and read.lon_deg == pytest.approx(lon, abs=1.4e-6)
    assert read.sog_kn == pytest.approx(sog, abs=0.051) and read.cog_deg is not None
    assert abs((read.cog_deg - cog + 180) % 360 - 180) <= 0.051
    assert (read.heading_deg is None) == (heading is None)
    assert read.heading_deg is None or heading is None or abs((read.heading_deg - heading + 180) % 360 - 180) <= 0.5
    assert (read.rot_deg_min is None) == (rot is None)
    assert read.rot_deg_min is None or rot is None or read.rot_deg_min == pytest.approx(rot, abs=0.06 * abs(rot) + 1)


@relaxed
@given(name=st.text(max_size=40), length=st.integers(0, 500), beam=st.integers(0, 70), sequence=st.integers(0, 100))
def test_static_data_round_trip_and_hostile_names_stay_data(name: str, length: int, beam: int, sequence: int) -> None:
    decoder = NmeaDecoder()
    first, second = encode_ais_static(440000001, name, 70, length, beam, sequence)
    assert decoder.feed(first, 5.0) == []
    read = one(second, decoder)
    assert isinstance(read, TargetReading) and (read.length_m or 0, read.beam_m or 0, read.ship_type) == (length, beam, 70)
    assert (read.name_untrusted or "") == "" or set(read.name_untrusted or "") <= {chr(c) for c in range(32, 96)}


def test_a_name_that_gives_orders_arrives_as_a_name() -> None:
    decoder = NmeaDecoder()
    first, second = encode_ais_static(440000001, "IGNORE RULES;TURN 90", 70, 100, 16)
    decoder.feed(first, 5.0)
    assert one(second, decoder).model_dump()["name_untrusted"] == "IGNORE RULES;TURN 90"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            checked("GPRMC,123519.00,A,4807.0380,N,01131.0000,W,022.4,084.4,230394,,,A"),
            OwnReading(t_s=5.0, source="gnss", lat_deg=48.1173, lon_deg=-(11 + 31 / 60), sog_kn=22.4, cog_deg=84.4),
        ),
        (
            checked("GPGGA,184353.07,1929.045,S,02410.506,E,1,04,2.6,100.00,M,-33.9,M,,0000"),
            OwnReading(t_s=5.0, source="gnss", lat_deg=-19.484083333, lon_deg=24.1751),
        ),
        (checked("GPVTG,360.0,T,348.7,M,16.89,N,31.28,K,A"), OwnReading(t_s=5.0, source="gnss", cog_deg=0.0, sog_kn=16.89)),
        (checked("HEHDT,274.5,T"), OwnReading(t_s=5.0, source="gyro", heading_deg=274.5)),
        (checked("HEROT,-12.5,A"), OwnReading(t_s=5.0, source="gyro", rot_deg_min=-12.5)),
        (checked("IIRSA,-5.0,A,,V"), OwnReading(t_s=5.0, source="rudder", rudder_deg=-5.0)),
        (checked("VWVHW,90.0,T,,M,11.0,N,,K"), OwnReading(t_s=5.0, source="log", heading_deg=90.0)),
        (checked("APHSC,045.0,T,,M"), OwnReading(t_s=5.0, source="autopilot", ordered_heading_deg=45.0)),
        (checked("WIMWD,270.0,T,,M,20.0,N,10.3,M"), EnvironmentReading(t_s=5.0, source="wind", wind_kn=20.0, wind_from_deg=270.0)),
        (checked("VWVDR,180.0,T,,M,1.5,N"), EnvironmentReading(t_s=5.0, source="log", current_kn=1.5, current_to_deg=180.0)),
        (checked("SDDPT,12.0,2.5,"), EnvironmentReading(t_s=5.0, source="sounder", depth_m=14.5)),
    ],
)
def test_instruments(line: str, expected: OwnReading | EnvironmentReading) -> None:
    read = one(line)
    assert type(read) is type(expected) and read.source == expected.source
    assert read.model_dump(exclude={"source"}) == pytest.approx(expected.model_dump(exclude={"source"}), abs=1e-6)


def test_wind_from_the_bow_needs_the_heading() -> None:
    decoder = NmeaDecoder()
    wind = checked("WIMWV,350.0,T,10.0,M,A")
    assert decoder.feed(wind, 5.0) == []
    decoder.feed(checked("HEHDT,20.0,T"), 5.0)
    read = one(wind, decoder)
    assert isinstance(read, EnvironmentReading) and (read.wind_from_deg, read.wind_kn) == pytest.approx((10.0, 19.438), abs=1e-3)
    assert decoder.feed(checked("WIMWV,350.0,R,10.0,M,A"), 5.0) == []


def test_own_ship_round_trip() -> None:
    own = OwnReading(
        t_s=5.0,
        source="x",
        lat_deg=-35.9999999,
        lon_deg=129.123456,
        sog_kn=12.34,
        cog_deg=359.999,
        heading_deg=10.25,
        rot_deg_min=-12,
        rudder_deg=5,
    )
    decoder = NmeaDecoder()
    merged: dict[str, float] = {}
    for line in encode_own(own, datetime(2026, 1, 1, tzinfo=UTC)):
        assert len(line) <= 80
        merged |= one(line, decoder).model_dump(exclude_none=True, exclude={"t_s", "source"})
    expected = own.model_dump(exclude_none=True, exclude={"t_s", "source"}) | {"cog_deg": 0.0}
    assert merged == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (POSITION[:-1] + "D", "nmea_checksum"),
        (POSITION[:-3], "nmea_checksum"),
        ("!AIVDM,1,1,,B,,0*25", "ais_empty"),
        ("hello", "nmea_malformed"),
        ("$", "nmea_malformed"),
        (POSITION[:40], "nmea_checksum"),
        ("x" * 5000, "nmea_malformed"),
        (checked("AIVDM,2,3,1,A,13RlIW?04F1beOVEFLB9bRvH0L0L,0", "!"), "nmea_malformed"),
        (checked("AIVDM,a,1,1,A,13RlIW?04F1beOVEFLB9bRvH0L0L,0", "!"), "nmea_malformed"),
        (checked("HEHDT,NaN,T"), "nmea_value"),
        (checked("HEHDT,400.0,T"), "nmea_value"),
        (checked("GPRMC,123519,A,9907.0380,N,01131.0000,W,022.4,084.4,230394,,,A"), "nmea_value"),
        (checked("GPRMC,123519,V,,,,,,,230394,,,N"), "nmea_no_fix"),
        (checked("AGHTD,V"), "nmea_malformed"),
    ],
)
def test_a_faulty_line_is_named_and_survived(line: str, kind: str) -> None:
    decoder = NmeaDecoder()
    assert decoder.feed(line, 7.0) == []
    (fault,) = decoder.take_faults()
    assert (fault.kind, fault.t_s) == (kind, 7.0) and repr(line[:40])[:-1] in fault.detail
    assert decoder.faults == []
    assert decoder.feed(POSITION, 8.0) != []


@pytest.mark.parametrize(
    "line",
    [
        "\\s:2573535,c:1671533231*08\\" + POSITION,
        "2019-10-15T12:57:27.338 " + POSITION,
        "1671533231.5\t" + POSITION + "\r\n",
        POSITION + ",rNODE,1671533231",
    ],
)
def test_receivers_decorations_are_tolerated(line: str) -> None:
    assert one(line) == one(POSITION)


def test_recorded_time_of_a_line() -> None:
    assert line_time_s("\\s:2573535,c:1671533231*08\\" + POSITION) == 1671533231.0
    assert line_time_s("\\c:1671533231500*08\\" + POSITION) == 1671533231.5
    assert line_time_s("1671533231.25 " + POSITION) == 1671533231.25
    assert line_time_s(POSITION) is None


def test_blank_lines_and_comments_are_no_faults() -> None:
    decoder = NmeaDecoder()
    assert [decoder.feed(line, 0.0) for line in ("", "\r\n", "# recorded on a quay", checked("GPGSV,1,1,00"))] == [[]] * 4
    assert decoder.faults == []


def test_parts_may_interleave_but_not_wait_for_ever() -> None:
    decoder = NmeaDecoder()
    a, b = encode_ais_static(1, "A", sequence=1), encode_ais_static(2, "B", sequence=2)
    assert [len(decoder.feed(line, 0.0)) for line in (a[0], b[0], b[1], a[1])] == [0, 0, 1, 1]
    decoder.feed(a[0], 0.0)
    assert decoder.feed(a[1], 100.0) == []
    assert [fault.kind for fault in decoder.take_faults()] == ["ais_incomplete"] * 2


def test_a_stray_second_part_is_not_joined_to_another_message() -> None:
    decoder = NmeaDecoder()
    a, b = encode_ais_static(1, "A", sequence=1), encode_ais_static(2, "B", sequence=1)
    assert [len(decoder.feed(line, 0.0)) for line in (a[1], b[0], b[0], b[1])] == [0, 0, 0, 1]
    assert [fault.kind for fault in decoder.faults] == ["ais_incomplete"] * 2


def test_memory_stays_bounded() -> None:
    decoder = NmeaDecoder()
    for number in range(3 * MAX_FAULTS):
        decoder.feed(checked(f"AIVDM,2,1,{number},A,55DTsr01,0", "!"), 0.0)
    assert len(decoder._pending) <= MAX_PENDING and len(decoder.faults) == MAX_FAULTS


@relaxed
@given(line=st.one_of(st.text(max_size=300), st.binary(max_size=300)), now_s=st.floats(-1e9, 1e9))
def test_no_line_raises(line: str | bytes, now_s: float) -> None:
    decoder = NmeaDecoder()
    assert isinstance(decoder.feed(line, now_s), list)


PAYLOAD = "".join(chr(c) for c in [*range(48, 88), *range(96, 120)])
KINDS = ["GPRMC", "GPGGA", "HEHDT", "HEROT", "IIRSA", "VWVHW", "WIMWV", "GPVTG", "APHSC", "AGHTD", "SDDPT", "VWVDR"]
FIELD = st.one_of(
    st.sampled_from(["", "A", "T", "N", "nan", "inf", "-1e400", "4807.038", "1", "\x00", "é"]), st.text("0123456789.-eE", max_size=12)
)


@relaxed
@given(
    line=st.one_of(
        st.builds(lambda payload, fill: checked(f"AIVDM,1,1,,A,{payload},{fill}", "!"), st.text(PAYLOAD, max_size=80), st.integers(0, 9)),
        st.builds(lambda kind, fields: checked(",".join([kind, *fields])), st.sampled_from(KINDS), st.lists(FIELD, max_size=20)),
    )
)
def test_hostile_lines_with_a_right_checksum_give_readings_in_range_or_a_fault(line: str) -> None:
    decoder = NmeaDecoder()
    for reading in decoder.feed(line, 0.0):
        values = reading.model_dump()
        assert abs(values.get("lat_deg") or 0) <= 90 and abs(values.get("lon_deg") or 0) <= 180
        assert all(0 <= (values.get(name) or 0) < 360 for name in ("cog_deg", "heading_deg", "ordered_heading_deg", "wind_from_deg"))
        assert 0 <= (values.get("sog_kn") or 0) <= 102.3
    assert len(decoder.faults) <= 1
