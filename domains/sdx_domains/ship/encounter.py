"""Encounter class, lock, role, rules, stage and risk of one target: COLREG section II and III made computable.

The class is taken once, at first risk of collision, and kept until the target is past and clear, so that own
ship's avoiding turn never makes a head-on into a "crossing from port". Angles are degrees, `rel` ones signed.
"""

from dataclasses import dataclass, field
from typing import Final

from sdx_domains.ship.geometry import wrap180
from sdx_domains.ship.limits import Limits, limits
from sdx_domains.ship.picture import Encounter, Role, VesselKind

NOT_MAKING_WAY_KN = 0.5
"""Below this a target's course says nothing: own ship keeps clear of it on either side."""
REFERENCE_CLOSING_KN = 20.0
"""Relative speed at which limits.yaml's ranges equal its times: 4 NM in 12 min, 2 in 6, 1 in 3."""
SETTLE_S = 60.0
"""A class taken from a young or noisy track may still be corrected this long; own ship's heading of first risk is used."""
FALSE_ALARM_S = 30.0
"""Such a class is given up when the risk has been gone this long."""
SETTLED_SIGMA_DEG = 3.0
SETTLED_REPORTS = 3
STAGE_FALL_S = 15.0
"""A stage rises at once and falls only after the lower one has lasted this long."""
REOPEN_S = 30.0
"""After a release, risk must last this long to open a new encounter."""

_PRIVILEGE: Final[dict[VesselKind, int]] = {"power": 0, "sail": 1, "fishing": 2, "cbd": 3, "ram": 4, "nuc": 5}
_DUTY: Final[dict[Encounter, Role]] = {
    "none": "none",
    "head_on": "both_give_way",
    "crossing_give_way": "give_way",
    "crossing_stand_on": "stand_on",
    "overtaking": "give_way",
    "overtaken": "stand_on",
    "restricted_visibility": "r19",
}


@dataclass(frozen=True, slots=True)
class Geometry:
    """Own ship and one target at one instant: all that class, stage and risk depend on."""

    own_heading_deg: float
    own_sog_kn: float
    target_heading_deg: float
    target_sog_kn: float
    bearing_deg: float
    range_nm: float
    range_rate_kn: float
    """Negative = closing."""
    relative_speed_kn: float
    cpa_nm: float
    cpa_sigma_nm: float
    tcpa_min: float
    heading_sigma_deg: float = 1.0
    """Of the target's course and heading as tracked."""
    anchored: bool = False
    """At anchor, moored or aground by its own report."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits scaled to the ship and the waters. Distances NM, times min."""

    cpa_nm: float
    size: float = 1.0
    """sqrt(own length / 100 m), 0.7-1.5: scales the action ranges."""
    own_length_nm: float = 100.0 / 1852.0
    limits: Limits = field(default_factory=limits)

    def action_range(self, reference_nm: float, relative_speed_kn: float) -> float:
        """A range of limits.yaml for this ship and closing speed: halved at most when the two close slowly."""
        return reference_nm * self.size * min(1.0, max(0.5, relative_speed_kn / REFERENCE_CLOSING_KN))


def making_way(g: Geometry) -> bool:
    return not g.anchored and g.target_sog_kn >= NOT_MAKING_WAY_KN


def classify(g: Geometry) -> Encounter:
    """Class by geometry alone, as if there were risk and the ships were in sight (Rules 13, 14, 15).

    Overtaking first (13(c): doubt is overtaking), then head-on (14(c): doubt is head-on), else crossing by side.
    A target that does not make way counts as overtaking: own ship keeps clear, on either side.
    """
    lim = limits()
    rel = wrap180(g.bearing_deg - g.own_heading_deg)
    if not making_way(g):
        return "overtaking"
    aspect = wrap180(g.bearing_deg + 180.0 - g.target_heading_deg)
    from_her_stern = abs(aspect) >= lim.overtaking_sector_deg
    from_own_stern = abs(rel) >= lim.overtaking_sector_deg
    if from_her_stern and g.own_sog_kn >= g.target_sog_kn - NOT_MAKING_WAY_KN and not (from_own_stern and g.target_sog_kn > g.own_sog_kn):
        return "overtaking"
    if from_own_stern and g.target_sog_kn > g.own_sog_kn:
        return "overtaken"
    off_reciprocal = abs(wrap180(g.target_heading_deg - g.own_heading_deg - 180.0))
    doubt = min(max(g.heading_sigma_deg - 2.0, 0.0), lim.head_on_hysteresis_deg - lim.head_on_deg)
    sharp, wide = lim.head_on_deg + doubt, lim.head_on_hysteresis_deg
    seen_ahead, sees_ahead = abs(rel), abs(aspect)
    if seen_ahead <= sharp and sees_ahead <= sharp and off_reciprocal <= wide + doubt:
        return "head_on"
    if off_reciprocal <= sharp and seen_ahead <= wide and sees_ahead <= wide:
        return "head_on"
    return "crossing_give_way" if rel >= 0.0 else "crossing_stand_on"


def at_risk(g: Geometry, bounds: Bounds, *, already: bool = False) -> bool:
    """Risk of collision (Rule 7): the miss distance, with its uncertainty, is under the limit, in time or close by.

    Doubt is risk: up to half the limit of uncertainty counts against safety. `already` widens by 10 %, so that
    risk does not flicker. A slow convergence counts from the action range on, however long it will take (up to
    twice the horizon).
    """
    lim = bounds.limits
    near = bounds.cpa_nm + min(g.cpa_sigma_nm, 0.5 * bounds.cpa_nm)
    if already:
        near *= 1.1
    if g.cpa_nm >= near or g.tcpa_min < 0.0:
        return False
    if g.tcpa_min == 0.0:
        return g.range_nm < bounds.cpa_nm
    horizon = lim.tcpa_horizon_min * (1.1 if already else 1.0)
    close = g.range_nm <= bounds.action_range(lim.give_way_act_range_nm, g.relative_speed_kn)
    return g.tcpa_min <= horizon or (close and g.tcpa_min <= 2.0 * horizon)


def role_of(encounter: Encounter, own: VesselKind = "power", target: VesselKind = "power") -> Role:
    """Own ship's duty. Rule 18's hierarchy overrides 14 and 15; Rules 13 and 19 override Rule 18."""
    if encounter in ("head_on", "crossing_give_way", "crossing_stand_on") and own != target:
        return "give_way" if _PRIVILEGE[target] > _PRIVILEGE[own] else "stand_on"
    return _DUTY[encounter]


def rules_of(
    encounter: Encounter,
    role: Role,
    stage: int,
    *,
    own: VesselKind = "power",
    target: VesselKind = "power",
    making_way: bool = True,
    confined: bool = False,
) -> tuple[str, ...]:
    """Addresses of the rules that apply, in order of number within each part."""
    if encounter == "none":
        return ("R5",)
    if encounter == "restricted_visibility":
        return ("R5", "R6", "R7", "R8", "R19", "R35")
    rules = ["R7"] if role == "stand_on" and stage <= 2 else ["R7", "R8"]
    if confined:
        rules.append("R9")
    hierarchy = own != target and encounter in ("head_on", "crossing_give_way", "crossing_stand_on")
    if encounter in ("overtaking", "overtaken"):
        rules += ["R13"] if making_way else []
    elif not hierarchy:
        rules.append("R14" if encounter == "head_on" else "R15")
    if role == "give_way":
        rules.append("R16")
    elif role == "stand_on":
        rules += _stand_on_rules(stage, crossing=not hierarchy and encounter == "crossing_stand_on")
    if hierarchy:
        rules.append("R18")
    if stage == 4:
        rules.insert(0, "R2(b)")
    return tuple(rules)


def _stand_on_rules(stage: int, *, crossing: bool) -> list[str]:
    if stage <= 2:
        return ["R17(a)(i)"]
    action = ["R17(a)(ii)"] if stage == 3 else ["R17(b)"]
    return [*action, "R17(c)"] if crossing else action


def stage_of(g: Geometry, bounds: Bounds, *, risk: bool, acted: bool = False) -> int:
    """0 no risk, 1 risk far off, 2 give-way acts / stand-on holds, 3 stand-on may act, 4 must act.

    Args:
        acted: the other vessel's own action was seen; then stage 3 waits (Rule 17(a)(ii)), stage 4 does not.
    """
    if not risk:
        return 0
    if g.tcpa_min == 0.0:  # in company inside the limit, not closing
        return 4 if g.range_nm <= 6.0 * bounds.own_length_nm else 2
    lim, v = bounds.limits, g.relative_speed_kn
    must = max(bounds.action_range(lim.stand_on_must_act_range_nm, v), 6.0 * bounds.own_length_nm, min(1.5 * bounds.cpa_nm, 1.0))
    if g.tcpa_min <= lim.stand_on_must_act_tcpa_min or g.range_nm <= must:
        return 4
    if not acted and (g.tcpa_min <= lim.stand_on_may_act_tcpa_min or g.range_nm <= bounds.action_range(lim.stand_on_may_act_range_nm, v)):
        return 3
    if g.tcpa_min <= lim.give_way_act_tcpa_min or g.range_nm <= bounds.action_range(lim.give_way_act_range_nm, v):
        return 2
    return 1


def risk_of(g: Geometry, bounds: Bounds) -> float:
    """0-1: how small the miss is (1 at half the limit, 0 at twice) times how soon or near (0 at twice the horizon)."""
    if g.tcpa_min < 0.0:
        return 0.0
    miss = max(0.0, g.cpa_nm - min(g.cpa_sigma_nm, 0.5 * bounds.cpa_nm))
    small = min(1.0, max(0.0, (2.0 * bounds.cpa_nm - miss) / (1.5 * bounds.cpa_nm)))
    soon = 0.0 if g.tcpa_min == 0.0 else max(0.0, 1.0 - g.tcpa_min / (2.0 * bounds.limits.tcpa_horizon_min))
    near = max(0.0, 1.0 - g.range_nm / bounds.action_range(bounds.limits.give_way_act_range_nm, g.relative_speed_kn))
    return small * max(soon, near)


@dataclass(frozen=True, slots=True)
class Watch:
    """What the lock is told at each picture, beside the geometry."""

    t_s: float
    hidden: bool = False
    """Not in sight, in or near restricted visibility (Rule 19)."""
    reports: int = 99
    """Accepted reports of the track so far."""
    turning: bool = False
    """Own ship is still turning to its ordered heading: risk that only the sweep makes does not open an encounter."""
    resume_cpa_nm: float = 99.0
    """Closest approach if own ship went back to its route now."""
    resume_tcpa_min: float = -1.0
    target_manoeuvre_s: float | None = None


class EncounterLock:
    """Class of one target from first risk until past and clear. One per track."""

    __slots__ = (
        "_fall_since_s",
        "_frozen_heading",
        "_geometric",
        "_min_range",
        "_released_s",
        "_risk_gone_s",
        "_risk_since_s",
        "_settled",
        "encounter",
        "past_and_clear",
        "risk",
        "since_s",
        "stage",
    )

    def __init__(self) -> None:
        self.encounter: Encounter = "none"
        self.since_s: float | None = None
        self.stage = 0
        self.risk = False
        self.past_and_clear = False
        self._geometric: Encounter = "none"
        self._frozen_heading = 0.0
        self._settled = False
        self._min_range = 0.0
        self._risk_since_s: float | None = None
        self._risk_gone_s: float | None = None
        self._released_s: float | None = None
        self._fall_since_s: float | None = None

    def update(self, g: Geometry, bounds: Bounds, w: Watch) -> Encounter:
        """Advance to w.t_s; returns the class that holds now ("none" while there is no lock)."""
        self.risk = at_risk(g, bounds, already=self.risk)
        if self.risk:
            self._risk_since_s = w.t_s if self._risk_since_s is None else self._risk_since_s
            self._risk_gone_s = None
        else:
            self._risk_since_s = None
            self._risk_gone_s = w.t_s if self._risk_gone_s is None else self._risk_gone_s
        if self.since_s is None:
            if self.risk and self._may_open(g, bounds, w):
                self._open(g, w)
        elif self._released(g, bounds, w):
            self._release(g, w)
        else:
            self._hold(g, w)
        self._set_stage(g, bounds, w)
        self.encounter = "none" if self.since_s is None else "restricted_visibility" if w.hidden else self._geometric
        return self.encounter

    def shift(self, dt_s: float) -> None:
        """Move every remembered time by dt_s (the clock was set)."""
        for name in ("since_s", "_risk_since_s", "_risk_gone_s", "_released_s", "_fall_since_s"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value + dt_s)

    def _may_open(self, g: Geometry, bounds: Bounds, w: Watch) -> bool:
        lim = bounds.limits
        urgent = 0.0 < g.tcpa_min <= lim.stand_on_may_act_tcpa_min or g.range_nm <= bounds.action_range(
            lim.stand_on_may_act_range_nm, g.relative_speed_kn
        )
        if self._released_s is not None and self._risk_since_s is not None and w.t_s - self._risk_since_s < REOPEN_S:
            return False
        return urgent or not w.turning

    def _open(self, g: Geometry, w: Watch) -> None:
        self.since_s = w.t_s
        self.past_and_clear = False
        self._settled = False
        self._frozen_heading = g.own_heading_deg
        self._min_range = g.range_nm
        self._geometric = classify(g)

    def _hold(self, g: Geometry, w: Watch) -> None:
        self._min_range = min(self._min_range, g.range_nm)
        if self._settled or self.since_s is None:
            return
        if abs(wrap180(g.own_heading_deg - self._frozen_heading)) > 3.0:
            self._settled = True  # own ship acts: what it acts on stays
            return
        self._geometric = classify(g)
        sure = w.reports >= SETTLED_REPORTS and g.heading_sigma_deg <= SETTLED_SIGMA_DEG
        self._settled = sure or w.t_s - self.since_s >= SETTLE_S

    def _released(self, g: Geometry, bounds: Bounds, w: Watch) -> bool:
        """Past and clear (reference: TCPA < 0, opening, abaft the beam, and clear too on the course that is resumed)."""
        if self.risk:
            return False
        resume_clear = w.resume_cpa_nm >= bounds.cpa_nm or (w.resume_tcpa_min <= 0.0 and g.range_nm >= bounds.cpa_nm)
        gone_s = w.t_s - (self._risk_gone_s if self._risk_gone_s is not None else w.t_s)
        if not self._settled and gone_s > FALSE_ALARM_S:
            return True  # a noisy track's false alarm
        if g.tcpa_min < 0.0 and g.range_rate_kn > 0.0 and g.range_nm >= bounds.limits.clear_range_factor * self._min_range:
            abaft = abs(wrap180(g.bearing_deg - g.own_heading_deg)) > 90.0
            return resume_clear and (abaft or g.range_nm >= 2.0 * bounds.cpa_nm)
        return resume_clear and gone_s > 180.0 and g.range_nm > 1.5 * bounds.limits.give_way_act_range_nm * bounds.size

    def _release(self, g: Geometry, w: Watch) -> None:
        self.since_s = None
        self._released_s = w.t_s
        self.past_and_clear = g.tcpa_min < 0.0
        self._geometric = "none"

    def _set_stage(self, g: Geometry, bounds: Bounds, w: Watch) -> None:
        if self.since_s is None:
            self.stage, self._fall_since_s = 0, None
            return
        acted = w.target_manoeuvre_s is not None and w.target_manoeuvre_s >= self.since_s and w.t_s - w.target_manoeuvre_s < 120.0
        now = stage_of(g, bounds, risk=self.risk, acted=acted)
        if now >= self.stage:
            self.stage, self._fall_since_s = now, None
        elif self._fall_since_s is None:
            self._fall_since_s = w.t_s
        elif w.t_s - self._fall_since_s >= STAGE_FALL_S:
            self.stage, self._fall_since_s = now, None
