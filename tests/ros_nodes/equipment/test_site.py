"""Site files: the example, errors that name file, field and value, and sites made from devices."""

from pathlib import Path

import pytest

import sdx_ros_nodes.equipment as package
from sdx_domains.equipment import Device
from sdx_ros_nodes.equipment.relay_panel import DEVICES
from sdx_ros_nodes.equipment.site import made_site, read_site, write_site

EXAMPLE = Path(package.__file__).with_name("example_site.yaml")


def test_the_example_is_whole() -> None:
    site = read_site(EXAMPLE)
    vent = next(each for each in site.fitted if each.name == "vent_lee")
    assert vent.slot.name == "opener 1" and vent.node.unit == 2 and vent.device.travel_s == 300 and vent.device.kind == "opener"
    assert next(each for each in site.fitted if each.name == "heating_valve").device.kind == "valve"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "vent_lee: {opener: 1, travel_s: 300}",
            "vent_lee: {opener: 9, travel_s: 300}",
            "vent_lee: opener: 9, but the map 'actuator' has 8",
        ),
        ("vent_lee: {opener: 1, travel_s: 300}", "vent_lee: {opener: 1}", "vent_lee: travel_s is missing"),
        ("vent_lee: {opener: 1, travel_s: 300}", "vent_lee: {opener: 2, travel_s: 300}", "its name or its slot .* is taken"),
        ("vent_lee: {opener: 1, travel_s: 300}", "vent_lee: {opener: 1, switch: 9}", "exactly one of switch, opener, nutrient"),
        ("vent_lee: {opener: 1, travel_s: 300}", "vent_lee: {opener: 1, travel_s: -3}", r"travel_s: .*greater than 0 \(found -3\)"),
        ("{sensor: 1, quantity: air_temp_c}", "{sensor: 1, quantity: air_temp_c, colour: red}", "colour: Extra inputs"),
        ("{sensor: 1, quantity: air_temp_c}", "{sensor: 31, quantity: air_temp_c}", "air_temp_1: sensor: 31"),
        ("unit: 2", "unit: 248", r"nodes.1.unit: .*247 \(found 248\)"),
        ("unit: 2", "unit: 1", "same unit on one line"),
        ("map: actuator", "map: acutator", "neither built in"),
    ],
)
def test_errors_name_the_file_and_the_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "house.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_site(tmp_path / "house.yaml")
    assert "house.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"), [("", "no site file"), ("- 1", "no site file"), ("{a: [", "no site file"), ("name: x", "nodes")]
)
def test_files_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "house.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_site(tmp_path / "house.yaml")
    with pytest.raises(ValueError, match="cannot be read"):
        read_site(tmp_path / "absent.yaml")


def test_a_site_is_made_for_any_devices(tmp_path: Path) -> None:
    devices = [
        *DEVICES,
        *(Device(name=f"lamp_{i}", kind="switch") for i in range(20)),
        *(Device(name=f"screen_{i}", kind="opener", travel_s=240.0) for i in range(20)),
        *(Device(name=f"meter_{i}", kind="sensor", quantity="heat_kwh_m2") for i in range(50)),
        *(Device(name=f"ec_{i}", kind="sensor", quantity="feed_ec_ds_m") for i in range(3)),
    ]
    site = made_site(devices)
    assert sorted((each.name, each.device.kind, each.device.quantity) for each in site.fitted) == sorted(
        (each.name, each.kind, each.quantity) for each in devices
    )
    (tmp_path / "made.yaml").write_text(write_site(site), encoding="utf-8")
    again = read_site(tmp_path / "made.yaml")
    assert [(each.name, each.slot, each.at) for each in again.fitted] == [(each.name, each.slot, each.at) for each in site.fitted]


def test_level_2_where_level_1_lacks_it() -> None:
    slots = {each.name: each.slot.type for each in made_site(DEVICES).fitted}
    assert slots["relay_1"] == "switch/level1" and slots["vent_1"] == slots["valve_1"] == "retractable/level2"
    assert slots["air_temp_1"] == "temperature-sensor" and slots["tank_1"] == "value-sensor" and slots["feed_1"] == "nutrient-supply/level3"
