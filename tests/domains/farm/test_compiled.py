"""Compiled code is made anew when a file that it calls has changed."""

import subprocess
import sys
from pathlib import Path

import pytest

from sdx_domains.farm import compiled as shipped

pytest.importorskip("numba")

CALLED = "from own.compiled import njit\n\n\n@njit(cache=True)\ndef called(x: float) -> float:\n    return x + {add}\n"
CALLER = "from own.called import called\nfrom own.compiled import njit\n\n\n@njit(cache=True)\ndef caller(x: float) -> float:\n    return called(x)\n"


def _answer(folder: Path) -> str:
    program = "from own.caller import caller; print(caller(1.0), sum(caller.stats.cache_hits.values()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


def test_a_changed_callee_changes_the_caller_and_an_unchanged_one_is_not_compiled_again(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "__init__.py").touch()
    (own / "compiled.py").write_text(Path(shipped.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    (own / "caller.py").write_text(CALLER, encoding="utf-8")
    (own / "called.py").write_text(CALLED.format(add=1.0), encoding="utf-8")
    for age in range(6):
        (own / "__pycache__" / f"compiled-own.caller-{age}").mkdir(parents=True)
    assert _answer(tmp_path) == "2.0 0"
    assert _answer(tmp_path) == "2.0 1"
    (own / "called.py").write_text(CALLED.format(add=5.0), encoding="utf-8")
    assert _answer(tmp_path) == "6.0 0"
    assert len(list((own / "__pycache__").glob("compiled-own.caller-*"))) <= 5
