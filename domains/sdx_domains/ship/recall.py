"""Rules by address, from knowledge/colreg.yaml: rule(), and passages() for a picture."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Language, Passage
from sdx_domains.ship.picture import ShipPicture

RESTRICTED_VISIBILITY = ("R5", "R6", "R19", "R19(b)", "R19(d)(i)", "R19(d)(ii)", "R19(e)", "R35")
"""Always recalled when visibility is restricted, whatever the targets say."""


@cache
def _book() -> dict[str, Any]:
    return yaml.safe_load((files("sdx_domains.ship") / "knowledge/colreg.yaml").read_text(encoding="utf-8"))


@cache
def addresses() -> tuple[str, ...]:
    """Every address that can be cited, in the order of the regulations."""
    return tuple(_book()["rules"])


def rule(address: str, language: Language = "en") -> Passage:
    """The passage at an address such as "R17(a)(ii)". Raises KeyError that names the known addresses."""
    if address not in addresses():
        raise KeyError(f"no rule {address!r}; known: {', '.join(addresses())}")
    entry = _book()["rules"][address][language]
    return Passage(id=address, title=entry["title"], text=entry["text"], source=_book()["source"])


def passages(picture: ShipPicture, language: Language = "en") -> tuple[Passage, ...]:
    """Passages of every rule that the targets stand under, and of Rule 19 in restricted visibility; each once.

    Order: that of the regulations. Raises KeyError for a target's rule that is not known.
    """
    wanted = {address for target in picture.targets for address in target.rules}
    if picture.environment.restricted_visibility:
        wanted.update(RESTRICTED_VISIBILITY)
    for address in sorted(wanted):
        rule(address, language)
    return tuple(rule(address, language) for address in addresses() if address in wanted)
