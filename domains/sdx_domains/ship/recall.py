"""Rules by address, from knowledge/colreg.yaml: rule(), passages() for a picture; looks_for(): what to seek in other documents."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Language, Passage
from sdx_domains.ship.picture import ShipPicture
from sdx_domains.ship.rules import engaged

RESTRICTED_VISIBILITY = ("R5", "R6", "R19", "R19(b)", "R19(d)(i)", "R19(d)(ii)", "R19(e)", "R35")
"""Always recalled when visibility is restricted, whatever the targets say."""
SOUGHT_TARGETS = 2
"""So many of the most urgent targets shape what is looked for: more would blur it."""


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


def looks_for(picture: ShipPicture, language: Language = "en") -> str:
    """Words of knowledge/look_up.yaml that the picture calls for, each once, the most urgent first; "" where nothing is worth a search.

    Nothing from outside is in it: only values of closed lists choose, and only the file's words are given.
    """
    found = (_look_up().get(group, {}).get(value) for group, value in _sought(picture))
    return ", ".join(dict.fromkeys(words[language] for words in found if words is not None))


def _sought(picture: ShipPicture) -> Iterator[tuple[str, str]]:
    """(group, value) pairs of look_up.yaml, those without an entry too."""
    met = [target for target in picture.targets if engaged(target)][:SOUGHT_TARGETS]
    for target in met:
        yield from (("encounter", target.encounter), ("role", target.role), ("kind", target.kind))
    restricted = picture.environment.restricted_visibility
    if restricted:
        yield "visibility", "restricted"
    if met or restricted:
        yield "kind", picture.own.kind
        yield "waters", picture.environment.waters
    yield from (("beyond", item.name) for item in picture.envelope if not item.ok)


@cache
def _look_up() -> dict[str, dict[str, dict[str, str]]]:
    return yaml.safe_load((files("sdx_domains.ship") / "knowledge/look_up.yaml").read_text(encoding="utf-8"))
