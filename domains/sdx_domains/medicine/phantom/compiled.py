"""numba's njit for this folder: compiled once, kept on disk, compiled anew when any compiled file of the folder has changed.

numba by itself looks only at the file of a function, not at those it calls in other files.
"""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])
ROOT = Path(__file__).parent
SOURCES = ("body.py", "shapes.py", "anatomy.py", "paint.py", "grow.py", "pleura.py", "extent.py")
"""Files with compiled functions, or with what those take from elsewhere; each takes only from those before it."""


def njit(function: F) -> F:
    """Compiled at the first call; kept in __pycache__ beside this file, under NUMBA_CACHE_DIR, or where numba keeps it by itself."""
    before = numba.config.CACHE_DIR
    parent = Path(before) if before else ROOT / "__pycache__"
    if before or os.access(ROOT, os.W_OK):
        numba.config.CACHE_DIR = str(parent / f"phantom-{_digest(function.__module__.rpartition('.')[2])}")
    try:
        return numba.njit(cache=True, fastmath=True)(function)
    finally:
        numba.config.CACHE_DIR = before


def _digest(module: str) -> str:
    """Of a module of this folder and all that it may call."""
    reached = SOURCES[: SOURCES.index(f"{module}.py") + 1]
    return sha256(b"".join((ROOT / name).read_bytes() for name in reached)).hexdigest()[:16]
