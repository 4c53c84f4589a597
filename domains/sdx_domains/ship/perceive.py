"""Readings in, ship picture out: the one place where facts are computed. Start reading at ShipPerceiver.take."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import atan2, degrees, hypot, isfinite, isnan, sqrt
from typing import Any, Literal

from sdx_domains.contract import Fault, Reading
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
from sdx_domains.ship.limits import limits
from sdx_domains.ship.own_state import OwnState
from sdx_domains.ship.picture import (
    EnvelopeItem,
    Environment,
    EnvironmentReading,
    OwnReading,
    OwnShip,
    OwnShipParameters,
    Route,
    RouteReading,
    ShipPicture,
    Target,
    TargetReading,
    VesselKind,
)
from sdx_domains.ship.route import RouteFollower
from sdx_domains.ship.tracker import FUTURE_S, Estimate, Track, Tracker

Waters = Literal["open", "coastal", "confined"]
SHOWN_RANGE_NM = 24.0
"""Targets beyond are tracked, not shown."""
SHOWN_TARGETS = 60
CLOCK_JUMP_S = 5.0
"""The clock of take() set back by more than this: every remembered time is moved with it."""
FAULT_SHOWN_S = 10.0
"""A fault stays in the pictures this long, so that slow readers see it too."""
FAULTS_SHOWN = 40
DENSITY_RANGE_NM = 6.0
MIN_VISIBILITY_NM = 0.25
MAX_WIND_KN = 40.0
MAX_CURRENT_KN = 4.0
UNDER_KEEL_M = 2.0
_OWN_VELOCITY_SIGMA_MS = 0.05


class NotEnoughData(ValueError):
    """Own position or heading was never seen yet: there is no picture to give."""


@dataclass(slots=True)
class _Kept:
    """What belongs to a track and is not motion."""

    label: str
    lock: EncounterLock = field(default_factory=EncounterLock)
    in_sight: bool = True


class ShipPerceiver:
    """Implements contract.Perceiver for the ship; holds tracks, locks, route and own state. Deterministic."""

    def __init__(self, parameters: OwnShipParameters = OwnShipParameters(), waters: Waters = "open", kind: VesselKind = "power") -> None:
        self._parameters = parameters
        self._waters: Waters = waters
        self._kind: VesselKind = kind
        self._own = OwnState()
        self._route = RouteFollower()
        self._tracker = Tracker()
        self._kept: dict[str, _Kept] = {}
        self._labels = 0
        self._around: dict[str, float | bool] = {}
        self._around_s: dict[str, float] = {}
        self._restricted = False
        self._now_s: float | None = None
        self._faults: list[Fault] = []

    def take(self, readings: Sequence[Reading], now_s: float) -> ShipPicture:
        """Fold in the readings, in the order of their times, and return the picture at now_s.

        Raises:
            NotEnoughData: own position or heading was never seen.
            ValueError: now_s is not a finite number.
        """
        if not isfinite(now_s):
            raise ValueError(f"now_s must be a finite time in seconds, got {now_s!r}")
        self._follow_clock(now_s)
        for reading in sorted(readings, key=_order):
            self._fold(reading, now_s)
        for track_id in self._tracker.drop_old(now_s):
            self._kept.pop(track_id, None)
        if self._own.missing:
            raise NotEnoughData(
                f"no own {' and no own '.join(self._own.missing)} seen yet; feed OwnReading with lat_deg, lon_deg, heading_deg"
            )
        return self._picture(now_s)

    def _report(self, t_s: float, kind: str, detail: str) -> None:
        """Remember a fault for a while; the same kind about the same thing only in its newest form."""
        when = t_s if self._now_s is None or not isfinite(t_s) else min(t_s, self._now_s)
        when = self._now_s if self._now_s is not None and not isfinite(when) else when
        subject = detail.split(" ", 1)[0]
        self._faults = [f for f in self._faults if f.kind != kind or f.detail.split(" ", 1)[0] != subject]
        self._faults.append(Fault.model_construct(t_s=when, kind=kind, detail=detail))
        del self._faults[:-FAULTS_SHOWN]

    def _follow_clock(self, now_s: float) -> None:
        before, self._now_s = self._now_s, now_s
        if before is None:
            return
        back = now_s - before
        if back < -CLOCK_JUMP_S:
            self._own.shift(back)
            self._tracker.shift(back)
            for kept in self._kept.values():
                kept.lock.shift(back)
            self._around_s = {}
            self._faults = [f.model_copy(update={"t_s": f.t_s + back}) for f in self._faults]
            self._report(now_s, "clock_jump", f"clock set back by {-back:.1f} s; remembered times moved with it")
        elif back > limits().target_drop_age_s:
            self._report(now_s, "clock_jump", f"clock {back:.1f} s on since the last picture; what was known is stale")
        self._faults = [f for f in self._faults if now_s - f.t_s <= FAULT_SHOWN_S]

    def _fold(self, reading: Reading, now_s: float) -> None:
        if not isfinite(reading.t_s):
            self._report(now_s, "bad_stamp", f"{type(reading).__name__} from {reading.source[:20]!r} has time {reading.t_s!r}; dropped")
        elif reading.t_s > now_s + FUTURE_S:
            self._report(now_s, "future_stamp", f"{_subject(reading)} stamped {reading.t_s - now_s:.1f} s ahead of the clock; dropped")
        elif isinstance(reading, OwnReading):
            self._own.fold(reading, now_s, self._report)
        elif isinstance(reading, TargetReading):
            self._tracker.fold(reading, now_s, self._own.fix, self._report)
        elif isinstance(reading, EnvironmentReading):
            self._fold_around(reading)
        elif isinstance(reading, RouteReading):
            self._route.fold(reading, self._report)
        else:
            self._report(reading.t_s, "unknown_reading", f"{type(reading).__name__} is not a ship reading; dropped")

    def _fold_around(self, reading: EnvironmentReading) -> None:
        for name, (low, high) in _AROUND.items():
            value = getattr(reading, name)
            if value is None or reading.t_s < self._around_s.get(name, reading.t_s):
                continue
            if not (isfinite(value) and low <= value <= high):
                self._report(reading.t_s, f"absurd_{name}", f"{name} {value!r} is not within {low:g}..{high:g}; kept the last value")
                continue
            self._around[name], self._around_s[name] = value, reading.t_s

    def _picture(self, now_s: float) -> ShipPicture:
        own = self._own.at(now_s, self._parameters, self._kind)
        if own.age_s > limits().own_max_age_s:
            self._report(now_s, "own_data_stale", f"own-ship data {own.age_s:.1f} s old, limit {limits().own_max_age_s:g} s")
        environment = self._environment()
        route = self._route.at(own.lat_deg, own.lon_deg, own.heading_deg, own.sog_kn)
        bounds = self._bounds(environment)
        targets = _Targets(own, route, environment, bounds, now_s)
        shown: list[Target] = []
        for track_id, track in self._tracker.tracks.items():
            estimate = track.at(now_s)
            kept = self._kept.get(track_id)
            if kept is None:
                if targets.too_far(estimate):
                    continue
                self._labels += 1
                kept = self._kept[track_id] = _Kept(f"T{self._labels}")
            elif targets.too_far(estimate):
                continue
            shown.append(targets.target(track_id, track, estimate, kept))
        shown.sort(key=lambda t: (-round(t.risk, 3), t.tcpa_min if t.tcpa_min > 0.0 else 1e6, t.range_nm, t.label))
        del shown[SHOWN_TARGETS:]
        return ShipPicture.model_construct(
            t_s=now_s,
            salience=self._salience(shown, environment),
            faults=tuple(self._faults),
            own=own,
            route=route,
            environment=environment,
            targets=tuple(shown),
            cpa_limit_nm=bounds.cpa_nm,
            envelope=_envelope(own, environment, shown),
        )

    def _environment(self) -> Environment:
        lim = limits()
        visibility = float(self._around.get("visibility_nm", 10.0))
        self._restricted = visibility < lim.restricted_visibility_nm * (1.1 if self._restricted else 1.0)
        return Environment.model_construct(
            **{**self._around, "visibility_nm": visibility, "restricted_visibility": self._restricted, "waters": self._waters}
        )

    def _bounds(self, environment: Environment) -> Bounds:
        lim, length = limits(), self._parameters.length_m
        cpa = {"open": lim.cpa_limit_open_nm, "coastal": lim.cpa_limit_coastal_nm, "confined": lim.cpa_limit_confined_nm}[
            environment.waters
        ]
        if environment.restricted_visibility:
            cpa = max(cpa, lim.cpa_limit_restricted_visibility_nm)
        return Bounds(cpa, size=min(1.5, max(0.7, sqrt(length / 100.0))), own_length_nm=length / NM_M)

    def _salience(self, shown: list[Target], environment: Environment) -> str:
        manoeuvres = {self._kept[i].label: t.manoeuvres.count for i, t in self._tracker.tracks.items() if i in self._kept}
        parts = [
            f"{t.label}:{t.encounter}/{t.role}/{t.stage}/m{manoeuvres[t.label]}" for t in sorted(shown, key=lambda t: int(t.label[1:]))
        ]
        return " ".join(["restricted" if environment.restricted_visibility else "clear", *parts])


_AROUND = {
    "visibility_nm": (0.0, 100.0),
    "wind_kn": (0.0, 200.0),
    "wind_from_deg": (0.0, 360.0),
    "current_kn": (0.0, 20.0),
    "current_to_deg": (0.0, 360.0),
    "daylight": (0, 1),
    "depth_m": (0.0, 12000.0),
}


def _order(reading: Reading) -> float:
    return reading.t_s if isfinite(reading.t_s) else -1e18


def _subject(reading: Reading) -> str:
    return reading.track_id[:40] if isinstance(reading, TargetReading) else type(reading).__name__


class _Targets:
    """Works targets out relative to one own ship at one instant."""

    def __init__(self, own: OwnShip, route: Route, environment: Environment, bounds: Bounds, now_s: float) -> None:
        self._own, self._environment, self._bounds, self._now_s = own, environment, bounds, now_s
        self._plane = LocalPlane(own.lat_deg, own.lon_deg)
        self._vn, self._ve = velocity(own.cog_deg, own.sog_kn)
        self._resume_vn, self._resume_ve = velocity(route.course_to_steer_deg, route.planned_sog_kn)
        ordered = own.ordered_heading_deg
        self._turning = ordered is not None and abs(wrap180(ordered - own.heading_deg)) > 5.0

    def too_far(self, e: Estimate) -> bool:
        return hypot(*self._plane.to_plane(e.lat_deg, e.lon_deg)) > SHOWN_RANGE_NM * NM_M

    def target(self, track_id: str, track: Track, e: Estimate, kept: _Kept) -> Target:
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
            "passes": _passes(dn + dvn * tcpa_s, de + dve * tcpa_s, geometry),
        }
        return self._told(track_id, track, e, kept, geometry, motion)

    def _advance(self, g: Geometry, track: Track, kept: _Kept, motion: tuple[float, float, float, float]) -> None:
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

    def _told(self, track_id: str, track: Track, e: Estimate, kept: _Kept, g: Geometry, motion: dict[str, Any]) -> Target:
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


def _passes(n: float, e: float, g: Geometry) -> Literal["ahead", "astern", "port", "starboard", "clear"]:
    """Where the target is, seen from own heading, at the closest approach (n, e); within 45 deg of bow and stern is ahead, astern."""
    if g.tcpa_min <= 0.0:
        return "clear"
    bearing = degrees(atan2(e, n)) if hypot(n, e) > 1.0 else g.bearing_deg
    rel = wrap180(bearing - g.own_heading_deg)
    if abs(rel) <= 45.0:
        return "ahead"
    if abs(rel) >= 135.0:
        return "astern"
    return "starboard" if rel > 0.0 else "port"


def _envelope(own: OwnShip, environment: Environment, targets: list[Target]) -> tuple[EnvelopeItem, ...]:
    """The operational envelope: each item's value against its limit."""
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
    oldest = max((t.age_s for t in targets if t.risk > 0.0), default=0.0)
    items.append(("target_age", oldest, lim.target_max_age_s, "s", oldest <= lim.target_max_age_s))
    if environment.depth_m is not None:
        need = ship.draft_m + UNDER_KEEL_M
        items.append(("depth", environment.depth_m, need, "m", environment.depth_m >= need))
    return tuple(EnvelopeItem.model_construct(name=n, value=v, limit=li, unit=u, ok=ok) for n, v, li, u, ok in items)
