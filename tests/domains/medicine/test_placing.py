"""The score of places, on findings written by hand."""

import numpy as np
import pytest

from sdx_domains.medicine.findings import Finding, Size, Slices
from sdx_domains.medicine.placing import score


def finding(label: str, **changes: object) -> Finding:
    values = {
        "id": "F1",
        "label": label,
        "laterality": "right",
        "zone": "upper",
        "lobe": "RUL",
        "slices": Slices(first=4, last=9, key=6, key_uid="slice-7"),
        "centroid_lps_mm": (-50.0, 0.0, 0.0),
        "bbox_lps_mm": (-60.0, -10.0, -10.0, -40.0, 10.0, 10.0),
        "size": Size(long_mm=12.0, short_mm=9.0, volume_ml=0.5),
        "probability": 0.9,
        "found_by": "measurement",
    }
    return Finding.model_validate(values | changes)


def test_all_right():
    [placed] = score([finding("nodule")], [finding("nodule", size=Size(long_mm=13.5, short_mm=9.0, volume_ml=0.5))])
    assert (placed.side_right, placed.zone_right, placed.key_slice_inside) == (True, True, True)
    assert placed.size_error_mm == pytest.approx(1.5)


def test_all_wrong():
    wrong = finding("nodule", laterality="left", zone="lower", size=None, slices=Slices(first=0, last=9, key=1, key_uid="slice-2"))
    [placed] = score([finding("nodule")], [wrong])
    assert (placed.side_right, placed.zone_right, placed.key_slice_inside, placed.size_error_mm) == (False, False, False, None)


def test_what_is_not_there_and_what_has_no_side():
    assert score([finding("nodule")], [finding("mass")]) == ()
    [placed] = score([finding("cardiomegaly", laterality="n/a", zone="n/a")], [finding("cardiomegaly")])
    assert placed.side_right is None
    assert placed.zone_right is None


def test_with_masks_the_slice_must_show_the_lesion_itself():
    """Between first and last there may be slices without it."""
    masks = np.zeros((12, 4, 4), np.uint32)
    masks[4, 1, 1] = masks[9, 1, 1] = 1 << 9
    [between] = score([finding("nodule")], [finding("nodule")], masks)
    assert not between.key_slice_inside
    shown = finding("nodule", slices=Slices(first=4, last=9, key=9, key_uid="slice-10"))
    [on] = score([finding("nodule")], [shown], masks)
    assert on.key_slice_inside
