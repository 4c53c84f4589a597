"""Packets that wait and are lost: the link's arithmetic, and a real network namespace where that is permitted."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_serving.bench.impair import NoNetwork, impaired_network, netem
from sdx_serving.bench.link import QUEUE_PACKETS, Direction
from sdx_serving.bench.plan import Impairment

PING = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as link:
    times = []
    for _ in range(int(sys.argv[3])):
        began = time.monotonic()
        link.sendall(b"x")
        assert link.recv(1) == b"x"
        times.append(time.monotonic() - began)
print(sorted(times)[len(times) // 2])
"""
ECHO = """
import socket, sys
with socket.create_server((sys.argv[1], 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        link, _ = server.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := link.recv(65536):
            link.sendall(data)
"""


@given(
    st.lists(st.tuples(st.integers(1, 1500), st.floats(0.0, 0.05)), min_size=1, max_size=40),
    st.floats(0.0, 200.0),
    st.floats(0.0, 50.0),
    st.one_of(st.none(), st.floats(0.1, 100.0)),
)
def test_packets_arrive_in_order_after_their_delay_at_no_more_than_the_rate(
    packets: list[tuple[int, float]], round_trip_ms: float, jitter_ms: float, rate_mbit: float | None
) -> None:
    impairment = Impairment(round_trip_ms=round_trip_ms, jitter_ms=jitter_ms, rate_mbit=rate_mbit)
    way, now_s, sent = Direction(impairment, random.Random(0)), 0.0, []
    for size, pause_s in packets:
        now_s += pause_s
        way.take(bytes(size), now_s)
        sent.append(now_s)
    arrived = [at for at, _ in way.waiting]
    assert arrived == sorted(arrived)
    for at, sent_s in zip(arrived, sent, strict=True):
        assert at >= sent_s + max(0.0, round_trip_ms / 2e3 - jitter_ms / 1e3) - 1e-9
    if rate_mbit:
        whole_s = sum(size for size, _ in packets) * 8 / (rate_mbit * 1e6)
        assert arrived[-1] >= whole_s - 1e-9
    assert way.due(arrived[-1]) == [bytes(size) for size, _ in packets]
    assert not way.waiting


def test_the_asked_share_is_lost_and_a_full_queue_loses_the_rest() -> None:
    lossy = Direction(Impairment(loss_percent=10.0), random.Random(1))
    for _ in range(900):
        lossy.take(b"x", 0.0)
    assert 780 < len(lossy.waiting) < 840
    slow = Direction(Impairment(round_trip_ms=1000.0), random.Random(1))
    for _ in range(QUEUE_PACKETS + 5):
        slow.take(b"x", 0.0)
    assert len(slow.waiting) == QUEUE_PACKETS


def test_tc_is_told_the_same() -> None:
    told = netem(Impairment(round_trip_ms=40, jitter_ms=5, loss_percent=1, rate_mbit=10))
    assert " ".join(told) == "netem delay 20ms 5ms loss 1% rate 10mbit"
    assert netem(Impairment(round_trip_ms=1)) == ["netem", "delay", "0.5ms"]


@pytest.fixture
def permitted() -> None:
    try:
        with impaired_network(Impairment(round_trip_ms=1.0)):
            pass
    except NoNetwork as error:
        pytest.skip(str(error))


def pinged(impairment: Impairment, times: int) -> float:
    """Median seconds of a byte there and back, from inside the namespace to a server outside."""
    with ExitStack() as stack:
        network = stack.enter_context(impaired_network(impairment, seed=3))
        server = stack.enter_context(subprocess.Popen([sys.executable, "-c", ECHO, network.host], stdout=subprocess.PIPE, text=True))
        stack.callback(server.kill)
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        command = [*network.enter, sys.executable, "-c", PING, network.host, port, str(times)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


@pytest.mark.usefixtures("permitted")
def test_a_delay_arrives_in_every_round_trip() -> None:
    near_s, slow_s = pinged(Impairment(), 20), pinged(Impairment(round_trip_ms=40.0), 20)
    assert slow_s >= 0.040
    assert slow_s - near_s > 0.020


@pytest.mark.usefixtures("permitted")
def test_what_is_lost_is_sent_again() -> None:
    began_s = time.monotonic()
    pinged(Impairment(loss_percent=15.0), 20)
    assert time.monotonic() - began_s > 0.2, "of 20 bytes there and back some are lost, and each costs a retransmission"


@pytest.mark.usefixtures("permitted")
def test_nothing_is_left_behind() -> None:
    with impaired_network(Impairment(round_trip_ms=1.0)):
        assert any("sdxb" in line for line in devices())
    ends_s = time.monotonic() + 5.0
    while (left := [line for line in devices() if "sdxb" in line]) and time.monotonic() < ends_s:
        time.sleep(0.05)
    assert not left


def devices() -> Iterator[str]:
    with open("/proc/net/dev", encoding="utf-8") as file:
        yield from file.read().splitlines()


def test_where_it_is_not_permitted_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NoNetwork, match="ip, unshare, nsenter not found: install iproute2"), impaired_network(Impairment()):
        pass
