"""Slices of a volume as PNG, axial, coronal and sagittal: grey values in a window, the patient's head up and right side left. Start at png()."""

from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from sdx_domains.contract import Closed
from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.volume import Volume

Plane = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
LETTERS: dict[Plane, str] = {"axial": "APRL", "coronal": "HFRL", "sagittal": "HFAP"}
"""What lies at the top, bottom, left and right of a picture."""
CROP_MARGIN_MM = 25.0
LEAST_CROP_PX = 96
AIRY = ("lungs", "pleura")
"""Regions that are looked at in the lung window."""


class Window(Closed):
    """Grey values: below centre - width / 2 black, above centre + width / 2 white."""

    key: str
    name: str
    ko: str
    centre_hu: float
    width_hu: float


@cache
def windows() -> tuple[Window, ...]:
    return tuple(
        Window.model_validate(row) for row in yaml.safe_load((files("sdx_ui.reading_room") / "windows.yaml").read_text(encoding="utf-8"))
    )


def count(volume: Volume, plane: Plane) -> int:
    """How many slices a plane has."""
    return volume.hu.shape[PLANES.index(plane)]


def slice_hu(volume: Volume, plane: Plane, index: int) -> NDArray[np.int16]:
    """One slice as it is shown: (down, across). IndexError names the slices that there are."""
    most = count(volume, plane)
    if not 0 <= index < most:
        raise IndexError(f"{plane} slice {index}: there are 0 to {most - 1}")
    if plane == "axial":
        return volume.hu[index]
    return (volume.hu[:, index, :] if plane == "coronal" else volume.hu[:, :, index])[::-1]


def layout(volume: Volume) -> dict[str, Any]:
    """What a page must know to measure: for each plane the number of slices, mm of a pixel down and across, and the letters."""
    dz, dy, dx = volume.spacing_mm
    mm: dict[Plane, tuple[float, float]] = {"axial": (dy, dx), "coronal": (dz, dx), "sagittal": (dz, dy)}
    planes = {name: {"count": count(volume, name), "pixel_mm": mm[name], "letters": LETTERS[name]} for name in PLANES}
    return {
        "planes": planes,
        "shape": volume.hu.shape,
        "spacing_mm": volume.spacing_mm,
        "origin_lps_mm": volume.origin_lps_mm,
        "z_mm": volume.z_mm.tolist(),
    }


def box_of(volume: Volume, finding: Finding) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Its box as two voxels, (slice, row, column) lowest and highest."""
    x0, y0, z0, x1, y1, z1 = finding.bbox_lps_mm
    return volume.index((x0, y0, z0)), volume.index((x1, y1, z1))


def grey(hu: NDArray[np.int16], centre_hu: float, width_hu: float) -> NDArray[np.uint8]:
    """0..255. Half up, so that the window's centre is 128."""
    low = centre_hu - width_hu / 2
    table = np.clip((np.arange(-32768, 32768, dtype=np.float32) - low) * (255.0 / width_hu) + 0.5, 0, 255).astype(np.uint8)
    return table[hu.astype(np.int32) + 32768]


def png(hu: NDArray[np.int16], centre_hu: float, width_hu: float) -> bytes:
    """Packed for speed, not for size: it goes to the same machine."""
    from PIL import Image

    into = BytesIO()
    Image.fromarray(grey(hu, centre_hu, width_hu)).save(into, "PNG", compress_level=1)
    return into.getvalue()


def crop_png(volume: Volume, finding: Finding, region: str) -> bytes:
    """The finding on its key slice with what lies around it, its box drawn: why it is stated."""
    from PIL import Image, ImageDraw

    (_, top, left), (_, bottom, right) = box_of(volume, finding)
    rows = _around(top, bottom, CROP_MARGIN_MM / volume.spacing_mm[1], volume.hu.shape[1])
    columns = _around(left, right, CROP_MARGIN_MM / volume.spacing_mm[2], volume.hu.shape[2])
    hu = volume.hu[min(finding.slices.key, len(volume.hu) - 1), rows[0] : rows[1], columns[0] : columns[1]]
    window = windows()[0 if region in AIRY else 1]
    picture = Image.fromarray(grey(hu, window.centre_hu, window.width_hu)).convert("RGB")
    box = (left - columns[0] - 1, top - rows[0] - 1, right - columns[0] + 1, bottom - rows[0] + 1)
    ImageDraw.Draw(picture).rectangle(box, outline=(255, 176, 32))
    into = BytesIO()
    picture.save(into, "PNG", compress_level=1)
    return into.getvalue()


def _around(low: int, high: int, margin: float, size: int) -> tuple[int, int]:
    """[from, to) of the pixels about low..high, at least LEAST_CROP_PX of them where there are so many."""
    half = max((high - low) / 2 + margin, LEAST_CROP_PX / 2)
    middle = (low + high) / 2
    return max(0, round(middle - half)), min(size, round(middle + half) + 1)
