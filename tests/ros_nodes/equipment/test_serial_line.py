"""A serial line with several nodes, noise, half frames and silence; the pace of its bytes."""

import os
import select
import time
from collections.abc import Callable

import pytest
from pymodbus.framer.rtu import FramerRTU
from served_node import LEVEL_1, Served, order

from sdx_domains.equipment import ActuatorReading
from sdx_ros_nodes.equipment.ksx_master import KsxMaster
from sdx_ros_nodes.equipment.line import Line, NoAnswerError
from sdx_ros_nodes.equipment.paced_line import PacedLine
from sdx_ros_nodes.equipment.register_map import words
from sdx_ros_nodes.equipment.site import Site

Serve = Callable[..., Served]


def one_node(unit: int) -> Site:
    devices = {f"relay_{unit}": {"switch": 1}}
    return Site.model_validate({"nodes": [{"unit": unit, "map": "actuator", "devices": devices}]})


def frame(*content: int) -> bytes:
    body = bytes(content)
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def write_on(unit: int, opid: int) -> bytes:
    return frame(unit, 16, 503 >> 8, 503 & 0xFF, 0, 4, 8, 0, 201, 0, opid, 0, 0, 0, 0)


def heard(end: int, for_s: float) -> bytes:
    data = b""
    while select.select([end], [], [], for_s)[0]:
        data += os.read(end, 1000)
    return data


@pytest.mark.parametrize("baud", [9600, 19200])
def test_bytes_take_the_time_of_the_baud_rate(baud: int) -> None:
    with PacedLine(2, baud) as line:
        ends = [os.open(path, os.O_RDWR | os.O_NOCTTY) for path in line.paths]
        begun = time.monotonic()
        os.write(ends[0], bytes(range(48)))
        got = b""
        while len(got) < 48:
            got += os.read(ends[1], 48)
        took = time.monotonic() - begun
        for end in ends:
            os.close(end)
    assert got == bytes(range(48)) and 480 / baud <= took < 480 / baud + 0.25


def test_several_nodes_share_a_line(serve: Serve) -> None:
    with PacedLine(4, 0) as line:
        nodes = [serve(one_node(unit), rtu=path) for unit, path in zip((1, 2, 3), line.paths[1:], strict=True)]
        site = Site.model_validate(
            {"nodes": [node for unit in (1, 2, 3) for node in one_node(unit).model_dump(exclude_none=True)["nodes"]]}
        )
        master = KsxMaster(site, f"modbus+rtu://{line.paths[0]}")
        for _ in range(5):
            assert [each.status for each in master.read() if isinstance(each, ActuatorReading)] == [0, 0, 0]
        assert [master.send(order(f"relay_{unit}", "on", master.t_s)).fate for unit in (1, 2, 3, 1)] == ["confirmed"] * 4
        assert [served.node.acted for served in nodes] == [2, 1, 1]
        nodes[1].stop()
        master.read()
        assert [node.alive for node in master.nodes()] == [True, False, True]
        master.close()
        for served in nodes:
            served.stop()


@pytest.mark.parametrize(
    "noise",
    [
        os.urandom(3),
        bytes(range(256)),
        write_on(1, 9)[:9],
        write_on(1, 9)[:-1] + bytes([write_on(1, 9)[-1] ^ 1]),
        write_on(7, 9),
        frame(2, 3, 8, 0, 0, 0, 0, 0, 0, 0, 0),
        frame(1, 43, 14, 1, 0),
        bytes([1, 16]) * 60,
    ],
    ids=["3 random", "all bytes", "half", "wrong CRC", "another unit", "another's answer", "unknown function", "long nonsense"],
)
def test_noise_does_nothing_and_the_next_request_is_answered(serve: Serve, noise: bytes) -> None:
    with PacedLine(2, 0) as line:
        served = serve(one_node(1), rtu=line.paths[1])
        end = os.open(line.paths[0], os.O_RDWR | os.O_NOCTTY)
        os.write(end, noise)
        assert heard(end, 0.1) == b"" or noise[1:2] == b"\x2b"
        os.close(end)
        asked = Line(f"rtu://{line.paths[0]}")
        assert asked.read(1, 1, 6) == [0, 0, 2, 0, 10, 24]
        assert served.node.acted == 0
        asked.write(1, 503, [201, 9, *words(0, "uint32")])
        assert served.node.acted == 1 and asked.read(1, 203, 2) == [9, 201]
        asked.close()
        served.stop()


def test_a_request_right_after_noise_is_found(serve: Serve) -> None:
    with PacedLine(2, 0) as line:
        served = serve(one_node(1), rtu=line.paths[1])
        end = os.open(line.paths[0], os.O_RDWR | os.O_NOCTTY)
        os.write(end, b"\x01\x03\x00" + write_on(2, 5) + write_on(1, 6))
        assert heard(end, 0.3) == frame(1, 16, 503 >> 8, 503 & 0xFF, 0, 4)
        assert served.node.acted == 1
        assert [each.sent for each in served.node.frames.last()][-1] and served.node.frames.last()[-1].data[:2] == b"\x01\x10"
        os.close(end)
        served.stop()


def test_a_port_that_is_not_there() -> None:
    line = Line("rtu:///dev/absent")
    for _ in range(2):
        with pytest.raises(NoAnswerError, match="cannot open rtu:///dev/absent"):
            line.read(1, 1, 6)
    assert line.asked == 1  # the second was not even tried: it waits before it tries again


def test_a_port_that_cannot_be_served() -> None:
    with pytest.raises(OSError, match="cannot serve on /dev/absent"):
        Served(None, LEVEL_1, rtu="/dev/absent")
