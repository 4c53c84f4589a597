"""How long a message takes from one process to another over DDS.

python -m sdx_ros_nodes.latency --count 500 --rate 50
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from sdx_ros_nodes.conversions import header, seconds
from sdx_ros_nodes.messages import new
from sdx_ros_nodes.qos import QoS
from sdx_ros_nodes.ros_args import NodeArguments
from sdx_ros_nodes.transports import open_transport

TYPE = "geometry_msgs/msg/TwistStamped"
QOS = QoS(depth=100)
START_S = 15.0


def dds_latency(count: int = 500, rate_hz: float = 50.0, domain_id: int | None = None) -> dict[str, Any]:
    """One-way times, sender's publish() to receiver's callback, in two processes over loopback.

    The stamp is the machine's monotonic clock, which all its processes share.

    Args:
        domain_id: ROS domain to use; None takes ROS_DOMAIN_ID.

    Returns:
        count, lost, p50_ms, p95_ms, p99_ms, max_ms, mean_ms, rate_hz.

    Raises:
        RuntimeError: the sender did not start or nothing arrived.
    """
    if domain_id is not None:
        os.environ["ROS_DOMAIN_ID"] = str(domain_id)
    transport = open_transport("dds", NodeArguments("latency_receiver", "/sdx_bench"))
    times: list[float] = []
    transport.subscribe("twist", TYPE, QOS, lambda message, meta: times.append(meta.received_s - seconds(message.header.stamp)))
    command = [sys.executable, "-m", "sdx_ros_nodes.latency", "--send", "--count", str(count), "--rate", str(rate_hz)]
    sender = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)})
    try:
        until_s = time.monotonic() + START_S + 2.0 * count / rate_hz
        while len(times) < count and time.monotonic() < until_s and sender.poll() is None:
            transport.spin(0.2)
        transport.spin(0.2)
    finally:
        sender.terminate()
        sender.wait(10.0)
        transport.shutdown()
    if not times:
        raise RuntimeError(f"nothing arrived from the sender (exit code {sender.returncode}); is loopback UDP allowed here?")
    ms = np.array(times) * 1e3
    p50, p95, p99 = (float(np.quantile(ms, q)) for q in (0.5, 0.95, 0.99))
    return {
        "count": len(times), "lost": count - len(times), "rate_hz": rate_hz, "p50_ms": round(p50, 3), "p95_ms": round(p95, 3),
        "p99_ms": round(p99, 3), "max_ms": round(float(ms.max()), 3), "mean_ms": round(float(ms.mean()), 3),
    }  # fmt: skip


def send(count: int, rate_hz: float) -> None:
    """Publish `count` stamped messages, after the receiver has had time to be found."""
    transport = open_transport("dds", NodeArguments("latency_sender", "/sdx_bench"))
    writer = transport.publisher("twist", TYPE, QOS)
    transport.spin(2.0)
    due_s = time.monotonic()
    for _ in range(count):
        due_s += 1.0 / rate_hz
        time.sleep(max(0.0, due_s - time.monotonic()))
        writer.publish(new(TYPE, header=header(time.monotonic())))
    transport.spin(1.0)
    transport.shutdown()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="sdx_ros_nodes.latency", description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rate", type=float, default=50.0, help="messages per second")
    parser.add_argument("--send", action="store_true", help="only send; the receiver is another process")
    options = parser.parse_args(argv)
    if options.send:
        send(options.count, options.rate)
    else:
        print(json.dumps(dds_latency(options.count, options.rate)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
