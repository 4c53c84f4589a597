"""Devices: travel, delay, reversal, timed commands, control right, idempotence, sticking, power, and nothing that a command could break."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.equipment import ActuatorCommand, CommandResult, Operation
from sdx_domains.farm.world.actuators import OPS, Device
from sdx_domains.farm.world.site import DeviceSpec, site_spec

OPENER = DeviceSpec(kind="opener", travel_s=300.0, delay_s=2.0, reversal_s=3.0)
WATER = DeviceSpec(kind="nutrient", travel_s=2.0, delay_s=5.0, unpowered=0.0)
LAMPS = DeviceSpec(kind="dimmer", travel_s=60.0, restrike_s=600.0, unpowered=0.0)
SPECS = site_spec().devices


def _command(op: Operation, now_s: float = 0.0, issuer: str = "controller", duration_s: float = 0.0, **value: float) -> ActuatorCommand:
    return ActuatorCommand(
        id=f"{op}{now_s}{value}{duration_s}", device="d", op=op, value=value, duration_s=duration_s, issued_s=now_s,
        expires_s=now_s + 60.0, issuer=issuer,
    )  # fmt: skip


def _tell(
    device: Device, op: Operation, now_s: float = 0.0, issuer: str = "controller", duration_s: float = 0.0, **value: float
) -> CommandResult:
    return device.tell(_command(op, now_s, issuer, duration_s, **value), now_s)


def test_an_opener_moves_at_its_speed_after_its_delay() -> None:
    vent = Device("d", OPENER)
    assert _tell(vent, "set_position", position_pct=50.0).fate == "accepted"
    vent.advance(0.0, 32.0, True)
    assert vent.position == pytest.approx(0.1) and vent.status(32.0) == 301
    vent.advance(32.0, 400.0, True)
    assert vent.position == 0.5 and vent.status(400.0) == 0


def test_the_mean_position_is_the_area_under_the_movement() -> None:
    vent = Device("d", OPENER.model_copy(update={"delay_s": 0.0}))
    _tell(vent, "open")
    assert vent.advance(0.0, 300.0, True) == pytest.approx(0.5)
    assert vent.advance(300.0, 360.0, True) == 1.0


def test_turning_round_takes_a_pause() -> None:
    vent = Device("d", OPENER)
    _tell(vent, "open")
    vent.advance(0.0, 100.0, True)
    before = vent.position
    _tell(vent, "close", 100.0)
    vent.advance(100.0, 105.0, True)
    assert vent.position == before
    vent.advance(105.0, 115.0, True)
    assert vent.position == pytest.approx(before - 10.0 / 300.0) and vent.status(115.0) == 302


def test_timed_opening_stops_where_it_is_and_stop_holds_an_opener() -> None:
    vent = Device("d", OPENER)
    _tell(vent, "timed_open", duration_s=30.0)
    assert vent.news(1.0) is not None and vent.until_s == 32.0
    vent.advance(0.0, 600.0, True)
    assert vent.position == pytest.approx(0.1)
    _tell(vent, "open", 600.0)
    vent.advance(600.0, 650.0, True)
    _tell(vent, "stop", 650.0)
    held = vent.position
    vent.advance(650.0, 900.0, True)
    assert vent.position == held and 0.1 < held < 0.5


def test_a_shot_of_water_runs_as_long_as_its_volume_needs() -> None:
    valve = Device("d", WATER, flow_l_m2_s=0.002)
    _tell(valve, "water", l_m2=0.3, ec_ds_m=3.1, ph=5.6)
    assert valve.status(1.0) == 401 and valve.advance(0.0, 5.0, True) == 0.0
    given = valve.advance(5.0, 100.0, True) * 95.0 * 0.002
    assert valve.status(100.0) == 402
    given += valve.advance(100.0, 400.0, True) * 300.0 * 0.002
    assert given == pytest.approx(0.3, rel=0.01) and valve.position == 0.0 and valve.status(400.0) == 0
    assert valve.feed == {"ec_ds_m": 3.1, "ph": 5.6}


def test_hot_lamps_do_not_strike_again_at_once() -> None:
    lamps = Device("d", LAMPS)
    _tell(lamps, "set_position", position_pct=100.0)
    lamps.advance(0.0, 120.0, True)
    _tell(lamps, "stop", 120.0)
    lamps.advance(120.0, 240.0, True)
    assert lamps.position == 0.0
    _tell(lamps, "on", 240.0)
    lamps.advance(240.0, 800.0, True)
    assert lamps.position == 0.0 and lamps.status(800.0) == 2
    lamps.advance(800.0, 1000.0, True)
    assert lamps.position == 1.0 and lamps.status(1000.0) == 201


def test_the_same_command_acts_once_and_each_new_one_has_its_own_opid() -> None:
    vent = Device("d", OPENER)
    first = _tell(vent, "set_position", position_pct=50.0)
    _tell(vent, "close", 1.0)
    assert _tell(vent, "set_position", position_pct=50.0) == first
    assert vent.target == 0.0 and vent.opid == 2
    vent.opid = 65535
    assert _tell(vent, "open", 9.0).opid == 1


@pytest.mark.parametrize(
    ("op", "value", "duration_s", "said"),
    [
        ("on", {}, 0.0, "kind opener"),
        ("timed_open", {}, 0.0, "for 0 s"),
        ("set_position", {}, 0.0, "without position_pct"),
        ("set_position", {"position_pct": float("nan")}, 0.0, "not a number"),
        ("set_control", {"right": 7.0}, 0.0, "right 7.0"),
    ],
)
def test_what_cannot_be_done_is_refused(op: Operation, value: dict[str, float], duration_s: float, said: str) -> None:
    vent = Device("d", OPENER)
    result = _tell(vent, op, duration_s=duration_s, **value)
    assert result.fate == "rejected" and said in result.detail and vent.target == 0.0


def test_late_commands_are_refused_and_wide_ones_clamped() -> None:
    vent = Device("d", OPENER)
    assert vent.tell(_command("open", 0.0), 61.0).fate == "rejected"
    result = _tell(vent, "set_position", 61.0, position_pct=140.0)
    assert result.fate == "clamped" and "140 to 100" in result.detail and vent.target == 1.0


def test_a_person_takes_the_device_and_gives_it_back() -> None:
    vent = Device("d", OPENER)
    assert _tell(vent, "set_control", issuer="person", right=3.0).fate == "accepted"
    assert vent.status(1.0) == 399 and Device("l", LAMPS, right="LOCAL").status(1.0) == 299
    assert "MANUAL" in _tell(vent, "open", 1.0).detail
    assert _tell(vent, "open", 2.0, issuer="person").fate == "accepted"
    _tell(vent, "set_control", 3.0, issuer="person", right=2.0)
    assert vent.right == "REMOTE" and _tell(vent, "close", 4.0).fate == "accepted"


def test_a_stuck_device_takes_commands_and_does_not_move() -> None:
    vent = Device("d", OPENER, stuck=True)
    assert _tell(vent, "open").fate == "accepted"
    assert vent.advance(0.0, 600.0, True) == 0.0 and vent.position == 0.0
    vent.stuck = False
    vent.advance(600.0, 660.0, True)
    assert vent.position == pytest.approx(0.2)


def test_in_a_power_cut_nothing_moves_and_gas_light_and_water_stop() -> None:
    vent, lamps, heating = Device("d", OPENER), Device("d", LAMPS), Device("d", SPECS["heating_valve"])
    for device in (vent, heating):
        _tell(device, "set_position", position_pct=100.0)
        device.advance(0.0, 100.0, True)
    _tell(lamps, "on")
    lamps.advance(0.0, 100.0, True)
    stood = vent.position
    assert vent.advance(100.0, 700.0, False) == stood == vent.position
    assert lamps.advance(100.0, 700.0, False) == 0.0 == lamps.target
    assert heating.advance(100.0, 700.0, False) == 0.0 and heating.position > 0.5
    assert heating.advance(700.0, 760.0, True) > 0.5


def test_news_come_when_something_changed_or_after_a_while() -> None:
    vent = Device("d", OPENER)
    assert vent.news(0.0) is not None and vent.news(60.0) is None and vent.news(300.0) is not None
    _tell(vent, "set_position", 310.0, position_pct=10.0)
    told = vent.news(310.0)
    assert told is not None and told.opid == 1
    vent.advance(310.0, 330.0, True)
    told = vent.news(330.0)
    assert told is not None and told.status == 301 and told.position_pct == pytest.approx(6.0)


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)
VALUES = st.dictionaries(st.sampled_from(["position_pct", "l_m2", "ec_ds_m", "ph", "right", "x"]), NUMBERS, max_size=3)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(get_args(Operation)),
        VALUES,
        NUMBERS,
        st.sampled_from(["controller", "person"]),
        st.floats(0.5, 400.0),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(list(SPECS)), steps=STEPS)
def test_no_command_brings_a_device_out_of_its_range_or_speed(
    name: str, steps: list[tuple[Operation, dict[str, float], float, str, float, bool]]
) -> None:
    device, now_s = Device(name, SPECS[name], flow_l_m2_s=1.4e-3 if SPECS[name].kind == "nutrient" else 0.0), 0.0
    for i, (op, value, duration_s, issuer, dt_s, powered) in enumerate(steps):
        command = ActuatorCommand(
            id=str(i), device=name, op=op, value=value, duration_s=duration_s, issued_s=now_s, expires_s=now_s + 60.0, issuer=issuer
        )
        result = device.tell(command, now_s)
        assert result.fate in ("accepted", "clamped", "rejected")
        assert op in OPS[device.spec.kind] or result.fate == "rejected"
        before = device.position
        mean = device.advance(now_s, now_s + dt_s, powered)
        now_s += dt_s
        assert 0.0 <= mean <= 1.0 and 0.0 <= device.position <= 1.0
        assert not powered or abs(device.position - before) <= dt_s / device.spec.travel_s + 1e-6
        reading = device.news(now_s)
        assert reading is None or reading.remaining_s >= 0.0
