"""DDS topic types for ROS messages: the true struct for discovery, raw CDR bytes for the data.

Cyclone's Python binding wants a full type description of every topic. The class is built at run time from the
field definitions that the message registry has anyway; its samples are bytes, so that one (de)serialiser serves
all transports.
"""

from functools import cache
from typing import Any

from cyclonedds.idl import IdlStruct, make_idl_struct, types
from rosbags.interfaces import Nodetype

from sdx_ros_nodes import messages

PRIMITIVES: dict[str, Any] = {
    "bool": bool, "byte": types.uint8, "char": types.uint8, "string": str,
    "int8": types.int8, "int16": types.int16, "int32": types.int32, "int64": types.int64,
    "uint8": types.uint8, "uint16": types.uint16, "uint32": types.uint32, "uint64": types.uint64,
    "float32": types.float32, "float64": types.float64,
}  # fmt: skip


class RawSample:
    """CDR bytes with what Cyclone hangs on a sample."""

    __slots__ = ("data", "sample_info")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sample_info: Any = None


@cache
def topic_class(type_name: str) -> type[IdlStruct]:
    """Class for cyclonedds.topic.Topic. Write instances made by raw_sample(); takes give RawSample."""
    made = _make(type_name)
    made.serialize = _serialize  # pyright: ignore[reportAttributeAccessIssue]
    made.deserialize = classmethod(_deserialize)  # pyright: ignore[reportAttributeAccessIssue]
    return made


def raw_sample(type_name: str, data: bytes) -> Any:
    """What DataWriter.write() takes: an instance of the topic's class that is nothing but its bytes."""
    cls = topic_class(type_name)
    sample = object.__new__(cls)
    sample.__dict__["cdr"] = data
    return sample


def _serialize(self: Any, buffer: Any = None, endianness: Any = None, use_version_2: Any = None) -> bytes:
    return self.__dict__["cdr"]


def _deserialize(cls: type, data: bytes, has_header: bool = True, use_version_2: Any = None) -> RawSample:
    return RawSample(bytes(data))


@cache
def _nested(type_name: str) -> type[IdlStruct]:
    return _make(type_name)


def _make(type_name: str) -> type[IdlStruct]:
    package, folder, name = type_name.split("/")
    fields = {field: _field(node) for field, node in messages.typestore().fielddefs[type_name][1]}
    return make_idl_struct(f"{name}_", f"{package}.{folder}.dds_.{name}_", fields)


def _field(node: Any) -> Any:
    kind, detail = node
    if kind == Nodetype.NAME:
        return _nested(detail)
    if kind == Nodetype.BASE:
        base, bound = detail
        return types.bounded_str[bound] if base == "string" and bound else PRIMITIVES[base]
    inner, length = detail
    if kind == Nodetype.ARRAY:
        return types.array[_field(inner), length]
    return types.sequence[_field(inner), length] if length else types.sequence[_field(inner)]
