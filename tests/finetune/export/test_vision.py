import ctypes
import json
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
import torch
from llama_cpp import mtmd_cpp
from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

from sdx_finetune.export.files import export_files
from sdx_finetune.export.gguf_file import Label
from sdx_finetune.export.vision import export_vision
from sdx_finetune.recipe import TokenizerSpec
from sdx_finetune.rows import Row
from sdx_serving.llama.model import spare_amx

LABEL = Label("toy", "Sees.", "apache-2.0", ("en",))
SIZE = 32
GELU = "gelu_pytorch_tanh"


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory, toy: list[Row]) -> Path:
    """A tiny random LLaVA."""
    from sdx_finetune.scratch.tokenizer import fit_tokenizer

    folder = tmp_path_factory.mktemp("llava")
    tokenizer = fit_tokenizer(toy, TokenizerSpec.model_validate({"vocab_size": 400, "extra_special": ("<image>",)}))
    torch.manual_seed(1)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=SiglipVisionConfig(
                hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2, image_size=SIZE, patch_size=8,
                hidden_act=GELU, vision_use_head=False,
            ),
            text_config=LlamaConfig(
                vocab_size=len(tokenizer), hidden_size=48, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
                num_key_value_heads=1, max_position_embeddings=256, initializer_range=0.2, eos_token_id=2, pad_token_id=0, bos_token_id=None,
            ),
            image_token_id=tokenizer.convert_tokens_to_ids("<image>"), projector_hidden_act=GELU, vision_feature_select_strategy="full",
            vision_feature_layer=-2, image_seq_length=16,
        )
    )  # fmt: skip
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "vision" in name or "projector" in name:
                weight.copy_(torch.randn_like(weight) * 0.15 + ("norm" in name and name.endswith("weight")))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    told = {
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "size": {"height": SIZE, "width": SIZE},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def seen_by_llama_cpp(
    text: Path, mmproj: Path, pixels: np.ndarray, before: list[int], after: list[int], count: int
) -> tuple[Any, list[int]]:
    """The image's embedding (tokens, hidden), and the greedy tokens after `before`, image, `after`."""
    spare_amx(llama_cpp)
    llama = llama_cpp.Llama(
        str(text), n_ctx=256, n_batch=256, n_threads=1, logits_all=True, verbose=False,
        type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,
    )  # fmt: skip
    params = mtmd_cpp.mtmd_context_params_default()
    params.use_gpu, params.print_timings, params.n_threads, params.warmup = False, False, 1, False
    context = mtmd_cpp.mtmd_init_from_file(str(mmproj).encode(), llama.model, params)
    assert context
    data = np.ascontiguousarray(pixels)
    bitmap = mtmd_cpp.mtmd_bitmap_init(SIZE, SIZE, data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
    asked = mtmd_cpp.mtmd_input_text()
    marker = mtmd_cpp.mtmd_default_marker()
    asked.text, asked.text_len, asked.add_special, asked.parse_special = marker, len(marker), False, True
    chunks = mtmd_cpp.mtmd_input_chunks_init()
    assert mtmd_cpp.mtmd_tokenize(context, chunks, ctypes.byref(asked), (mtmd_cpp.mtmd_bitmap_p_ctypes * 1)(bitmap), 1) == 0
    chunk = mtmd_cpp.mtmd_input_chunks_get(chunks, 0)
    tokens = mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk)
    assert mtmd_cpp.mtmd_encode_chunk(context, chunk) == 0
    width = llama.n_embd()
    embedding = np.ctypeslib.as_array(mtmd_cpp.mtmd_get_output_embd(context), (tokens, width)).copy()
    llama.eval(before)
    past = llama_cpp.llama_pos(0)
    ended = mtmd_cpp.mtmd_helper_eval_chunk_single(context, llama.ctx, chunk, len(before), 0, 256, False, ctypes.byref(past))
    assert ended == 0
    llama.n_tokens = past.value
    made: list[int] = []
    llama.eval(after)
    for _ in range(count):
        made.append(int(np.argmax(llama.scores[llama.n_tokens - 1])))
        llama.eval([made[-1]])
    for free, held in ((mtmd_cpp.mtmd_input_chunks_free, chunks), (mtmd_cpp.mtmd_bitmap_free, bitmap), (mtmd_cpp.mtmd_free, context)):
        free(held)
    llama.close()
    return embedding, made


def test_both_files_see_and_answer_as_trained(seeing: Path, tmp_path: Path) -> None:
    text, mmproj = export_vision(seeing, tmp_path / "toy-F32.gguf", tmp_path / "toy-mmproj.gguf", LABEL)
    pixels = np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    model: Any = LlavaForConditionalGeneration.from_pretrained(seeing, dtype=torch.float32).eval()
    before, after, image = [1, 20, 21, 22], [30, 31, 32], model.config.image_token_id
    values = torch.from_numpy(((pixels / 255 - 0.5) / 0.5).astype(np.float32).transpose(2, 0, 1))[None]
    with torch.no_grad():
        wanted = model.get_image_features(pixel_values=values).pooler_output[0].numpy()
        ids = torch.tensor([[*before, *[image] * len(wanted), *after]])
        model.generation_config.eos_token_id = None
        answer = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=values, max_new_tokens=12, do_sample=False, pad_token_id=0
        )
    embedding, made = seen_by_llama_cpp(text, mmproj, pixels, before, after, 12)
    assert embedding.shape == wanted.shape == (16, 48)
    assert np.abs(embedding - wanted).max() < 0.01 * np.abs(wanted).max()
    assert made == answer[0, ids.shape[1] :].tolist()


def test_all_files_of_a_model_with_images_are_made_at_once(seeing: Path, tmp_path: Path) -> None:
    made = export_files(seeing, tmp_path, LABEL, ["Q8_0"])
    assert [path.name for path in made] == ["toy-mmproj.gguf", "toy-Q8_0.gguf"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy-Q8_0.gguf", "toy-mmproj.gguf"]


@pytest.mark.parametrize(
    ("field", "value"), [("projector_hidden_act", "gelu"), ("vision_feature_layer", -1), ("vision_feature_select_strategy", "default")]
)
def test_a_model_that_llama_cpp_would_read_otherwise_is_refused(seeing: Path, tmp_path: Path, field: str, value: Any) -> None:
    import shutil

    folder = shutil.copytree(seeing, tmp_path / "changed")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {field: value}), encoding="utf-8")
    with pytest.raises(ValueError, match=f"{field} is {value!r}; llama.cpp's image projector needs"):
        export_vision(folder, tmp_path / "a.gguf", tmp_path / "b.gguf", LABEL)
