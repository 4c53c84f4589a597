"""From what the encoder saw to vectors in the decoder's width: the visual tokens. Start at Projector."""

import torch
from torch import Tensor, nn

from sdx_domains.medicine.slabs import SLABS
from sdx_finetune.vision.encoder import PLACE, POOLED_SLABS
from sdx_finetune.vision.recipe import EncoderSpec

SPREAD = 0.02
"""Standard deviation of a new decoder's word vectors: visual tokens begin as large as words."""


def token_count(labels: int) -> int:
    """A token for each label, then one for each pair of slabs."""
    return labels + SLABS // POOLED_SLABS


class Projector(nn.Module):
    """Two small networks, one for labels' tokens and one for slabs', and a vector of its own for each place."""

    def __init__(self, spec: EncoderSpec, labels: int, hidden: int, width: int) -> None:
        super().__init__()
        features = spec.widths[-1]
        self.of_label = _mapped(features + PLACE, hidden, width)
        self.of_slab = _mapped(2 * features, hidden, width)
        self.place = nn.Parameter(torch.randn(token_count(labels), width) * SPREAD)

    def forward(self, label_tokens: Tensor, slab_tokens: Tensor) -> Tensor:
        """(batch, token_count, width)."""
        return torch.cat([self.of_label(label_tokens), self.of_slab(slab_tokens)], 1) + self.place


def _mapped(given: int, hidden: int, width: int) -> nn.Sequential:
    last = nn.Linear(hidden, width)
    nn.init.normal_(last.weight, std=SPREAD / hidden**0.5 * 4)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.LayerNorm(given), nn.Linear(given, hidden), nn.GELU(), last)
