"""Words of equipment <-> messages: units, what is missing, and what is refused."""

from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_domains.contract import Reading
from sdx_domains.equipment import ActuatorCommand, ActuatorReading, Alarm, SensorReading
from sdx_ros_nodes import equipment_conversions as conversions
from sdx_ros_nodes import topics
from sdx_ros_nodes.messages import deserialise, new, serialise

FINITE = st.floats(-1e6, 1e6)


def over_the_wire(message: Any) -> Any:
    return deserialise(serialise(message), message.__msgtype__)


@given(value=FINITE, quantity=st.sampled_from(["air_temp_c", "air_rh_pct", "light_lux", "co2_ppm", "substrate_ph"]), t_s=st.floats(0, 1e9))
def test_a_sensor_survives_the_wire(value: float, quantity: str, t_s: float) -> None:
    reading = SensorReading(t_s=t_s, source="ros", sensor="s_1", quantity=quantity, value=value)
    topic, message = conversions.from_sensor(reading)
    assert topic.type_name == message.__msgtype__
    message = over_the_wire(message)
    standard = topic is not topics.MEASUREMENT
    assert standard == (quantity in conversions.STANDARD)
    back = conversions.sensor_from_standard(quantity, message) if standard else conversions.sensor_from_measurement(message)
    assert (back.sensor, back.quantity, back.quality, back.value) == ("s_1", quantity, "good", pytest.approx(value, rel=1e-9, abs=1e-9))
    assert back.t_s == pytest.approx(t_s, abs=1e-6)


def test_humidity_travels_as_a_share_and_temperature_as_degrees() -> None:
    _, humidity = conversions.from_sensor(SensorReading(t_s=1.0, source="a", sensor="rh", quantity="air_rh_pct", value=85.0))
    _, temperature = conversions.from_sensor(SensorReading(t_s=1.0, source="a", sensor="t", quantity="air_temp_c", value=21.5))
    assert humidity.relative_humidity == pytest.approx(0.85) and temperature.temperature == 21.5


@pytest.mark.parametrize("update", [{"value": None, "quality": "bad"}, {"quality": "suspect"}, {"status": 5}])
def test_what_is_doubtful_keeps_its_doubt(update: dict[str, Any]) -> None:
    reading = SensorReading(t_s=1.0, source="ros", sensor="t", quantity="air_temp_c", value=20.0).model_copy(update=update)
    topic, message = conversions.from_sensor(reading)
    assert topic is topics.MEASUREMENT and conversions.sensor_from_measurement(over_the_wire(message)) == reading


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_no_number_is_unknown(value: float) -> None:
    message = new(topics.AIR_TEMPERATURE.type_name, temperature=value)
    message.header.frame_id = "t"
    assert conversions.sensor_from_standard("air_temp_c", message).value is None
    state = new(topics.ACTUATOR_STATE.type_name, device="vent", position=value)
    assert conversions.actuator_from_state(state).position_pct is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"sensor": "t", "quantity": "air_temp_c", "unit": "K", "quality": "good"}, "'K'; it is read in 'Cel'"),
        ({"sensor": "t", "quantity": "air_temp_c", "unit": "Cel", "quality": "fine"}, "quality 'fine'"),
        ({"quantity": "air_temp_c", "unit": "Cel", "quality": "good"}, "sensor must have"),
        ({"sensor": "t", "unit": "1", "quality": "good"}, "quantity must have"),
    ],
)
def test_a_measurement_in_another_unit_or_of_nobody_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        conversions.sensor_from_measurement(new(topics.MEASUREMENT.type_name, **fields))


@pytest.mark.parametrize(
    ("quantity", "unit"),
    [("solar_w_m2", "W/m2"), ("wind_m_s", "m/s"), ("wind_dir_deg", "deg"), ("substrate_ec_ds_m", "dS/m"), ("pump_starts", "1")],
)
def test_units_follow_from_names(quantity: str, unit: str) -> None:
    assert conversions.unit_of(quantity) == unit


COMMAND = ActuatorCommand(
    id="c1", device="vent", op="set_position", value={"position_pct": 40.0, "ec_ds_m": 2.5}, issued_s=100.0, expires_s=700.0,
    issuer="controller", order_id="o", reason="warm",
)  # fmt: skip


def test_a_command_survives_the_wire() -> None:
    assert conversions.command_from_message(over_the_wire(conversions.from_command(COMMAND)), 200.0) == COMMAND
    water = COMMAND.model_copy(update={"op": "water", "value": {"l_m2": 0.25}, "duration_s": 30.0})
    assert conversions.command_from_message(over_the_wire(conversions.from_command(water)), 200.0) == water


@pytest.mark.parametrize(
    ("fields", "now_s"),
    [
        ({"position": 1.01}, 200.0),
        ({"position": nan}, 200.0),
        ({"values": [nan]}, 200.0),
        ({"values": [1.0, 2.0]}, 200.0),
        ({"duration": -1.0}, 200.0),
        ({"duration": inf}, 200.0),
        ({"valid_for": nan}, 200.0),
        ({"op": "explode"}, 200.0),
        ({"id": ""}, 200.0),
        ({"device": "x" * 101}, 200.0),
        ({}, 701.0),
    ],
)
def test_a_command_that_is_none_reaches_no_device(fields: dict[str, Any], now_s: float) -> None:
    message = conversions.from_command(COMMAND)
    for name, value in fields.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match="vent|command|device|op|id|zip"):
        conversions.command_from_message(message, now_s)


@given(position=st.floats(0, 100) | st.none(), status=st.integers(0, 999), remaining_s=st.floats(0, 1e4))
def test_a_devices_state_survives_the_wire(position: float | None, status: int, remaining_s: float) -> None:
    reading = ActuatorReading(
        t_s=5.0, source="modbus", device="vent", position_pct=position, status=status, opid=7, remaining_s=remaining_s, right="MANUAL"
    )
    back = conversions.actuator_from_state(over_the_wire(conversions.from_actuator(reading, "opener")))
    assert back.position_pct == (None if position is None else pytest.approx(position))
    assert back.model_copy(update={"position_pct": position}) == reading


def test_alarms_and_the_domains_own_readings() -> None:
    class Note(Reading):
        text: str

    alarm = Alarm(kind="frost", severity="critical", since_s=10.0, detail="air at 1.2 C, limit 3.0 C")
    message = over_the_wire(conversions.from_alarm(alarm, active=False))
    assert (message.kind, message.severity, message.active) == ("frost", "critical", False)
    topic, message = conversions.from_any(Note(t_s=3.0, source="a", text="on"), {})
    assert topic is topics.INFORMATION
    assert conversions.information(over_the_wire(message), {"Note": Note}) == Note(t_s=3.0, source="a", text="on")
    with pytest.raises(ValueError, match="no reading of kind 'Note'; known: none"):
        conversions.information(message, {})
    message.json = '{"t_s": 3, "source": "a", "text": "on", "more": 1}'
    with pytest.raises(ValueError, match="more"):
        conversions.information(message, {"Note": Note})
