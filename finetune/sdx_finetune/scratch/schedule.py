"""How far a run is, by the clock, the steps or the epochs, and the learning rate that belongs to it."""

import math

from sdx_finetune.recipe import TrainSpec


def progress(spec: TrainSpec, elapsed_s: float, step: int, steps_per_epoch: float) -> float:
    """Share of the budget used, 0..1: the limit that is nearest decides."""
    shares = [0.0]
    if spec.max_minutes is not None:
        shares.append(elapsed_s / (60.0 * spec.max_minutes))
    if spec.max_steps is not None:
        shares.append(step / spec.max_steps)
    if spec.max_epochs is not None:
        shares.append(step / (steps_per_epoch * spec.max_epochs))
    return min(1.0, max(shares))


def rate(spec: TrainSpec, done: float) -> float:
    """Factor of the learning rate at progress `done`: linear warm-up, then cosine down to final_lr."""
    if done < spec.warmup:
        return max(done / spec.warmup, 0.02)
    way = (done - spec.warmup) / (1.0 - spec.warmup)
    return spec.final_lr + (1.0 - spec.final_lr) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, way)))
