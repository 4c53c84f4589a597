"""CPU seconds and memory for a long series of thin slices: 300 x 512 x 512."""

import resource
import time

import numpy as np
import pytest

from sdx_domains.medicine.candidates import find
from sdx_domains.medicine.measure.anatomy import segment
from sdx_domains.medicine.measure.measure import measure
from sdx_domains.medicine.slabs import slabs
from sdx_domains.medicine.volume import StudyFacts, Volume


def long_series(volume: Volume) -> Volume:
    """A drawn patient, each voxel repeated until there are 300 x 512 x 512, with a little noise."""
    rng = np.random.default_rng(0)
    where = [np.minimum(np.arange(n) * old // n, old - 1) for n, old in zip((300, 512, 512), volume.hu.shape, strict=True)]
    hu = volume.hu[np.ix_(*where)]
    for section in hu:
        section += rng.normal(0, 20, section.shape).astype(np.int16)
    steps = tuple(step * old / n for step, old, n in zip(volume.spacing_mm, volume.hu.shape, (300, 512, 512), strict=True))
    z = volume.z_mm[0] + np.arange(300, dtype=np.float64) * steps[0]
    return Volume(hu, (steps[0], steps[1], steps[2]), volume.origin_lps_mm, z)


@pytest.mark.slow
def test_three_hundred_thin_slices(drawn):
    phantom, _ = drawn("nodule", "pleural_effusion")
    volume = long_series(phantom.volume)
    facts = StudyFacts(
        study_uid="s", series_uid="s", slice_uids=tuple(f"slice-{n + 1}" for n in range(300)), slices=300, spacing_mm=volume.spacing_mm
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    slabs(volume)
    seen = time.process_time()
    anatomy = segment(volume)
    cut = time.process_time()
    measured = measure(volume, anatomy)
    told = time.process_time()
    find(volume, anatomy, measured, None, facts)
    found = time.process_time()
    more_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    took = {"slabs": seen - start, "segment": cut - seen, "measure": told - cut, "find": found - told, "memory_mb": more_mb}
    print({name: round(value, 2) for name, value in took.items()})
    assert took["slabs"] < 1.0
    assert took["segment"] < 2.0
    assert took["measure"] + took["find"] < 5.0
    assert more_mb < 700
