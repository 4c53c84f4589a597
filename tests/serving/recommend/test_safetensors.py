"""Models in safetensors: whole or in parts, plain, packed, with experts or eyes, here or at an address."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_serving.recommend.facts import BadModel
from sdx_serving.recommend.fetch import LocalBytes
from sdx_serving.recommend.headers import facts_of
from sdx_serving.recommend.safetensors import read_header

CONFIG = {
    "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024,
}  # fmt: skip
WIDTH = {"BF16": 2, "F32": 4, "I32": 4, "F8_E4M3": 1}


def header(tensors: dict[str, tuple[str, list[int]]]) -> tuple[bytes, int]:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (kind, shape) in tensors.items():
        size = WIDTH[kind]
        for side in shape:
            size *= side
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text, at


def write(folder: Path, files: dict[str, dict[str, tuple[str, list[int]]]], **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    for name, tensors in files.items():
        head, size = header(tensors)
        (folder / name).write_bytes(head + b"\0" * size)
    if "model.safetensors" not in files:
        weight_map = {tensor: name for name, tensors in files.items() for tensor in tensors}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


LAYERS = {f"model.layers.{n}.self_attn.q_proj.weight": ("BF16", [64, 64]) for n in range(2)}
EMBEDDING = {"model.embed_tokens.weight": ("BF16", [500, 64])}
HEAD = {"lm_head.weight": ("BF16", [500, 64])}


def test_a_head_of_its_own_makes_the_embedding_a_lookup(tmp_path: Path) -> None:
    apart = facts_of(str(write(tmp_path / "a", {"model.safetensors": {**EMBEDDING, **LAYERS, **HEAD}})))
    tied = facts_of(str(write(tmp_path / "b", {"model.safetensors": {**EMBEDDING, **LAYERS}})))
    assert apart.read_bytes() == tied.read_bytes() == 2 * (500 * 64 + 2 * 64 * 64)
    assert apart.weights_bytes == tied.weights_bytes + 2 * 500 * 64
    assert apart.kv_bytes(10) == 10 * 2 * 2 * 2 * 16 * 2
    assert (apart.quantisation, apart.context_tokens, apart.name) == ("BF16", 1024, "a")


def test_parts_count_together_here_and_at_an_address(tmp_path: Path, ranges) -> None:
    folder = write(ranges.folder / "m", {"model-1.safetensors": EMBEDDING, "model-2.safetensors": {**LAYERS, **HEAD}})
    facts = facts_of(str(folder))
    assert facts.parameters == 2 * 500 * 64 + 2 * 64 * 64
    assert facts_of(f"{ranges.url}/m") == facts


def test_packed_weights_are_counted_as_what_they_stand_for(tmp_path: Path) -> None:
    packed = {
        "model.layers.0.mlp.up_proj.qweight": ("I32", [64, 8]),
        "model.layers.0.mlp.up_proj.scales": ("BF16", [1, 64]),
        **EMBEDDING,
    }
    facts = facts_of(str(write(tmp_path / "awq", {"model.safetensors": packed}, quantization_config={"quant_method": "awq", "bits": 4})))
    assert facts.quantisation == "W4A16"
    assert facts.parameters == 64 * 64 + 64 + 500 * 64
    assert facts.read_bytes() == 64 * 8 * 4 + 64 * 2 + 500 * 64 * 2


def test_experts_and_eyes_are_apart(tmp_path: Path) -> None:
    tensors = {
        **EMBEDDING,
        **{f"model.layers.0.mlp.experts.{n}.up_proj.weight": ("BF16", [32, 64]) for n in range(8)},
        "visual.blocks.0.attn.weight": ("BF16", [64, 64]),
    }
    facts = facts_of(str(write(tmp_path / "moe", {"model.safetensors": tensors}, num_experts=8, num_experts_per_tok=2)))
    assert facts.read_bytes() == 2 * 500 * 64 + 8 * 32 * 64 * 2 * 2 / 8
    assert facts.projector_bytes == 2 * 64 * 64 and facts.parameters == 500 * 64 + 8 * 32 * 64


def test_sliding_layers_keep_their_window(tmp_path: Path) -> None:
    kinds = ["sliding_attention", "full_attention"]
    facts = facts_of(str(write(tmp_path / "s", {"model.safetensors": {**EMBEDDING, **LAYERS}}, layer_types=kinds, sliding_window=10)))
    assert facts.kv_bytes(100) == (10 + 100) * 2 * 2 * 16 * 2


def test_what_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"model.safetensors": {**EMBEDDING, **LAYERS}}, num_attention_heads="four")
    with pytest.raises(BadModel, match="num_attention_heads is 'four'"):
        facts_of(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(BadModel, match=r"config\.json is not there"):
        facts_of(str(folder))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadModel, match="neither model.safetensors nor"):
        facts_of(str(folder))
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../etc/passwd"}}')
    with pytest.raises(BadModel, match="which the index names, is not there"):
        facts_of(str(folder))


@given(st.binary(max_size=400), st.one_of(st.none(), st.integers(0, 500)))
def test_no_bytes_crash_the_reader(data: bytes, length: int | None) -> None:
    import io

    whole = data if length is None else struct.pack("<Q", length) + data
    try:
        assert isinstance(read_header(LocalBytes("x.safetensors", io.BytesIO(whole), len(whole))), list)
    except BadModel as error:
        assert "x.safetensors" in str(error)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    )
)
def test_no_json_crashes_the_reader(entry: object) -> None:
    import io

    text = json.dumps({"a": entry}).encode()
    whole = struct.pack("<Q", len(text)) + text
    try:
        read_header(LocalBytes("x.safetensors", io.BytesIO(whole), len(whole)))
    except BadModel as error:
        assert "x.safetensors" in str(error)
