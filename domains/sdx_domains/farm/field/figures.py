"""Figures of the field by name, as sdx_domains.farm.figures has those of the greenhouse: known(), fill(), unsupported()."""

import re
from collections.abc import Mapping
from math import isfinite

from sdx_domains.contract import Language, language_of
from sdx_domains.farm import faithful
from sdx_domains.farm.field.picture import FieldOption, FieldPicture
from sdx_domains.farm.figures import Figure, fill_from

AHEAD_DAYS = (3, 7)
UNFINISHED = re.compile(r"\{[\w@]*$")


def known(picture: FieldPicture, option: FieldOption | None = None) -> dict[str, Figure]:
    """Every figure that may be told; those of an option where one was chosen."""
    found = {
        "depletion": Figure(picture.depletion_mm, "rain", "soil"),
        "dryness": Figure(picture.depletion_pct, "share", "soil"),
        "ready": Figure(picture.ready_pct, "share", "soil"),
        "taw": Figure(picture.taw_mm, "rain", "soil"),
        "canopy": Figure(picture.canopy_pct, "share", "canopy"),
        "et0": Figure(picture.et0_mm, "rain", "air"),
        "etc": Figure(picture.etc_mm, "rain", "crop"),
        "rain": Figure(picture.rain_mm, "rain", "rain"),
        "rain_week": Figure(picture.rain_7d_mm, "rain", "rain"),
        "watered": Figure(picture.irrigation_mm, "rain", "water"),
        "dry_days": Figure(picture.dry_days, "days", "time"),
        "to_harvest": Figure(picture.days_to_harvest, "days", "time"),
        "age": Figure(picture.day, "days", "time"),
        "loss": Figure(picture.stress_loss_pct, "share", "yield"),
        **_ahead(picture),
        **(_of(option) if option is not None else {}),
    }
    return {name: figure for name, figure in found.items() if isfinite(figure.value)}


def _ahead(picture: FieldPicture) -> Mapping[str, Figure]:
    said = picture.forecast
    if said is None:
        return {}
    found = {f"rain_{days}d": Figure(sum(said.rain_mm[:days]), "rain", "rain") for days in AHEAD_DAYS if len(said.rain_mm) >= days}
    found |= {f"et0_{days}d": Figure(sum(said.et0_mm[:days]), "rain", "air") for days in AHEAD_DAYS if len(said.et0_mm) >= days}
    return found | {f"span_{days}": Figure(days, "days", "time") for days in AHEAD_DAYS}


def _of(option: FieldOption) -> Mapping[str, Figure]:
    outcome = option.outcome
    return {
        "amount": Figure(option.amount_mm, "rain", "water"),
        "in_days": Figure(option.in_days, "days", "time"),
        "yield": Figure(outcome.yield_t_ha, "tonnes", "yield"),
        "yield_low": Figure(outcome.yield_low_t_ha, "tonnes", "yield"),
        "yield_share": Figure(outcome.yield_pct, "share", "yield"),
        "season_water": Figure(outcome.season_mm, "rain", "water"),
        "later_water": Figure(outcome.later_mm, "rain", "water"),
        "profit": Figure(outcome.profit_usd_ha, "usd", "money"),
        "gain": Figure(outcome.gain_usd_ha, "usd", "money"),
    }


def fill(text: str, picture: FieldPicture, option: FieldOption | None = None, language: Language | None = None) -> str:
    """The text with every name in braces replaced by its figure. ValueError for a name that is none."""
    return fill_from(text, known(picture, option), language or language_of(text))


def fill_so_far(text: str, picture: FieldPicture, language: Language | None = None) -> str:
    """fill() for a text that is still growing: a name that has only begun is held back."""
    return fill(UNFINISHED.sub("", text), picture, None, language)


def unsupported(text: str, picture: FieldPicture, option: FieldOption | None = None) -> list[str]:
    """A sentence for every number of the text that neither picture nor option holds."""
    return faithful.unsupported(text, [known(picture, option)])
