import multiprocessing
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from sdx_ui.cli import main

FILES = ("toy-F16.gguf", "toy-Q8_0.gguf")
KILLS = 10


def words(folder: Path, out: Path) -> list[str]:
    quants = [word for name in FILES for word in ("--quant", name.removeprefix("toy-").removesuffix(".gguf"))]
    return ["finetune", "export", str(folder), "--name", "toy", "--out", str(out), *quants]


def started(folder: Path, out: Path) -> BaseProcess:
    """A process of its own, from a server that has the heavy packages loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["sdx_ui.cli", "sdx_finetune.export.gguf_file", "sdx_finetune.export.vision", "sdx_finetune.export.quantise"]
    )
    process = context.Process(target=main, args=(words(folder, out),))
    process.start()
    return process


@pytest.fixture(autouse=True)
def no_server_stays() -> Iterator[None]:
    """The forkserver holds half a gigabyte, and would stay to the end of all tests."""
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def test_a_killed_export_leaves_no_torn_file_and_ends_with_the_same_bytes(model_folder: Path, tmp_path: Path) -> None:
    """Ten processes die at moments around the writing; what lies there then is whole."""
    calm, out, moments = tmp_path / "calm", tmp_path / "killed", random.Random(4)
    out.mkdir()
    done = subprocess.run([sys.executable, "-m", "sdx_ui.cli", *words(model_folder, calm)], check=True, capture_output=True, text=True)
    assert [Path(line).name for line in done.stdout.splitlines()] == list(FILES)
    wanted = {name: (calm / name).read_bytes() for name in FILES}
    assert sorted(path.name for path in calm.iterdir()) == sorted(FILES)

    started(model_folder, tmp_path / "warm").join()
    began = time.monotonic()
    started(model_folder, tmp_path / "warm").join()
    took = time.monotonic() - began
    killed = 0
    while killed < KILLS:
        process = started(model_folder, out)
        if killed % 2:  # half of them while files are being written
            while process.is_alive() and not list(out.glob(".*.partial")):
                time.sleep(0.001)
            time.sleep(moments.random() * 0.03)
        else:
            time.sleep(moments.random() * took)
        process.kill()
        process.join()
        killed += process.exitcode != 0
        for path in out.glob("toy-*"):
            assert path.read_bytes() == wanted[path.name], f"{path.name} is torn"
        for name in FILES:
            (out / name).unlink(missing_ok=True)
    process = started(model_folder, out)
    process.join()
    assert process.exitcode == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == wanted
