"""After training: probabilities that mean what they say, how unlike a volume is, and how well labels are told apart. Start at Reader."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sdx_finetune.vision.encoder import Encoder, Seen
from sdx_finetune.vision.volumes import Volumes

SHRINKAGE = 0.1
"""Towards a diagonal covariance, of features that are many beside the volumes (Ledoit and Wolf 2004 give the reason)."""
FAR = 0.99
"""Share of tuning volumes that count as like those of training."""
RIDGE = 0.5
"""Pull of each label's scale to 1 and shift to 0, a normal prior of variance 1: rare labels have few volumes to go by."""


class Reader(nn.Module):
    """The encoder with what was learnt of it on the tuning volumes."""

    scale: Tensor
    shift: Tensor
    middle: Tensor
    whiten: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        features = 2 * encoder.width
        self.register_buffer("scale", torch.ones(encoder.labels))
        self.register_buffer("shift", torch.zeros(encoder.labels))
        self.register_buffer("middle", torch.zeros(features))
        self.register_buffer("whiten", torch.eye(features))

    def probability(self, seen: Seen) -> Tensor:
        """(batch, labels), calibrated (Platt 1999)."""
        return torch.sigmoid(seen.logits * self.scale + self.shift)

    def unlike(self, seen: Seen) -> Tensor:
        """(batch,) Mahalanobis distance to the training volumes, in units of the tuning volumes' 99th percentile (after Lee et al. 2018)."""
        return torch.linalg.vector_norm((seen.whole - self.middle) @ self.whiten, dim=-1)


def looked(encoder: nn.Module, volumes: Volumes, batch: int, most: int | None = None) -> Iterator[Seen]:
    """What the encoder sees, batch by batch, without augmentation."""
    count = min(len(volumes), most or len(volumes))
    with torch.no_grad():
        for first in range(0, count, batch):
            numbers = np.arange(first, min(first + batch, count))
            yield encoder(torch.from_numpy(volumes.slabs(numbers)))


def calibrated(encoder: Encoder, train: Volumes, tune: Volumes, batch: int, most: int = 600) -> tuple[Reader, NDArray[np.float32]]:
    """The reader, and its logits on the tuning volumes. `most`: training volumes from which the usual is learnt."""
    reader = Reader(encoder.eval()).eval()
    usual = torch.cat([seen.whole for seen in looked(encoder, train, batch, most)]).double()
    seen = list(looked(encoder, tune, batch))
    logits, whole = torch.cat([one.logits for one in seen]), torch.cat([one.whole for one in seen]).double()
    middle = usual.mean(0)
    spread = (usual - middle).T @ (usual - middle) / max(1, len(usual) - 1)
    diagonal = torch.diag(spread.diagonal().clamp(min=1e-6))
    inverse = torch.linalg.inv((1 - SHRINKAGE) * spread + SHRINKAGE * diagonal)
    whiten = torch.linalg.cholesky((inverse + inverse.T) / 2)
    distance = torch.linalg.vector_norm((whole - middle) @ whiten, dim=-1)
    reader.middle.copy_(middle.float())
    reader.whiten.copy_((whiten / torch.quantile(distance, FAR).clamp(min=1e-9)).float())
    scale, shift = platt(logits, torch.from_numpy(tune.present))
    reader.scale.copy_(scale)
    reader.shift.copy_(shift)
    return reader, logits.numpy()


def platt(logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """(labels,) scale and shift of each label's logit; a label that is always or never there keeps the encoder's own."""
    scale, shift = (torch.full((logits.shape[1],), value, dtype=torch.float64, requires_grad=True) for value in (1.0, 0.0))
    both = ((present.mean(0) > 0) & (present.mean(0) < 1)).double()
    optimiser = torch.optim.LBFGS([scale, shift], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        each = functional.binary_cross_entropy_with_logits(logits.double() * scale + shift, present.double(), reduction="none").mean(0)
        loss = (each * both).sum() + RIDGE / len(logits) * ((scale - 1) ** 2 + shift**2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return scale.detach().clamp(min=0.05).float(), shift.detach().float()


def auroc(scores: NDArray[np.float32], present: NDArray[np.float32]) -> float | None:
    """Chance that a volume with the label scores above one without; ties count half. None without both kinds."""
    positive, negative = scores[present > 0], scores[present == 0]
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(negative)
    below, upto = np.searchsorted(ordered, positive, "left"), np.searchsorted(ordered, positive, "right")
    return float((below + upto).sum() / 2 / (len(positive) * len(negative)))
