"""Ways onto the wire behind api.Transport; open_transport() picks one."""

import importlib.util

from sdx_ros_nodes.api import Transport
from sdx_ros_nodes.ros_args import NodeArguments

__all__ = ["KINDS", "open_transport"]

KINDS = ("auto", "rclpy", "dds", "memory")


def open_transport(kind: str, arguments: NodeArguments) -> Transport:
    """A node of its own on the named transport. "auto": rclpy where ROS 2 is sourced, else dds.

    Raises:
        ValueError: no such transport. RuntimeError: it cannot run here; says what to do.
    """
    if kind == "auto":
        kind = "rclpy" if importlib.util.find_spec("rclpy") else "dds"
    if kind == "rclpy":
        from sdx_ros_nodes.transports.rclpy import RclpyTransport

        return RclpyTransport(arguments)
    if kind == "dds":
        from sdx_ros_nodes.transports.dds import DdsTransport

        return DdsTransport(arguments)
    if kind == "memory":
        from sdx_ros_nodes.transports.memory import MemoryBus

        return MemoryBus().transport(arguments)
    raise ValueError(f"no transport {kind!r}; there are {', '.join(KINDS)}")
