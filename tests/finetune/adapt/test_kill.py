"""kill -9 at random moments, a full disk, too little memory: told, nothing corrupt, and the same command goes on to the same end."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors import safe_open

from sdx_finetune.adapt.checkpoints import whole_ones
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.outcomes import Outcome
from sdx_finetune.progress import told

Make = Callable[..., AdaptRecipe]
HERE = Path(__file__).parent


def written(recipe: AdaptRecipe, path: Path) -> Path:
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    return path


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, sys.path)]), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False)


def killed(recipe: Path, work: Path, kills: int, seconds: float) -> tuple[list[int], float]:
    """Steps at which it was killed, and the seconds of the last run, which has ended well."""
    done = python(HERE / "killer.py", recipe, work, kills, 7, seconds)
    assert done.returncode == 0, done.stderr[-2000:]
    at, code, took_s = json.loads(done.stdout.splitlines()[-1])
    assert code == Outcome.DONE, done.stderr[-2000:]
    return at, took_s


def same_end(whole: Path, interrupted: Path) -> None:
    ours, theirs = (json.loads((work / "run.json").read_text(encoding="utf-8")) for work in (whole, interrupted))
    for name in ("held_out", "train_losses"):
        assert [step for step, _ in theirs[name]] == [step for step, _ in ours[name]]
        assert [value for _, value in theirs[name]] == pytest.approx([value for _, value in ours[name]], abs=1e-4)
    with safe_open(interrupted / "adapter/adapter_model.safetensors", "numpy") as file:
        assert all(abs(file.get_tensor(name)).max() < 1e3 for name in file.keys())  # noqa: SIM118
    steps = [json.loads(line) for line in (interrupted / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in steps if "loss" in line] == [step for step, _ in ours["train_losses"]]
    assert not list(interrupted.glob("**/*.partial"))


def test_killed_at_three_moments(make: Make, tmp_path: Path) -> None:
    recipe = written(make(train={"max_steps": 9, "eval_every": 3}), tmp_path / "toy.yaml")
    _, took_s = killed(recipe, tmp_path / "whole", 0, 1.0)
    at, _ = killed(recipe, tmp_path / "killed", 3, 0.45 * took_s)
    assert len(at) == 3
    same_end(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_at_ten_moments(make: Make, tmp_path: Path) -> None:
    recipe = written(make(train={"max_steps": 200, "eval_every": 10}), tmp_path / "toy.yaml")
    _, took_s = killed(recipe, tmp_path / "whole", 0, 1.0)
    at, _ = killed(recipe, tmp_path / "killed", 10, 0.25 * took_s)
    assert len(at) == 10 and len(set(at)) > 3, at
    same_end(tmp_path / "whole", tmp_path / "killed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False).returncode
    ):
        pytest.skip("mounting a small disk wants root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_gone_on_from(make: Make, tmp_path: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sdx_finetune.run import main

    recipe = written(make(weights="full", train={"max_steps": 8, "eval_every": 2}), tmp_path / "toy.yaml")
    command = [str(recipe), "--work", str(small_disk / "work"), "--stage", "train"]
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 2_000_000)
    assert main(command) == Outcome.DISK_FULL
    assert "the disk is full: make room, then the same command goes on" in capsys.readouterr().err
    assert len(whole_ones(small_disk / "work/checkpoints")) <= 1
    ballast.unlink()
    assert main(command) == Outcome.DONE
    assert json.loads((small_disk / "work/run.json").read_text(encoding="utf-8"))["steps"] == 8


def test_too_little_memory_is_told_and_gone_on_from(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sdx_finetune.run import main

    recipe = written(make(train={"max_steps": 4, "eval_every": 2}), tmp_path / "toy.yaml")
    work = tmp_path / "work"
    # From the first step on: before it Arrow's threads allocate, and when those get nothing they may wait for ever.
    limited = (
        "import resource, sys, sdx_finetune.adapt.trainers as trainers, sdx_finetune.run as run\n"
        "built = trainers.build_trainer\n"
        "def build(*given, **more):\n"
        "    trainer = built(*given, **more)\n"
        "    used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, used + 2**20))\n"
        "    return trainer\n"
        "trainers.build_trainer = build\n"
        "sys.exit(run.main(sys.argv[1:]))\n"
    )
    done = python("-c", limited, recipe, "--work", work, "--stage", "train")
    assert done.returncode == Outcome.OUT_OF_MEMORY, done.stderr[-1500:]
    assert "memory ran out: `sdx finetune check RECIPE` says what fits here" in done.stderr
    assert main([str(recipe), "--work", str(work), "--stage", "train"]) == Outcome.DONE
    capsys.readouterr()


def test_ctrl_c_and_sigterm_end_alike(make: Make, tmp_path: Path) -> None:
    import signal
    import time

    recipe = written(make(train={"max_steps": 100_000, "eval_every": 50}), tmp_path / "toy.yaml")
    work = tmp_path / "work"
    environment: dict[str, Any] = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, sys.path)]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "sdx_finetune.run", str(recipe), "--work", str(work), "--stage", "train"]
    reached = 0
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 200
        while told(work).get("step", 0) < reached + 10 and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(number)
        _, said = process.communicate(timeout=100)
        assert process.returncode == Outcome.STOPPED, said[-1500:]
        assert "the same command goes on from the last checkpoint" in said
        before, reached = reached, int(whole_ones(work / "checkpoints")[-1].name.removeprefix("checkpoint-"))
        assert reached > before
