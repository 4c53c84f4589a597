"""The rule book: every address in both languages, short, in stable order."""

import re
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_domains.contract import Language
from sdx_domains.ship.recall import RESTRICTED_VISIBILITY, addresses, passages, rule

CITED = [
    "R2(b)",
    "R5",
    "R6",
    "R7",
    "R8",
    "R9",
    "R10",
    "R13",
    "R14",
    "R15",
    "R16",
    "R17(a)(i)",
    "R17(a)(ii)",
    "R17(b)",
    "R17(c)",
    "R18",
    "R19",
    "R19(b)",
    "R19(d)(i)",
    "R19(d)(ii)",
    "R19(e)",
    "R34",
    "R35",
]


def test_every_cited_address_is_there_in_order() -> None:
    assert list(addresses()) == CITED


@pytest.mark.parametrize("address", CITED)
def test_passages_are_short_and_in_both_languages(address: str) -> None:
    en, ko = rule(address, "en"), rule(address, "ko")
    assert len(en.text.split()) <= 60 and len(ko.text) <= 160, (len(en.text.split()), len(ko.text))
    assert re.search("[가-힣]", ko.title + ko.text) and not re.search("[가-힣]", en.title + en.text)
    assert en.source == ko.source == "IMO COLREG 1972 as amended, paraphrased"


def test_unknown_address_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"no rule 'R99'; known: R2\(b\), R5"):
        rule("R99")


@pytest.mark.parametrize("language", get_args(Language))
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_passages_are_the_targets_rules_once_each_in_the_order_of_the_book(
    language: Language, situations: st.SearchStrategy, data: st.DataObject
) -> None:
    picture, _ = data.draw(situations)
    found = [passage.id for passage in passages(picture, language)]
    wanted = {address for target in picture.targets for address in target.rules}
    assert set(found) == wanted | (set(RESTRICTED_VISIBILITY) if picture.environment.restricted_visibility else set())
    assert found == sorted(found, key=CITED.index)
