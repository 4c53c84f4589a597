"""Phantoms as the encoder is given them: slabs, labels and masks in shards. A kill loses at most one shard. Start at make_volumes()."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import digest
from sdx_domains.medicine.evidence import Grid
from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.slabs import CELLS, CHANNELS, PIXELS, SLABS, slabs
from sdx_domains.medicine.volume import Volume
from sdx_finetune.progress import Say
from sdx_finetune.vision.recipe import DataOfVision, Phantoms

J = TypeVar("J")


@dataclass(frozen=True, slots=True)
class Job:
    """One shard: made whole or not at all."""

    path: Path
    """.npz with labels and cells; the slabs lie beside it as .npy, so that they can be mapped and not read. Written last."""
    seeds: range
    render: dict[str, Any]

    @property
    def slabs(self) -> Path:
        return self.path.with_suffix(".npy")


@dataclass(frozen=True, slots=True)
class Volumes:
    """Many volumes; slabs stay on the disk until asked for."""

    shards: tuple[NDArray[np.uint8], ...]
    present: NDArray[np.float32]
    """(volumes, labels) 0 or 1."""
    cells: NDArray[np.int32]
    """(volumes, SLABS, CELLS, CELLS): bit i is set where label i has voxels."""
    starts: NDArray[np.int64]
    """Volume starts[k] is the first of shard k."""

    def __len__(self) -> int:
        return len(self.present)

    def slabs(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """(len(numbers), SLABS, CHANNELS, PIXELS, PIXELS)."""
        which = np.searchsorted(self.starts, numbers, side="right") - 1
        return np.stack([self.shards[shard][number - self.starts[shard]] for shard, number in zip(which, numbers, strict=True)])


def rendered(seed: int, render: dict[str, Any]) -> Any:
    """The phantom of a seed."""
    from sdx_domains.medicine.phantom.render import render as draw  # numba takes a moment to load
    from sdx_domains.medicine.phantom.scene import scene

    return draw(scene(seed), **render)


def present_of(phantom: Any) -> NDArray[np.float32]:
    """(labels,) 1 where the phantom has it."""
    there = {finding.label for finding in phantom.truth}
    return np.array([label.key in there for label in labels()], np.float32)


def cells_of(masks: NDArray[np.uint32], volume: Volume, grid: Grid) -> NDArray[np.int32]:
    """Masks on the grid of the encoder's maps: a cell has a label where any voxel nearest to it has. Voxels outside are left out."""
    found = np.zeros((SLABS, CELLS, CELLS), np.uint32)
    where = np.nonzero(masks)
    edges = (grid.z_mm[1:] + grid.z_mm[:-1]) / 2
    half = (grid.z_mm[1] - grid.z_mm[0]) / 2
    z = volume.z_mm
    slab = np.where((z < grid.z_mm[0] - half) | (z > grid.z_mm[-1] + half), -1, np.searchsorted(edges, z))
    x0, y0, _ = volume.origin_lps_mm
    row = np.rint((y0 + np.arange(masks.shape[1]) * volume.spacing_mm[1] - grid.y0_mm) / grid.cell_mm).astype(int)
    column = np.rint((x0 + np.arange(masks.shape[2]) * volume.spacing_mm[2] - grid.x0_mm) / grid.cell_mm).astype(int)
    at = slab[where[0]], row[where[1]], column[where[2]]
    inside = (at[0] >= 0) & (at[1] >= 0) & (at[1] < CELLS) & (at[2] >= 0) & (at[2] < CELLS)
    np.bitwise_or.at(found, tuple(axis[inside] for axis in at), masks[where][inside])
    return found.view(np.int32)


def jobs_of(data: DataOfVision, split: str, folder: Path, kind: str = "volumes", origin: str = "") -> list[Job]:
    """Shards of a split in order; their names carry what they are made from.

    `origin`: what else goes into them, e.g. the encoder that looked.
    """
    phantoms: Phantoms = getattr(data, split)
    render = {**data.render, **phantoms.render}
    mark = digest([render, origin])[:8]
    made = []
    for first in range(phantoms.seed, phantoms.seeds.stop, data.shard):
        seeds = range(first, min(first + data.shard, phantoms.seeds.stop))
        made.append(Job(folder / f"{kind}-{split}-{mark}-{first:09d}-{len(seeds)}.npz", seeds, dict(render)))
    return made


def make_shard(job: Job) -> int:
    """Render and write one shard; the number of volumes."""
    pictures = np.empty((len(job.seeds), SLABS, CHANNELS, PIXELS, PIXELS), np.uint8)
    present, cells = [], []
    for at, seed in enumerate(job.seeds):
        phantom = rendered(seed, job.render)
        pictures[at], grid = slabs(phantom.volume)
        present.append(present_of(phantom))
        cells.append(cells_of(phantom.masks, phantom.volume, grid))
    written(job.slabs, lambda file: np.save(file, pictures))
    written(job.path, lambda file: np.savez_compressed(file, present=np.stack(present), cells=np.stack(cells), seeds=np.array(job.seeds)))
    return len(job.seeds)


def written(path: Path, write: Callable[[Any], None]) -> None:
    """The file whole, on the disk, or not there."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def run_jobs(jobs: Sequence[J], make: Callable[[J], Any], is_there: Callable[[J], bool], workers: int, name: str, say: Say) -> None:
    """Make what is missing, in this process or in several."""
    missing = [job for job in jobs if not is_there(job)]
    say(f"{name}: {len(jobs) - len(missing)} of {len(jobs)} shards there, {len(missing)} to make")
    if workers > 1 and len(missing) > 1:
        # Fresh processes: a fork of one whose torch has computed on several threads may hang.
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            for number, _ in enumerate(pool.map(make, missing), 1):
                say(f"{name}: shard {number}/{len(missing)}")
        return
    for number, job in enumerate(missing, 1):
        make(job)
        say(f"{name}: shard {number}/{len(missing)}")


def make_volumes(data: DataOfVision, split: str, folder: Path, workers: int, say: Say) -> None:
    """Write the shards of a split that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    run_jobs(jobs_of(data, split, folder), make_shard, lambda job: job.path.exists(), workers, split, say)


def open_volumes(data: DataOfVision, split: str, folder: Path) -> Volumes:
    """A split that was made. FileNotFoundError says which stage makes it."""
    jobs = jobs_of(data, split, folder)
    if missing := [job.path.name for job in jobs if not job.path.exists()]:
        raise FileNotFoundError(f"{len(missing)} of {len(jobs)} {split} shards are missing, first {missing[0]}: run the stage `data`")
    present, cells = [], []
    for job in jobs:
        with np.load(job.path) as held:
            present.append(held["present"])
            cells.append(held["cells"])
    starts = np.concatenate([[0], np.cumsum([len(part) for part in present])[:-1]]).astype(np.int64)
    mapped = tuple(np.load(job.slabs, mmap_mode="r") for job in jobs)
    return Volumes(mapped, np.concatenate(present), np.concatenate(cells), starts)
