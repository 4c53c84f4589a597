"""What is irrigated when nobody decides: a curve of allowed depletion, from rules.yaml. Start at `rule_mm`."""

from functools import cache
from importlib.resources import files

import numpy as np
import yaml

from sdx_domains.farm.field.balance import ETP_MM
from sdx_domains.farm.field.parameters import Array, crop
from sdx_domains.farm.field.picture import FieldPicture
from sdx_domains.farm.field.rollout import ruled_mm


@cache
def thresholds() -> Array:
    """The rule as rollout.py has it."""
    found = yaml.safe_load((files(__package__ or "") / "rules.yaml").read_text(encoding="utf-8"))
    return np.array([*found["allowed"], found["amount_mm"], found["last_share"]])


def rule_mm(picture: FieldPicture) -> float:
    """mm today for the depletion expected by tonight; 0 on unfit data, before and after the season."""
    if picture.unfit or picture.days_to_harvest <= 0:
        return 0.0
    rain = picture.forecast.rain_mm[0] if picture.forecast else 0.0
    by_tonight = picture.depletion_mm + picture.twin[ETP_MM] - rain
    return float(ruled_mm(by_tonight, picture.taw_mm, picture.dap, thresholds(), crop(picture.crop)))
