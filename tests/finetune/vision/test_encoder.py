"""The encoder learns what is there and where, and goes on after a kill as if nothing had been."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sdx_domains.medicine.slabs import CELLS, CHANNELS, PIXELS, SLABS
from sdx_finetune.vision.encoder import Encoder, losses
from sdx_finetune.vision.recipe import EncoderSpec
from sdx_finetune.vision.train_encoder import Run, batch_of, changed, compiled

SMALL = EncoderSpec.model_validate(
    {
        "widths": (4, 8, 16),
        "blocks": 1,
        "epochs": 6,
        "batch": 2,
        "mask_weight": 4.0,
        "learning_rate": 1e-2,
        "threads": 1,
        "precision": "fp32",
        "compile": False,
    }
)
Make = Callable[..., Any]


def quiet(line: str) -> None:
    """Says nothing."""


def test_shapes_are_those_that_are_promised() -> None:
    seen = Encoder(SMALL, 20)(torch.zeros(2, SLABS, CHANNELS, PIXELS, PIXELS, dtype=torch.uint8))
    assert seen.logits.shape == (2, 20) and seen.scores.shape == (2, 20, SLABS, CELLS, CELLS)
    assert seen.label_tokens.shape == (2, 20, 16 + 6) and seen.slab_tokens.shape == (2, 16, 32) and seen.whole.shape == (2, 32)


def test_it_learns_what_and_where(volumes: Make, tmp_path: Path) -> None:
    run = Run(SMALL, volumes(12), 3, tmp_path, quiet)
    model = run.train()
    held_out = volumes(8, seed=5)
    with torch.no_grad():
        seen = model(torch.from_numpy(held_out.slabs(range(8))))
    there = held_out.present[:, 0] > 0
    assert seen.logits[there, 0].min() > seen.logits[~there, 0].max()
    assert (seen.logits[:, 1:] < 0).all()  # labels that no volume had
    highest = seen.scores[there, 0].flatten(1).argmax(1, keepdim=True)
    marked = torch.from_numpy((held_out.cells[there] & 1).astype(np.float32))
    near = torch.nn.functional.max_pool3d(marked[:, None], 3, 1, 1).flatten(1)
    assert near.gather(1, highest).all()  # within a cell of what the mask marks, of thousands


def test_the_learning_rate_falls_and_begins_anew(volumes: Make, tmp_path: Path) -> None:
    run = Run(SMALL.model_copy(update={"epochs": 40.0, "restarts": (20.0,), "batch": 2}), volumes(4), 3, tmp_path, quiet)
    rates = []
    while run.step < run.steps:
        rates.append(run._rate())
        run.step += 1
    assert run.steps == 80 and rates[39] < 0.05 and rates[79] < 0.05
    assert max(rates[:40]) > 0.95 and max(rates[40:]) > 0.95 and rates[:40] == rates[40:]


def test_a_cell_looks_at_the_pixels_that_its_mask_is_of() -> None:
    torch.manual_seed(0)
    stem = Encoder(SMALL, 3).eval().stem
    plain = torch.zeros(1, CHANNELS, PIXELS, PIXELS)
    reached = []
    for pixel in range(PIXELS):
        lit = plain.clone()
        lit[0, :, pixel, 64] = 50.0
        change = (stem(lit) - stem(plain)).abs().sum((1, 3))[0]
        reached += [pixel] * int(change[7] > 1e-6)
    assert abs((reached[0] + reached[-1]) / 2 - 59.5) <= 1.0  # the middle of pixels 56..63


def test_a_label_without_a_mask_teaches_its_map_nothing() -> None:
    scores = torch.zeros(1, 1, 2, 2, 2, requires_grad=True)
    seen: Any = type("Seen", (), {"logits": torch.zeros(1, 1), "scores": scores})
    _, of_maps = losses(seen, torch.ones(1, 1), torch.zeros(1, 2, 2, 2, dtype=torch.int32))
    assert float(of_maps.detach()) == 0.0
    _, of_maps = losses(seen, torch.zeros(1, 1), torch.zeros(1, 2, 2, 2, dtype=torch.int32))
    assert float(of_maps.detach()) == pytest.approx(np.log(2), abs=1e-4)


def test_what_is_moved_stays_with_its_mask_and_is_never_mirrored(volumes: Make) -> None:
    held = volumes(2, seed=3)
    held.present[:], held.cells[:] = 0, 0
    held.shards[0][:] = 90
    held.shards[0][:, 10:14, :, 32:64, 16:48] = 250  # cells (10..13, 4..7, 2..5): on the right of the patient
    held.cells[:, 10:14, 4:8, 2:6] = 1
    for seed in range(12):
        batch = batch_of(held, np.array([0, 1]), np.random.default_rng(seed))
        bright = torch.nn.functional.avg_pool2d(batch.slabs[:, :, 0].float(), 8) > 180
        inside = batch.cells == 1
        assert (bright & inside).sum() > 0.6 * bright.sum() and bright.any()
        assert float(bright.nonzero()[:, 3].float().mean()) < CELLS / 2 - 0.5
    plain = batch_of(held, np.array([1]), None)
    assert (plain.slabs.numpy() == held.slabs([1])).all()


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_augmentation_makes_the_same_volume() -> None:
    rng = torch.Generator().manual_seed(0)
    grey = torch.randint(0, 256, (2, 3, 16, 16), generator=rng, dtype=torch.uint8)
    gain, offset = 1 + 0.1 * torch.randn((2, 3, 1, 1), generator=rng), 9 * torch.randn((2, 3, 1, 1), generator=rng)
    noise = torch.randn(grey.shape, generator=rng).bfloat16()
    plain, quick = (change(grey, gain, offset, noise, torch.tensor(5.0)) for change in (changed, compiled()))
    assert (plain.int() - quick.int()).abs().max() <= 1 and (plain != quick).float().mean() < 0.01


def test_a_resumed_run_ends_where_an_unbroken_one_does(volumes: Make, tmp_path: Path) -> None:
    spec = SMALL.model_copy(update={"epochs": 1.0})
    held = volumes(8)
    whole = Run(spec, held, 3, tmp_path / "a", quiet)
    whole.work.mkdir()
    whole.train()
    (tmp_path / "b").mkdir()
    first = Run(spec, held, 3, tmp_path / "b", quiet)
    first.model.train()
    for _ in range(2):
        first.one()
    first.save()
    second = Run(spec, held, 3, tmp_path / "b", quiet)
    second.resume()
    assert second.step == 2
    second.train()
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], value)
    with pytest.raises(ValueError, match="another recipe"):
        Run(spec.model_copy(update={"batch": 4}), held, 3, tmp_path / "b", quiet).resume()
