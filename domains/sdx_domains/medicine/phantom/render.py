"""Draws a scene on any grid, from a quick coarse one to thin slices of 512 x 512: mixed voxels, point spread, kernel and noise. Start at render()."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.phantom.anatomy import EMPHYSEMA, FLUID, HEART, MARKS, MOSAIC, SEPTA, fill
from sdx_domains.medicine.phantom.paint import paint
from sdx_domains.medicine.phantom.pleura import overlay
from sdx_domains.medicine.phantom.scene import Scene
from sdx_domains.medicine.phantom.shapes import bit
from sdx_domains.medicine.phantom.truth import truth
from sdx_domains.medicine.volume import StudyFacts, Volume

TRAINING_SPACING_MM = (5.0, 3.0, 3.0)
SUBSLICE_MM = 2.6
"""A thicker slice is the mean of so thin ones, as a scanner's is."""
CHUNK_VOXELS = 6_000_000
"""So many are worked on at a time: bounds memory."""
FIELD_LABELS = {EMPHYSEMA: "emphysema", MOSAIC: "mosaic", SEPTA: "septal_thickening", HEART: "cardiomegaly", FLUID: "pericardial_effusion"}
PLEURA_LABELS = ("pleural_effusion", "atelectasis", "pneumothorax")
SHARP_PIXELS = 0.3
"""A point spread of a smaller sigma is not seen."""
NOISE_VOXEL_MM3 = 0.7 * 0.7 * 1.5


@dataclass(frozen=True, slots=True)
class Phantom:
    """A drawn patient and what is true of it."""

    volume: Volume
    facts: StudyFacts
    masks: NDArray[np.uint32] | None
    """(slices, rows, columns): bit n is set where label n of labels.yaml lies."""
    truth: tuple[Finding, ...]
    scene: Scene


def render(
    scene: Scene,
    spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM,
    size: tuple[int, int] | None = None,
    thickness_mm: float | None = None,
    z_range_mm: tuple[float, float] | None = None,
    noise_factor: float = 1.0,
    keep_masks: bool = True,
) -> Phantom:
    """A volume of `spacing_mm` (slice, row, column) with `size` (rows, columns), by default as large as the patient.

    thickness_mm: of a slice, by default the spacing. z_range_mm: a part of the patient, by default all of the chest.
    Raises ValueError for a spacing or size of which no picture can be made.
    """
    rows, columns = size or _size(scene, spacing_mm)
    low, high = z_range_mm or scene.z_range_mm
    if min(spacing_mm) <= 0 or min(rows, columns) < 8 or high - low < spacing_mm[0]:
        raise ValueError(
            f"spacing {spacing_mm} mm, {rows} x {columns} pixels, z {low:.0f} to {high:.0f} mm: no volume can be drawn of that"
        )
    z = np.arange(low + spacing_mm[0] / 2, high, spacing_mm[0])
    y = (np.arange(rows, dtype=np.float64) - (rows - 1) / 2) * spacing_mm[1] + 12.0
    x = (np.arange(columns, dtype=np.float64) - (columns - 1) / 2) * spacing_mm[2]
    hu = np.empty((len(z), rows, columns), dtype=np.int16)
    masks = np.zeros(hu.shape, dtype=np.uint32)
    lattice, rng = scene.lattice(), np.random.default_rng((scene.seed, 2))
    thick = thickness_mm or spacing_mm[0]
    parts = ceil(thick / SUBSLICE_MM)
    step = max(1, CHUNK_VOXELS // (rows * columns * parts))
    for first in range(0, len(z), step):
        own = slice(first, min(first + step, len(z)))
        fine = (z[own, None] + (np.arange(parts) - (parts - 1) / 2) * thick / parts).ravel()
        clean, found = _drawn(scene, lattice, fine, y, x, parts, abs(thick - spacing_mm[0]) < 1e-6)
        masks[own] = found
        hu[own] = _taken(scene, rng, clean, (thick, *spacing_mm[1:]), noise_factor)
    volume = Volume(hu=hu, spacing_mm=spacing_mm, origin_lps_mm=(float(x[0]), float(y[0]), float(z[0])), z_mm=z)
    facts = _facts(scene, volume, thick)
    return Phantom(volume, facts, masks if keep_masks else None, truth(scene, volume, facts, masks), scene)


def _size(scene: Scene, spacing_mm: tuple[float, float, float]) -> tuple[int, int]:
    """A square around the chest; as on a scanner, shoulders may be cut."""
    body = scene.body
    wide = 2 * (body.half_width + body.fat + body.muscle + 18) * scene.taking.fov_mm
    pixels = ceil(max(wide, 300.0) / spacing_mm[2])
    return ceil(pixels * spacing_mm[2] / spacing_mm[1]), pixels


def _drawn(
    scene: Scene,
    lattice: NDArray[np.float32],
    z: NDArray[np.float64],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    parts: int,
    ordered: bool,
) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
    """(HU, bits) of slices that are each the mean of `parts`; `ordered`: z rises evenly."""
    shape = (len(z), len(y), len(x))
    hu, lung, bits = np.empty(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.uint32)
    half, body = 0.5 * float(x[1] - x[0]), scene.body
    marks = np.zeros(MARKS, dtype=np.uint32)
    for place, label in FIELD_LABELS.items():
        marks[place] = (1 << bit(label)) * (label in scene.labels)
    fill(body, lattice, scene.amounts, marks, z, y, x, half, hu, lung, bits)
    # Overlapping slices are no even stack of parts: each is then drawn by itself.
    stacks = [slice(0, len(z))] if ordered else [slice(first, first + parts) for first in range(0, len(z), parts)]
    for own in stacks:
        paint(scene.before, lattice, body.turn, body.shift_x, body.shift_y, z[own], y, x, half, hu[own], lung[own], bits[own])
    if scene.pleura.any():
        overlaid = np.array([1 << bit(label) for label in PLEURA_LABELS], dtype=np.uint32)
        overlay(body, lattice, scene.pleura, scene.pleura_hu, overlaid, z, y, x, half, hu, lung, bits)
    for own in stacks:
        paint(scene.after, lattice, body.turn, body.shift_x, body.shift_y, z[own], y, x, half, hu[own], lung[own], bits[own])
    if parts == 1:
        return hu, bits
    return hu.reshape(-1, parts, *shape[1:]).mean(axis=1), np.bitwise_or.reduce(bits.reshape(-1, parts, *shape[1:]), axis=1)


def _taken(
    scene: Scene, rng: np.random.Generator, clean: NDArray[np.float32], voxel_mm: tuple[float, float, float], factor: float
) -> NDArray[np.int16]:
    """With point spread, kernel and noise; noise falls with the voxel's volume and is grained by the kernel."""
    taking, pixel = scene.taking, voxel_mm[1]
    sigma = taking.blur_mm / pixel
    noise = rng.standard_normal(clean.shape, dtype=np.float32)
    if sigma > SHARP_PIXELS:
        _blur(clean, sigma)
        if taking.kernel == "soft":
            _blur(noise, sigma)
            noise /= max(float(noise[0].std()), 1e-6)
        for each in clean if taking.sharpen else ():
            soft = each[None].copy()
            _blur(soft, 2 * sigma)
            each += taking.sharpen * (each - soft[0])
    level = factor * taking.noise_hu * min(1.0, (NOISE_VOXEL_MM3 / float(np.prod(voxel_mm))) ** 0.5)
    noise *= np.float32(level)
    clean += noise
    return np.clip(np.rint(clean, out=clean), -1024, 3071, out=clean).astype(np.int16)


def _blur(volume: NDArray[np.float32], sigma: float) -> None:
    """In the plane, in place."""
    from scipy.ndimage import gaussian_filter1d

    for axis in (1, 2):
        gaussian_filter1d(volume, sigma, axis=axis, truncate=2.5, output=volume)


def _facts(scene: Scene, volume: Volume, thickness_mm: float) -> StudyFacts:
    count = len(volume.z_mm)
    low, high = (
        bool(volume.z_mm[0] > scene.extents[:, 0].min() + 8),
        bool(volume.z_mm[-1] < scene.extents[:, 1].max() - 8),
    )
    return StudyFacts(
        study_uid=f"phantom-{scene.seed}",
        series_uid=f"phantom-{scene.seed}-{count}",
        slice_uids=tuple(f"slice-{number}" for number in range(1, count + 1)),
        slices=count,
        spacing_mm=volume.spacing_mm,
        thickness_mm=thickness_mm,
        kernel=scene.taking.kernel,
        contrast=scene.taking.contrast,
        coverage="lungs cut at both ends" if low and high else "lungs cut at bottom" if low else "lungs cut at top" if high else "complete",
        kvp=scene.taking.kvp,
        age_years=scene.age_years,
        sex=scene.sex,
        source="phantom",
        synthetic=True,
    )
