"""TensorRT Edge-LLM: NVIDIA's engine for Jetson Orin (JetPack 7.2) and Thor, DRIVE, DGX Spark.

Since version 0.11 its server takes the checkpoint, builds the TensorRT engine on the device at the first start (tens of minutes)
and keeps it; up to 0.9 the checkpoint was exported to ONNX on an x86 machine with a GPU and built on the device by hand, which is
not served here. Checkpoints are quantised on such a machine (INT4 for Orin) and copied as Hugging Face folders.
Written after its documentation (docs/source/user_guide/examples/experimental-server.md of github.com/NVIDIA/TensorRT-Edge-LLM,
0.11: the server is called experimental) and tested against a program that checks these options and replays documented answers;
it has not been run here on a Jetson. Start at EdgeLlm.command().
"""

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from sdx_serving.engine import EngineFacts, Serving
from sdx_serving.engines.accelerator import accelerator, version_beside
from sdx_serving.engines.engine_record import EngineRecord, check
from sdx_serving.engines.formats import folder_of, format_of, read_json, takes_tools, weights_bytes, weights_sha256
from sdx_serving.engines.process import ProcessEngine, tethered
from sdx_serving.engines.program import Program

OLDEST = (0, 11)
"""First version whose server takes a checkpoint, holds answers to a schema and batches requests."""
NOT_ON_ORIN = ("FP8", "FP4", "NVFP4", "MXFP8", "MXFP4")
"""Precisions that need a newer GPU than compute capability 8.7 (the project's table of supported models)."""


def engines_path() -> Path:
    """Where built engines are kept: $SDX_ENGINES, else ~/.cache/sdx/engines."""
    given = os.environ.get("SDX_ENGINES")
    return Path(given) if given else Path.home() / ".cache/sdx/engines"


_PROGRAM = Program(
    "SDX_EDGE_LLM",
    "tensorrt-edgellm-serve",
    "TensorRT Edge-LLM is not installed: on a Jetson type `pip install 'tensorrt-edgellm[server]'` in an environment of its "
    "own and `export SDX_EDGE_LLM=/path/to/tensorrt-edgellm-serve`",
)


class EdgeLlm(ProcessEngine):
    """One Hugging Face folder served by `tensorrt-edgellm-serve`.

    Its engines lie in a folder named after all that they depend on (engine_record.py), so another JetPack, TensorRT, GPU or
    context builds anew, and a folder that was copied here from another machine is refused.
    """

    name = "tensorrt-edge-llm"
    start_s = 3600.0
    hang_s = 60.0
    term_s = 20.0

    def __init__(self, serving: Serving, port: int = 0, host: str = "127.0.0.1", log: Path | None = None) -> None:
        super().__init__(serving, port, host, log)
        self._folder = folder_of(serving.model)
        self._config = read_json(self._folder, "config.json")
        self.facts = EngineFacts(
            ("safetensors",),
            json_schema=True,
            stream=True,
            parallel=serving.parallel > 1,
            images="vision_config" in self._config,
            tools=takes_tools(self._folder),
            gpu=True,
        )

    @staticmethod
    def missing() -> str | None:
        if reason := _PROGRAM.missing():
            return reason
        executable = _PROGRAM.path() or ""
        version = version_beside(executable, "tensorrt_edgellm")
        if (found := re.match(r"(\d+)\.(\d+)", version)) and (int(found[1]), int(found[2])) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            return f"TensorRT Edge-LLM {version} is installed, {oldest} or newer is needed: `pip install -U tensorrt-edgellm`"
        return None

    def cannot(self) -> str | None:
        form = format_of(self.serving.model)
        if form == "trt-engine":
            return "it builds the engine itself and takes none that is built: give the Hugging Face folder it was made from"
        if form != "safetensors":
            return f"it takes Hugging Face folders, and this model is {form}"
        if self._folder is None:
            return f"{self.serving.model} is not on this machine: type `hf download {self.serving.model}`"
        gpu = accelerator()
        if gpu is None:
            return "no NVIDIA GPU answers here (nvidia-smi, /proc/device-tree/model)"
        if gpu.sm == "8.7" and self._precision.upper().startswith(NOT_ON_ORIN):
            return f"Orin computes in FP16, INT8 and INT4, this checkpoint is {self._precision}: quantise it to INT4 (AWQ)"
        needed = weights_bytes(self._folder)
        if needed > gpu.free_bytes:
            return f"the weights need {needed / 1e9:.1f} GB, {gpu.free_bytes / 1e9:.1f} GB are free"
        return check(self._cache, self._record)

    def command(self) -> list[str]:
        """Under a tether. Prompt and answer share the context, so either may take all of it."""
        asked, context = self.serving, str(self.serving.context_tokens)
        where = ["--host", self.host, "--port", str(self.port), "--served-model-name", asked.alias]
        size = ["--max-input-len", context, "--max-kv-cache-capacity", context, "--max-batch-size", str(asked.parallel)]
        more = ["--enable-in-flight-batching"] if asked.parallel > 1 else ["--enable-context-reuse"]
        tools = ["--enable-auto-tool-choice"] if self.facts.tools else []
        serve = [_PROGRAM.path() or "tensorrt-edgellm-serve", str(self._folder or asked.model), "--cache-dir", str(self._cache)]
        return tethered([*serve, *where, *size, *more, *tools, *asked.flags])

    def environment(self) -> Mapping[str, str]:
        return {"HF_HUB_OFFLINE": "1"}

    def start(self, timeout_s: float | None = None) -> None:
        """See Engine.start. The first start builds the engine: its progress is in the log."""
        if not self._process and not (self.missing() or self.why_not()):
            self._record.write(self._cache)
        super().start(timeout_s)

    @property
    def _precision(self) -> str:
        quantised = self._config.get("quantization_config") or read_json(self._folder, "hf_quant_config.json").get("quantization") or {}
        return str(
            quantised.get("quant_algo") or quantised.get("quant_method") or self._config.get("dtype") or self._config.get("torch_dtype")
        )

    @cached_property
    def _record(self) -> EngineRecord:
        gpu = accelerator()
        return EngineRecord(
            model_sha256=weights_sha256(self._folder) if self._folder else "",
            sm=gpu.sm if gpu else "",
            tensorrt=version_beside(_PROGRAM.path() or "", "tensorrt_edgellm"),
            jetpack=gpu.jetpack if gpu else "",
            max_tokens=self.serving.context_tokens,
            precision=self._precision,
        )

    @property
    def _cache(self) -> Path:
        return engines_path() / f"{self.serving.path.name}-{self._record.key()}"
