"""The header of a GGUF file: its tensors and what its metadata says of attention and experts. Start at gguf_facts().

Read by hand, because a part of a file at an address cannot be mapped into memory, which the format's own library does.
Layout: the GGUF specification, versions 2 and 3, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdx_serving.recommend.facts import Attention, BadModel, ModelFacts, Tensor, commonest_kind, windowed
from sdx_serving.recommend.fetch import Bytes

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST = 1 << 28
"""No text, list or count in a header is longer: what says so is broken."""

KINDS: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
"""Type number: name, weights of a block, bytes of a block."""

_GLOBAL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "llama4": 4}
"""Architectures whose n-th layers keep everything though a window is given (llama.cpp, src/llama-model.cpp)."""


@dataclass(slots=True)
class _Cursor:
    """Reads forward; every field is checked against the file's end."""

    source: Bytes
    at: int = 0

    def take(self, layout: str) -> Any:
        size = struct.calcsize("<" + layout)
        (value,) = struct.unpack("<" + layout, self.source.read(self.at, size))
        self.at += size
        return value

    def count(self, what: str) -> int:
        value = self.take("Q")
        if value > min(_LONGEST, self.source.size):
            raise BadModel(f"{self.source.name}: {what} at byte {self.at - 8} is {value}: the file is damaged")
        return value

    def text(self) -> str:
        length = self.count("the length of a text")
        value = self.source.read(self.at, length)
        self.at += length
        return value.decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self.take(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array()
        raise BadModel(f"{self.source.name}: value of unknown type {kind} before byte {self.at}: the file is damaged or too new")

    def _array(self) -> Any:
        inner, length = self.take("I"), self.count("the length of a list")
        if inner in _SCALARS:
            layout = f"<{length}{_SCALARS[inner]}"
            values = struct.unpack(layout, self.source.read(self.at, struct.calcsize(layout)))
            self.at += struct.calcsize(layout)
            return values
        if inner != _STRING:
            raise BadModel(f"{self.source.name}: list of type {inner} before byte {self.at}: the file is damaged or too new")
        for _ in range(length):  # words of a vocabulary: only how many there are is of use
            skipped = self.count("the length of a text")
            self.at += skipped
        return length


def read_header(source: Bytes) -> tuple[dict[str, Any], list[Tensor]]:
    """Metadata (lists of texts as their length) and tensors. BadModel names the file, the place and the value."""
    cursor = _Cursor(source)
    if source.read(0, 4) != b"GGUF":
        raise BadModel(f"{source.name}: not a GGUF file (it begins with {source.read(0, 4)!r})")
    cursor.at = 4
    version = cursor.take("I")
    if version not in (2, 3):
        raise BadModel(f"{source.name}: GGUF version {version}: known are 2 and 3 (little-endian)")
    tensor_count, value_count = cursor.count("the number of tensors"), cursor.count("the number of values")
    values: dict[str, Any] = {}
    for _ in range(value_count):
        key = cursor.text()
        values[key] = cursor.value(cursor.take("I"))
    return values, [_tensor(cursor) for _ in range(tensor_count)]


def _tensor(cursor: _Cursor) -> Tensor:
    name, dimensions = cursor.text(), cursor.take("I")
    if not 1 <= dimensions <= 4:
        raise BadModel(f"{cursor.source.name}: tensor {name!r} has {dimensions} dimensions: the file is damaged")
    shape = tuple(cursor.take("Q") for _ in range(dimensions))
    kind = cursor.take("I")
    cursor.take("Q")  # where it stands
    if kind not in KINDS:
        raise BadModel(f"{cursor.source.name}: tensor {name!r} has unknown type {kind}: the file is damaged or too new")
    called, block, block_bytes = KINDS[kind]
    parameters = math.prod(shape)
    return Tensor(name, shape, called, -(-parameters // block) * block_bytes, parameters)


def gguf_facts(source: Bytes) -> ModelFacts:
    """What the file costs. BadModel when it is damaged, or no language model."""
    values, tensors = read_header(source)
    family = values.get("general.architecture", "")
    if family == "clip" or f"{family}.block_count" not in values:
        raise BadModel(f"{source.name}: architecture {family!r} is no language model: a projector is given with --projector")

    def number(key: str, default: int = 0) -> int:
        found = values.get(f"{family}.{key}", default)
        if not isinstance(found, int) or found < 0:
            raise BadModel(f"{source.name}: {family}.{key} is {found!r}, not a whole number")
        return found

    lookup = any(tensor.name == "output.weight" for tensor in tensors)  # else the embedding is the output too, and is read
    experts = [tensor for tensor in tensors if "_exps." in tensor.name]
    dense = [tensor for tensor in tensors if "_exps." not in tensor.name and not (lookup and tensor.name == "token_embd.weight")]
    return ModelFacts(
        name=source.name.rstrip("/").rpartition("/")[2],
        format="gguf",
        quantisation=_quantisation(values, tensors),
        parameters=sum(tensor.parameters for tensor in tensors),
        weights_bytes=sum(tensor.bytes for tensor in tensors),
        dense_bytes=sum(tensor.bytes for tensor in dense),
        layers=number("block_count"),
        context_tokens=max(1, number("context_length", 2048)),
        attention=_attention(source.name, values, family, number),
        dense_parameters=_multiplied(dense),
        expert_bytes=sum(tensor.bytes for tensor in experts),
        expert_parameters=_multiplied(experts),
        experts=number("expert_count") if experts else 0,
        experts_used=number("expert_used_count") if experts else 0,
    )


def _multiplied(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.parameters for tensor in tensors if len(tensor.shape) > 1)


def _attention(name: str, values: Mapping[str, Any], family: str, number: Any) -> tuple[Attention, ...]:
    heads = values.get(f"{family}.attention.head_count_kv", values.get(f"{family}.attention.head_count", 0))
    if not all(isinstance(count, int) and count >= 0 for count in (heads if isinstance(heads, tuple) else (heads,))):
        raise BadModel(f"{name}: {family}.attention.head_count_kv is {heads!r}: the file is damaged")
    layers, window = number("block_count"), number("attention.sliding_window") or None
    if number("attention.kv_lora_rank"):  # compressed keys and values (DeepSeek): one vector a token and its rotated part
        return (Attention(layers, number("attention.kv_lora_rank") + number("rope.dimension_count")),)
    query_heads = values.get(f"{family}.attention.head_count", 0)
    query_heads = max(query_heads) if isinstance(query_heads, tuple) and query_heads else query_heads
    if not isinstance(query_heads, int) or query_heads < 1:
        raise BadModel(f"{name}: {family}.attention.head_count is {query_heads!r}: the file is damaged")
    size = number("embedding_length") // query_heads
    key, value = number("attention.key_length", size), number("attention.value_length", size)
    if isinstance(heads, tuple):  # a number for each layer: 0 for layers that are no attention
        return tuple(Attention(heads.count(count), count * (key + value), window) for count in sorted(set(heads)) if count)
    every = number("attention.sliding_window_pattern") if isinstance(values.get(f"{family}.attention.sliding_window_pattern"), int) else 0
    return windowed(layers, heads * (key + value), window, every or _GLOBAL_EVERY.get(family, 0))


def _quantisation(values: Mapping[str, Any], tensors: Sequence[Tensor]) -> str:
    """As the file's name would say it: K mixtures are called by their commonest type and size."""
    matrices = [tensor for tensor in tensors if len(tensor.shape) > 1 and tensor.name not in ("token_embd.weight", "output.weight")]
    kind = commonest_kind(matrices or tensors)
    mixtures = {14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L"}  # llama.h, llama_ftype
    file_type = values.get("general.file_type")
    named = mixtures.get(file_type, "") if isinstance(file_type, int) else ""
    return named if named.startswith(kind) else f"{kind}_M" if kind in ("Q4_K", "Q5_K", "Q3_K") else kind
