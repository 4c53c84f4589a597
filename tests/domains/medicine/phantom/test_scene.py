"""Patients: the same seed is the same one, chance gives what priors.yaml says, and what was asked for is there."""

from itertools import islice, pairwise

import numpy as np
import pytest

from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.phantom.grow import depths
from sdx_domains.medicine.phantom.lesions import DISEASES
from sdx_domains.medicine.phantom.scene import SEEDS, drawn, priors, scene

DRAWN = 1500


def test_every_label_has_a_phantom_and_a_prior() -> None:
    keys = {label.key for label in labels()}
    assert set(DISEASES) == keys == set(priors().label)


def test_same_seed_is_the_same_patient_and_another_seed_another() -> None:
    one, again, other = scene(1_000_003), scene(1_000_003), scene(1_000_004)
    assert one.body == again.body and one.labels == again.labels and one.taking == again.taking
    assert np.array_equal(one.before, again.before) and np.array_equal(one.after, again.after)
    assert one.body != other.body


def test_seeds_of_different_purposes_never_meet() -> None:
    ranges = sorted(SEEDS.values(), key=lambda each: each.start)
    assert all(before.stop <= after.start for before, after in pairwise(ranges))


def test_chance_gives_each_label_often_enough_and_a_quarter_normal() -> None:
    found = [drawn(np.random.default_rng(seed)) for seed in range(DRAWN)]
    assert 0.21 < sum(not each for each in found) / DRAWN < 0.29
    for key in DISEASES:
        assert 0.10 < sum(key in each for each in found) / DRAWN < 0.30, key


def test_every_partner_also_comes_alone() -> None:
    found = [drawn(np.random.default_rng(seed)) for seed in range(DRAWN)]
    for key, partners in priors().partners.items():
        for partner in partners:
            assert sum(key in each and partner not in each for each in found) > 20, (key, partner)
            assert sum(partner in each and key not in each for each in found) > 20, (key, partner)


def test_a_label_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no phantom has gallstone; known: .*nodule"):
        scene(1, ["nodule", "gallstone"])


def test_nodules_lie_in_the_lung_and_apart() -> None:
    for seed in islice(SEEDS["train"], 40):
        patient = scene(seed, ["nodule"])
        centres = np.array([lesion.core[1:4] for lesion in patient.lesions])
        assert (depths(patient.body, centres) > 2).all()
        gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 1e3 * np.eye(len(centres))
        assert gaps.min() > 8
