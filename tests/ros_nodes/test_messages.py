"""Types, hashes and bytes of messages."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sdx_ros_nodes import messages, topics

ROOT = Path(__file__).resolve().parents[2]

# Computed from the .msg files by the rule of REP-2016; a change here is a change of the wire and of every recorded bag.
OWN_HASHES = {
    "ActuatorCommand": "ab1b5e2b043248abb662be8bf8309ff5946aa7f0800bee6978cf165f28f5465f",
    "ActuatorState": "4f349a4d3cf4eeb1b85a6517138ed4df8cf7850167d9d5de887e3b4053a1a10e",
    "Alarm": "4930bfca8771be177b02ae14cf5de6a5a867980dd8497d0bfc40e5a8248a2023",
    "EnvironmentState": "c91abf32ed213f9ec1526e13ff3a05bcd730088fb05b40d97c5f12cd85b76015",
    "Event": "36b3d3353d77814be58cd229079a1e255206242a0eaf2cda3231fec10b0fb1c2",
    "Heartbeat": "b7e7b0fe17f5a61fef3712a840af9c13a682505940be4bbda32e9f1a1e876a89",
    "HelmCommand": "7972040ffa433455478e011b78f2e3aa8e440d6214fcb57c1439e763c65ada78",
    "Measurement": "65c10bc481e6a74a01b20c3e8aa9c4e664b3d9677fa51a2148c2ee651a85e928",
    "OwnState": "3cd26aedf4df3091133ae56128164b04b654c444b51dd98cec4215eb019fce01",
    "Route": "fa3b62905843e0e37562c67c9cd8812660ba9a59988bc252e1d81bee025778ca",
    "TargetArray": "ebdb16c3e7e1abbdbaef987185da1b1a51681debfcee74ca202fa3bcc2adc0e9",
    "TargetTrack": "1aa3019931b92e1c8422988907133967fcd064da15da2957f9f2e7c0bb43d2b2",
}


def test_our_types_hash_as_fixed() -> None:
    assert {name.rpartition("/")[2]: messages.type_hash(name).removeprefix("RIHS01_") for name in messages.own_definitions()} == OWN_HASHES


def test_a_standard_type_hashes_as_ros_says() -> None:
    # As `ros2 topic info -v` of a jazzy machine shows it.
    assert messages.type_hash("std_msgs/msg/String") == "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"


def field(name: str, type_id: int, nested: str = "") -> dict[str, Any]:
    return {"name": name, "type": {"type_id": type_id, "capacity": 0, "string_capacity": 0, "nested_type_name": nested}}


def test_the_hash_is_the_sha256_of_the_type_description() -> None:
    """REP-2016 by hand for Heartbeat, so that the golden values above rest on the rule and not on a library."""
    header, stamp = "std_msgs/msg/Header", "builtin_interfaces/msg/Time"
    uint64, float64, string, nested, int32, uint32 = 9, 11, 17, 1, 6, 7
    heartbeat = [
        field("header", nested, header),
        field("node", string),
        field("state", string),
        field("seq", uint64),
        field("busy", float64),
    ]
    description = {
        "type_description": {"type_name": "sdx_msgs/msg/Heartbeat", "fields": heartbeat},
        "referenced_type_descriptions": [
            {"type_name": stamp, "fields": [field("sec", int32), field("nanosec", uint32)]},
            {"type_name": header, "fields": [field("stamp", nested, stamp), field("frame_id", string)]},
        ],
    }
    assert hashlib.sha256(json.dumps(description).encode()).hexdigest() == OWN_HASHES["Heartbeat"]


def test_colcon_builds_exactly_the_files_that_dds_registers() -> None:
    folder = ROOT / "ros_nodes/msgs/msg"
    listed = {
        line.strip().strip('"')
        for line in (ROOT / "ros_nodes/msgs/CMakeLists.txt").read_text().splitlines()
        if ".msg" in line and '"' in line
    }
    assert listed == {f"msg/{path.name}" for path in folder.glob("*.msg")}
    assert folder.resolve() == (ROOT / "ros_nodes/sdx_ros_nodes/msg").resolve()


def test_no_message_of_ours_uses_char_or_byte() -> None:
    for name, text in messages.own_definitions().items():
        types = {line.split()[0].partition("[")[0] for line in text.splitlines() if line.strip() and not line.startswith("#")}
        assert not types & {"char", "byte", "wstring"}, name


@pytest.mark.parametrize("topic", topics.ALL, ids=lambda topic: topic.name)
def test_every_topic_survives_cdr(topic: topics.Topic) -> None:
    data = messages.serialise(messages.new(topic.type_name))
    assert data[:4] == b"\x00\x01\x00\x00" and len(data) % 4 == 0
    assert messages.serialise(messages.deserialise(data, topic.type_name)) == data


def test_bytes_of_a_message_are_fixed() -> None:
    head = messages.new("std_msgs/msg/Header", stamp=messages.new("builtin_interfaces/msg/Time", sec=1, nanosec=2), frame_id="map")
    beat = messages.new(topics.HEARTBEAT.type_name, header=head, node="/a", state="x", seq=7, busy=0.5)
    expected = (
        "00010000" "01000000" "02000000" "04000000" "6d617000" "03000000" "2f610000" "02000000" "78000000"
        "0700000000000000" "000000000000e03f"
    )  # fmt: skip
    assert messages.serialise(beat).hex() == expected


def test_new_fills_what_is_not_given() -> None:
    array = messages.new("sensor_msgs/msg/NavSatFix", latitude=3.0)
    assert array.latitude == 3.0 and array.longitude == 0.0 and array.header.frame_id == "" and list(array.position_covariance) == [0.0] * 9
    assert messages.new("sdx_msgs/msg/TargetArray").targets == []


def test_wrong_names_are_told() -> None:
    with pytest.raises(KeyError, match="no message type 'sdx_msgs/msg/Helm'"):
        messages.new("sdx_msgs/msg/Helm")
    with pytest.raises(TypeError, match=r"has no field wheel; it has header, heading"):
        messages.new("sdx_msgs/msg/HelmCommand", wheel=1)
    with pytest.raises(ValueError, match=r"'boxturtle'.*jazzy"):
        messages.typestore("boxturtle")


def test_the_gid_of_the_graph_message_follows_the_distribution() -> None:
    width = {distro: messages.typestore(distro).fielddefs["rmw_dds_common/msg/Gid"][1][0][1][1][1] for distro in ("humble", "jazzy")}
    assert width == {"humble": 24, "jazzy": 16}


def test_dds_type_names() -> None:
    assert messages.dds_type_name("std_msgs/msg/String") == "std_msgs::msg::dds_::String_"
