"""A model small enough to make in a second, and real enough for llama.cpp to run."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

WIDTH, LAYERS, HEADS, HEAD, FEED = 256, 1, 4, 64, 256
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_letters() -> list[str]:
    """The 256 letters by which byte-level BPE writes bytes (as GPT-2 does)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


def write_model(path: Path, seed: int) -> None:
    """A Qwen3 of random weights, byte vocabulary and a ChatML template."""
    gguf = pytest.importorskip("gguf")
    import numpy as np

    rng = np.random.default_rng(seed)
    tokens = [*byte_letters(), "Ġt", "<|im_start|>", "<|im_end|>"]
    writer = gguf.GGUFWriter(str(path), "qwen3")
    writer.add_context_length(8192)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL] * 2)
    writer.add_token_merges(["Ġ t"])
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(f"{name}.weight", rng.normal(0, 0.05, shape).astype(np.float32))

    def norm(name: str, size: int) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(size, np.float32))

    tensor("token_embd", len(tokens), WIDTH)
    norm("output_norm", WIDTH)
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        norm(f"{at}attn_norm", WIDTH)
        norm(f"{at}ffn_norm", WIDTH)
        norm(f"{at}attn_q_norm", HEAD)
        norm(f"{at}attn_k_norm", HEAD)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensor(at + part, HEADS * HEAD, WIDTH)
        tensor(f"{at}ffn_gate", FEED, WIDTH)
        tensor(f"{at}ffn_up", FEED, WIDTH)
        tensor(f"{at}ffn_down", WIDTH, FEED)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file that llama.cpp runs; it says nonsense."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_model(path, seed=0)
    return path


@pytest.fixture(scope="module")
def engine(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A running engine with the tiny model."""
    if importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed")
    from sdx_serving.engine import Serving
    from sdx_serving.engines.llama_cpp import LlamaCpp

    with LlamaCpp(Serving(str(tiny_model), context_tokens=8192), log=tmp_path_factory.mktemp("log") / "engine.log") as running:
        yield running
