"""Several processes train together, stop together and go on together; every configuration is one that accelerate takes."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from sdx_finetune.adapt.checkpoints import whole_ones
from sdx_finetune.adapt.launch import environment_of, launch
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.outcomes import Outcome
from sdx_finetune.progress import told

Make = Callable[..., AdaptRecipe]


def test_the_configurations_say_what_their_names_do() -> None:
    assert environment_of("ddp", 2)["WORLD_SIZE"] == "2" and "ACCELERATE_USE_FSDP" not in environment_of("ddp", 2)
    sharded = environment_of("fsdp", 3)
    assert (sharded["ACCELERATE_USE_FSDP"], sharded["FSDP_VERSION"], sharded["FSDP_STATE_DICT_TYPE"]) == ("true", "2", "FULL_STATE_DICT")


@pytest.mark.parametrize(("strategy", "stage"), [("zero2", "2"), ("zero3", "3")])
def test_deepspeed_is_wanted_by_name(strategy: str, stage: str) -> None:
    if find_spec("deepspeed") is None:
        with pytest.raises(ValueError, match=f"run.strategy '{strategy}' wants the package deepspeed: pip install deepspeed"):
            environment_of(strategy, 2)
    else:
        made = environment_of(strategy, 2)
        assert (made["ACCELERATE_USE_DEEPSPEED"], made["ACCELERATE_DEEPSPEED_ZERO_STAGE"]) == ("true", stage)


def test_deepspeed_is_refused_where_it_would_be_left_out_in_silence(make: Make, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    recipe = make(run={"processes": 2, "strategy": "zero2"}, train={"batch_rows": 4})
    with pytest.raises(ValueError, match="run.strategy 'zero2' wants CUDA devices.*set run.strategy: fsdp or ddp"):
        launch(recipe, tmp_path / "own.yaml", tmp_path, lambda line: None)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("strategy", "weights"), [("ddp", "lora"), ("fsdp", "full"), ("fsdp", "lora")])
def test_two_processes_train_as_one_does(make: Make, tmp_path: Path, strategy: str, weights: str) -> None:
    from safetensors.numpy import load_file

    from sdx_finetune.adapt.train import train
    from sdx_finetune.run import main

    train(make(weights=weights), tmp_path / "one", lambda line: None, lambda figures, step: None)
    shared = make(weights=weights, run={"processes": 2, "strategy": strategy}, train={"batch_rows": 4})
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(shared.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    assert main([str(path), "--work", str(tmp_path / "two"), "--stage", "train"]) == Outcome.DONE
    one, two = (json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8")) for name in ("one", "two"))
    assert [loss for _, loss in two["held_out"]] == pytest.approx([loss for _, loss in one["held_out"]], abs=5e-3)
    name = "model/model.safetensors" if weights == "full" else "adapter/adapter_model.safetensors"
    ours, theirs = load_file(tmp_path / "one" / name), load_file(tmp_path / "two" / name)
    assert set(ours) == set(theirs)
    assert max(float(abs(ours[key] - theirs[key]).max()) for key in ours) < 5e-3


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_stop_together_and_go_on(make: Make, tmp_path: Path, strategy: str) -> None:
    from sdx_finetune.adapt.train import train
    from sdx_finetune.run import main

    length = {"max_steps": 80, "eval_every": 16, "learning_rate": 1e-3}  # each step is logged: a mean over some would begin anew
    train(make(train=length), tmp_path / "one", lambda line: None, lambda figures, step: None)
    shared = make(run={"processes": 2, "strategy": strategy}, train={**length, "batch_rows": 4})
    path, work = tmp_path / "two.yaml", tmp_path / "two"
    path.write_text(yaml.safe_dump(shared.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")

    def stop() -> None:
        while told(work).get("step", 0) < 8:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    command = [str(path), "--work", str(work), "--stage", "train"]
    assert main(command) == Outcome.STOPPED
    stopped = int(whole_ones(work / "checkpoints")[-1].name.removeprefix("checkpoint-"))
    assert 8 <= stopped < 80
    assert main(command) == Outcome.DONE
    one, two = (json.loads((folder / "run.json").read_text(encoding="utf-8")) for folder in (tmp_path / "one", work))
    for name in ("held_out", "train_losses"):
        assert [value for _, value in two[name]] == pytest.approx([value for _, value in one[name]], abs=5e-3)
