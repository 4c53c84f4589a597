"""The numbers of a chest CT: volumes, densities, widths. Each docstring names the source of its threshold. Start at measure()."""

import numpy as np

from sdx_domains.medicine.measure.anatomy import LEFT, RIGHT, Anatomy
from sdx_domains.medicine.measure.calcium import Speck, calcium, metal
from sdx_domains.medicine.measure.heart import heart, pericardial_mm
from sdx_domains.medicine.measure.pleura import fluid, free_air
from sdx_domains.medicine.picture import Measurements
from sdx_domains.medicine.volume import Volume

EMPHYSEMA_HU = -950.0
"""Gevenois et al. 1996: best agreement with microscopy on thin slices; here of block means of about 3 mm, in which noise is low."""


def measure(volume: Volume, anatomy: Anatomy) -> Measurements:
    """None where the anatomy does not allow it. Diameters of aorta and pulmonary trunk are always None: without a walk along the vessel
    they would be guesses."""
    if not (anatomy.lungs > 0).any():
        return Measurements(metal_ml=_ml(metal(volume, anatomy)))
    grid = anatomy.grid
    of = heart(anatomy)
    coronary, arterial = calcium(volume, anatomy, of)
    water, air = fluid(anatomy), free_air(anatomy)
    aerated = (anatomy.lungs > 0) & (air == 0)
    inner = grid.hu[aerated & (grid.hu < -500)]
    by_side = [
        tuple(round(float((mask == side).sum()) * grid.cell_ml, 1) for side in (RIGHT, LEFT)) for mask in (anatomy.chest, water, air)
    ]
    return Measurements(
        lung_volume_ml=(by_side[0][0], by_side[0][1]),
        lung_mean_hu=round(float(grid.hu[aerated].mean()), 1),
        emphysema_index_pct=round(100 * float(np.mean(inner < EMPHYSEMA_HU)), 2) if inner.size else None,
        cardiothoracic_ratio=round(of.ratio, 3) if of else None,
        coronary_calcium_ml=_ml(coronary) if of else None,
        arterial_calcium_ml=_ml(arterial),
        pleural_fluid_ml=(by_side[1][0], by_side[1][1]),
        pericardial_fluid_mm=round(pericardial_mm(anatomy, of)[0], 1) if of else None,
        pneumothorax_ml=(by_side[2][0], by_side[2][1]),
        metal_ml=_ml(metal(volume, anatomy)),
    )


def _ml(found: list[Speck]) -> float:
    return round(sum(speck.ml for speck in found), 4)
