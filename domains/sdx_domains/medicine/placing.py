"""How well stated findings are placed, against a phantom's truth: side, zone, key slice, size. Start at score()."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.findings import Finding
from sdx_domains.medicine.labels import label, labels
from sdx_domains.medicine.scoring import Placed, same_place, zone_agrees


def score(truth: Sequence[Finding], stated: Sequence[Finding], masks: NDArray[np.uint32] | None = None) -> tuple[Placed, ...]:
    """One value for each stated finding whose label is true; what is stated and not there is counted elsewhere.

    masks: of the phantom (bit n: label n), in the slices of the volume; with them the key slice must show the lesion itself,
    without them it must lie between its first and last slice.
    """
    pairs = [(same_place(truth, each), each) for each in stated]
    return tuple(_placed(there, each, masks) for there, each in pairs if there is not None)


def _placed(there: Finding, stated: Finding, masks: NDArray[np.uint32] | None) -> Placed:
    kind = label(stated.label)
    return Placed(
        label=stated.label,
        side_right=stated.laterality == there.laterality if kind.sided else None,
        zone_right=zone_agrees(stated.zone, there.zone) if kind.zoned else None,
        key_slice_inside=_inside(there, stated, masks),
        size_error_mm=abs(stated.size.long_mm - there.size.long_mm) if stated.size and there.size else None,
    )


def _inside(there: Finding, stated: Finding, masks: NDArray[np.uint32] | None) -> bool:
    if masks is None:
        return there.slices.first <= stated.slices.key <= there.slices.last
    place = next(n for n, each in enumerate(labels()) if each.key == stated.label)
    return bool((masks[stated.slices.key] >> np.uint32(place) & np.uint32(1)).any())
