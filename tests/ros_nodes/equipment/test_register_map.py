"""Registers: coding both ways, addresses of the default maps, makers' descriptions, errors."""

import json
import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin

from sdx_ros_nodes.equipment.register_map import book, built_in, decode, encode, map_of, read_map, value, words

FLOATS = st.floats(width=32, allow_nan=False)


@given(FLOATS)
def test_float_both_ways_and_as_pymodbus_has_it(number: float) -> None:
    registers = words(number, "float32")
    assert value(registers, "float32") == number
    assert registers == ModbusClientMixin.convert_to_registers(number, ModbusClientMixin.DATATYPE.FLOAT32, word_order="little")


@given(st.integers(0, 2**32 - 1))
def test_uint32_has_its_low_word_first(number: int) -> None:
    registers = words(number, "uint32")
    assert registers == [number & 0xFFFF, number >> 16]
    assert value(registers, "uint32") == number


@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_blocks_both_ways(opid: int, status: int, left: int) -> None:
    fields = {"opid": opid, "status": status, "remain-time": left}
    items = ("opid", "status", "remain-time")
    assert decode(items, encode(items, fields)) == fields


def test_known_value() -> None:
    assert words(28.8, "float32") == [0x6666, 0x41E6]
    assert math.isnan(value(words(float("nan"), "float32"), "float32"))
    assert struct.unpack("<f", struct.pack("<2H", 0x6666, 0x41E6))[0] == pytest.approx(28.8)


@pytest.mark.parametrize(
    ("number", "coded"), [(-1, "uint16"), (65536, "uint16"), (2**32, "uint32"), (1e39, "float32"), (math.nan, "uint16")]
)
def test_what_does_not_fit_is_an_error(number: float, coded: str) -> None:
    with pytest.raises(ValueError, match=coded):
        words(number, coded)


def test_too_few_registers() -> None:
    with pytest.raises(ValueError, match="2 registers for value, status, which take 3"):
        decode(("value", "status"), [1, 2])


def test_default_maps_have_the_standard_registers() -> None:
    sensor, actuator, nutrient = (built_in()[name] for name in ("sensor", "actuator", "nutrient"))
    for i, slot in enumerate(sensor.places, start=1):
        assert (slot.index, slot.read.start, slot.read.size) == (i, 203 + 3 * (i - 1), 3)
    assert [slot.code for slot in sensor.places] == [
        1,
        1,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        12,
        13,
        14,
        15,
        16,
        17,
        *[1] * 7,
        2,
        2,
        18,
        18,
    ]
    for k in range(1, 17):
        slot = actuator.place("switch", k)
        assert slot and slot.write
        assert (slot.read.start, slot.write.start, slot.code, slot.index) == (203 + 4 * (k - 1), 503 + 4 * (k - 1), 102, k)
    for j in range(1, 9):
        slot = actuator.place("opener", j)
        assert slot and slot.write
        assert (slot.read.start, slot.write.start, slot.code, slot.index) == (267 + 4 * (j - 1), 567 + 4 * (j - 1), 112, 16 + j)
        assert slot.read.items == ("opid", "status", "remain-time") and slot.write.items == ("operation", "opid", "time")
    feed = nutrient.place("nutrient", 1)
    assert feed and feed.write and (feed.read.start, feed.write.start, feed.write.size, feed.index, feed.code) == (401, 504, 10, 21, 204)
    assert sensor.info.registers() == [0, 0, 1, 0, 10, 30] and actuator.info.registers() == [0, 0, 2, 0, 10, 24]
    assert map_of([0, 0, 2, 0, 10, 24, 7, 7]) == "actuator" and map_of([1, 2, 3, 4, 5, 6]) is None


def test_every_operation_that_a_device_obeys_is_known() -> None:
    assert {name for names in book().obeys.values() for name in names} <= set(book().operations)
    assert book().sensor_type("pipe_temp_c") == "temperature-sensor" and book().sensor_type("substrate_temp_c") == "soil-temperature-sensor"
    assert book().sensor_type("tank_level_pct") is None


DESCRIPTION = {
    "Class": "node",
    "Type": "actuator-node/level1",
    "CommSpec": {
        "KS X 3267": {
            "read": {"starting-register": 201, "items": ["status", "opid", "control"]},
            "write": {"starting-register": 501, "items": ["operation", "opid", "control"]},
        }
    },
    "Devices": [
        {
            "Class": "actuator",
            "Type": "switch/level1",
            "CommSpec": {
                "KS X 3267": {
                    "read": {"starting-register": 204, "items": ["opid", "status", "remain-time"]},
                    "write": {"starting-register": 504, "items": ["operation", "opid", "hold-time"]},
                }
            },
        },
        {
            "Class": "actuator",
            "Type": "nutrient-supply/level2",
            "CommSpec": {
                "KS X 3288": {
                    "read": {"starting-register": 208, "items": ["status", "area", "alert", "opid", "remain-time"]},
                    "write": {
                        "starting-register": 508,
                        "operations": [
                            {"opcode": 401, "items": ["operation", "opid"]},
                            {"opcode": 402, "items": ["operation", "opid", "start-area", "stop-area", "time"]},
                        ],
                    },
                }
            },
        },
    ],
}


def test_a_makers_description_is_a_map(tmp_path: Path) -> None:
    (tmp_path / "1_5_2_3_10_8.json").write_text(json.dumps(DESCRIPTION), encoding="utf-8")
    map = read_map("1_5_2_3_10_8.json", tmp_path)
    assert map.info.registers() == [1, 5, 2, 3, 10, 8]
    feed = map.place("nutrient", 1)
    assert feed and feed.write and feed.write.size == 6 and feed.write.layout(0) == ("operation", "opid")


def test_errors_of_maps_name_file_and_field(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither built in .* nor a file"):
        read_map("absent", tmp_path)
    (tmp_path / "node.json").write_text(json.dumps(DESCRIPTION), encoding="utf-8")
    with pytest.raises(ValueError, match="named after the node's registers"):
        read_map("node.json", tmp_path)
    row = built_in()["sensor"].model_dump(mode="json")
    for change, message in (
        ({"slots": [row["slots"][0] | {"types": ["thermometer"]}]}, "unknown device types thermometer"),
        ({"node": {"read": {"start": 203, "items": ["status"]}}}, "overlap"),
        ({"node": {"read": {"start": 202, "items": ["state"]}}}, "unknown items state"),
        ({"info": row["info"] | {"channels": 5}}, "30 slots, but info.channels is 5"),
        ({"colour": "red"}, "colour"),
    ):
        (tmp_path / "bad.yaml").write_text(json.dumps(row | change), encoding="utf-8")
        with pytest.raises(ValueError, match=message) as error:
            read_map("bad.yaml", tmp_path)
        assert "bad.yaml" in str(error.value)
    (tmp_path / "bad.yaml").write_text("[1, 2", encoding="utf-8")
    with pytest.raises(ValueError, match="is no map of a node"):
        read_map("bad.yaml", tmp_path)
