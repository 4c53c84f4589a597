"""The shipped passages and terms: both languages and the same figures in them, every cited rule there, figures of this system true."""

import re
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import sdx_domains.ship
from sdx_domains.contract import Language
from sdx_domains.knowledge import glossaries, passage_files
from sdx_domains.ship import envelope
from sdx_domains.ship.limits import limits
from sdx_domains.ship.picture import OwnShipParameters

SHIP = Path(sdx_domains.ship.__file__).parent
ADDRESS = {
    "colreg": r"R\d+(\([a-z]+\)){0,2}",
    "colreg_rules": r"R\d+(\([a-z]+\)){0,2}",
    "colreg_lights": r"R\d+(\([a-z]\))?|Annex (I|II|III|IV)(\(\d\))?",
    "bridge_practice": r"BP-\d+",
    "ship_equipment": r"EQ-\d+",
}
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@cache
def _files() -> dict[str, dict[str, Any]]:
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in passage_files("ship")}


@cache
def _entries() -> dict[str, dict[str, Any]]:
    return {address: entry for book in _files().values() for address, entry in book["rules"].items()}


def _said(address: str, language: Language) -> str:
    entry = _entries()[address][language]
    return f"{entry['title']}. {entry['text']}"


def test_the_passage_files_are_these_and_no_address_stands_twice() -> None:
    assert set(_files()) == set(ADDRESS)
    assert sum(len(book["rules"]) for book in _files().values()) == len(_entries()) >= 260


@pytest.mark.parametrize("name", ADDRESS)
def test_every_entry_is_whole_short_and_has_a_source(name: str) -> None:
    book = _files()[name]
    for address, entry in book["rules"].items():
        assert re.fullmatch(ADDRESS[name], address), address
        assert set(entry) - {"source"} == set(get_args(Language)), address
        assert all(set(entry[language]) == {"title", "text"} for language in get_args(Language)), address
        assert (entry.get("source") or book["source"]).strip(), address
        en, ko = entry["en"], entry["ko"]
        assert 5 <= len(en["text"].split()) <= 80 and 10 <= len(ko["text"]) <= 260, address
        assert not re.search("[가-힣]", en["title"] + en["text"]) and re.search("[가-힣]", ko["title"]) and re.search("[가-힣]", ko["text"])
        assert en["text"].endswith(".") and ko["text"].endswith("."), address


@pytest.mark.parametrize("name", ADDRESS)
def test_both_languages_name_the_same_figures(name: str) -> None:
    """Small counts are words in English ("two prolonged blasts") and digits in Korean; every other figure is in both."""
    for address in _files()[name]["rules"]:
        en, ko = (set(NUMBER.findall(_said(address, language))) for language in ("en", "ko"))
        assert en <= ko, (address, en - ko)
        assert {number for number in ko if float(number) >= 13 or "." in number} <= en, (address, ko - en)


def test_every_rule_that_the_code_cites_or_a_passage_refers_to_is_there() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SHIP.rglob("*.py")))
    cited = set(re.findall(r'"(R\d+(?:\([a-z]+\))*)[" ]', code))
    assert {"R8(b)", "R19(d)", "R17(a)(ii)"} <= cited
    said = "\n".join(_said(address, "en") for address in _entries())
    referred = {f"R{rule}" for rule in re.findall(r"Rule (\d+(?:\([a-z]+\))*)", said)}
    assert len(referred) > 10
    assert [
        rule for rule in sorted(cited | referred) if not any(known.startswith(rule) or rule.startswith(known) for known in _entries())
    ] == []
    assert cited <= set(_entries())


def test_all_of_rules_1_to_38_are_there() -> None:
    assert {int(found[1]) for address in _entries() if (found := re.match(r"R(\d+)", address))} == set(range(1, 39))


def test_figures_of_this_system_are_those_it_works_with() -> None:
    lim, ship = limits(), OwnShipParameters()
    figures: dict[str, tuple[float, ...]] = {
        "EQ-28": (ship.length_m, ship.max_rudder_deg, ship.rudder_rate_deg_s, ship.max_rot_deg_min, 100 * ship.turn_speed_loss),
        "EQ-29": (ship.service_speed_kn, ship.min_speed_kn, ship.max_speed_kn, ship.surge_t_s, 3 * ship.surge_t_s),
        "EQ-30": (lim.cpa_limit_open_nm, lim.cpa_limit_coastal_nm, lim.cpa_limit_confined_nm, lim.cpa_limit_restricted_visibility_nm),
        "EQ-31": (lim.give_way_act_tcpa_min, lim.give_way_act_range_nm, lim.apparent_turn_deg),
        "EQ-32": (
            *(lim.stand_on_may_act_tcpa_min, lim.stand_on_may_act_range_nm),
            *(lim.stand_on_must_act_tcpa_min, lim.stand_on_must_act_range_nm),
        ),
        "EQ-33": (lim.restricted_visibility_nm,),
        "EQ-34": (
            *(envelope.MIN_VISIBILITY_NM, envelope.MAX_WIND_KN, envelope.MAX_CURRENT_KN, lim.max_targets_in_envelope),
            *(envelope.DENSITY_RANGE_NM, envelope.UNDER_KEEL_M),
        ),
        "EQ-35": (lim.own_max_age_s, lim.target_max_age_s, lim.target_drop_age_s),
        "EQ-36": (lim.order_valid_s, lim.watchdog_s),
    }
    for address, wanted in figures.items():
        for language in get_args(Language):
            said = {float(number) for number in NUMBER.findall(_said(address, language))}
            assert set(wanted) <= said, (address, language, set(wanted) - said)
        rules = {17.0, 19.0, 95.0} if address in ("EQ-29", "EQ-32", "EQ-33") else set()
        assert {float(number) for number in NUMBER.findall(_said(address, "en"))} <= set(wanted) | rules, address


def test_terms_stand_once_and_are_words_of_the_passages() -> None:
    (path,) = glossaries("ship")
    terms: list[dict[Language, list[str]]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert len(terms) >= 200
    for language in get_args(Language):
        everything = " ".join(_said(address, language) for address in _entries()).lower()
        spelled = [term.lower().replace("-", " ") for entry in terms for term in entry[language]]
        assert [term for term in spelled if spelled.count(term) > 1] == []
        assert [entry for entry in terms if not any(term.lower() in everything for term in entry[language])] == []
    assert not any(re.search("[A-Za-z]", term) for entry in terms for term in entry["ko"])
    assert not any(re.search("[가-힣]", term) for entry in terms for term in entry["en"])
