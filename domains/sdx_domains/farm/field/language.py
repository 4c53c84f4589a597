"""The field in words, English and Korean; every number is a figure of the picture: describe(), advise()."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sdx_domains.contract import Language
from sdx_domains.farm.field.figures import fill, known
from sdx_domains.farm.field.picture import FieldOption, FieldPicture
from sdx_domains.farm.figures import NAME

TOLD_LOSS_PCT = 1.0


@cache
def wording() -> dict[str, Any]:
    """wording.yaml."""
    return yaml.safe_load((files(__package__ or "") / "wording.yaml").read_text(encoding="utf-8"))


def describe(picture: FieldPicture, language: Language) -> str:
    """The situation in a few sentences."""
    words = wording()[language]
    said = [words["alarm"][kind] for kind in dict.fromkeys(alarm.kind for alarm in picture.alarms)]
    if picture.unfit:
        said.append(words["unfit"])
    if not picture.twin:
        return " ".join(said)
    share = picture.depletion_pct
    level = "dry" if share > picture.ready_pct else "wet" if share <= 0.0 else "fit"
    crop = (
        words["crop"].replace("{crop}", words["crops"].get(picture.crop, picture.crop)).replace("{stage}", words["stages"][picture.stage])
    )
    said += [crop, words["soil"][level], words["used"], words["ahead"] if picture.forecast else words["no_forecast"]]
    if picture.stress_loss_pct >= TOLD_LOSS_PCT:
        said.append(words["loss"])
    figures = known(picture)
    tellable = [sentence for sentence in said if all(match["name"] in figures for match in NAME.finditer(sentence))]
    return fill(" ".join(tellable), picture, language=language)


def advise(picture: FieldPicture, option: FieldOption, language: Language) -> str:
    """What an option does, why and what comes of it."""
    which = "none" if option.amount_mm == 0.0 else "now" if option.in_days == 0 else "later"
    return fill(wording()[language][which], picture, option, language)
