"""Pairs: both reports say the truth of the phantom and nothing else, as a labeller reads them."""

import pytest

from sdx_domains.medicine.language.labeller import label
from sdx_domains.medicine.phantom.pairs import pair
from sdx_domains.medicine.phantom.scene import SEEDS


@pytest.mark.parametrize("seed", range(SEEDS["train"].start + 40, SEEDS["train"].start + 44))
def test_reports_say_what_is_there(seed: int) -> None:
    made = pair(seed, (8.0, 5.0, 5.0))
    true = {each.label for each in made.phantom.truth}
    for report in (made.en, made.ko):
        read = label(f"{report.findings_text()}\n{report.impression_text()}", report.language)
        assert {key for key, present in read.items() if present == "yes"} == true
