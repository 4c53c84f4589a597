"""One target as own ship sees it: range and bearing, closest approach, encounter, role, rules, stage, risk."""

from dataclasses import dataclass, field
from math import atan2, degrees, hypot, isnan, radians, sin
from typing import Any, Literal

from sdx_domains.ship.encounter import Bounds, EncounterLock, Geometry, Watch, making_way, risk_of, role_of, rules_of
from sdx_domains.ship.geometry import (
    KN_MS,
    NM_M,
    LocalPlane,
    bearing_range,
    bow_crossing,
    closest_approach,
    cpa_sigma,
    velocity,
    wrap180,
)
from sdx_domains.ship.picture import Environment, OwnShip, Route, Target
from sdx_domains.ship.track import Estimate, Track

SHOWN_RANGE_NM = 24.0
"""Targets beyond are tracked, not shown."""
CROSSING_SINE = sin(radians(20.0))
TURNING_DEG_MIN = 3.0
_OWN_VELOCITY_SIGMA_MS = 0.05


@dataclass(slots=True)
class Kept:
    """What belongs to a track and is not motion."""

    label: str
    track: Track
    lock: EncounterLock = field(default_factory=EncounterLock)
    in_sight: bool = True


class Surroundings:
    """Works targets out relative to one own ship at one instant."""

    def __init__(self, own: OwnShip, route: Route, environment: Environment, bounds: Bounds, now_s: float) -> None:
        self._own, self._environment, self._bounds, self._now_s = own, environment, bounds, now_s
        self._plane = LocalPlane(own.lat_deg, own.lon_deg)
        self._vn, self._ve = velocity(own.cog_deg, own.sog_kn)
        self._resume_vn, self._resume_ve = velocity(route.course_to_steer_deg, route.planned_sog_kn)
        ordered = own.ordered_heading_deg
        off_order = ordered is not None and abs(wrap180(ordered - own.heading_deg)) > 5.0
        self._turning = off_order and abs(own.rot_deg_min) >= TURNING_DEG_MIN

    def too_far(self, e: Estimate) -> bool:
        return hypot(*self._plane.to_plane(e.lat_deg, e.lon_deg)) > SHOWN_RANGE_NM * NM_M

    def target(self, track_id: str, track: Track, e: Estimate, kept: Kept) -> Target:
        """All of one target; advances its lock."""
        dn, de = self._plane.to_plane(e.lat_deg, e.lon_deg)
        dvn, dve = e.vn - self._vn, e.ve - self._ve
        bearing, range_m = bearing_range(dn, de)
        cpa_m, tcpa_s = closest_approach(dn, de, dvn, dve)
        sigma_m = cpa_sigma(
            dn, de, dvn, dve, tcpa_s, hypot(e.pos_sigma_m, self._own.pos_sigma_m), hypot(e.vel_sigma_ms, _OWN_VELOCITY_SIGMA_MS)
        )
        safe_m = max(range_m, 1.0)
        geometry = Geometry(
            own_heading_deg=self._own.heading_deg,
            own_sog_kn=self._own.sog_kn,
            target_heading_deg=e.heading_deg,
            target_sog_kn=e.sog_kn,
            bearing_deg=bearing,
            range_nm=range_m / NM_M,
            range_rate_kn=(dn * dvn + de * dve) / safe_m / KN_MS,
            relative_speed_kn=hypot(dvn, dve) / KN_MS,
            cpa_nm=cpa_m / NM_M,
            cpa_sigma_nm=sigma_m / NM_M,
            tcpa_min=tcpa_s / 60.0,
            heading_sigma_deg=e.heading_sigma_deg,
            anchored=track.anchored,
        )
        self._advance(geometry, track, kept, (dn, de, e.vn, e.ve))
        bcr, bct = bow_crossing(dn, de, dvn, dve, self._own.heading_deg)
        motion = {
            "bearing_rate_deg_min": degrees((dn * dve - de * dvn) / (safe_m * safe_m)) * 60.0,
            "bcr_nm": None if isnan(bcr) else bcr / NM_M,
            "bct_min": None if isnan(bct) else bct / 60.0,
            "passes": _passes(dn + dvn * tcpa_s, de + dve * tcpa_s, e.cog_deg - self._own.cog_deg, bcr, geometry),
        }
        return self._told(track_id, track, e, kept, geometry, motion)

    def _advance(self, g: Geometry, track: Track, kept: Kept, motion: tuple[float, float, float, float]) -> None:
        dn, de, vn, ve = motion
        resume_cpa, resume_tcpa = closest_approach(dn, de, vn - self._resume_vn, ve - self._resume_ve)
        reach = self._environment.visibility_nm * (1.1 if kept.in_sight else 1.0)
        kept.in_sight = not self._environment.restricted_visibility or g.range_nm <= reach
        kept.lock.update(
            g,
            self._bounds,
            Watch(
                t_s=self._now_s,
                hidden=not kept.in_sight,
                reports=track.reports,
                turning=self._turning,
                resume_cpa_nm=resume_cpa / NM_M,
                resume_tcpa_min=resume_tcpa / 60.0,
                target_manoeuvre_s=track.manoeuvres.t_s,
            ),
        )

    def _told(self, track_id: str, track: Track, e: Estimate, kept: Kept, g: Geometry, motion: dict[str, Any]) -> Target:
        lock, kind = kept.lock, track.kind
        role = role_of(lock.encounter, self._own.kind, kind)
        return Target.model_construct(
            track_id=track_id,
            label=kept.label,
            name_untrusted=track.name,
            kind=kind,
            length_m=track.length_m or 100.0,
            beam_m=track.beam_m or 16.0,
            sources=tuple(sorted(track.sources)),
            lat_deg=e.lat_deg,
            lon_deg=e.lon_deg,
            pos_sigma_m=e.pos_sigma_m,
            cog_deg=e.cog_deg,
            cog_sigma_deg=e.cog_sigma_deg,
            sog_kn=e.sog_kn,
            sog_sigma_kn=e.vel_sigma_ms / KN_MS,
            heading_deg=e.heading_deg,
            rot_deg_min=track.rot_deg_min,
            age_s=e.age_s,
            in_sight=kept.in_sight,
            range_nm=g.range_nm,
            bearing_deg=g.bearing_deg,
            rel_bearing_deg=wrap180(g.bearing_deg - g.own_heading_deg),
            aspect_deg=wrap180(g.bearing_deg + 180.0 - g.target_heading_deg),
            range_rate_kn=g.range_rate_kn,
            cpa_nm=g.cpa_nm,
            cpa_sigma_nm=g.cpa_sigma_nm,
            tcpa_min=g.tcpa_min,
            encounter=lock.encounter,
            encounter_since_s=lock.since_s,
            role=role,
            rules=rules_of(
                lock.encounter,
                role,
                lock.stage,
                own=self._own.kind,
                target=kind,
                making_way=making_way(g),
                confined=self._environment.waters == "confined",
            ),
            stage=lock.stage,
            risk=risk_of(g, self._bounds),
            past_and_clear=lock.past_and_clear,
            last_manoeuvre_s=track.manoeuvres.t_s,
            last_manoeuvre_deg=track.manoeuvres.change_deg,
            **motion,
        )


def _passes(
    n: float, e: float, track_angle_deg: float, bcr: float, g: Geometry
) -> Literal["ahead", "astern", "port", "starboard", "clear"]:
    """How the target goes by. (n, e): where it is at the closest approach, metres from own ship.

    On crossing tracks (20 deg or more apart) it passes ahead or astern, by the sign of the bow-cross range; on
    nearly parallel or reciprocal ones, or when it has crossed already, down the side it is on. Past: clear.
    """
    if g.tcpa_min <= 0.0:
        return "clear"
    if not isnan(bcr) and abs(sin(radians(track_angle_deg))) >= CROSSING_SINE:
        return "ahead" if bcr >= 0.0 else "astern"
    bearing = degrees(atan2(e, n)) if hypot(n, e) > 1.0 else g.bearing_deg
    return "starboard" if wrap180(bearing - g.own_heading_deg) >= 0.0 else "port"
