"""What must be told at once."""

import pytest

from sdx_domains.medicine.assure.critical import critical, critical_list
from sdx_domains.medicine.assure.random_studies import study

FINDING = next(each for n in range(99) for each in study(500_000_600 + n).picture.findings)


@pytest.mark.parametrize(
    ("label", "measure", "descriptors", "told"),
    [
        ("mass", {}, (), True),
        ("pneumothorax", {}, (), True),
        ("pleural_effusion", {"fluid_ml": 1000.0}, (), True),
        ("pleural_effusion", {"fluid_ml": 10.0}, ("large",), True),
        ("pleural_effusion", {"fluid_ml": 999.0}, ("moderate",), False),
        ("nodule", {}, ("large",), False),
    ],
)
def test_who_is_critical(label, measure, descriptors, told):
    assert critical(FINDING.model_copy(update={"label": label, "measure": measure, "descriptors": descriptors})) is told


def test_every_row_names_its_source():
    assert all(len(row.source) > 20 for row in critical_list())
