"""ROS 2 messages without ROS: types, defaults, CDR bytes, type hashes, DDS names.

Standard types come from the rosbags typestore of the ROS distribution in ROS_DISTRO (jazzy when unset); our own
are registered from the very `.msg` files in `msg/` that colcon builds as package `sdx_msgs`.
"""

import os
from functools import cache
from importlib.resources import files
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

PACKAGE = "sdx_msgs"
PRIMITIVE_ZERO: dict[str, Any] = {"bool": False, "string": "", "float32": 0.0, "float64": 0.0}


def own_definitions() -> dict[str, str]:
    """Text of our own messages by full type name."""
    folder = files("sdx_ros_nodes") / "msg"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".msg"))
    return {f"{PACKAGE}/msg/{name.removesuffix('.msg')}": (folder / name).read_text(encoding="utf-8") for name in names}


@cache
def typestore(distro: str | None = None) -> Typestore:
    """All known types.

    Args:
        distro: "humble", "jazzy", ...; None takes ROS_DISTRO, or jazzy.

    Raises:
        ValueError: no such distribution.
    """
    name = distro or os.environ.get("ROS_DISTRO") or "jazzy"
    try:
        store = get_typestore(Stores(f"ros2_{name}"))
    except ValueError as error:
        known = ", ".join(store.value.removeprefix("ros2_") for store in Stores if store.value.startswith("ros2_"))
        raise ValueError(f"ROS_DISTRO is {name!r}; message types are known for {known}") from error
    definitions: dict[str, Any] = {}
    for type_name, text in own_definitions().items():
        definitions.update(get_types_from_msg(text, type_name))
    store.register(definitions)
    return store


def new(type_name: str, **values: Any) -> Any:
    """A message with the given fields, and zero, empty or the default of its own type in all others.

    Raises:
        KeyError: no such type. TypeError: no such field.
    """
    store = typestore()
    if type_name not in store.types:
        raise KeyError(f"no message type {type_name!r}; own types: {', '.join(own_definitions())}")
    fields = {name: values.pop(name) if name in values else _zero(node) for name, node in store.fielddefs[type_name][1]}
    if values:
        raise TypeError(f"{type_name} has no field {', '.join(sorted(values))}; it has {', '.join(fields)}")
    return store.types[type_name](**fields)


def _zero(node: Any) -> Any:
    import numpy as np

    kind, detail = node
    if kind == Nodetype.NAME:
        return new(detail)
    if kind == Nodetype.BASE:
        return PRIMITIVE_ZERO.get(detail[0], 0)
    (inner_kind, inner), length = detail
    count = length if kind == Nodetype.ARRAY else 0
    if inner_kind == Nodetype.BASE and inner[0] != "string":
        return np.zeros(count, dtype={"byte": "uint8", "char": "uint8"}.get(inner[0], inner[0]))
    return [_zero((inner_kind, inner)) for _ in range(count)]


def serialise(message: Any) -> bytes:
    """CDR bytes, little endian, with the 4-byte header, padded to 4 bytes as DDS wants it."""
    data = bytes(typestore().serialize_cdr(message, message.__msgtype__, little_endian=True))
    return data.ljust(-(-len(data) // 4) * 4, b"\0")


def deserialise(data: bytes, type_name: str) -> Any:
    """The message in CDR bytes.

    Raises:
        rosbags.serde.SerdeError, or another exception of the decoder: these bytes are not that message.
    """
    return typestore().deserialize_cdr(data, type_name)


def type_hash(type_name: str) -> str:
    """REP-2016 hash, "RIHS01_...": equal on both sides means the same fields in the same order."""
    return typestore().hash_rihs01(type_name)


def dds_type_name(type_name: str) -> str:
    """ "std_msgs/msg/String" on the wire: "std_msgs::msg::dds_::String_"."""
    package, folder, name = type_name.split("/")
    return f"{package}::{folder}::dds_::{name}_"


def warm_up(type_name: str) -> None:
    """Have the (de)serialiser of a type generated now: the first message would take 10-18 ms otherwise."""
    deserialise(serialise(new(type_name)), type_name)
