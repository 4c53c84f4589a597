"""The rules of KS X 3267 for a node, register by register, without a bus: OPIDs, times, levels, rights, restarts."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served_node import LEVEL_1, order

from sdx_domains.equipment import ActuatorCommand, ActuatorReading, CommandResult, Reading
from sdx_ros_nodes.equipment.durable_map import DurableMap
from sdx_ros_nodes.equipment.node_registers import NodeRegisters
from sdx_ros_nodes.equipment.register_map import words
from sdx_ros_nodes.equipment.relay_panel import DEVICES, RelayPanel
from sdx_ros_nodes.equipment.site import Site, made_site

SWITCH, OPENER = 503, 567
SWITCH_STATUS, OPENER_STATUS = 203, 267
ON, TIMED_ON, OPEN, TIMED_OPEN, TIMED_CLOSE, SET_POSITION, STOP, CONTROL = 201, 202, 301, 303, 304, 305, 0, 2
LOCAL, REMOTE, MANUAL = 1, 2, 3


class Bench:
    """One unit over a panel, with a clock that the test moves."""

    def __init__(self, unit: int = 0, site: Site = LEVEL_1, folder: Path | None = None, keep_opid: bool = False, panel: Any = None) -> None:
        self.now = 1000.0
        self.panel = panel or RelayPanel(folder, lambda: self.now)
        self.panel.clock = lambda: self.now
        memory = DurableMap(folder / "node.sqlite" if folder else None)
        self.node = NodeRegisters(site, site.nodes[unit], self.panel.send, memory, self.now, keep_opid)
        self.pass_time(0.0)

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        ends = self.now + seconds
        while True:
            self.node.see(self.panel.read(), self.now)
            if self.now >= ends:
                return
            self.now = min(self.now + step, ends)

    def write(self, address: int, *values: int) -> int:
        return self.node.write(address, values, self.now)

    def tell(self, block: int, operation: int, opid: int, seconds: int = 0) -> int:
        return self.write(block, operation, opid, *words(seconds, "uint32"))

    def block(self, address: int) -> tuple[int, int, int]:
        """OPID, status, remaining seconds."""
        read = self.node.read(address, 4)
        assert isinstance(read, list)
        return read[0], read[1], read[2] + 65536 * read[3]


def test_on_and_stop() -> None:
    bench = Bench()
    assert bench.tell(SWITCH, ON, 5) == 0
    assert bench.block(SWITCH_STATUS) == (5, 201, 0)
    bench.pass_time(60)
    assert bench.block(SWITCH_STATUS) == (5, 201, 0)
    assert bench.tell(SWITCH, STOP, 6) == 0
    assert bench.block(SWITCH_STATUS) == (0, 0, 0)
    bench.pass_time(1)
    assert bench.block(SWITCH_STATUS) == (0, 0, 0)


def test_same_opid_and_opid_0_do_nothing() -> None:
    bench = Bench()
    bench.tell(SWITCH, STOP, 9)
    for opid in (9, 0):
        assert bench.tell(SWITCH, ON, opid) == 0
        assert bench.block(SWITCH_STATUS)[1] == 0
    assert bench.node.acted == 1
    bench.tell(SWITCH, ON, 10)
    bench.tell(SWITCH, STOP, 10)
    assert bench.block(SWITCH_STATUS) == (10, 201, 0) and bench.node.acted == 2


def test_opids_of_devices_are_their_own() -> None:
    bench = Bench()
    bench.tell(SWITCH, ON, 1)
    bench.tell(SWITCH + 4, ON, 1)
    assert bench.block(SWITCH_STATUS)[1] == bench.block(SWITCH_STATUS + 4)[1] == 201


def test_an_older_node_keeps_the_last_opid_at_ready() -> None:
    bench = Bench(keep_opid=True)
    bench.tell(SWITCH, ON, 5)
    bench.tell(SWITCH, STOP, 6)
    assert bench.block(SWITCH_STATUS) == (6, 0, 0)


@pytest.mark.parametrize(
    ("block", "status", "operation", "running"),
    [(SWITCH, SWITCH_STATUS, TIMED_ON, 201), (OPENER, OPENER_STATUS, TIMED_OPEN, 301)],
)
def test_time_counts_down_and_ends_ready(block: int, status: int, operation: int, running: int) -> None:
    bench = Bench()
    bench.tell(block, operation, 3, 10)
    assert bench.block(status) == (3, running, 10)
    bench.pass_time(4)
    assert bench.block(status) == (3, running, 6)
    bench.pass_time(7)
    assert bench.block(status) == (0, 0, 0)
    bench.tell(block, operation, 4, 100)
    bench.pass_time(2)
    bench.tell(block, STOP, 5)
    assert bench.block(status) == (0, 0, 0)


def test_an_opener_at_its_end_is_ready_before_the_time_is_over() -> None:
    bench = Bench()
    bench.tell(OPENER, TIMED_OPEN, 1, 600)
    bench.pass_time(30)
    assert bench.block(OPENER_STATUS) == (0, 0, 0)


class Forgetful(RelayPanel):
    """Takes a timed command for one without an end."""

    def send(self, command: ActuatorCommand) -> CommandResult:
        return super().send(command.model_copy(update={"duration_s": 0.0}))


def test_the_node_ends_what_its_device_does_not() -> None:
    bench = Bench(panel=Forgetful())
    bench.tell(SWITCH, TIMED_ON, 1, 10)
    bench.pass_time(15)
    assert bench.block(SWITCH_STATUS) == (1, 201, 0)
    bench.pass_time(10)
    assert bench.block(SWITCH_STATUS) == (0, 0, 0)


@pytest.mark.parametrize(
    ("block", "operation", "seconds"),
    [
        (SWITCH, TIMED_ON, 0),
        (OPENER, TIMED_OPEN, 0),
        (OPENER, TIMED_CLOSE, 0),
        (SWITCH, 203, 10),  # level 2
        (OPENER, SET_POSITION, 50),
        (OPENER, 306, 10),
        (SWITCH, OPEN, 0),
        (SWITCH, 999, 0),
        (SWITCH + 4 * 7, ON, 0),  # not fitted
    ],
)
def test_exception_03_and_the_opid_is_not_used_up(block: int, operation: int, seconds: int) -> None:
    bench = Bench()
    assert bench.tell(block, operation, 7, seconds) == 3
    assert bench.node.acted == 0
    assert bench.node.read(block, 2) == [0, 0]
    if block != SWITCH + 4 * 7:
        assert bench.tell(block, ON if block == SWITCH else OPEN, 7) == 0
        assert bench.node.acted == 1


@pytest.mark.parametrize("address", [0, 9, 101, 203, 300, 500, 599, 9000])
def test_exception_02_outside_what_can_be_written(address: int) -> None:
    bench = Bench()
    assert bench.write(address, 1) == 2
    assert bench.node.acted == 0


def test_exception_02_outside_what_can_be_read() -> None:
    node = Bench().node
    assert [node.read(*run) for run in ((0, 2), (9, 1), (8, 2), (125, 1), (200, 2), (298, 2), (599, 1), (9000, 4))] == [2] * 8
    assert node.read(1, 8) == [0, 0, 2, 0, 10, 24, 1, 0]
    assert node.read(101, 24) == [102, 102, *[0] * 14, 112, 112, *[0] * 6]


def test_one_write_for_many_devices_acts_on_all_or_none() -> None:
    bench = Bench()
    assert bench.write(SWITCH, ON, 1, 0, 0, TIMED_ON, 1, 0, 0) == 3
    assert bench.node.acted == 0 and bench.block(SWITCH_STATUS)[1] == 0
    assert bench.write(SWITCH, ON, 1, 0, 0, TIMED_ON, 1, 9, 0) == 0
    assert bench.block(SWITCH_STATUS)[1] == 201 and bench.block(SWITCH_STATUS + 4) == (1, 201, 9)


def test_registers_may_be_written_one_by_one() -> None:
    bench = Bench()
    assert [bench.write(SWITCH + 2, 30), bench.write(SWITCH + 3, 0), bench.write(SWITCH, TIMED_ON)] == [0, 0, 0]
    assert bench.node.acted == 0
    assert bench.write(SWITCH + 1, 44) == 0
    assert bench.block(SWITCH_STATUS) == (44, 201, 30)


def test_in_local_nothing_acts_and_what_was_sent_stays_undone() -> None:
    bench = Bench()
    assert bench.write(501, CONTROL, 1, LOCAL) == 0
    assert bench.tell(SWITCH, ON, 1) == 0 and bench.tell(OPENER, OPEN, 1) == 0
    assert bench.node.acted == 0
    assert bench.block(SWITCH_STATUS)[1] == 299 and bench.block(OPENER_STATUS)[1] == 399
    assert bench.write(501, CONTROL, 2, REMOTE) == 0
    assert bench.block(SWITCH_STATUS) == (0, 0, 0) and bench.block(OPENER_STATUS) == (0, 0, 0)
    assert bench.tell(SWITCH, ON, 1) == 0 and bench.node.acted == 0
    assert bench.tell(SWITCH, ON, 2) == 0 and bench.node.acted == 1


@pytest.mark.parametrize("right", [0, MANUAL, 4])
def test_manual_is_not_given_from_afar(right: int) -> None:
    assert Bench().write(501, CONTROL, 1, right) == 3


def test_a_device_in_a_persons_hands() -> None:
    bench = Bench()
    bench.panel.send(order("vent_1", "set_control", bench.now, right=3.0))
    bench.pass_time(1)
    assert bench.block(OPENER_STATUS)[1] == 399 and bench.block(SWITCH_STATUS)[1] == 0
    bench.tell(OPENER, OPEN, 1)
    assert bench.node.acted == 0


def test_level_2_positions_and_the_clock() -> None:
    bench = Bench(site=made_site(DEVICES))
    assert bench.write(504, SET_POSITION, 1, 40) == 0
    assert bench.node.read(326, 5) == [1, 301, 0, 0, 0]
    bench.pass_time(5)
    assert bench.node.read(326, 5) == [1, 301, 0, 0, 25]
    bench.pass_time(5)
    assert bench.node.read(326, 5) == [0, 0, 0, 0, 40]
    assert bench.write(504, SET_POSITION, 2, 101) == 3
    assert bench.node.read(201, 5) == [0, 0, REMOTE, 1010, 0]


def test_a_valve_behind_a_level_1_opener_is_moved_by_time() -> None:
    row = {"unit": 1, "map": "actuator", "devices": {"valve_1": {"opener": 1, "kind": "valve", "travel_s": 40.0}}}
    bench = Bench(site=Site.model_validate({"nodes": [row]}))

    def at() -> float | None:
        return next(each.position_pct for each in bench.panel.read() if isinstance(each, ActuatorReading) and each.device == "valve_1")

    assert bench.tell(OPENER, TIMED_OPEN, 1, 10) == 0 and at() == 25.0
    bench.pass_time(1)
    assert bench.tell(OPENER, TIMED_OPEN, 2, 10) == 0
    bench.pass_time(1)
    assert at() == 50.0 and bench.block(OPENER_STATUS) == (0, 0, 0)
    bench.tell(OPENER, STOP, 3)
    assert at() == 50.0
    bench.tell(OPENER, TIMED_CLOSE, 4, 5)
    assert at() == 37.5 and bench.tell(OPENER, TIMED_CLOSE, 5, 0) == 3
    bench.tell(OPENER, OPEN, 6)
    assert at() == 100.0


def test_nutrient_commands() -> None:
    bench = Bench(unit=2)
    mixed = [403, 8, 1, 4, *words(120, "uint32"), *words(2.6, "float32"), *words(5.8, "float32")]
    assert bench.write(504, *mixed) == 0
    assert bench.node.read(401, 6) == [402, 1, 0, 8, 120, 0]
    assert bench.write(504, STOP, 9) == 0
    assert bench.node.read(401, 6) == [0, 0, 0, 0, 0, 0]
    assert bench.write(504, 402, 10, 1, 4, 0, 0) == 3
    assert bench.write(504, 402, 10, 4, 1, 9, 0) == 3
    assert bench.write(504, 403, 10, 1, 4, 9, 0, *words(float("nan"), "float32"), *words(5.8, "float32")) == 3
    assert bench.write(504, 401, 10) == 0
    assert bench.node.read(401, 6) == [402, 1, 0, 10, 60, 0]


def test_sensors_and_what_gives_no_number() -> None:
    bench = Bench(unit=1)
    assert bench.node.read(203, 3) == [*words(28.8, "float32"), 0]
    assert bench.node.read(239, 3) == [*words(81.0, "float32"), 0]  # (812 - offset 2) / scale 10
    bench.panel.values["air_temp_1"] = None
    bench.pass_time(1)
    assert bench.node.read(203, 3) == [0, 0, 1]


def test_opids_and_the_right_survive_a_restart(tmp_path: Path) -> None:
    before = Bench(folder=tmp_path)
    before.tell(SWITCH, TIMED_ON, 5, 600)
    before.tell(SWITCH + 4, ON, 6)
    after = Bench(folder=tmp_path)
    assert after.node.read(SWITCH, 2) == [0, 5]
    opid, status, left = after.block(SWITCH_STATUS)
    assert (opid, status) == (5, 201) and 595 <= left <= 600
    assert after.block(SWITCH_STATUS + 4) == (6, 201, 0)
    assert after.tell(SWITCH, TIMED_ON, 5, 600) == 0 and after.node.acted == 0
    assert after.write(501, CONTROL, 77, LOCAL) == 0
    again = Bench(folder=tmp_path)
    assert again.block(SWITCH_STATUS)[1] == 299
    assert again.write(501, CONTROL, 77, REMOTE) == 0 and again.block(SWITCH_STATUS)[1] == 299  # an OPID that it has seen
    assert len((tmp_path / "actions.jsonl").read_text(encoding="utf-8").splitlines()) == 2


class Broken(RelayPanel):
    def send(self, command: ActuatorCommand) -> CommandResult:
        return CommandResult(command_id=command.id, fate="rejected", detail="no current")

    def read(self) -> Sequence[Reading]:
        return []


def test_equipment_that_rejects_is_a_device_failure() -> None:
    bench = Bench(panel=Broken())
    assert bench.tell(SWITCH, ON, 1) == 4
    assert bench.block(SWITCH_STATUS) == (0, 0, 0) and bench.node.acted == 0


class Noting(RelayPanel):
    """Keeps why each device acted."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, list[str]] = {}

    def send(self, command: ActuatorCommand) -> CommandResult:
        self.told.setdefault(command.device, []).append(command.reason)
        return super().send(command)


WRITES = st.tuples(
    st.integers(495, 610), st.lists(st.sampled_from([0, 1, 2, 3, 201, 202, 203, 301, 303, 305, 65535]), min_size=1, max_size=12)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(WRITES, max_size=12))
def test_whatever_is_written_no_opid_acts_twice_in_a_row(writes: list[tuple[int, list[int]]]) -> None:
    panel = Noting()
    bench = Bench(panel=panel)
    for address, values in writes:
        assert bench.write(address, *values) in (0, 2, 3)
        bench.pass_time(1)
        assert isinstance(bench.node.read(201, 98), list)
    for reasons in panel.told.values():
        assert "OPID 0" not in reasons
        assert all(a != b for a, b in pairwise(reasons))
