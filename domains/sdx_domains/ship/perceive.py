"""Readings in, ship picture out: the one place where facts are computed. Start reading at ShipPerceiver.take."""

from collections.abc import Sequence
from math import isfinite, sqrt
from typing import Literal

from sdx_domains.contract import Fault, Reading
from sdx_domains.ship.encounter import Bounds
from sdx_domains.ship.envelope import envelope
from sdx_domains.ship.geometry import NM_M
from sdx_domains.ship.limits import limits
from sdx_domains.ship.own_state import OwnState
from sdx_domains.ship.picture import (
    Environment,
    EnvironmentReading,
    OwnReading,
    OwnShipParameters,
    RouteReading,
    ShipPicture,
    Target,
    TargetReading,
    VesselKind,
)
from sdx_domains.ship.relative import Kept, Surroundings
from sdx_domains.ship.route import RouteFollower
from sdx_domains.ship.track import Track
from sdx_domains.ship.tracker import FUTURE_S, Tracker, fit_track_id

Waters = Literal["open", "coastal", "confined"]
SHOWN_TARGETS = 60
CLOCK_JUMP_S = 5.0
"""The clock of take() set back by more than this: every remembered time is moved with it."""
FAULT_SHOWN_S = 10.0
"""A fault stays in the pictures this long, so that slow readers see it too."""
FAULTS_SHOWN = 40


class NotEnoughData(ValueError):
    """Own position or heading was never seen yet: there is no picture to give."""


class ShipPerceiver:
    """Implements contract.Perceiver for the ship; holds tracks, locks, route and own state. Deterministic."""

    def __init__(self, parameters: OwnShipParameters = OwnShipParameters(), waters: Waters = "open", kind: VesselKind = "power") -> None:
        self._parameters = parameters
        self._waters: Waters = waters
        self._kind: VesselKind = kind
        self._own = OwnState()
        self._route = RouteFollower()
        self._tracker = Tracker()
        self._kept: dict[str, Kept] = {}
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
        for old_id, new_id in self._tracker.renamed(now_s, self._report):
            if (kept := self._kept.pop(old_id, None)) is not None:
                kept.track = self._tracker.tracks[new_id]
                self._kept[new_id] = kept
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
            self._report(now_s, "bad_stamp", f"{_subject(reading)} has time {reading.t_s!r}; dropped")
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
        around = Surroundings(own, route, environment, bounds, now_s)
        shown: list[Target] = []
        for track_id, track in self._tracker.tracks.items():
            estimate = track.at(now_s)
            if not around.too_far(estimate):
                shown.append(around.target(track_id, track, estimate, self._keep(track_id, track)))
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
            envelope=envelope(own, environment, shown),
        )

    def _keep(self, track_id: str, track: Track) -> Kept:
        """Label and lock of a track; a track that was moved elsewhere keeps its label and starts a new lock."""
        kept = self._kept.get(track_id)
        if kept is None or kept.track is not track:
            self._labels += kept is None
            kept = self._kept[track_id] = Kept(f"T{self._labels}" if kept is None else kept.label, track)
        return kept

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


def _order(reading: Reading) -> tuple[float, bool]:
    """By time; own ship first, since targets are judged against it."""
    return (reading.t_s if isfinite(reading.t_s) else -1e18, not isinstance(reading, OwnReading))


def _subject(reading: Reading) -> str:
    return reading.track_id if isinstance(reading, TargetReading) and fit_track_id(reading.track_id) else type(reading).__name__
