"""Each method learns; a run that was stopped, killed or refused says so and goes on as if nothing had been."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdx_finetune.adapt.checkpoints import MARK, is_whole, whole_ones
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.adapt.train import train
from sdx_finetune.progress import told

Make = Callable[..., AdaptRecipe]


def run(recipe: AdaptRecipe, work: Path, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    train(recipe, work, say, lambda figures, step: None)
    return json.loads((work / "run.json").read_text(encoding="utf-8"))


def held_out(record: dict[str, Any]) -> list[float]:
    return [value for _, value in record["held_out"]]


@pytest.mark.parametrize(
    ("weights", "train", "least"),
    [("lora", {}, 0.5), ("dora", {}, 0.5), ("full", {}, 2.0), ("full", {"packing": True, "batch_rows": 2}, 1.5)],
)
def test_supervised_training_lowers_the_held_out_loss(
    make: Make, tmp_path: Path, weights: str, train: dict[str, Any], least: float
) -> None:
    record = run(make(weights=weights, train=train), tmp_path)
    losses = held_out(record)
    assert losses[0] - losses[-1] > least
    assert record["held_out_loss"] == min(losses) and record["steps"] == 12
    assert (tmp_path / ("model" if weights == "full" else "adapter")).is_dir()
    assert 0 < record["parameters_trained"] <= record["parameters"] and (record["parameters_trained"] == record["parameters"]) == (
        weights == "full"
    )


def test_packed_rows_do_not_see_each_other(make: Make, tmp_path: Path) -> None:
    apart = run(make(train={"max_steps": 1}), tmp_path / "apart")
    packed = run(make(train={"max_steps": 1, "packing": True, "batch_rows": 1}), tmp_path / "packed")
    assert held_out(packed)[0] == pytest.approx(held_out(apart)[0], abs=2e-3)


def test_preferences_raise_the_margin(make: Make, tmp_path: Path) -> None:
    run(make(method="dpo", weights="full", train={"learning_rate": 1e-3}), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    margins = [line["eval_rewards/margins"] for line in lines if "eval_rewards/margins" in line]
    assert margins[0] == pytest.approx(0.0, abs=1e-3) and margins[-1] > 0.5


def test_the_plain_loss_stands_beside_preferences(make: Make, tmp_path: Path) -> None:
    both = run(make(method="dpo", dpo={"sft_weight": 1.0}, train={"max_steps": 1}), tmp_path / "both")
    alone = run(make(method="dpo", train={"max_steps": 1}), tmp_path / "alone")
    assert held_out(both)[0] - held_out(alone)[0] == pytest.approx(5.8, abs=0.5)


def test_rewards_rise(make: Make, tmp_path: Path) -> None:
    spec = {"reward": "toy_rows:letters", "answers": 8, "max_tokens": 8, "temperature": 1.0}
    record = run(
        make(method="grpo", grpo=spec, weights="full", data={"eval_rows": 4}, train={"batch_rows": 32, "max_steps": 12, "eval_every": 6}),
        tmp_path,
    )
    assert record["metric"] == "reward" and record["best"] == max(held_out(record)[1:])
    assert record["best"] > held_out(record)[0] + 0.1


def test_a_reward_that_is_no_number_names_the_row(make: Make, tmp_path: Path) -> None:
    spec = {"reward": "toy_rows:no_number", "answers": 2, "max_tokens": 4}
    with pytest.raises(ValueError, match="toy_rows:no_number gave nan for row [0-9a-f]+"):
        run(make(method="grpo", grpo=spec, train={"batch_rows": 2}), tmp_path)


def stopping_at(step: int) -> Callable[[str], None]:
    """SIGTERM to ourselves as soon as the step is told."""

    def say(line: str) -> None:
        if line.startswith(f"step {step}:"):
            os.kill(os.getpid(), signal.SIGTERM)

    return say


@pytest.mark.parametrize("change", [{}, {"train": {"batch_rows": 4, "accumulate": 2}}])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(make: Make, tmp_path: Path, change: dict[str, Any]) -> None:
    whole = run(make(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(make(), tmp_path / "stopped", stopping_at(4))
    assert [path.name for path in whole_ones(tmp_path / "stopped/checkpoints")] == ["checkpoint-4", "checkpoint-5"]
    assert not (tmp_path / "stopped/run.json").exists()
    said: list[str] = []
    resumed = run(make(**change), tmp_path / "stopped", said.append)
    assert any("goes on from step 5" in line for line in said)
    assert held_out(resumed) == pytest.approx(held_out(whole), abs=1e-4)
    assert [step for step, _ in resumed["train_losses"]] == [step for step, _ in whole["train_losses"]]
    assert [loss for _, loss in resumed["train_losses"]] == pytest.approx([loss for _, loss in whole["train_losses"]], abs=1e-4)
    assert resumed["tokens"] == pytest.approx(whole["tokens"], rel=0.01)


def test_the_journal_has_every_step_once(make: Make, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(make(), tmp_path, stopping_at(4))
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write('{"step": 6, "loss": 1.0}\n{"step": 7, "lo')
    run(make(), tmp_path)
    steps = [line["step"] for line in map(json.loads, (tmp_path / "train.jsonl").read_text().splitlines()) if "loss" in line]
    assert steps == list(range(1, 13))
    assert told(tmp_path)["step"] == 12 and told(tmp_path)["done"] == 1.0


def test_a_torn_checkpoint_is_passed_over(make: Make, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(make(), tmp_path, stopping_at(4))
    for name, tear in (("checkpoint-5", "adapter_model.safetensors"), ("checkpoint-9", None)):
        folder = tmp_path / "checkpoints" / name
        folder.mkdir(exist_ok=True)
        if tear:
            os.truncate(folder / tear, 100)
        else:
            (folder / "trainer_state.json").write_text("{")
    assert not is_whole(tmp_path / "checkpoints/checkpoint-5")
    said: list[str] = []
    assert run(make(), tmp_path, said.append)["steps"] == 12
    assert any("goes on from step 4" in line for line in said)
    assert all((path / MARK).exists() for path in (tmp_path / "checkpoints").glob("checkpoint-*"))


def test_what_is_done_is_not_done_again_and_a_lost_result_is_made_again(make: Make, tmp_path: Path) -> None:
    first = run(make(), tmp_path)
    said: list[str] = []
    run(make(), tmp_path, said.append)
    assert "trained already" in said[0]
    weights = (tmp_path / "adapter/adapter_model.safetensors").read_bytes()
    for path in (tmp_path / "adapter").iterdir():
        path.unlink()
    (tmp_path / "adapter").rmdir()
    (tmp_path / "run.json").unlink()
    again = run(make(), tmp_path)
    assert again["held_out"] == first["held_out"] and (tmp_path / "adapter/adapter_model.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": {"learning_rate": 1e-3}}, "train.learning_rate: there 0.01, here 0.001"),
        ({"train": {"batch_rows": 4}}, "train.batch_rows x train.accumulate x run.processes: there 8, here 4"),
        ({"lora": {"rank": 4}}, "lora.rank: there 16, here 4"),
    ],
)
def test_another_recipe_is_refused_with_what_differs(make: Make, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (tmp_path / "run.json").write_text("{}")
    from sdx_finetune.adapt.train import chosen_base, hold_to, identity

    base = chosen_base(make(), tmp_path, lambda line: None)
    hold_to(tmp_path, identity(make(), base))
    with pytest.raises(ValueError, match="take these back, or use another --work folder") as caught:
        run(make(**change), tmp_path)
    assert words in str(caught.value)


def test_it_ends_early_when_nothing_gets_better_and_keeps_the_best(make: Make, tmp_path: Path) -> None:
    said: list[str] = []
    record = run(
        make(train={"max_steps": 60, "eval_every": 2, "patience": 2, "learning_rate": 0.3, "schedule": "constant"}), tmp_path, said.append
    )
    assert record["steps"] < 60 and any("train.patience" in line for line in said)
    assert record["best_step"] == record["steps"] - 4 and record["best"] == min(held_out(record)[1:])


def test_a_loss_that_is_no_number_is_told(make: Make, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="loss is nan at step .*lower train.learning_rate"):
        run(make(weights="full", train={"learning_rate": 1e30, "clip_norm": 1e30, "warmup": 0.0}), tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_the_nearer_of_steps_and_epochs_ends(make: Make, tmp_path: Path) -> None:
    assert run(make(train={"max_steps": 100, "max_epochs": 0.25}), tmp_path / "epochs")["steps"] == 5
    assert run(make(train={"max_steps": 3, "max_epochs": 5}), tmp_path / "steps")["steps"] == 3


def test_checkpointing_gradients_changes_nothing(make: Make, tmp_path: Path) -> None:
    plain = run(make(train={"max_steps": 3}), tmp_path / "plain")
    saving = run(make(train={"max_steps": 3, "gradient_checkpointing": True}), tmp_path / "saving")
    assert held_out(saving) == pytest.approx(held_out(plain), abs=1e-4)


def test_four_bits_want_a_gpu(make: Make, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ValueError, match="no.* here: set weights: lora|there is none here: set weights: lora"):
        run(make(weights="qlora"), tmp_path)


def test_an_unknown_layer_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="q_porj"):
        run(make(lora={"targets": ["q_porj"]}), tmp_path)


def test_two_do_not_train_in_one_folder(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sdx_finetune.adapt import train as module
    from sdx_finetune.adapt.train import alone

    monkeypatch.setattr(module, "LOCK_WAIT_S", 0.3)
    with alone(tmp_path), pytest.raises(ValueError, match="another process trains in"):
        run(make(), tmp_path)
