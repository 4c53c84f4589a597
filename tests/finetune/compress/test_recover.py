from pathlib import Path
from typing import Any

import pytest
import torch

from sdx_finetune.adapt.merge import open_model
from sdx_finetune.compress.activations import seen_on
from sdx_finetune.compress.plan import settings
from sdx_finetune.compress.recover import Recovery, Start, recover
from sdx_finetune.compress.rows import gathered
from sdx_finetune.compress.smaller import shrink
from sdx_finetune.compress.sparse import layer_weights, prune


def quiet(*_: Any) -> None:
    pass


def test_what_was_cut_stays_cut_and_the_rest_learns(model_folder: Path, plan: Any, tmp_path: Path) -> None:
    rows = gathered(plan("pruned-2:4"), tmp_path, quiet)
    start = prune(model_folder, tmp_path / "start", None)
    facts = recover(Start(start, hold_zeros=True), rows, plan("pruned-2:4"), tmp_path / "train", tmp_path / "model", quiet, quiet)
    assert facts["held_out_loss"] < 0.97 * facts["held_out_loss_before"], facts  # six seconds of a machine that may be busy
    for (name, cut), (_, now) in zip(layer_weights(open_model(start)), layer_weights(open_model(tmp_path / "model")), strict=True):
        assert not now[cut == 0].any(), name
        assert not torch.equal(cut, now), name


def test_without_holding_they_would_grow_again(model_folder: Path, plan: Any, tmp_path: Path) -> None:
    rows = gathered(plan("pruned-2:4"), tmp_path, quiet)
    start = prune(model_folder, tmp_path / "start", None)
    recover(Start(start), rows, plan("pruned-2:4"), tmp_path / "train", tmp_path / "model", quiet, quiet)
    _, weight = next(layer_weights(open_model(tmp_path / "model")))
    assert (weight != 0).float().mean() > 0.9


def test_training_that_makes_it_worse_is_not_kept(learnt_folder: Path, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wild = settings().model_copy(update={"recovery": settings().recovery | {"learning_rate": 1.0}})
    monkeypatch.setattr("sdx_finetune.compress.recover.settings", lambda: wild)
    rows = gathered(plan("pruned-2:4"), tmp_path, quiet)
    start = prune(learnt_folder, tmp_path / "start", None)
    facts = recover(Start(start, True), rows, plan("pruned-2:4"), tmp_path / "train", tmp_path / "model", quiet, quiet)
    assert facts["held_out_loss"] > facts["held_out_loss_before"] and "no better" in facts["kept"]
    for (name, cut), (_, now) in zip(layer_weights(open_model(start)), layer_weights(open_model(tmp_path / "model")), strict=True):
        assert torch.equal(cut, now), name


def test_a_student_comes_nearer_to_its_teacher(learnt_folder: Path, token_ids: list[list[int]], plan: Any, tmp_path: Path) -> None:
    """Nearer than the student began, by its choice of tokens on rows that were held out."""
    rows = gathered(plan("distilled"), tmp_path, quiet)
    start = shrink(learnt_folder, tmp_path / "start", seen_on(learnt_folder, token_ids), 0.5, 1)
    facts = recover(Start(start, teacher=learnt_folder), rows, plan("distilled"), tmp_path / "train", tmp_path / "model", quiet, quiet)
    assert facts["held_out_loss"] < 0.85 * facts["held_out_loss_before"], facts

    def apart(folder: Path) -> float:
        student, teacher = open_model(folder), open_model(learnt_folder)
        with torch.no_grad():
            choices = [
                [model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1) for model in (student, teacher)] for ids in token_ids
            ]
        return sum(float((theirs.exp() * (theirs - ours)).sum(-1).mean()) for ours, theirs in choices)

    assert apart(tmp_path / "model") < apart(start)


def test_the_teacher_counts_in_training_alone(learnt_folder: Path, model_folder: Path, plan: Any, tmp_path: Path) -> None:
    rows = gathered(plan("distilled"), tmp_path, quiet)
    seen: list[float] = []
    for teacher in (None, model_folder):
        held: list[Recovery] = []
        work = tmp_path / str(bool(teacher))

        def stop(self: Recovery, *_: Any, held: list[Recovery] = held) -> Any:
            held.append(self)
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Recovery, "step", stop)
            recover(Start(learnt_folder, teacher=teacher), rows, plan("distilled"), work, tmp_path / "model", quiet, quiet)
        seen.append(held[0].held_out_loss())
        batch_ids = torch.tensor([[5, 6, 7, 8]])
        seen.append(float(held[0].losses(batch_ids, torch.ones(1, 3, dtype=torch.bool)).mean().detach()))
    assert seen[0] == pytest.approx(seen[2])
    assert abs(seen[1] - seen[3]) > 0.01


def test_a_checkpoint_goes_on(learnt_folder: Path, plan: Any, tmp_path: Path) -> None:
    """A stop in the middle: the second call begins at the checkpoint's step and ends within the same budget."""
    rows = gathered(plan("pruned-2:4"), tmp_path, quiet)
    start = prune(learnt_folder, tmp_path / "start", None)
    reached: list[int] = []
    step = Recovery.step

    def stop_at_five(self: Recovery, *parts: Any) -> Any:
        reached.append(self.state.step)
        if self.state.step == 5 and reached.count(5) == 1:
            raise KeyboardInterrupt
        return step(self, *parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recovery, "step", stop_at_five)
        with pytest.raises(KeyboardInterrupt):
            recover(Start(start, True), rows, plan("pruned-2:4"), tmp_path / "train", tmp_path / "model", quiet, quiet)
        assert not (tmp_path / "model").exists()
        facts = recover(Start(start, True), rows, plan("pruned-2:4"), tmp_path / "train", tmp_path / "model", quiet, quiet)
    assert reached[:7] == [0, 1, 2, 3, 4, 5, 5] and facts["steps"] > 5
    assert facts["minutes"] == pytest.approx(0.1, abs=0.05)
