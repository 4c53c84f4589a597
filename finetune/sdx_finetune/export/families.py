"""Which decoders go into a GGUF file and back, and how their tensors, positions and text splits are called on both sides."""

from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np

from sdx_finetune.scratch.tokenizer import QWEN2_SPLIT

# llama.cpp's own names of these splits; the pattern must be equal to the letter. `ignore_merges` belongs to the split in llama.cpp.
LLAMA3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True)
class Family:
    """A decoder that transformers and llama.cpp call by the same name."""

    name: str
    arch: gguf.MODEL_ARCH
    permuted: bool = False
    """Rows of q and k are stored in another order: transformers turns halves, llama.cpp turns neighbours."""
    own_head_size: bool = False
    """The head's size is a field of its own, not hidden size / heads."""


@dataclass(frozen=True, slots=True)
class Split:
    """A pre-tokenizer as both sides have it."""

    pre: str
    pattern: str | None
    """None: ByteLevel's own (GPT-2's)."""
    ignore_merges: bool = False


FAMILIES = {
    family.name: family
    for family in (
        Family("qwen3", gguf.MODEL_ARCH.QWEN3, own_head_size=True),
        Family("qwen2", gguf.MODEL_ARCH.QWEN2),
        Family("llama", gguf.MODEL_ARCH.LLAMA, permuted=True, own_head_size=True),
    )
}
SPLITS = (Split("qwen2", QWEN2_SPLIT), Split("llama-bpe", LLAMA3_SPLIT, ignore_merges=True), Split("gpt-2", None))


def family_of(name: str, where: object) -> Family:
    """ValueError when `name` is not among them."""
    if name not in FAMILIES:
        raise ValueError(f"{where}: architecture {name!r} is not among those that GGUF files are made of here: {', '.join(FAMILIES)}")
    return FAMILIES[name]


def permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows (heads * size, ...) from transformers' order of turned pairs to llama.cpp's."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def unpermute(rows: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of `permute`."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def heads_of(family: Family, name: str, config: Any) -> int | None:
    """Heads by which the rows of tensor `name` (as transformers calls it) are permuted; None: they are not."""
    if not family.permuted:
        return None
    if ".q_proj." in name:
        return config.num_attention_heads
    return config.num_key_value_heads if ".k_proj." in name else None


def rope_factors(rope: dict[str, Any], size: int) -> np.ndarray | None:
    """(size / 2,) float32, by which each frequency is divided; None for plain positions. ValueError: a scaling that is not exported here."""
    kind = rope.get("rope_type", "default")
    if kind == "default":
        return None
    if kind != "llama3":
        raise ValueError(f"rope_parameters.rope_type {kind!r} is not exported here, only default and llama3")
    length, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
    frequencies = rope["rope_theta"] ** -(np.arange(0, size, 2) / size)
    smooth = np.clip((length * frequencies / (2 * np.pi) - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / rope["factor"] + smooth)).astype(np.float32)


def split_of(core: dict[str, Any]) -> Split:
    """llama.cpp's name of the split in a tokenizer.json. ValueError: it has none, or a part that llama.cpp leaves out."""
    stages = core["pre_tokenizer"] or {}
    stages = stages["pretokenizers"] if stages.get("type") == "Sequence" else [stages]
    kinds = [stage.get("type") for stage in stages]
    if core["model"]["type"] != "BPE" or not kinds or kinds[-1] != "ByteLevel":
        raise ValueError(f"the tokenizer is {core['model']['type']} with {kinds}: only byte-level BPE is exported to GGUF here")
    if stages[-1].get("add_prefix_space"):
        raise ValueError("the tokenizer puts a space before each text (add_prefix_space): llama.cpp would not")
    pattern = None if kinds == ["ByteLevel"] and stages[0].get("use_regex", True) else _pattern(stages)
    ignore = bool(core["model"].get("ignore_merges"))
    for split in SPLITS:
        if split.pattern == pattern:
            if split.ignore_merges != ignore:
                raise ValueError(f"the tokenizer splits as {split.pre!r}, but ignore_merges is {ignore}: llama.cpp ties the two together")
            return split
    raise ValueError(f"the tokenizer's split {pattern!r} has no name in llama.cpp that is known here ({', '.join(s.pre for s in SPLITS)})")


def _pattern(stages: list[dict[str, Any]]) -> str:
    match stages:
        case [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, {"use_regex": False}]:
            return pattern
    raise ValueError(f"the tokenizer splits text in {len(stages)} steps ({stages!r:.300}); GGUF wants one pattern and ByteLevel")
