"""Graphs small enough to write in a moment, of each kind that is served, and servers of them."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdx_serving.engine import Serving
from sdx_serving.engines.onnx_runtime import OnnxRuntime

NEEDED = ("onnx", "onnxruntime", "tokenizers", "jinja2", "PIL", "openai")
HEADS, SIZE, CONTEXT = 2, 16, 512
WIDTH = HEADS * SIZE
SPECIAL = ("<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'judge' %}{{ raise_exception('no judges') }}{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session", autouse=True)
def packages() -> None:
    for name in NEEDED:
        pytest.importorskip(name)


def library() -> Any:
    """onnx, by name, because type checkers take `import onnx` for this folder."""
    return importlib.import_module("onnx")


class Drawing:
    """Nodes and weights of a graph, one after the other."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.rng = np.random.default_rng(seed)

    def __call__(self, op: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(library().helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(library().numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def random(self, *shape: int, spread: float = 0.5) -> str:
        return self.constant(self.rng.normal(0, spread, shape), np.float32)

    def write(self, path: Path, inputs: dict[str, tuple[Any, list[Any]]], outputs: dict[str, list[Any]]) -> None:
        onnx = library()
        kinds = {int: onnx.TensorProto.INT64, float: onnx.TensorProto.FLOAT}
        graph = onnx.helper.make_graph(
            self.nodes,
            "tiny",
            [onnx.helper.make_tensor_value_info(name, kinds[kind], shape) for name, (kind, shape) in inputs.items()],
            [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            self.weights,
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())


def write_tokenizer(folder: Path) -> int:
    """Bytes, a few merges and two control tokens; returns how many tokens there are."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("s", "h"), ("i", "p"), ("sh", "ip"), ("Ġ", "ship")]
    words = [*letters, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({word: at for at, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    tokenizer.enable_truncation(8)  # as some folders have it: the server must not heed it
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


def write_decoder(folder: Path, seed: int = 0) -> Path:
    """One layer of attention with a cache; it says nonsense."""
    folder.mkdir()
    vocab = write_tokenizer(folder)
    draw = Drawing(seed)
    hidden = draw(
        "Add", draw("Gather", draw.random(vocab, WIDTH), "input_ids"), draw("Gather", draw.random(CONTEXT, WIDTH), "position_ids")
    )

    def heads(name: str) -> str:
        split = draw("Reshape", draw("MatMul", hidden, draw.random(WIDTH, WIDTH)), draw.constant([0, 0, HEADS, SIZE]))
        return draw("Transpose", split, perm=[0, 2, 1, 3])

    query = heads("query")
    keys = draw("Concat", "past_key_values.0.key", heads("key"), axis=2, out="present.0.key")
    values = draw("Concat", "past_key_values.0.value", heads("value"), axis=2, out="present.0.value")
    scores = draw("Mul", draw("MatMul", query, draw("Transpose", keys, perm=[0, 1, 3, 2])), draw.constant(0.25, np.float32))
    total = draw("Squeeze", draw("Shape", keys, start=2, end=3))
    new = draw("Squeeze", draw("Shape", "input_ids", start=1, end=2))
    zero, one = draw.constant(0), draw.constant(1)
    rows = draw("Unsqueeze", draw("Range", draw("Sub", total, new), total, one), draw.constant([1]))
    seen = draw("LessOrEqual", draw("Range", zero, total, one), rows)
    weights = draw("Softmax", draw("Where", seen, scores, draw.constant(-1e9, np.float32)), axis=-1)
    mixed = draw("Transpose", draw("MatMul", weights, values), perm=[0, 2, 1, 3])
    mixed = draw("Add", hidden, draw("MatMul", draw("Reshape", mixed, draw.constant([0, 0, WIDTH])), draw.random(WIDTH, WIDTH)))
    draw("MatMul", mixed, draw.random(WIDTH, vocab + 3), out="logits")  # more rows than tokens, as many models have
    ids, past = (int, ["batch", "length"]), (float, ["batch", HEADS, "past", SIZE])
    inputs = {"input_ids": ids, "position_ids": ids, "past_key_values.0.key": past, "past_key_values.0.value": past}
    present = ["batch", HEADS, "total", SIZE]
    draw.write(
        folder / "model.onnx",
        inputs,
        {"logits": ["batch", "length", vocab + 3], "present.0.key": present, "present.0.value": present},
    )
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|im_end|>"}}')
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [vocab - 1]}))
    (folder / "config.json").write_text(json.dumps({"architectures": ["TinyForCausalLM"], "max_position_embeddings": CONTEXT}))
    return folder


def write_text_encoder(folder: Path, seed: int = 0) -> np.ndarray:
    """Each token's vector is its own and the mean of all; returns their own, (tokens, width)."""
    folder.mkdir()
    draw = Drawing(seed)
    own = draw("Gather", draw.random(write_tokenizer(folder), WIDTH), "input_ids")
    mask = draw("Unsqueeze", draw("Cast", "attention_mask", to=library().TensorProto.FLOAT), draw.constant([2]))
    one = draw.constant([1])
    mean = draw("Div", draw("ReduceSum", draw("Mul", own, mask), one), draw("ReduceSum", mask, one))
    draw("Add", own, mean, out="last_hidden_state")
    ids = (int, ["batch", "length"])
    draw.write(folder / "model.onnx", {"input_ids": ids, "attention_mask": ids}, {"last_hidden_state": ["batch", "length", WIDTH]})
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 24}')
    (folder / "config.json").write_text('{"architectures": ["TinyModel"], "max_position_embeddings": 512}')
    return library().numpy_helper.to_array(draw.weights[0])


def write_image_encoder(folder: Path, seed: int = 0) -> np.ndarray:
    """Four patches of 4 x 4 pixels; returns the kernel (width, 3, 4, 4) that makes a patch's vector."""
    folder.mkdir()
    draw = Drawing(seed)
    flat = draw("Reshape", draw("Conv", "pixel_values", draw.random(WIDTH, 3, 4, 4), strides=[4, 4]), draw.constant([0, WIDTH, 4]))
    patches = draw("Transpose", flat, perm=[0, 2, 1], out="last_hidden_state")
    draw("ReduceMax", patches, draw.constant([1]), keepdims=0, out="pooler_output")
    outputs: dict[str, list[Any]] = {"last_hidden_state": ["batch", 4, WIDTH], "pooler_output": ["batch", WIDTH]}
    draw.write(folder / "model.onnx", {"pixel_values": (float, ["batch", 3, 8, 8])}, outputs)
    told = {"size": {"height": 8, "width": 8}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return library().numpy_helper.to_array(draw.weights[0])


@pytest.fixture(scope="session")
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_decoder(tmp_path_factory.mktemp("onnx") / "tiny-decoder")


def serve(folder: Path, log: Path, context: int = CONTEXT) -> OnnxRuntime:
    return OnnxRuntime(Serving(str(folder), context_tokens=context), log=log)


@pytest.fixture(scope="module")
def decoder(decoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnnxRuntime]:
    with serve(decoder_folder, tmp_path_factory.mktemp("log") / "decoder.log") as engine:
        yield engine


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A sentence encoder, and the vectors of its tokens."""
    folder = tmp_path_factory.mktemp("texts") / "tiny-texts"
    return folder, write_text_encoder(folder)


@pytest.fixture(scope="module")
def texts(text_folder: tuple[Path, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OnnxRuntime, np.ndarray]]:
    """A running sentence encoder, and the vectors of its tokens."""
    with serve(text_folder[0], tmp_path_factory.mktemp("log") / "texts.log") as engine:
        yield engine, text_folder[1]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OnnxRuntime, np.ndarray]]:
    """A running vision encoder, and its kernel."""
    base = tmp_path_factory.mktemp("images")
    kernel = write_image_encoder(base / "tiny-images")
    with serve(base / "tiny-images", base / "log") as engine:
        yield engine, kernel
