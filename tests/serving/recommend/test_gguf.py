"""GGUF headers: what they cost, read from files, from parts over HTTP, and refused when damaged."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_serving.connect import embedded_model_path
from sdx_serving.recommend.facts import Attention, BadModel
from sdx_serving.recommend.gguf import KINDS
from sdx_serving.recommend.headers import facts_of

HEAD = 300_000
"""Bytes of the embedded model in which its whole header stands."""


def write(path: Path, *, tied: bool = False, experts: int = 0, words: int = 512, family: str = "llama", window: int = 0) -> Path:
    """Two layers of width 64, one tensor F16, the others F32."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(str(path), family)
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_token_list([f"word{number}" for number in range(words)])
    if window:
        writer.add_sliding_window(window)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    writer.add_tensor("token_embd.weight", np.zeros((words, 64), np.float32))
    if not tied:
        writer.add_tensor("output.weight", np.zeros((words, 64), np.float16))
    for layer in range(2):
        writer.add_tensor(f"blk.{layer}.attn_q.weight", np.zeros((64, 64), np.float32))
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", np.zeros(64, np.float32))
        if experts:
            writer.add_tensor(f"blk.{layer}.ffn_up_exps.weight", np.zeros((experts, 32, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_embedded_model_is_read_as_the_formats_own_library_reads_it() -> None:
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(embedded_model_path())
    facts = facts_of(str(embedded_model_path()))
    assert facts.weights_bytes == sum(int(tensor.n_bytes) for tensor in reader.tensors)
    assert facts.parameters == sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert (facts.quantisation, facts.layers, facts.context_tokens) == ("Q8_0", 4, 2048)
    assert facts.attention == (Attention(4, 2 * 2 * 64),)
    assert facts.dense_bytes == facts.weights_bytes, "its output is its embedding, so all of it is read"


def test_types_have_the_sizes_of_the_formats_own_library() -> None:
    gguf = pytest.importorskip("gguf")
    for number, (name, block, size) in KINDS.items():
        kind = gguf.GGMLQuantizationType(number)
        assert (kind.name, gguf.GGML_QUANT_SIZES[kind]) == (name, (block, size))


def test_an_embedding_is_looked_up_unless_it_is_the_output_too(tmp_path: Path) -> None:
    apart, tied = facts_of(str(write(tmp_path / "a.gguf"))), facts_of(str(write(tmp_path / "b.gguf", tied=True)))
    layers = 2 * (64 * 64 + 64) * 4
    assert apart.read_bytes() == 512 * 64 * 2 + layers
    assert tied.read_bytes() == 512 * 64 * 4 + layers
    assert apart.weights_bytes == tied.weights_bytes + 512 * 64 * 2


def test_of_experts_only_those_used_are_read(tmp_path: Path) -> None:
    facts = facts_of(str(write(tmp_path / "moe.gguf", experts=8)))
    all_experts = 2 * 8 * 32 * 64 * 4
    assert facts.expert_bytes == all_experts
    assert facts.read_bytes() == facts.dense_bytes + all_experts * 2 / 8
    assert facts.read_bytes(1000) == pytest.approx(facts.dense_bytes + all_experts)
    assert facts.flops_per_token() == 2 * (facts.dense_parameters + 2 * 2 * 32 * 64)


@pytest.mark.parametrize(
    ("family", "window", "tokens", "expected"),
    [("llama", 0, 1000, 2 * 64 * 2 * 1000), ("llama", 100, 1000, 2 * 64 * 2 * 100), ("gemma2", 100, 1000, 64 * 2 * 100 + 64 * 2 * 1000)],
)
def test_context_costs_what_the_kind_of_attention_keeps(tmp_path: Path, family: str, window: int, tokens: int, expected: int) -> None:
    assert facts_of(str(write(tmp_path / "m.gguf", family=family, window=window))).kv_bytes(tokens) == expected


def test_of_a_file_at_an_address_only_the_header_comes(tmp_path: Path, ranges) -> None:
    path = write(ranges.folder / "m.gguf", words=60_000)
    assert path.stat().st_size > 20_000_000
    assert facts_of(f"{ranges.url}/m.gguf") == facts_of(str(path))
    assert ranges.sent < 3_000_000


def test_a_server_without_ranges_and_one_without_the_file_are_told(ranges) -> None:
    write(ranges.folder / "m.gguf")
    ranges.whole = True
    with pytest.raises(BadModel, match="answered 200 to a request for a part"):
        facts_of(f"{ranges.url}/m.gguf")
    with pytest.raises(BadModel, match="answered 404"):
        facts_of(f"{ranges.url}/none.gguf")
    with pytest.raises(BadModel, match="not reached"):
        facts_of("http://127.0.0.1:9/m.gguf")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cut off"),
        (b"PK\x03\x04" * 9, "not a GGUF file"),
        (b"GGUF" + struct.pack("<I", 1) + b"\0" * 40, "GGUF version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "the number of tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<I", 99), "unknown type 99"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "no language model"),
    ],
)
def test_damage_is_told_with_its_place(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(BadModel, match=told):
        facts_of(str(path))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, HEAD), place=st.integers(0, HEAD), value=st.integers(0, 255))
def test_no_damage_crashes_the_reader(tmp_path: Path, cut: int, place: int, value: int) -> None:
    """Cut anywhere, any byte changed: facts, or BadModel."""
    data = bytearray(embedded_model_path().read_bytes()[: max(cut, place + 1)])
    data[place % len(data)] = value
    path = tmp_path / "hurt.gguf"
    path.write_bytes(data)
    try:
        assert facts_of(str(path)).weights_bytes >= 0
    except BadModel as error:
        assert "hurt.gguf" in str(error)
