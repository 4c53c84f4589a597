"""TensorRT-LLM: `trtllm-serve` on NVIDIA GPUs of data centres and workstations (not on Jetson: see edge_llm.py).

Written after its documentation (https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html, guided decoding:
https://nvidia.github.io/TensorRT-LLM/features/guided-decoding.html) and tested against a program that checks these options and
replays documented answers; it has not been run here on a GPU. Start at TensorRtLlm.command().
"""

from importlib.resources import files
from pathlib import Path

from sdx_serving.engine import EngineFacts, Serving
from sdx_serving.engines.accelerator import accelerator, version_beside
from sdx_serving.engines.engine_record import FILE, EngineRecord, check
from sdx_serving.engines.formats import folder_of, format_of, read_json, tool_parser, weights_bytes, weights_sha256
from sdx_serving.engines.process import ProcessEngine, tethered
from sdx_serving.engines.program import Program

TOOL_PARSERS = {"qwen2": "qwen3", "qwen3": "qwen3", "qwen3_moe": "qwen3", "qwen3_next": "qwen3_coder", "kimi_k2": "kimi_k2"}
"""By `model_type` of config.json; choices of --tool_parser."""
CACHE_SHARE = 0.85
"""Of the GPU memory that weights leave free, for keys and values; the rest is for images and activations."""
_PROGRAM = Program(
    "SDX_TRTLLM",
    "trtllm-serve",
    "TensorRT-LLM is not installed: on Linux with an NVIDIA GPU type `pip install tensorrt-llm` in an environment of its own "
    "and `export SDX_TRTLLM=/path/to/trtllm-serve`",
)


class TensorRtLlm(ProcessEngine):
    """One Hugging Face folder (PyTorch backend) or compiled engine folder (TensorRT backend) served by `trtllm-serve`.

    An engine that has answered here is recorded as this machine's (engine_record.py); copied elsewhere it is refused.
    """

    name = "tensorrt-llm"
    start_s = 900.0
    hang_s = 60.0
    term_s = 25.0

    def __init__(self, serving: Serving, port: int = 0, host: str = "127.0.0.1", log: Path | None = None) -> None:
        super().__init__(serving, port, host, log)
        self._folder = folder_of(serving.model)
        self._config = read_json(self._folder, "config.json")
        self._tool_parser = tool_parser(self._folder, TOOL_PARSERS)
        self.facts = EngineFacts(
            ("safetensors", "trt-engine"),
            json_schema=True,
            stream=True,
            parallel=True,
            images="vision_config" in self._config,
            tools=self._tool_parser is not None,
            # trtllm-serve takes adapters per request (`lora_request`), and answers from the base model to a name it does not know.
            lora=False,
            gpu=True,
        )

    @staticmethod
    def missing() -> str | None:
        return _PROGRAM.missing()

    def cannot(self) -> str | None:
        if (form := format_of(self.serving.model)) not in self.facts.formats:
            return f"it takes Hugging Face folders and TensorRT engine folders, and this model is {form}"
        if self._compiled and (self._folder is None or not self._config):
            return f"{self.serving.model}: give the engine's folder, with its config.json, not one file of it"
        gpu = accelerator()
        if gpu is None:
            return "no NVIDIA GPU answers here (nvidia-smi)"
        if gpu.jetson:
            return "it has no release for Jetson: use tensorrt-edge-llm"
        if self._compiled and self._folder:
            return self._engine_wrong(self._folder) or check(self._folder, self._record())
        needed = weights_bytes(self._folder) if self._folder else 0
        if needed > gpu.free_bytes:
            return f"the weights need {needed / 1e9:.1f} GB, the GPU has {gpu.free_bytes / 1e9:.1f} GB free"
        return None

    def command(self) -> list[str]:
        """Under a tether. trtllm_serve.yaml turns guided decoding on, which has no flag."""
        asked = self.serving
        where = ["--host", self.host, "--port", str(self.port), "--backend", "tensorrt" if self._compiled else "pytorch"]
        size = ["--max_batch_size", str(asked.parallel), "--max_seq_len", str(asked.context_tokens)]
        memory = ["--kv_cache_free_gpu_memory_fraction", str(CACHE_SHARE)]
        options = ["--extra_llm_api_options", str(files("sdx_serving.engines").joinpath("trtllm_serve.yaml"))]
        tools = ["--tool_parser", self._tool_parser] if self._tool_parser else []
        model = str(self._folder or asked.model)
        return tethered([_PROGRAM.path() or "trtllm-serve", model, *where, *size, *memory, *options, *tools, *asked.flags])

    def start(self, timeout_s: float | None = None) -> None:
        """See Engine.start. A compiled engine that has come up is this machine's: that is written beside it."""
        super().start(timeout_s)
        if self._compiled and self._folder and not (self._folder / FILE).exists():
            self._record().write(self._folder)

    @property
    def _compiled(self) -> bool:
        return "build_config" in self._config or format_of(self.serving.model) == "trt-engine"

    def _engine_wrong(self, folder: Path) -> str | None:
        """From config.json that `trtllm-build` writes."""
        built, here = str(self._config.get("version", "")), version_beside(_PROGRAM.path() or "", "tensorrt_llm")
        if built and here and built != here:
            return f"the engine in {folder} was built with TensorRT-LLM {built}, here is {here}: build it again with `trtllm-build`"
        longest = self._config.get("build_config", {}).get("max_seq_len")
        if isinstance(longest, int) and self.serving.context_tokens > longest:
            return f"a context of {self.serving.context_tokens} tokens is asked, the engine was built for {longest}: build it again"
        return None

    def _record(self) -> EngineRecord:
        assert self._folder
        gpu = accelerator()
        pretrained = self._config.get("pretrained_config", {})
        quantised = (pretrained.get("quantization") or {}).get("quant_algo")
        return EngineRecord(
            model_sha256=weights_sha256(self._folder, "*.engine"),
            sm=gpu.sm if gpu else "",
            tensorrt=version_beside(_PROGRAM.path() or "", "tensorrt_llm"),
            max_tokens=int(self._config.get("build_config", {}).get("max_seq_len") or 0),
            precision=str(quantised or pretrained.get("dtype", "")),
        )
