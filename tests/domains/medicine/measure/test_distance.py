"""The compiled distance transform against scipy's."""

import numpy as np
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.medicine.measure.distance import FAR_MM, depth_mm


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    filled=st.floats(0.0, 1.0),
    spacing_mm=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    seed=st.integers(0, 999),
)
def test_it_is_scipys(shape, filled, spacing_mm, seed):
    mask = np.random.default_rng(seed).random(shape) < filled
    if mask.all():
        assert (depth_mm(mask, spacing_mm) >= FAR_MM).all()
        return
    found = depth_mm(mask[::-1, :, ::-1], spacing_mm)  # a view that is not contiguous
    np.testing.assert_allclose(found, scipy.ndimage.distance_transform_edt(mask[::-1, :, ::-1], sampling=spacing_mm), rtol=1e-5, atol=1e-5)
