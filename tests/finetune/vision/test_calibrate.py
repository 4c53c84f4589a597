"""Probabilities mean what they say; what is unlike the training volumes is told."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sdx_domains.medicine.slabs import CHANNELS, PIXELS, SLABS
from sdx_finetune.vision.calibrate import auroc, calibrated, platt
from sdx_finetune.vision.encoder import Encoder
from sdx_finetune.vision.recipe import EncoderSpec

SMALL = EncoderSpec.model_validate({"widths": (4, 8, 16), "blocks": 1})


def test_auroc_by_hand() -> None:
    present = np.array([1, 0, 1, 0], np.float32)
    assert auroc(np.array([3, 1, 2, 2], np.float32), present) == pytest.approx(3.5 / 4)
    assert auroc(np.array([3, 1, 2, 2], np.float32), np.ones(4, np.float32)) is None


def test_platt_finds_the_scale_and_shift_that_were_put_in() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 2, (20_000, 2))
    present = torch.from_numpy((rng.random(truth.shape) < 1 / (1 + np.exp(-truth))).astype(np.float32))
    logits = torch.from_numpy(truth / np.array([0.5, 2.0]) - 1.0).float()  # too bold, too shy, and both too low
    scale, shift = platt(logits, present)
    assert scale.tolist() == pytest.approx([0.5, 2.0], rel=0.1) and shift.tolist() == pytest.approx([0.5, 2.0], rel=0.1)


def test_a_label_that_is_never_there_keeps_its_own() -> None:
    scale, shift = platt(torch.randn(50, 1, generator=torch.Generator().manual_seed(0)), torch.zeros(50, 1))
    assert scale.tolist() == pytest.approx([1.0], abs=1e-6) and shift.tolist() == pytest.approx([0.0], abs=1e-6)


def test_another_kind_of_volume_is_unlike_the_training(volumes: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    reader, logits = calibrated(Encoder(SMALL, 3), volumes(16), volumes(8, seed=1), 4)
    assert logits.shape == (8, 3)
    with torch.no_grad():
        like = reader.unlike(reader.encoder(torch.from_numpy(volumes(4, seed=2).slabs(range(4)))))
        strange = reader.unlike(reader.encoder(torch.from_numpy(np.full((1, SLABS, CHANNELS, PIXELS, PIXELS), 230, np.uint8))))
    assert float(strange.min()) > max(1.0, float(like.max()))
