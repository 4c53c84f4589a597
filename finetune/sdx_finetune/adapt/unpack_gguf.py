"""A GGUF file as a Hugging Face folder in float32, so that a model that is served can be trained further."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedConfig, PreTrainedTokenizerFast

from sdx_finetune.export.families import SPLITS, Family, Split, family_of, heads_of, unpermute

_ADDED = (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)


def unpack(source: Path, folder: Path) -> Path:
    """Write config, float32 safetensors, tokenizer and chat template of `source` into `folder`.

    Raises:
        ValueError: not a GGUF file, or an architecture, tokenizer or quantisation that cannot be carried over.
    """
    file = _Fields(source)
    family = family_of(file.text("general.architecture"), source)
    tokenizer = _tokenizer(file)
    config = _config(file, family, tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_weights(file, family, config), folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    GenerationConfig(eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _config(file: "_Fields", family: Family, tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    """The sizes, as transformers calls them."""

    def own(key: str, default: Any = None) -> Any:
        return file.value(f"{family.name}.{key}", default)

    if "rope_freqs.weight" in file.tensors or own("rope.scaling.type", "none") not in ("none", ""):
        raise ValueError(
            f"{file.path}: scaled positions (RoPE factors) cannot be carried back; adapt the Hugging Face folder it was made from"
        )
    heads, hidden = own("attention.head_count"), own("embedding_length")
    sizes: dict[str, Any] = {
        "hidden_size": hidden, "num_hidden_layers": own("block_count"), "intermediate_size": own("feed_forward_length"),
        "num_attention_heads": heads, "num_key_value_heads": own("attention.head_count_kv", heads),
        "max_position_embeddings": own("context_length"), "rms_norm_eps": _short(own("attention.layer_norm_rms_epsilon")),
        "rope_parameters": {"rope_type": "default", "rope_theta": _short(own("rope.freq_base", 10_000.0))},
        "vocab_size": len(file.value("tokenizer.ggml.tokens")), "tie_word_embeddings": "output.weight" not in file.tensors,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        "architectures": [{"qwen3": "Qwen3ForCausalLM", "qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}[family.name]],
        "dtype": "float32",
    }  # fmt: skip
    if family.own_head_size:
        sizes["head_dim"] = own("attention.key_length", hidden // heads)
    if family.name == "llama":
        sizes |= {"attention_bias": "blk.0.attn_q.bias" in file.tensors, "mlp_bias": "blk.0.ffn_up.bias" in file.tensors}
    return AutoConfig.for_model(family.name, **sizes)


def _weights(file: "_Fields", family: Family, config: PreTrainedConfig) -> dict[str, torch.Tensor]:
    """Every weight that the model has, under its name in transformers."""
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in AutoModelForCausalLM.from_config(config).state_dict().items()}
    names = gguf.get_tensor_name_map(family.arch, config.num_hidden_layers)
    made: dict[str, torch.Tensor] = {}
    used: set[str] = set()
    for name, shape in shapes.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if stored not in file.tensors:
            raise ValueError(f"{file.path}: tensor {stored} ({name}) is missing: the file is cut off or of another model")
        used.add(stored)
        array = file.array(stored)
        if array.shape != shape:
            raise ValueError(f"{file.path}: tensor {stored} has the shape {array.shape}, its metadata ask for {shape}")
        heads = heads_of(family, name, config)
        made[name] = torch.from_numpy(np.ascontiguousarray(unpermute(array, heads) if heads else array))
    if extra := sorted(set(file.tensors) - used):
        raise ValueError(f"{file.path}: tensor {extra[0]} has no place in {family.name} (and {len(extra) - 1} more)")
    return made


def _tokenizer(file: "_Fields") -> PreTrainedTokenizerFast:
    kind, pre = file.text("tokenizer.ggml.model"), file.text("tokenizer.ggml.pre")
    split = next((split for split in SPLITS if split.pre == pre), None)
    if kind != "gpt2" or split is None:
        known = ", ".join(split.pre for split in SPLITS)
        raise ValueError(f"{file.path}: tokenizer {kind!r} with the split {pre!r} cannot be rebuilt, only byte-level BPE with {known}")
    tokens, types = file.value("tokenizer.ggml.tokens"), file.value("tokenizer.ggml.token_type")
    padding = gguf.TokenType.UNUSED
    core = Tokenizer(
        models.BPE(
            {token: i for i, (token, type_) in enumerate(zip(tokens, types, strict=True)) if type_ != padding},
            [tuple(merge.split(" ", 1)) for merge in file.value("tokenizer.ggml.merges")],
            ignore_merges=split.ignore_merges,
        )
    )
    core.pre_tokenizer = _pre_tokenizer(split)
    core.decoder = decoders.ByteLevel()
    added = [(token, type_) for token, type_ in zip(tokens, types, strict=True) if type_ in _ADDED]
    core.add_tokens([AddedToken(token, special=type_ == gguf.TokenType.CONTROL, normalized=False) for token, type_ in added])
    eos, pad, bos = (file.value(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "padding", "bos"))
    if eos is None:
        raise ValueError(f"{file.path}: no end marker (tokenizer.ggml.eos_token_id): answers would not end")
    begins = bool(file.value("tokenizer.ggml.add_bos_token", False))
    if begins and bos is not None:
        core.post_processor = processors.TemplateProcessing(single=f"{tokens[bos]} $A", special_tokens=[(tokens[bos], bos)])
    # Where nothing is put before a text, the file's beginning token may be a mere place-holder.
    named = {"eos_token": tokens[eos], "pad_token": tokens[eos if pad is None else pad]}
    named |= {"bos_token": tokens[bos]} if bos is not None and (begins or bos not in (pad, eos)) else {}
    others = [token for token, type_ in added if type_ == gguf.TokenType.CONTROL and token not in named.values()]
    return PreTrainedTokenizerFast(
        tokenizer_object=core, **named, additional_special_tokens=others, clean_up_tokenization_spaces=False,
        chat_template=file.text("tokenizer.chat_template"), model_max_length=file.value(f"{file.text('general.architecture')}.context_length"),
    )  # fmt: skip


def _pre_tokenizer(split: Split) -> pre_tokenizers.PreTokenizer:
    if split.pattern is None:
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    cut = pre_tokenizers.Split(Regex(split.pattern), behavior="isolated")
    return pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _short(value: float) -> float:
    """The decimal number that was meant by a float32."""
    return float(str(np.float32(value)))


class _Fields:
    """A GGUF file's metadata and tensors by name."""

    def __init__(self, path: Path) -> None:
        try:
            reader = gguf.GGUFReader(path)
        except (ValueError, IndexError, KeyError, OverflowError) as error:
            raise ValueError(f"{path} is no whole GGUF file: {error}") from error
        self.path, self._fields = path, reader.fields
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}

    def value(self, key: str, default: Any = None) -> Any:
        return self._fields[key].contents() if key in self._fields else default

    def text(self, key: str) -> str:
        """ValueError when it is not there."""
        found = self.value(key)
        if not isinstance(found, str) or not found:
            raise ValueError(f"{self.path}: {key} is missing in its metadata: it is no model to adapt")
        return found

    def array(self, name: str) -> np.ndarray:
        """float32, rows first."""
        tensor = self.tensors[name]
        try:
            return dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(tensor.shape[::-1].tolist())
        except NotImplementedError as error:
            raise ValueError(f"{self.path}: {name} is stored as {tensor.tensor_type.name}, which cannot be read back: {error}") from error
