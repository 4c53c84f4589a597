import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from sdx_finetune.recipe import Recipe
from sdx_finetune.rows import Row
from sdx_finetune.run import main
from sdx_finetune.scratch.batches import TokenRows, encode_rows
from sdx_finetune.scratch.train import Run, finish


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def splits(tokenizer: Any, toy: list[Row], recipe: Recipe) -> tuple[TokenRows, TokenRows]:
    return encode_rows(toy[:160], tokenizer, recipe.train, quiet), encode_rows(toy[160:], tokenizer, recipe.train, quiet)


def with_train(recipe: Recipe, **change: Any) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=change)})


def run_of(recipe: Recipe, tokenizer: Any, splits: tuple[TokenRows, TokenRows], work: Path) -> Run:
    work.mkdir(exist_ok=True)
    return Run(recipe, tokenizer, *splits, work, quiet)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_the_loss_falls_and_the_run_ends(recipe: Recipe, tokenizer: Any, splits: Any, tmp_path: Path, optimiser: str) -> None:
    run = run_of(with_train(recipe, optimiser=optimiser), tokenizer, splits, tmp_path)
    before = run.held_out_loss()
    state = run.train()
    assert state.step == 60
    assert before == pytest.approx(np.log(len(tokenizer)), abs=0.5)
    assert state.losses[-1][1] < 0.25 * before
    assert (tmp_path / "progress.json").exists()


def test_a_resumed_run_is_the_same_run(recipe: Recipe, tokenizer: Any, splits: Any, tmp_path: Path) -> None:
    spec = with_train(recipe, max_steps=8, precision="fp32")
    whole = run_of(spec, tokenizer, splits, tmp_path / "whole")
    whole.train()
    first = run_of(spec, tokenizer, splits, tmp_path / "halved")
    steps = 0

    def stop_at_five(*args: Any) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 6:
            raise KeyboardInterrupt
        return Run.step(first, *args)

    first.step = stop_at_five  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        first.train()
    second = run_of(spec, tokenizer, splits, tmp_path / "halved")
    assert second.resume()
    assert second.state.step == 5
    second.train()
    for ours, theirs in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_checkpoint_of_another_recipe_is_refused(recipe: Recipe, tokenizer: Any, splits: Any, tmp_path: Path) -> None:
    run_of(recipe, tokenizer, splits, tmp_path).save()
    assert run_of(with_train(recipe, max_minutes=3.0, threads=2), tokenizer, splits, tmp_path).resume()
    with pytest.raises(ValueError, match="another recipe or other data; use another --work folder"):
        run_of(with_train(recipe, learning_rate=1e-3), tokenizer, splits, tmp_path).resume()


def test_the_clock_ends_a_run(recipe: Recipe, tokenizer: Any, splits: Any, tmp_path: Path) -> None:
    run = run_of(with_train(recipe, max_steps=None, max_minutes=0.02), tokenizer, splits, tmp_path)
    started = time.monotonic()
    state = run.train()
    assert state.step >= 1
    assert state.elapsed_s >= 1.2
    assert time.monotonic() - started < 30


def test_a_loss_that_is_no_number_stops_the_run(recipe: Recipe, tokenizer: Any, splits: Any, tmp_path: Path) -> None:
    run = run_of(recipe, tokenizer, splits, tmp_path)
    with torch.no_grad():
        run.model.model.embed_tokens.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="lower train.learning_rate"):
        run.train()


def test_the_saved_folder_is_the_trained_model(recipe: Recipe, tokenizer: Any, splits: Any, tmp_path: Path) -> None:
    from transformers import Qwen3ForCausalLM

    run = run_of(with_train(recipe, max_steps=2), tokenizer, splits, tmp_path)
    run.train()
    finish(run, tmp_path / "model")
    again = Qwen3ForCausalLM.from_pretrained(tmp_path / "model")
    assert torch.equal(again.lm_head.weight, run.model.lm_head.weight)
    assert again.lm_head.weight is again.model.embed_tokens.weight


def test_kill_9_loses_nothing_but_the_time_since_the_checkpoint(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = recipe.model_dump(mode="json")
    raw["train"] |= {"max_steps": 100_000, "checkpoint_minutes": 0.01}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    work = tmp_path / "work"
    command = [sys.executable, "-m", "sdx_finetune.run", str(path), "--work", str(work), "--stage"]
    folders = [str(Path(__file__).parents[1]), *(entry for entry in sys.path if entry)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}
    for stage in ("data", "tokenizer"):
        assert main([str(path), "--work", str(work), "--stage", stage]) == 0
    process = subprocess.Popen([*command, "train"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (work / "checkpoint.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    reached = torch.load(work / "checkpoint.pt", weights_only=True)["state"]["step"]
    assert reached >= 1
    raw["train"] |= {"max_steps": reached + 3}
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert main([str(path), "--work", str(work), "--stage", "train"]) == 0
    said = capsys.readouterr().err
    assert f"continues at step {reached}" in said
    assert f"done: {reached + 3} steps" in said
