"""A BERT small enough to make in a moment: its weights, its ONNX folder, and itself in torch."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CONFIG: dict[str, Any] = {
    "model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu", "hidden_size": 32, "intermediate_size": 64,
    "layer_norm_eps": 1e-12, "max_position_embeddings": 40, "num_attention_heads": 4, "num_hidden_layers": 2, "type_vocab_size": 2,
    "vocab_size": 40, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0, "pad_token_id": 0,
}  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Of a model of CONFIG, by the names of transformers' BertModel; without its pooler."""
    rng, width, wide = np.random.default_rng(seed), CONFIG["hidden_size"], CONFIG["intermediate_size"]
    made: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (CONFIG["vocab_size"], width),
        "embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (2, width),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{index}" for index in range(CONFIG["num_hidden_layers"])):
        lines = {f"attention.self.{part}": (width, width) for part in ("query", "key", "value")}
        lines |= {"attention.output.dense": (width, width), "intermediate.dense": (wide, width), "output.dense": (width, wide)}
        for name, shape in lines.items():
            made |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name in norms:
        made |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in made.items()}


def write_tokenizer(folder: Path) -> None:
    """A letter is a token; like many models' files it asks for padding and cutting, which must not be heeded."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_encoder(folder: Path, seed: int = 0) -> Path:
    """An ONNX sentence encoder of those weights; texts of at most 24 tokens."""
    from sdx_rag.embed.bert_graph import bert_graph

    folder.mkdir(parents=True)
    write_tokenizer(folder)
    (folder / "model.onnx").write_bytes(bert_graph(weights(seed), CONFIG).SerializeToString())
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 24}')
    return folder


def bert(seed: int = 0) -> Any:
    """The same model in torch; skips where that is not installed."""
    torch = pytest.importorskip("torch")
    transformers = importlib.import_module("transformers") if pytest.importorskip("transformers") else None
    assert transformers
    model = transformers.BertModel(transformers.BertConfig(**CONFIG), add_pooling_layer=False).eval()
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights(seed).items()}, strict=True)
    return model
