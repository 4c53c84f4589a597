"""A 4- or 8-bit safetensors folder for vLLM, by AWQ or GPTQ through llm-compressor. Wants CUDA.

Written against llm-compressor's documented interface (oneshot, AWQModifier, GPTQModifier); it was not run here, for want of a GPU.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sdx_finetune.adapt.merge import copy_tokenizer
from sdx_finetune.journal import making

Scheme = Literal["awq", "gptq"]


def compress(
    folder: Path, target: Path, prompts: Sequence[str], scheme: Scheme = "awq", bits: Literal[4, 8] = 4, length: int = 1024
) -> Path:
    """Write `target` from the model in `folder`, calibrated on `prompts` (whole rows, rendered), `length` tokens of each.

    Raises:
        ValueError: no CUDA device, no llm-compressor, or AWQ with 8 bits.
    """
    import torch

    if not torch.cuda.is_available():
        raise ValueError(
            f"{scheme.upper()} wants a CUDA device, and there is none here: use GGUF (Q4_K_M, Q8_0), or run this on a GPU machine"
        )
    if scheme == "awq" and bits == 8:
        raise ValueError("AWQ is a 4-bit scheme: take 4 bits, or gptq for 8")
    try:
        oneshot: Any = importlib.import_module("llmcompressor").oneshot
        module: Any = importlib.import_module(f"llmcompressor.modifiers.{'awq' if scheme == 'awq' else 'quantization'}")
    except ImportError as error:
        raise ValueError(f"llm-compressor is not installed: pip install llmcompressor ({error})") from error
    from datasets.arrow_dataset import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    modifier = getattr(module, "AWQModifier" if scheme == "awq" else "GPTQModifier")
    recipe = modifier(targets=["Linear"], scheme="W4A16_ASYM" if scheme == "awq" else f"W{bits}A16", ignore=["lm_head"])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", device_map="cuda")
    rows = Dataset.from_dict({"text": list(prompts)}).map(
        lambda row: tokenizer(row["text"], max_length=length, truncation=True, add_special_tokens=False), remove_columns=["text"]
    )
    oneshot(model=model, dataset=rows, recipe=recipe, max_seq_length=length, num_calibration_samples=len(rows))
    with making(target) as partial:
        model.save_pretrained(partial, save_compressed=True)
        copy_tokenizer(folder, partial)
    return target
