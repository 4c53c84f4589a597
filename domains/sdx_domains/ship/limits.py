"""Thresholds of the ship domain: limits.yaml as a closed, frozen value."""

from functools import cache
from importlib.resources import files

import yaml

from sdx_domains.contract import Closed


class Limits(Closed):
    """See limits.yaml for the meaning and the source of each."""

    cpa_limit_open_nm: float
    cpa_limit_coastal_nm: float
    cpa_limit_confined_nm: float
    cpa_limit_restricted_visibility_nm: float
    tcpa_horizon_min: float
    head_on_deg: float
    head_on_hysteresis_deg: float
    overtaking_sector_deg: float
    give_way_act_tcpa_min: float
    give_way_act_range_nm: float
    stand_on_may_act_tcpa_min: float
    stand_on_may_act_range_nm: float
    stand_on_must_act_tcpa_min: float
    stand_on_must_act_range_nm: float
    apparent_turn_deg: float
    apparent_speed_fraction: float
    detectable_turn_deg: float
    detectable_speed_fraction: float
    restricted_visibility_nm: float
    clear_range_factor: float
    own_max_age_s: float
    target_max_age_s: float
    target_drop_age_s: float
    max_targets_in_envelope: int
    watchdog_s: float
    order_valid_s: float


@cache
def limits() -> Limits:
    """The shipped thresholds."""
    return Limits.model_validate(yaml.safe_load((files("sdx_domains.ship") / "limits.yaml").read_text(encoding="utf-8")))
