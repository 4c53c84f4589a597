"""Likeness to a real series: densities by region, within what phantoms differ among themselves or a stated bound."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdx_domains.medicine.phantom.compare import REGIONS, histograms, likeness, main
from sdx_domains.medicine.phantom.render import render
from sdx_domains.medicine.phantom.scene import SEEDS, scene

REAL = Path(os.environ.get("SDX_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data")) / "ct" / "thorax_siemens"
FAR_HU = {"lungs": 80.0, "mediastinum": 80.0, "wall": 50.0}
"""Regions of one real patient may differ so much from phantoms of all kinds: a tissue that is missing or wrong moves more."""


def test_a_phantom_is_like_itself_and_unlike_one_that_is_denser() -> None:
    volume = render(scene(SEEDS["tuning"].start, []), (8.0, 4.0, 4.0)).volume
    shares = histograms(volume)
    assert set(shares) == set(REGIONS) and all(each.sum() == pytest.approx(1.0) for each in shares.values())
    assert all(each.distance_hu == 0.0 for each in likeness(volume, [volume]).values())
    denser = replace(volume, hu=np.where(volume.hu < -700, volume.hu + 60, volume.hu).astype(np.int16))
    assert likeness(volume, [denser])["lungs"].distance_hu == pytest.approx(60, abs=12)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real chest CT at hand")
def test_phantoms_are_not_far_from_a_real_chest(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pydicom")
    assert main([str(REAL), "--phantoms", "3"]) == 0
    told = {line.split()[0]: float(line.split("distance ")[1].split()[0]) for line in capsys.readouterr().out.splitlines()}
    assert set(told) == set(REGIONS)
    for name, far in FAR_HU.items():
        assert told[name] < far, (name, told[name])
