"""The rule book: every address in both languages, short, in stable order."""

import re
from importlib.resources import files
from typing import get_args

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdx_domains.contract import Fault, Language
from sdx_domains.ship.envelope import envelope
from sdx_domains.ship.picture import Environment, ShipOption, ShipPicture
from sdx_domains.ship.recall import RESTRICTED_VISIBILITY, SOUGHT_TARGETS, addresses, looks_for, passages, rule
from sdx_domains.ship.simulator.sensors import HOSTILE_NAMES

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


def _words(language: Language) -> set[str]:
    groups = yaml.safe_load((files("sdx_domains.ship") / "knowledge/look_up.yaml").read_text(encoding="utf-8"))
    return {words[language] for group in groups.values() for words in group.values()}


@pytest.mark.parametrize("language", get_args(Language))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_looked_for_holds_nothing_from_outside(language: Language, situations: st.SearchStrategy, data: st.DataObject) -> None:
    """Names, track ids, labels, sources and faults may say anything: the words are those of the file, and the same as without them."""
    picture: ShipPicture = data.draw(situations)[0]
    outside = data.draw(st.one_of(st.sampled_from(HOSTILE_NAMES), st.text(max_size=40)))
    told = {"name_untrusted": outside, "track_id": outside, "label": outside, "sources": (outside,)}
    attacked = picture.model_copy(
        update={
            "targets": tuple(target.model_copy(update=told) for target in picture.targets),
            "faults": (Fault(t_s=0.0, kind="ais_text", detail=outside),),
            "salience": outside,
        }
    )
    said = looks_for(attacked, language)
    assert said == looks_for(picture, language)
    left = said
    for words in sorted(_words(language), key=len, reverse=True):
        left = left.replace(words, "")
    assert not left.strip(", ")


def test_what_is_looked_for_follows_the_picture(small_case: tuple[ShipPicture, ShipOption]) -> None:
    picture, _ = small_case
    assert looks_for(picture, "en") == "crossing situation, give-way vessel"
    assert looks_for(picture, "ko") == "횡단하는 상태, 피항선"
    trawler = picture.targets[0].model_copy(update={"kind": "fishing"})
    confined = picture.model_copy(update={"targets": (trawler,), "environment": Environment(waters="confined")})
    assert looks_for(confined, "en") == "crossing situation, give-way vessel, vessel engaged in fishing, narrow channel"
    fog = picture.model_copy(update={"targets": (), "environment": Environment(visibility_nm=1.0, restricted_visibility=True)})
    assert looks_for(fog, "en") == "restricted visibility, safe speed"


def test_nothing_is_looked_for_where_nothing_is_met(small_case: tuple[ShipPicture, ShipOption]) -> None:
    picture, _ = small_case
    far = picture.targets[0].model_copy(update={"encounter": "none", "role": "none", "rules": (), "stage": 0})
    past = picture.targets[0].model_copy(update={"past_and_clear": True})
    for targets in ((), (far,), (past,), (far, past)):
        assert looks_for(picture.model_copy(update={"targets": targets}), "en") == ""


def test_only_the_most_urgent_targets_shape_what_is_looked_for(small_case: tuple[ShipPicture, ShipOption]) -> None:
    picture, _ = small_case
    crossing = picture.targets[0]
    overtaken = crossing.model_copy(update={"label": "T9", "encounter": "overtaken", "role": "stand_on"})
    for place in range(SOUGHT_TARGETS + 1):
        targets = (*[crossing] * place, overtaken)
        assert ("being overtaken" in looks_for(picture.model_copy(update={"targets": targets}), "en")) is (place < SOUGHT_TARGETS)


def test_a_limit_of_the_envelope_that_is_not_kept_is_looked_for(small_case: tuple[ShipPicture, ShipOption]) -> None:
    calm = small_case[0].model_copy(update={"targets": ()})
    gale = calm.model_copy(update={"own": calm.own, "environment": Environment(wind_kn=50.0, depth_m=7.0)})
    beyond = gale.model_copy(update={"envelope": envelope(gale.own, gale.environment, ())})
    assert looks_for(beyond, "en") == "heavy weather, wind limit, under-keel clearance, shallow water"
    kept = calm.model_copy(update={"envelope": envelope(calm.own, calm.environment, ())})
    assert kept.envelope and looks_for(kept, "en") == ""
