"""Train the encoder on shards of phantoms, surviving kill -9. Start at train()."""

import ctypes
import json
import math
import os
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdx_domains.medicine.slabs import CHANNELS, PIXELS, SLABS
from sdx_finetune.progress import Say, tell
from sdx_finetune.vision.encoder import Encoder, losses
from sdx_finetune.vision.recipe import EncoderSpec
from sdx_finetune.vision.volumes import Volumes

LOG_EVERY_S = 20.0
SHIFT_CELLS, SHIFT_SLABS, SHIFT_PIXELS = 1, 1, 3
"""Of augmentation: most that a volume is moved; pixels are less than half a cell, so masks stay where they are."""
NOISE_GREY, GAIN, OFFSET_GREY = 6.0, 0.06, 6.0
"""Of augmentation: largest standard deviation of noise, largest change of contrast (share) and brightness, in grey levels of 255."""
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""
Change = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""Grey levels, gain, offset, noise and its share to grey levels."""


@dataclass(frozen=True, slots=True)
class Batch:
    slabs: Tensor
    present: Tensor
    cells: Tensor


@cache
def _noise() -> Tensor:
    """A field of unit noise, larger than a picture: another piece of it each time costs less than new noise, and serves as well."""
    return torch.randn((2 * SLABS, CHANNELS, PIXELS + 64, PIXELS + 64), generator=torch.Generator().manual_seed(0)).bfloat16()


def changed(grey: Tensor, gain: Tensor, offset: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """One volume, brighter and noisier."""
    return (grey.float() * gain + offset + noise.float() * share).clamp(0, 255).round().to(torch.uint8)


def compiled() -> Change:
    """`changed` in one pass over its bytes, not in five over floats: a ninth of the time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        return torch.compile(changed, dynamic=False)


def batch_of(volumes: Volumes, numbers: NDArray[np.int64], rng: np.random.Generator | None, change: Change = changed) -> Batch:
    """With `rng` augmented: moved, noisier, brighter. Never mirrored: right and left would change places."""
    slabs, cells = torch.from_numpy(volumes.slabs(numbers)), torch.from_numpy(volumes.cells[numbers])
    present = torch.from_numpy(volumes.present[numbers])
    if rng is None:
        return Batch(slabs, present, cells)
    z, y, x = (int(rng.integers(-most, most + 1)) for most in (SHIFT_SLABS, SHIFT_CELLS, SHIFT_CELLS))
    down, along = (int(rng.integers(-SHIFT_PIXELS, SHIFT_PIXELS + 1)) for _ in range(2))
    side = slabs.shape[-1] // cells.shape[-1]
    grey = _moved(slabs, (z, 0, y * side + down, x * side + along))
    for volume in grey:
        gain = 1 + torch.from_numpy(rng.uniform(-GAIN, GAIN, (1, len(volume[0]), 1, 1))).float()
        offset = torch.from_numpy(rng.uniform(-OFFSET_GREY, OFFSET_GREY, (1, len(volume[0]), 1, 1))).float()
        at = [int(rng.integers(size)) for size in (SLABS, 64, 64)]
        noise = _noise()[at[0] : at[0] + SLABS, :, at[1] : at[1] + PIXELS, at[2] : at[2] + PIXELS]
        volume.copy_(change(volume, gain, offset, noise, torch.tensor(rng.uniform(0, NOISE_GREY), dtype=torch.float32)))
    return Batch(grey, present, _moved(cells, (z, y, x)))


def _moved(array: Tensor, by: tuple[int, ...]) -> Tensor:
    """Along the axes after the first; what comes in from outside is empty."""
    made = torch.zeros_like(array)
    there, here = [slice(None)], [slice(None)]
    for size, shift in zip(array.shape[1:], by, strict=True):
        there.append(slice(max(shift, 0), size + min(shift, 0)))
        here.append(slice(max(-shift, 0), size + min(-shift, 0)))
    made[tuple(there)] = array[tuple(here)]
    return made


def _keep_memory() -> None:
    """What was freed is used again, not handed back: a batch's features are mapped anew each step otherwise, for 40 % of its time."""
    with suppress(AttributeError, OSError):  # glibc alone has it
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


class Run:
    """One training in a folder: model, optimiser, state, checkpoint."""

    def __init__(self, spec: EncoderSpec, volumes: Volumes, labels: int, work: Path, say: Say) -> None:
        torch.manual_seed(spec.seed)
        torch.set_num_threads(spec.threads)
        _keep_memory()
        self.spec, self.volumes, self.work, self.say = spec, volumes, work, say
        self.change = compiled() if spec.compile else changed
        self.model = Encoder(spec, labels).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": spec.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=spec.learning_rate, betas=(0.9, 0.99))
        self.per_epoch = max(1, len(volumes) // spec.batch)
        self.steps = max(1, round(spec.epochs * self.per_epoch))
        self.step, self.cpu_s = 0, 0.0
        self.checkpoint = work / "encoder-checkpoint.pt"

    @property
    def identity(self) -> str:
        """What a checkpoint must match to be continued."""
        return json.dumps(
            [self.spec.model_dump(mode="json", exclude={"threads", "checkpoint_minutes", "compile"}), len(self.volumes)], sort_keys=True
        )

    def resume(self) -> None:
        """ValueError: the checkpoint belongs to another recipe or other data."""
        if not self.checkpoint.exists():
            return
        saved = torch.load(self.checkpoint, weights_only=True)
        if saved["identity"] != self.identity:
            raise ValueError(
                f"{self.checkpoint} was made with another recipe or other data; use another --work folder, or remove it to start anew"
            )
        self.model.load_state_dict(saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.cpu_s = saved["step"], saved["cpu_s"]

    def save(self) -> None:
        state = {
            "identity": self.identity,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "cpu_s": self.cpu_s,
        }
        partial = self.checkpoint.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.checkpoint)

    def one(self) -> tuple[float, float]:
        """One update; the loss on labels and on maps before it. Which volumes, and how they are changed, depends on step and seed alone."""
        spec = self.spec
        epoch, at = divmod(self.step, self.per_epoch)
        order = np.random.default_rng([spec.seed, epoch]).permutation(len(self.volumes))
        numbers = order[at * spec.batch : (at + 1) * spec.batch]
        batch = batch_of(self.volumes, numbers, np.random.default_rng([spec.seed, 1, self.step]), self.change)
        for group in self.optimiser.param_groups:
            group["lr"] = spec.learning_rate * self._rate()
        with torch.autocast("cpu", dtype=torch.bfloat16) if spec.precision == "bf16" else nullcontext():
            seen = self.model(batch.slabs)
        of_labels, of_maps = losses(seen, batch.present, batch.cells)
        (of_labels + spec.mask_weight * of_maps).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        return float(of_labels.detach()), float(of_maps.detach())

    def _rate(self) -> float:
        """Share of the learning rate: warm-up and cosine, from each restart on anew."""
        ends = [*(round(epoch * self.per_epoch) for epoch in self.spec.restarts), self.steps]
        cycle = next((at for at, end in enumerate(ends) if self.step < end), len(ends) - 1)
        began = ends[cycle - 1] if cycle else 0
        done = (self.step - began) / (ends[cycle] - began)
        if done < self.spec.warmup:
            return max(done / self.spec.warmup, 0.02)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - self.spec.warmup) / (1 - self.spec.warmup)))

    def train(self) -> Encoder:
        """To the end. Ctrl-C saves a checkpoint first."""
        self.model.train()
        count = sum(p.numel() for p in self.model.parameters())
        self.say(f"encoder: {count / 1e6:.2f} M parameters, {len(self.volumes)} volumes, step {self.step} of {self.steps}")
        try:
            self._loop()
        except KeyboardInterrupt:
            self.save()
            self.say(f"stopped at step {self.step}; the checkpoint is {self.checkpoint}; the same command continues")
            raise
        self.save()
        return self.model.eval()

    def _loop(self) -> None:
        last_log = last_save = time.monotonic()
        cpu, began_s = time.process_time(), self.cpu_s
        recent: list[tuple[float, float]] = []
        while self.step < self.steps:
            recent.append(self.one())
            self.cpu_s = began_s + time.process_time() - cpu
            now = time.monotonic()
            if now - last_log >= LOG_EVERY_S or self.step in (1, self.steps):
                self._report(*np.mean(recent, axis=0))
                recent, last_log = [], now
            if now - last_save >= 60 * self.spec.checkpoint_minutes:
                self.save()
                last_save = now

    def _report(self, of_labels: float, of_maps: float) -> None:
        if not math.isfinite(of_labels + of_maps):
            raise FloatingPointError(
                f"the loss is {of_labels}, {of_maps} at step {self.step}: lower encoder.learning_rate, and remove the checkpoint"
            )
        each_s = self.cpu_s / (self.step * self.spec.batch)
        facts = {"step": self.step, "loss": round(of_labels, 4), "map_loss": round(of_maps, 4), "cpu_s_per_volume": round(each_s, 3)}
        tell(self.work, "encoder", self.step / self.steps, **facts)
        with (self.work / "encoder.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")
        self.say(f"step {self.step}/{self.steps} labels {of_labels:.4f} maps {of_maps:.4f}, {each_s:.3f} CPU-s a volume and step")


def train(spec: EncoderSpec, volumes: Volumes, labels: int, work: Path, say: Say) -> tuple[Encoder, float]:
    """The trained encoder, and CPU seconds that its training took."""
    run = Run(spec, volumes, labels, work, say)
    run.resume()
    return run.train(), run.cpu_s
