"""The encoder: a 2-D network shared by all slabs, mixed across slabs, with one attention map per label. Start at Encoder.

Labels are pooled from their maps, and the maps learn from the phantoms' masks: where a label was seen is part of the answer. The
shape follows U-VLM (segmentation before classification before report, arXiv 2603.00479) at a hundredth of its size.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sdx_domains.medicine.slabs import CELLS, CHANNELS, SLABS
from sdx_finetune.vision.recipe import EncoderSpec

POOLED_SLABS = 2
"""Neighbouring slabs to one slab token."""
PLACE = 6
"""What a label's token says besides its features: logit, probability, largest cell, and where (slab, row, column)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the encoder makes of a batch."""

    logits: Tensor
    """(batch, labels)."""
    scores: Tensor
    """(batch, labels, slabs, rows, columns): logit of each cell."""
    label_tokens: Tensor
    """(batch, labels, width + PLACE)."""
    slab_tokens: Tensor
    """(batch, slabs / POOLED_SLABS, 2 * width)."""
    whole: Tensor
    """(batch, 2 * width): mean and largest of each feature."""


def _step(given: int, made: int, stride: int = 1, late: bool = False) -> nn.Sequential:
    """`late`: pads at the end alone, so that what is made lies one pixel further than a symmetric step would have it."""
    pad = [nn.ZeroPad2d((0, 1, 0, 1))] if late else []
    return nn.Sequential(*pad, nn.Conv2d(given, made, 3, stride, 0 if late else 1, bias=False), nn.BatchNorm2d(made), nn.SiLU())


class _Mix(nn.Module):
    """Within a slab, then across neighbouring slabs. A full kernel: training a depthwise one of 5 x 5 takes three times as long."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.wide, self.back = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, width, 1)
        self.across = nn.Conv2d(width, width, (3, 1), 1, (1, 0), bias=False)
        self.across_norm = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        """(batch * SLABS, width, rows, columns), the same back."""
        features = features + self.back(functional.silu(self.wide(self.norm(self.near(features)))))
        _, width, rows, columns = features.shape
        along = features.reshape(-1, SLABS, width, rows * columns).transpose(1, 2)
        mixed = functional.silu(self.across_norm(self.across(along)))
        return features + mixed.transpose(1, 2).reshape(-1, width, rows, columns)


class Encoder(nn.Module):
    """Slabs in, Seen out."""

    def __init__(self, spec: EncoderSpec, labels: int) -> None:
        super().__init__()
        first, second, width = spec.widths
        self.labels, self.width, self.sharpness = labels, width, spec.sharpness
        # Cell i then looks about pixel 8 i + 3, the middle of the pixels that its mask is of, and not about its first one.
        halved = _step(CHANNELS, first, 2, late=True), _step(first, second, 2, late=True)
        self.stem = nn.Sequential(*halved, _step(second, second), _step(second, width, 2))
        self.at_slab = nn.Parameter(torch.zeros(SLABS, width, 1, 1))
        self.at_row, self.at_column = nn.Parameter(torch.zeros(width, CELLS, 1)), nn.Parameter(torch.zeros(width, 1, CELLS))
        self.blocks = nn.ModuleList([_Mix(width) for _ in range(spec.blocks)])
        self.score = nn.Conv2d(width, labels, 1)
        self.of_own, self.of_whole = nn.Parameter(torch.zeros(labels, width)), nn.Linear(2 * width, labels)
        assert self.score.bias is not None
        nn.init.constant_(self.score.bias, -2.0)  # most labels are absent, and most cells of those that are not
        nn.init.normal_(self.score.weight, std=0.02)
        nn.init.zeros_(self.of_whole.weight)
        nn.init.zeros_(self.of_whole.bias)
        grid = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, size) for size in (SLABS, CELLS, CELLS)), indexing="ij"), -1)
        self.register_buffer("grid", grid.reshape(-1, 3), persistent=False)

    def forward(self, slabs: Tensor) -> Seen:
        """`slabs`: (batch, SLABS, CHANNELS, side, side), 0..255."""
        batch = slabs.shape[0]
        features = self.stem((slabs.flatten(0, 1).float() - 96.0) / 64.0)
        place = (self.at_slab + self.at_row + self.at_column).repeat(batch, 1, 1, 1)
        features = features + place
        for block in self.blocks:
            features = block(features)
        score = self.score(features).float().reshape(batch, SLABS, self.labels, -1).transpose(1, 2).flatten(2)
        cells = features.float().reshape(batch, SLABS, self.width, -1).permute(0, 1, 3, 2)
        return self._pooled(score, cells)

    def _pooled(self, score: Tensor, cells: Tensor) -> Seen:
        """`score`: (batch, labels, cells); `cells`: (batch, slabs, cells of a slab, width)."""
        flat = cells.flatten(1, 2)
        sharp = self.sharpness * score
        peak = (torch.logsumexp(sharp, -1) - math.log(score.shape[-1])) / self.sharpness
        attended = torch.softmax(sharp, -1)
        own = attended @ flat
        whole = torch.cat([flat.mean(1), flat.amax(1)], -1)
        logits = peak + (own * self.of_own).sum(-1) + self.of_whole(whole)
        told = torch.stack([logits / 4, torch.sigmoid(logits), torch.sigmoid(score.amax(-1))], -1)
        tokens = torch.cat([own, told, attended @ self.get_buffer("grid")], -1)
        pairs = cells.reshape(cells.shape[0], SLABS // POOLED_SLABS, -1, self.width)
        slab_tokens = torch.cat([pairs.mean(2), pairs.amax(2)], -1)
        return Seen(logits, score.unflatten(-1, (SLABS, CELLS, CELLS)), tokens, slab_tokens, whole)


def losses(seen: Seen, present: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Loss on labels, loss on maps.

    Args:
        present: (batch, labels) 0 or 1.
        cells: (batch, slabs, rows, columns) int32: bit i is set where label i has voxels. A label that is there without a mask
            teaches its map nothing.
    """
    label_loss = functional.binary_cross_entropy_with_logits(seen.logits, present)
    bits = torch.arange(seen.logits.shape[1], device=cells.device).view(-1, 1, 1, 1)
    wanted = ((cells.unsqueeze(1) >> bits) & 1).float().flatten(2)
    scores = seen.scores.flatten(2)
    here, size = wanted.sum(-1), wanted.shape[-1]
    weight = ((size - here) / here.clamp(min=1)).sqrt().unsqueeze(-1) * wanted + (1 - wanted)
    each = functional.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    by_label = (each * weight).sum(-1) / weight.sum(-1)
    taught = ((here > 0) | (present == 0)).float()
    return label_loss, (by_label * taught).sum() / taught.sum().clamp(min=1)
