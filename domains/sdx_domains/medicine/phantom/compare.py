"""How like a real series phantoms are: densities by region, side by side.

    python -m sdx_domains.medicine.phantom.compare STUDY [--phantoms 8]

Start at likeness(). A small distance is no proof of likeness; a large one shows where the drawing is wrong.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import Closed
from sdx_domains.medicine.measure.anatomy import segment
from sdx_domains.medicine.phantom.render import render
from sdx_domains.medicine.phantom.scene import SEEDS, scene
from sdx_domains.medicine.volume import Volume

BINS_HU = np.arange(-1024, 1537, 8)
REGIONS = ("lungs", "mediastinum", "wall")


class Likeness(Closed):
    """Of one region, HU: quartiles of the real series and of the phantoms, and the earth mover's distance between the histograms."""

    real: tuple[float, float, float]
    phantoms: tuple[float, float, float]
    distance_hu: float
    between_phantoms_hu: float
    """Median distance of a phantom to all the others together: what is only variety."""


def histograms(volume: Volume) -> Mapping[str, NDArray[np.float64]]:
    """Share of a region's voxels in each bin of BINS_HU, on blocks of about 3 mm; a region that was not found is missing."""
    anatomy = segment(volume)
    middle = anatomy.mediastinum
    wall = anatomy.body & ~anatomy.inside & (anatomy.chest == 0)
    masks = dict(zip(REGIONS, (anatomy.lungs > 0, middle, wall), strict=True))
    return {
        name: np.histogram(np.clip(anatomy.grid.hu[mask], -1024, 1536), BINS_HU)[0] / mask.sum()
        for name, mask in masks.items()
        if mask.any()
    }


def likeness(real: Volume, phantoms: Sequence[Volume]) -> Mapping[str, Likeness]:
    """By region that both have. Phantoms should have the slice thickness of the real series: thick slices smear densities."""
    ours, drawn = histograms(real), [histograms(each) for each in phantoms]
    out = {}
    for name in REGIONS:
        having = [each[name] for each in drawn if name in each]
        if name in ours and having:
            mean = np.mean(having, axis=0)
            apart = (
                [_moved(each, np.mean([other for other in having if other is not each], axis=0)) for each in having]
                if len(having) > 1
                else [0.0]
            )
            out[name] = Likeness(
                real=_quartiles(ours[name]),
                phantoms=_quartiles(mean),
                distance_hu=round(_moved(ours[name], mean), 1),
                between_phantoms_hu=round(float(np.median(apart)), 1),
            )
    return out


def _moved(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.abs(np.cumsum(one - other)).sum() * (BINS_HU[1] - BINS_HU[0]))


def _quartiles(shares: NDArray[np.float64]) -> tuple[float, float, float]:
    at = np.interp((0.25, 0.5, 0.75), np.cumsum(shares), BINS_HU[1:])
    return float(at[0]), float(at[1]), float(at[2])


def main(argv: list[str] | None = None) -> int:
    from sdx_domains.medicine.ingest.read import read_study

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--phantoms", type=int, default=8)
    args = parser.parse_args(argv)
    series = read_study(args.study, lambda uid: uid)
    spacing = (series.volume.spacing_mm[0], 2.5, 2.5)
    drawn = [render(scene(SEEDS["tuning"].start + number), spacing, keep_masks=False).volume for number in range(args.phantoms)]
    for name, each in likeness(series.volume, drawn).items():
        print(
            f"{name:12} real {each.real}  phantoms {each.phantoms}  distance {each.distance_hu} HU (between phantoms {each.between_phantoms_hu})"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
