"""The confidentiality profile as a table: what PS3.15 Annex E says becomes of each attribute, and what becomes of those it does not list."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml

Action = Literal["remove", "empty", "dummy", "uid", "date", "clean", "code", "keep", "inside", "patient", "age"]
"""inside: a sequence, each item by the same table; clean: words of words.yaml alone; code: kept only if made of such words."""
_DATES = frozenset(("DA", "DT", "TM"))
_TEXT = frozenset(("LO", "SH", "LT", "ST", "UT", "UC", "UR", "PN", "AE", "AS"))
_BINARY = frozenset(("OB", "OW", "OF", "OD", "OL", "OV", "UN"))


@dataclass(frozen=True, slots=True)
class Profile:
    """profile.yaml, read."""

    listed: Mapping[str, str]
    """Keyword -> action as the standard spells it."""
    whole_groups: frozenset[str]
    patient_groups: frozenset[int]
    clean: frozenset[str]
    characteristics: frozenset[str]
    patient_id: frozenset[str]
    keep_text: frozenset[str]
    keep_binary: frozenset[str]
    keep_here: frozenset[str]
    coding_schemes: Mapping[str, str]
    """Designator -> pattern of its code values."""


@cache
def profile() -> Profile:
    table = yaml.safe_load((files("sdx_domains.medicine.privacy") / "profile.yaml").read_text(encoding="utf-8"))
    listed = {keyword: action.split(" ")[0] for action, keywords in table["actions"].items() for keyword in keywords.split()}
    return Profile(
        listed=listed,
        whole_groups=frozenset(table["whole_groups"]),
        patient_groups=frozenset(int(group, 16) for group in table["patient_groups"]),
        clean=frozenset(table["clean"]),
        characteristics=frozenset(table["characteristics"]),
        patient_id=frozenset(table["patient_id"]),
        keep_text=frozenset(table["keep_text"].split()),
        keep_binary=frozenset(table["keep_binary"].split()),
        keep_here=frozenset(table["keep_here"].split()),
        coding_schemes=table["coding_schemes"],
    )


def action(tag: int, keyword: str, vr: str) -> Action:
    """What becomes of an attribute. `keyword` "" means: in no dictionary, or private; those go."""
    table, group = profile(), tag >> 16
    if not keyword or group % 2 or f"{group:04x}" in table.whole_groups or f"{group >> 8:02x}xx" in table.whole_groups:
        return "remove"
    if keyword in table.patient_id:
        return "patient"
    if keyword in table.characteristics:
        return "age" if keyword == "PatientAge" else "code" if vr == "CS" else "keep"
    if keyword in table.clean:
        return "clean"
    if keyword in table.listed:
        return _listed(table.listed[keyword], vr)
    return _unlisted(table, group, keyword, vr)


def _listed(spelled: str, vr: str) -> Action:
    """The last letter of a composite keeps every IOD whole, and an empty or dummy value never identifies (table E.1-1a)."""
    last = spelled.rstrip("*").split("/")[-1]
    if vr in _DATES and last in ("Z", "D") or vr in _DATES and spelled == "X/Z":
        return "date"
    if last == "U":
        return "uid" if vr == "UI" else "inside"
    if last == "D":
        return "inside" if vr == "SQ" else "dummy"
    return {"X": "remove", "Z": "empty"}[last]  # type: ignore[return-value]


def _unlisted(table: Profile, group: int, keyword: str, vr: str) -> Action:
    if group in table.patient_groups and keyword not in table.keep_here and keyword not in table.keep_text and vr != "UI":
        return "remove"
    if vr == "SQ":
        return "inside"
    if vr == "UI":
        return "uid"
    if vr in _DATES:
        return "date"
    if vr in _TEXT:
        return "clean" if keyword in table.keep_text else "remove"
    if vr in _BINARY or " or " in vr:
        return "keep" if keyword in table.keep_binary or " or SS" in vr else "remove"
    return "code" if vr == "CS" else "keep"
