"""A guard against builds of llama.cpp that crash on CPUs with AMX."""

from functools import cache
from pathlib import Path
from typing import Any


@cache
def has_amx() -> bool:
    """Whether this CPU has AMX, by /proc/cpuinfo; False where there is none."""
    try:
        return "amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def spare_amx(llama_cpp: Any) -> None:
    """On CPUs with AMX, load models without llama.cpp's repacked weight buffers.

    A gcc-12 build of llama.cpp crashes on quantised weights in them (ldtilecfg with an unset tile configuration). Llama() has
    no argument for it, so its defaults are changed. Other CPUs keep the buffers.
    """
    if not has_amx() or getattr(llama_cpp.llama_model_default_params, "spares_amx", False):
        return
    defaults = llama_cpp.llama_model_default_params

    def without_repacking() -> Any:
        params = defaults()
        params.use_extra_bufts = False
        return params

    without_repacking.spares_amx = True  # type: ignore[attr-defined]
    llama_cpp.llama_cpp.llama_model_default_params = without_repacking
    llama_cpp.llama_model_default_params = without_repacking
