"""Passages of knowledge/ for a situation: passage() by address, passages() for a picture; looks_for(): what to seek in other documents."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Language, Passage
from sdx_domains.farm.devices import FAULT_STATUS
from sdx_domains.farm.outlook import modes
from sdx_domains.farm.picture import FarmPicture

BOOKS = ("climate", "equipment", "irrigation", "crops")
SHOWN = 10
"""So many passages are recalled at most: the most urgent ones."""
SOUGHT = 3
"""So many situations shape what is looked for: more would blur it."""
ABOVE = {
    "air_temp_c": ("hot", 30.0),
    "air_rh_pct": ("humid", 85.0),
    "vpd_kpa": ("dry", 1.2),
    "wind_m_s": ("storm", 15.0),
    "rain_mm_h": ("rain", 0.1),
    "substrate_ec_ds_m": ("salt", 5.0),
    "substrate_ph": ("acid", 6.5),
}
BELOW = {"air_temp_c": ("cold", 15.0), "substrate_ph": ("acid", 5.5), "substrate_wc_pct": ("dry_substrate", 45.0)}
"""Working ranges as in the passages themselves (GC-1, GC-6, GC-7, IR-2, IR-3)."""
CONDENSATION_K = 1.0
CO2_LOW_PPM = 350.0


@cache
def _entries() -> dict[str, tuple[dict[str, Any], str]]:
    """(entry, source) by address, of every book."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for book in BOOKS:
        data = yaml.safe_load((files(__package__ or "") / f"knowledge/{book}.yaml").read_text(encoding="utf-8"))
        found |= {address: (entry, entry.get("source", data["source"])) for address, entry in data["rules"].items()}
    return found


@cache
def _look_up() -> Mapping[str, Mapping[str, Any]]:
    return yaml.safe_load((files(__package__ or "") / "knowledge/look_up.yaml").read_text(encoding="utf-8"))


def addresses() -> tuple[str, ...]:
    """Every address that can be cited, book by book."""
    return tuple(_entries())


@cache
def passage(address: str, language: Language = "en") -> Passage:
    """The passage at an address such as "GC-7". Raises KeyError that names the known books' first addresses."""
    if address not in _entries():
        raise KeyError(f"no passage {address!r}; known: {', '.join(list(_entries())[:6])} ... ({len(_entries())} in all)")
    entry, source = _entries()[address]
    return Passage(id=address, title=entry[language]["title"], text=entry[language]["text"], source=source)


def passages(picture: FarmPicture, language: Language = "en") -> tuple[Passage, ...]:
    """Passages that the situation calls for, each once, the most urgent first."""
    wanted = [address for situation in situations(picture) for address in _look_up()[situation]["passages"]]
    return tuple(passage(address, language) for address in list(dict.fromkeys(wanted))[:SHOWN])


def looks_for(picture: FarmPicture, language: Language = "en") -> str:
    """Words of knowledge/look_up.yaml that the picture calls for, each once; "" where nothing is worth a search.

    Nothing from outside is in it: only values of closed lists choose, and only the file's words are given.
    """
    words = [_look_up()[situation][language] for situation in situations(picture)]
    return ", ".join(list(dict.fromkeys(word for word in words if word))[:SOUGHT])


def situations(picture: FarmPicture) -> tuple[str, ...]:
    """Entries of look_up.yaml that fit, in the order of that file: the most urgent first."""
    found = {"always", "daylight" if picture.daylight else "night"}
    found |= {"device_fault" for actuator in picture.actuators if actuator.status in FAULT_STATUS}
    found |= {"manual" for actuator in picture.actuators if actuator.right != "REMOTE"}
    found |= {"sensor_fault" for measured in picture.measured.values() if measured.quality == "bad"}
    for table, sign in ((ABOVE, 1.0), (BELOW, -1.0)):
        for quantity, (situation, limit) in table.items():
            value = picture.value(quantity)
            if value is not None and sign * value > sign * limit:
                found.add(situation)
    leaf = picture.value("leaf_temp_c")
    leaf = leaf if leaf is not None else picture.value("air_temp_c")
    dew = picture.value("dew_point_c")
    if leaf is not None and dew is not None and leaf < dew + CONDENSATION_K:
        found.add("condensation")
    co2 = picture.value("co2_ppm")
    if picture.daylight and co2 is not None and co2 < CO2_LOW_PPM:
        found.add("co2_low")
    found |= {{"heat": "heat_ahead"}.get(mode, mode) for mode in modes(picture.forecast, picture.t_s)}
    if picture.prices is not None and max(picture.prices.elec_eur_kwh[:24], default=0.0) > 1.5 * (
        sum(picture.prices.elec_eur_kwh[:24]) / 24.0
    ):
        found.add("dear_power")
    return tuple(situation for situation in _look_up() if situation in found)
