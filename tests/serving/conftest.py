"""A model small enough to make in a second, and real enough for llama.cpp to run."""

import atexit
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def write_model(path: Path, seed: int, template: str = TEMPLATE) -> None:
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
    writer.add_chat_template(template)

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
    _write_out(writer)


def _write_out(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_adapter(path: Path, seed: int) -> None:
    """A LoRA adapter of rank 4 for the model above, strong enough to change what it says."""
    gguf = pytest.importorskip("gguf")
    import numpy as np

    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "qwen3")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for part in ("attn_q", "attn_v", "ffn_up"):
        for side, shape in (("lora_a", (4, WIDTH)), ("lora_b", (HEADS * HEAD, 4))):
            writer.add_tensor(f"blk.0.{part}.weight.{side}", rng.normal(0, 0.3, shape).astype(np.float32))
    _write_out(writer)


def write_projector(path: Path, seed: int) -> None:
    """Eyes for the model above: a vision transformer for squares of 32 pixels, 16 tokens each, as LLaVA has them."""
    gguf = pytest.importorskip("gguf")
    import numpy as np

    rng, width, feed, blocks = np.random.default_rng(seed), 64, 128, 2
    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_type("mmproj")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("mlp")
    writer.add_vision_use_gelu(True)
    writer.add_vision_image_size(32)
    writer.add_vision_patch_size(8)
    writer.add_vision_embedding_length(width)
    writer.add_vision_feed_forward_length(feed)
    writer.add_vision_block_count(blocks)
    writer.add_vision_head_count(2)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_projection_dim(WIDTH)
    writer.add_vision_image_mean([0.5] * 3)
    writer.add_vision_image_std([0.5] * 3)

    def tensor(name: str, *shape: int) -> None:
        bias = rng.normal(0, 0.1, shape[:1]) + (1.0 if len(shape) == 1 else 0.0)
        writer.add_tensor(f"{name}.weight", (bias if len(shape) == 1 else rng.normal(0, 0.15, shape)).astype(np.float32))
        if name != "v.position_embd":
            writer.add_tensor(f"{name}.bias", rng.normal(0, 0.1, shape[:1]).astype(np.float32))

    tensor("v.patch_embd", width, 3, 8, 8)
    tensor("v.position_embd", 16, width)
    for block in range(blocks):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            tensor(f"v.blk.{block}.{part}", width, width)
        tensor(f"v.blk.{block}.ln1", width)
        tensor(f"v.blk.{block}.ln2", width)
        tensor(f"v.blk.{block}.ffn_up", feed, width)
        tensor(f"v.blk.{block}.ffn_down", width, feed)
    tensor("mm.0", WIDTH, width)
    tensor("mm.2", WIDTH, WIDTH)
    _write_out(writer)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file that llama.cpp runs; it says nonsense."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_model(path, seed=0)
    return path


@pytest.fixture(scope="session")
def llama_cpp_library() -> Any:
    """The package llama_cpp, to compare with; it opens /dev/null twice and leaves it to the interpreter's end, which warns."""
    library = pytest.importorskip("llama_cpp")
    from sdx_serving.llama.amx import spare_amx

    spare_amx(library)
    opened = importlib.import_module("llama_cpp._utils")
    atexit.register(opened.outnull_file.close)
    atexit.register(opened.errnull_file.close)
    return library


def greedy_text(llama: Any, tokens: list[int], count: int, **more: Any) -> str:
    """What an open llama_cpp.Llama says after the tokens, by its own generate()."""
    said = []
    for token in llama.generate(tokens, temp=0.0, repeat_penalty=1.0, **more):
        if token == llama.token_eos():
            break
        said.append(token)
        if len(said) == count:
            break
    return llama.detokenize(said).decode(errors="replace")


@pytest.fixture(scope="session")
def greedy() -> Callable[..., str]:
    return greedy_text


@dataclass(frozen=True)
class Equipped:
    """A tiny model whose template knows tools and images, and all that may be put on it."""

    model: Path
    projector: Path
    adapters: dict[str, Path]


TOOL_TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool['function'] | tojson }}\n{% endfor %}"
    "Call as <tool_call>{...}</tool_call><|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "{% for call in message['tool_calls'] or [] %}<tool_call>{{ call['function'] | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def equipped(tmp_path_factory: pytest.TempPathFactory) -> Equipped:
    folder = tmp_path_factory.mktemp("equipped")
    made = Equipped(folder / "wise.gguf", folder / "mmproj.gguf", {"ship": folder / "ship.gguf", "farm": folder / "farm.gguf"})
    write_model(made.model, 5, TOOL_TEMPLATE)
    write_projector(made.projector, 6)
    for seed, path in enumerate(made.adapters.values()):
        write_adapter(path, seed)
    return made


@pytest.fixture(scope="module")
def no_llama_server() -> Iterator[None]:
    """Our own server serves GGUF files, also where llama-server is installed."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join(folder for folder in folders if not Path(folder, "llama-server").exists()))
        yield


@pytest.fixture(scope="module")
def engine(tiny_model: Path, no_llama_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A running engine with the tiny model."""
    if importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed")
    from sdx_serving.engine import Serving
    from sdx_serving.engines.llama_cpp import LlamaCpp

    with LlamaCpp(Serving(str(tiny_model), context_tokens=8192), log=tmp_path_factory.mktemp("log") / "engine.log") as running:
        yield running
