"""The check of a Jetson, on planted boards; the board's own programs are stand-ins."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sdx_serving.deploy.manifest import Manifest

RELEASE = "# R{major} (release), REVISION: {minor}, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"


@pytest.mark.parametrize(
    ("major", "free_kb", "mode", "code", "said"),
    [
        (36, 8_000_000, "MAXN", 0, "L4T 36.4.3"),
        (36, 8_000_000, "15W", 0, "warning: not in MAXN"),
        (36, 8_000_000, "MAXN_SUPER", 0, "power mode MAXN_SUPER"),
        (32, 8_000_000, "MAXN", 1, "error: L4T 32 is too old: llama.cpp wants JetPack 6 (L4T 36) or newer"),
        (36, 100_000, "MAXN", 1, "error: too little free memory"),
        (None, 8_000_000, "MAXN", 1, "this is no Jetson"),
    ],
)
def test_boards(
    major: int | None, free_kb: int, mode: str, code: int, said: str, write_bundle: Callable[..., tuple[Path, Manifest]], tmp_path: Path
) -> None:
    folder, _ = write_bundle(to="jetson")
    board = tmp_path / "board"
    (board / "etc").mkdir(parents=True)
    (board / "proc").mkdir()
    (board / "bin").mkdir()
    if major:
        (board / "etc/nv_tegra_release").write_text(RELEASE.format(major=major, minor="4.3"))
    (board / "proc/meminfo").write_text(f"MemTotal: 16000000 kB\nMemAvailable: {free_kb} kB\n")
    (board / "bin/nvpmodel").write_text(f"#!/bin/sh\nprintf 'NV Power Mode: {mode}\\n0\\n'\n")
    (board / "bin/nvpmodel").chmod(0o755)
    environment = {**os.environ, "SDX_BOARD": str(board), "PATH": f"{board / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run([folder / "check-jetson.sh"], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == code and said in done.stdout + done.stderr, done.stdout + done.stderr
