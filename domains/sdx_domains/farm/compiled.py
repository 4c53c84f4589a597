"""numba's `njit(cache=True)` for this folder: compiled once, kept on disk, and compiled anew when a file that a function calls has changed.

numba by itself looks only at the file of a function, not at those it imports: a changed equation would go on running as it was.
"""

import ast
import shutil
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])
ROOT = Path(__file__).parent
PACKAGE = __name__.rpartition(".")[0]
KEPT = 3
"""So many older compilations of a file stay, for processes that still run them."""


def njit(*, cache: bool = True) -> Callable[[F], F]:
    """As numba.njit; with `cache` the code lies in __pycache__ beside this file, or where NUMBA_CACHE_DIR says."""

    def compile_later(function: F) -> F:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(_folder(before, function.__module__))
        try:
            return numba.njit(cache=cache)(function)
        finally:
            numba.config.CACHE_DIR = before

    return compile_later


@cache
def _folder(chosen: str, module: str) -> Path:
    """For this state of a module's sources; older ones of the module are removed but for a few."""
    digest = sha256(b"".join(name.encode() + _source(name) for name in sorted(_imported(module)))).hexdigest()[:16]
    parent = Path(chosen) if chosen else ROOT / "__pycache__"
    found = parent / f"compiled-{module}-{digest}"
    if not found.exists():
        older = sorted(parent.glob(f"compiled-{module}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in older[KEPT:]:
            shutil.rmtree(path, ignore_errors=True)
    return found


def _imported(module: str) -> set[str]:
    """The modules of this folder that a module's compiled code may reach: itself and what it imports, and so on."""
    found: set[str] = set()
    left = [module]
    while left:
        name = left.pop()
        if name not in found and _source(name):
            found.add(name)
            left += _imports(name)
    return found


@cache
def _imports(module: str) -> list[str]:
    """Names that a module imports from, each also as a module of the package it is taken from."""
    taken = [node for node in ast.walk(ast.parse(_source(module))) if isinstance(node, ast.ImportFrom) and node.module]
    return [name for node in taken for name in (f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names))]


@cache
def _source(module: str) -> bytes:
    """Of a module of this folder; nothing for any other, or for this one."""
    path = ROOT.joinpath(*module.removeprefix(PACKAGE).split(".")[1:]).with_suffix(".py")
    return path.read_bytes() if module.startswith(PACKAGE + ".") and path.is_file() and module != __name__ else b""
