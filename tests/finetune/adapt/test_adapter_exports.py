import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from sdx_finetune.adapt.merge import merge, open_model
from sdx_finetune.compress.awq_gptq import compress
from sdx_finetune.export.gguf_file import Label, export_gguf
from sdx_finetune.export.lora import export_lora
from sdx_finetune.parity.gate import compare
from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row

LABEL = Label("toy", "Says which ship passes nearest.", "apache-2.0", ("en", "ko"))


def adapter_of(base: Path, folder: Path, **more: Any) -> Path:
    """A random adapter that moves the answers."""
    torch.manual_seed(11)
    fields: dict[str, Any] = {"r": 4, "lora_alpha": 12, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    model = get_peft_model(open_model(base), LoraConfig(**(fields | more)))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn_like(weight) * 0.1)
            elif "magnitude" in name:
                weight.mul_(1.1)
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def logits(model: Any) -> np.ndarray:
    with torch.no_grad():
        return model(input_ids=torch.arange(3, 40)[None]).logits[0].numpy()


@pytest.fixture
def llama_folder(tmp_path: Path, tokenizer: Any) -> Path:
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, initializer_range=0.15, eos_token_id=tokenizer.eos_token_id, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "llama")
    tokenizer.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


@pytest.mark.parametrize("more", [{}, {"use_dora": True}, {"use_rslora": True}])
def test_a_merged_adapter_answers_as_base_and_adapter(model_folder: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    adapter = adapter_of(model_folder, tmp_path / "adapter", **more)
    (adapter / "chat_template.jinja").write_text("trained with this", encoding="utf-8")
    merged = merge(model_folder, adapter, tmp_path / "merged")
    wanted = logits(PeftModel.from_pretrained(open_model(model_folder), str(adapter)))
    assert np.abs(logits(open_model(merged)) - wanted).max() < 1e-4
    assert np.abs(logits(open_model(model_folder)) - wanted).max() > 0.1
    assert (merged / "chat_template.jinja").read_text(encoding="utf-8") == "trained with this"
    assert (merged / "tokenizer.json").read_bytes() == (model_folder / "tokenizer.json").read_bytes()
    assert json.loads((merged / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"] == 2


@pytest.mark.parametrize("config", [{"hidden_size": 96}, {"num_hidden_layers": 1, "layer_types": ["full_attention"]}])
def test_an_adapter_of_another_base_is_refused(model_folder: Path, tmp_path: Path, config: dict[str, Any]) -> None:
    adapter = adapter_of(model_folder, tmp_path / "adapter")
    model = Qwen3ForCausalLM(Qwen3Config.from_pretrained(model_folder, **config))
    model.save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="does not fit .* it was made from another model"):
        merge(tmp_path / "other", adapter, tmp_path / "merged")
    with pytest.raises(ValueError, match="it is no adapter folder"):
        merge(model_folder, model_folder, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("qwen3", {}),
        ("llama", {"use_rslora": True}),
        ("llama", {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"k_proj": 5}}),
    ],
)
def test_a_gguf_adapter_on_its_base_answers_as_peft(
    family: str, more: dict[str, Any], model_folder: Path, llama_folder: Path, tmp_path: Path, toy: list[Row], recipe: Recipe
) -> None:
    base = model_folder if family == "qwen3" else llama_folder
    adapter = adapter_of(base, tmp_path / "adapter", **more)
    base_file = export_gguf(base, tmp_path / "base-F32.gguf", LABEL)
    file = export_lora(base, adapter, tmp_path / "lora.gguf", LABEL)
    chats = [toy[0].turns()[:-1]]
    report = compare(base, file, "F32", chats, recipe.parity, adapter, base_file)
    assert not report.faults, report.text()
    # The base without the adapter is another model, and the gate says so.
    assert any("logits differ" in fault for fault in compare(base, file, "F32", chats, recipe.parity, None, base_file).faults)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"use_dora": True}, "DoRA scales whole rows"),
        ({"modules_to_save": ["lm_head"]}, "it also holds whole layers or biases"),
        ({"target_modules": ["embed_tokens", "q_proj"]}, "has no place in a GGUF adapter"),
    ],
)
def test_an_adapter_that_gguf_cannot_hold_is_refused(llama_folder: Path, tmp_path: Path, more: dict[str, Any], said: str) -> None:
    adapter = adapter_of(llama_folder, tmp_path / "adapter", **more)
    with pytest.raises(ValueError, match=said):
        export_lora(llama_folder, adapter, tmp_path / "lora.gguf", LABEL)
    assert not list(tmp_path.glob("*lora.gguf*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="with CUDA it would run")
def test_compression_without_a_gpu_says_what_else_there_is(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"AWQ wants a CUDA device, and there is none here: use GGUF \(Q4_K_M, Q8_0\)"):
        compress(model_folder, tmp_path / "awq", ["x"])
