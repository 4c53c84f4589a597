"""Make a GGUF file smaller with llama.cpp's own quantiser, with an importance matrix if one is given."""

import ctypes
from collections.abc import Mapping
from pathlib import Path

import llama_cpp
import numpy as np
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
    "IQ4_XS": llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_XS,
    "Q3_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q3_K_M,
    "Q2_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_K,
}


def quantise(source: Path, target: Path, kind: Quantisation, threads: int = 1, importance: Mapping[str, np.ndarray] | None = None) -> Path:
    """Write `target` from a float `source`. RuntimeError when llama.cpp refuses.

    importance: mean square of what meets each input channel, (in,) by the tensor's name in the file; rounding errors of channels that
    carry more then weigh more. Tensors without one are rounded plainly.
    """
    set_verbose(False)  # else a line per tensor
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = _FILE_TYPE[kind]
    params.nthread = threads
    held = {name: np.ascontiguousarray(values, np.float32) for name, values in (importance or {}).items()}
    if held:
        params.imatrix = _as_c(held)
    with making(target) as partial:
        if llama_cpp.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(params)):
            raise RuntimeError(
                f"llama.cpp could not quantise {source} to {kind}: is it a float GGUF, and is there room in {target.parent}?"
            )
    return target


def _as_c(held: Mapping[str, np.ndarray]) -> "ctypes.Array[llama_cpp.llama_model_imatrix_data]":
    """As llama.h has it: an array that ends with an entry without a name. The numbers stay where `held` keeps them."""
    floats = ctypes.POINTER(ctypes.c_float)
    entries = [llama_cpp.llama_model_imatrix_data(name.encode(), one.ctypes.data_as(floats), one.size) for name, one in held.items()]
    return (llama_cpp.llama_model_imatrix_data * (len(entries) + 1))(*entries)
