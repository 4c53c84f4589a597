"""Make a GGUF file smaller with llama.cpp's own quantiser."""

import ctypes
from pathlib import Path

import llama_cpp
from llama_cpp._logger import set_verbose

from sdx_finetune.journal import making
from sdx_finetune.recipe import Quantisation

_FILE_TYPE: dict[Quantisation, int] = {
    "F32": llama_cpp.LLAMA_FTYPE_ALL_F32,
    "F16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q6_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
    "Q5_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "Q4_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
}


def quantise(source: Path, target: Path, kind: Quantisation, threads: int = 1) -> Path:
    """Write `target` from a float `source`. RuntimeError when llama.cpp refuses."""
    set_verbose(False)  # else a line per tensor
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = _FILE_TYPE[kind]
    params.nthread = threads
    with making(target) as partial:
        if llama_cpp.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(params)):
            raise RuntimeError(
                f"llama.cpp could not quantise {source} to {kind}: is it a float GGUF, and is there room in {target.parent}?"
            )
    return target
