"""Sparkplug B 3.0 payloads and topics: what an edge node and a host share. Field numbers are those of the specification (section 6.4.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

NAMESPACE = "spBv1.0"
INT32, INT64, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING = 3, 4, 8, 9, 10, 11, 12
"""Data types of section 6.4.16, as far as they are written here; reading knows all the number types."""
REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"
_FIELDS = {
    "PropertyValue": (("type", 1, "uint32"), ("is_null", 2, "bool"), ("int_value", 3, "uint32"), ("long_value", 4, "uint64"),
                      ("float_value", 5, "float"), ("double_value", 6, "double"), ("boolean_value", 7, "bool"), ("string_value", 8, "string")),
    "PropertySet": (("keys", 1, "string*"), ("values", 2, "PropertyValue*")),
    "Metric": (("name", 1, "string"), ("alias", 2, "uint64"), ("timestamp", 3, "uint64"), ("datatype", 4, "uint32"),
               ("is_historical", 5, "bool"), ("is_transient", 6, "bool"), ("is_null", 7, "bool"), ("properties", 9, "PropertySet"),
               ("int_value", 10, "uint32"), ("long_value", 11, "uint64"), ("float_value", 12, "float"), ("double_value", 13, "double"),
               ("boolean_value", 14, "bool"), ("string_value", 15, "string")),
    "Payload": (("timestamp", 1, "uint64"), ("metrics", 2, "Metric*"), ("seq", 3, "uint64"), ("uuid", 4, "string"), ("body", 5, "bytes")),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """One value. `name` is empty where only the alias was sent."""

    name: str
    value: float | bool | str | None
    timestamp_ms: int = 0
    alias: int | None = None
    historical: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Payload:
    metrics: tuple[Metric, ...]
    seq: int | None = None
    timestamp_ms: int = 0


def encode(payload: Payload) -> bytes:
    """Numbers as Double, bdSeq as Int64 (the specification asks for it), words as String."""
    made = _types()["Payload"](timestamp=payload.timestamp_ms)
    if payload.seq is not None:
        made.seq = payload.seq
    for metric in payload.metrics:
        one = made.metrics.add(timestamp=metric.timestamp_ms or payload.timestamp_ms)
        if metric.name:
            one.name = metric.name
        if metric.alias is not None:
            one.alias = metric.alias
        if metric.historical:
            one.is_historical = True
        _set(one, metric)
        for key, text in metric.properties.items():
            one.properties.keys.append(key)
            one.properties.values.add(type=STRING, string_value=text)
    return made.SerializeToString()


def decode(raw: bytes) -> Payload:
    """ValueError for bytes that are no payload."""
    try:
        found = _types()["Payload"].FromString(raw)
    except DecodeError as error:
        raise ValueError(f"no Sparkplug payload: {error}") from error
    return Payload(tuple(_read(metric) for metric in found.metrics), found.seq if found.HasField("seq") else None, found.timestamp)


def topic(group: str, kind: str, edge: str, device: str = "") -> str:
    return "/".join([NAMESPACE, group, kind, edge, *([device] if device else [])])


def parts(topic: str) -> Sequence[str]:
    """(group, kind, edge, device) with "" for no device; () for a topic of another form."""
    words = topic.split("/")
    return (words[1], words[2], words[3], words[4] if len(words) == 5 else "") if words[0] == NAMESPACE and len(words) in (4, 5) else ()


def _set(one: Any, metric: Metric) -> None:
    match metric.value:
        case None:
            one.is_null, one.datatype = True, DOUBLE
        case bool():
            one.datatype, one.boolean_value = BOOLEAN, metric.value
        case str():
            one.datatype, one.string_value = STRING, metric.value
        case _ if metric.name == BD_SEQ:
            one.datatype, one.long_value = INT64, int(metric.value)
        case _:
            one.datatype, one.double_value = DOUBLE, float(metric.value)


def _read(one: Any) -> Metric:
    known = {"boolean_value", "string_value", "float_value", "double_value", "int_value", "long_value"}
    there = next((name for name in known if one.HasField(name)), None)
    value = None if one.is_null or there is None else getattr(one, there)
    if there in ("int_value", "long_value") and value is not None:
        bits = 32 if there == "int_value" else 64
        signed = one.datatype in (1, 2, INT32, INT64)  # Int8 .. Int64 are sent as two's complement
        value = value - (1 << bits) if signed and value >= 1 << (bits - 1) else value
    words = {key: text.string_value for key, text in zip(one.properties.keys, one.properties.values, strict=False)}
    alias = one.alias if one.HasField("alias") else None
    return Metric(one.name, value, one.timestamp, alias, one.is_historical, words)


@cache
def _types() -> dict[str, Any]:
    """The message classes, built from the table above, so that no generated file is needed."""
    kinds = {
        name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
        for name in ("uint32", "uint64", "bool", "float", "double", "string", "bytes")
    }
    file = descriptor_pb2.FileDescriptorProto(name="sdx_sparkplug_b.proto", package="sdx.sparkplug", syntax="proto2")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for label, number, kind in fields:
            repeated, plain = kind.endswith("*"), kind.rstrip("*")
            one = message.field.add(name=label, number=number, label=3 if repeated else 1)
            if plain in kinds:
                one.type = kinds[plain]
            else:
                one.type, one.type_name = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, f".sdx.sparkplug.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"sdx.sparkplug.{name}")) for name in _FIELDS}
