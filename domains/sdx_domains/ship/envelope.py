"""The operational envelope (operational design domain): each item's value against its limit."""

from collections.abc import Sequence

from sdx_domains.ship.encounter import NOT_MAKING_WAY_KN
from sdx_domains.ship.limits import limits
from sdx_domains.ship.picture import EnvelopeItem, Environment, OwnShip, Target

DENSITY_RANGE_NM = 6.0
MIN_VISIBILITY_NM = 0.25
MAX_WIND_KN = 40.0
MAX_CURRENT_KN = 4.0
UNDER_KEEL_M = 2.0


def envelope(own: OwnShip, environment: Environment, targets: Sequence[Target]) -> tuple[EnvelopeItem, ...]:
    """Own data, visibility, wind, current, speed, traffic, target ages, and depth when it is known."""
    lim, ship = limits(), own.parameters
    items = [
        ("own_data_age", own.age_s, lim.own_max_age_s, "s", own.age_s <= lim.own_max_age_s),
        ("visibility", environment.visibility_nm, MIN_VISIBILITY_NM, "NM", environment.visibility_nm >= MIN_VISIBILITY_NM),
        ("wind", environment.wind_kn, MAX_WIND_KN, "kn", environment.wind_kn <= MAX_WIND_KN),
        ("current", environment.current_kn, MAX_CURRENT_KN, "kn", environment.current_kn <= MAX_CURRENT_KN),
        ("speed", own.sog_kn, ship.max_speed_kn, "kn", own.sog_kn <= 1.2 * ship.max_speed_kn + environment.current_kn),
    ]
    near = float(sum(t.range_nm <= DENSITY_RANGE_NM for t in targets))
    items.append(("traffic_density", near, float(lim.max_targets_in_envelope), "targets within 6 NM", near <= lim.max_targets_in_envelope))
    oldest = max((t.age_s for t in targets if t.risk > 0.0 and t.sog_kn >= NOT_MAKING_WAY_KN), default=0.0)
    items.append(("target_age", oldest, lim.target_max_age_s, "s", oldest <= lim.target_max_age_s))
    if environment.depth_m is not None:
        need = ship.draft_m + UNDER_KEEL_M
        items.append(("depth", environment.depth_m, need, "m", environment.depth_m >= need))
    return tuple(EnvelopeItem.model_construct(name=n, value=v, limit=li, unit=u, ok=ok) for n, v, li, u, ok in items)
