"""A CT volume as public models want it: slices, a montage or a tensor, and the layout of the prompt. The table is presets.yaml; start at prepare()."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field

from sdx_serving.closed import Closed
from sdx_serving.vision.resample import cropped_or_padded, resampled, windowed

Kind = Literal["slices", "montage", "volume"]
Window = tuple[float, float]
_RADFM_STEP = 4


class LicenceError(ValueError):
    """The model may not be used as asked; the message says what its licence is and how to go on."""


class Preset(Closed):
    """One row of presets.yaml; see its head."""

    name: str
    title: str
    kind: Kind
    licence: str
    source: str
    research_only: bool = False
    needs_terms: bool = False
    slices: int = Field(0, ge=0)
    pick: Literal["ends", "middles"] = "middles"
    windows_hu: tuple[Window, Window, Window] | None = None
    size: int = Field(0, ge=0)
    """Side of a slice in pixels; 0: as it is."""
    tiles: tuple[int, int] = (1, 1)
    """(rows, columns) of a montage."""
    caption: str = ""
    introduction: str = ""
    thinking: tuple[str, str] | None = None
    """Marks around what a model thinks before it answers."""
    spacing_mm: tuple[float, float, float] | None = None
    """(slice, row, column); None: the volume's own."""
    shape: tuple[int, int, int] = (0, 0, 0)
    fit: Literal["stretch", "stretch_few", "crop_or_pad"] = "stretch"
    range_hu: Window = (-1000.0, 1000.0)
    scale: Literal["least_to_most", "signed", "unit"] = "unit"
    axes: Literal["zyx", "yxz", "ras"] = "zyx"
    channels: int = 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """A volume ready for one model."""

    preset: str
    slice_ids: tuple[int, ...]
    """Slices of the volume that are shown, in order: what "SLICE 1", "SLICE 2", ... are; empty for a tensor."""
    images: tuple[NDArray[np.uint8], ...] = ()
    """Each (rows, columns, 3)."""
    tensor: NDArray[np.float32] | None = None
    """(channels, ...) for models that take a volume as such."""
    layout: tuple[str | int, ...] = ()
    """What stands in the prompt for the volume: texts, and numbers of images."""


@cache
def presets() -> Mapping[str, Preset]:
    """All, by name."""
    rows = yaml.safe_load((files("sdx_serving.vision") / "presets.yaml").read_text(encoding="utf-8"))
    return {name: Preset.model_validate({"name": name, **row}) for name, row in rows.items()}


def preset(name: str, production: bool = False, licence_accepted: bool = False) -> Preset:
    """The named preset.

    Args:
        production: results are used, not only studied.
        licence_accepted: the operator has read the model's licence and holds the right to this use.

    Raises:
        KeyError: with the known names.
        LicenceError: in production, a model whose licence must be looked at first.
    """
    known = presets()
    if name not in known:
        raise KeyError(f"no preset {name!r}; known: {', '.join(known)}")
    found = known[name]
    if production and not licence_accepted and (found.research_only or found.needs_terms):
        what = "for research only" if found.research_only else "under terms of their own"
        raise LicenceError(
            f"{found.title}: weights are {what} ({found.licence}); in production say licence_accepted, once you hold that right"
        )
    return found


def prepare(
    asked: Preset, hu: NDArray[np.int16], spacing_mm: tuple[float, float, float], z_mm: NDArray[np.float64] | None = None
) -> Prepared:
    """A volume (slice, row, column), feet to head, in Hounsfield units. ValueError when it is none.

    Args:
        spacing_mm: between voxels along slice, row, column.
        z_mm: (slices,) position of each slice, for captions; from the first one on when not given.
    """
    if hu.ndim != 3 or min(hu.shape) < 1 or min(spacing_mm) <= 0:
        raise ValueError(f"a volume is (slice, row, column) with spacing above 0; given {hu.shape}, {spacing_mm}")
    if asked.kind == "volume":
        return Prepared(asked.name, (), tensor=_tensor(asked, hu, spacing_mm))
    chosen = chosen_slices(len(hu), asked.slices, asked.pick)
    pictures = tuple(_picture(asked, hu[index]) for index in chosen)
    if asked.kind == "montage":
        rows, columns = asked.tiles
        said = asked.caption.format(rows=rows, columns=columns)
        return Prepared(asked.name, chosen, (_montage(pictures, rows, columns),), layout=(asked.introduction, 0, said))
    places = np.arange(len(hu)) * spacing_mm[0] if z_mm is None else z_mm
    layout: list[str | int] = [asked.introduction]
    for at, index in enumerate(chosen):
        layout += [at, asked.caption.format(number=at + 1, count=len(chosen), z_mm=float(places[index]))]
    return Prepared(asked.name, chosen, pictures, layout=tuple(layout))


def chosen_slices(there: int, most: int, pick: Literal["ends", "middles"]) -> tuple[int, ...]:
    """At most `most` of `there` slices, evenly, none twice."""
    if pick == "ends":
        return tuple(dict.fromkeys(round(i / most * (there - 1)) for i in range(1, most + 1)))
    count = min(most, there)
    return tuple(int((i + 0.5) * there / count) for i in range(count))


def _picture(asked: Preset, plane: NDArray[np.int16]) -> NDArray[np.uint8]:
    assert asked.windows_hu
    scaled = resampled(plane[None], (1, asked.size, asked.size))[0] if asked.size else plane.astype(np.float32)
    return np.stack([np.rint(255 * windowed(scaled, window)) for window in asked.windows_hu], axis=-1).astype(np.uint8)


def _montage(pictures: tuple[NDArray[np.uint8], ...], rows: int, columns: int) -> NDArray[np.uint8]:
    side = pictures[0].shape[0]
    whole = np.zeros((rows * side, columns * side, 3), np.uint8)
    for at, picture in enumerate(pictures):
        row, column = divmod(at, columns)
        whole[row * side : (row + 1) * side, column * side : (column + 1) * side] = picture
    return whole


def _tensor(asked: Preset, hu: NDArray[np.int16], spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    shape = asked.shape
    if asked.fit == "stretch_few":
        shape = (max(_RADFM_STEP, min(shape[0], len(hu)) // _RADFM_STEP * _RADFM_STEP), *shape[1:])
    if asked.fit == "crop_or_pad":
        assert asked.spacing_mm
        wanted = tuple(max(1, round(size * have / want)) for size, have, want in zip(hu.shape, spacing_mm, asked.spacing_mm, strict=True))
        values = cropped_or_padded(_scaled(asked, resampled(hu, wanted)), shape, -1.0 if asked.scale == "signed" else 0.0)
    else:
        values = _scaled(asked, resampled(hu, shape))
    turned = {"zyx": values, "yxz": values.transpose(1, 2, 0), "ras": values[:, ::-1, ::-1].transpose(2, 1, 0)}[asked.axes]
    return np.ascontiguousarray(np.repeat(turned[None], asked.channels, axis=0), np.float32)


def _scaled(asked: Preset, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    if asked.scale == "least_to_most":
        low, high = float(hu.min()), float(hu.max())
        return windowed(hu, (low, high if high > low else low + 1))
    unit = windowed(hu, asked.range_hu)
    return unit * 2 - 1 if asked.scale == "signed" else unit
