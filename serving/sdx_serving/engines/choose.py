"""Which engine serves a model on this machine. Start at engine_for().

What they can do, by their `facts`, which belong to engine and model together; + is where the model can. What a Hugging Face id
can is known once it was fetched.

    engine              takes                JSON schema  parallel             images  tools  LoRA  embeddings
    llama.cpp           gguf                 yes          with llama-server    +       +      yes   yes
    tensorrt-edge-llm   safetensors          yes          asked for 2 or more  +       +      no    no
    vllm                safetensors          yes          yes                  +       +      yes   yes
    tensorrt-llm        safetensors, engine  yes          yes                  +       +      no    no
    onnx                onnx                 + (decoder)  no                   +       no     no    + (encoder)
    vision              onnx+gguf            yes          no                   volumes no     no    no
    remote              an address           as the address tells (remote.py)
"""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from sdx_serving.engine import Engine, EngineError, Serving
from sdx_serving.engines.edge_llm import EdgeLlm
from sdx_serving.engines.formats import format_of
from sdx_serving.engines.llama_cpp import LlamaCpp
from sdx_serving.engines.onnx_runtime import OnnxRuntime
from sdx_serving.engines.process import ProcessEngine
from sdx_serving.engines.remote import RemoteEngine
from sdx_serving.engines.tensorrt_llm import TensorRtLlm
from sdx_serving.engines.vision import Vision
from sdx_serving.engines.vllm import Vllm

ENGINES: Mapping[str, type[ProcessEngine]] = {engine.name: engine for engine in (LlamaCpp, EdgeLlm, Vllm, TensorRtLlm, OnnxRuntime, Vision)}
"""In the order in which "auto" tries them: made for the device first, then the most tried."""


def engine_for(serving: Serving, name: str = "auto", port: int = 0, host: str = "127.0.0.1", log: Path | None = None) -> Engine:
    """The engine, not started, that serves the model here; an address is a RemoteEngine whatever the name.

    Args:
        name: of ENGINES, or "auto": the first of them that takes the model's format, is installed and can serve what is asked.

    Raises:
        EngineError: none can; the message has a line for each engine, with the reason and what to type.
    """
    if serving.model.startswith(("http://", "https://")):
        return RemoteEngine(serving.model, serving.name)
    if name != "auto" and name not in ENGINES:
        near = get_close_matches(name, ENGINES, n=1)
        raise EngineError(f"no engine {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: auto, {', '.join(ENGINES)}"))
    form = format_of(serving.model)
    reasons: list[str] = []
    for known in ENGINES if name == "auto" else (name,):
        engine = ENGINES[known](serving, port, host, log)
        if form not in engine.facts.formats:
            reason = f"it takes {' and '.join(engine.facts.formats)}, this model is {form}"
        else:
            reason = engine.missing() or engine.why_not()
        if not reason:
            return engine
        reasons.append(f"  {known}: {reason}")
    raise EngineError("\n".join([f"no engine here serves {serving.model}:", *reasons]))
