"""Volumes, ratios and amounts against what was drawn."""

import pytest

from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.measure.measure import measure
from sdx_domains.medicine.phantom.truth import cardiothoracic_ratio


def ml(phantom, key: str) -> float:
    place = next(n for n, label in enumerate(labels()) if label.key == key)
    z, y, x = phantom.volume.spacing_mm
    return float(((phantom.masks >> place) & 1).sum()) * z * y * x / 1000


def test_a_normal_chest_has_nothing(drawn):
    phantom, anatomy = drawn()
    measured = measure(phantom.volume, anatomy)
    assert measured.pleural_fluid_ml == (0.0, 0.0)
    assert measured.pneumothorax_ml == (0.0, 0.0)
    assert measured.metal_ml == 0.0
    assert measured.pericardial_fluid_mm == 0.0
    assert measured.emphysema_index_pct is not None
    assert measured.emphysema_index_pct < 4
    assert measured.coronary_calcium_ml == 0.0
    assert measured.arterial_calcium_ml == 0.0


@pytest.mark.parametrize("diseases", [(), ("cardiomegaly",)])
def test_the_heart_by_the_chest(drawn, diseases):
    phantom, anatomy = drawn(*diseases)
    ratio = measure(phantom.volume, anatomy).cardiothoracic_ratio
    assert ratio is not None
    assert abs(ratio - cardiothoracic_ratio(phantom.scene)) < 0.06
    assert (ratio > 0.5) == ("cardiomegaly" in diseases)


def test_fluid_on_its_side(drawn):
    phantom, anatomy = drawn("pleural_effusion")
    right, left = measure(phantom.volume, anatomy).pleural_fluid_ml or (0.0, 0.0)
    true = phantom.truth[0]
    assert (right > 0) == (true.laterality in ("right", "bilateral"))
    assert (left > 0) == (true.laterality in ("left", "bilateral"))
    assert 0.5 < (right + left) / ml(phantom, "pleural_effusion") < 1.3


def test_free_air_on_its_side(drawn):
    phantom, anatomy = drawn("pneumothorax")
    right, left = measure(phantom.volume, anatomy).pneumothorax_ml or (0.0, 0.0)
    main = right if phantom.truth[0].laterality == "right" else left
    assert main == max(right, left)
    assert 0.4 < main / ml(phantom, "pneumothorax") < 1.2


@pytest.mark.parametrize(
    ("disease", "name", "least"),
    [
        ("emphysema", "emphysema_index_pct", 5.0),
        ("pericardial_effusion", "pericardial_fluid_mm", 4.0),
        ("medical_material", "metal_ml", 0.1),
    ],
)
def test_what_is_drawn_is_measured(drawn, disease, name, least):
    phantom, anatomy = drawn(disease, seed=5)
    assert getattr(measure(phantom.volume, anatomy), name) > least


@pytest.mark.parametrize("contrast", [False, True])
def test_calcium_of_heart_and_of_aorta_are_told_apart(drawn, contrast):
    for disease, own, other in (
        ("coronary_calcification", "coronary_calcium_ml", "arterial_calcium_ml"),
        ("arterial_calcification", "arterial_calcium_ml", "coronary_calcium_ml"),
    ):
        phantom, anatomy = drawn(disease, contrast=contrast)
        measured = measure(phantom.volume, anatomy)
        assert getattr(measured, own) > 0.01
        assert getattr(measured, own) > 2 * getattr(measured, other)
