"""Targets followed from noisy, late, duplicated and hostile reports. Start reading at Tracker.fold."""

import re
from collections.abc import Callable
from math import hypot, isfinite, radians

from sdx_domains.ship.geometry import NM_M, curvature_radii, wrap180
from sdx_domains.ship.picture import TargetReading
from sdx_domains.ship.track import Track

FUTURE_S = 1.0
"""A stamp this much ahead of the clock is refused."""
MAX_TRACKS = 512
MAX_RANGE_NM = 100.0
"""Beyond any AIS or radar: a report from there is wrong."""
MAX_SPEED_KN = 70.0
TENTATIVE_S = 30.0
"""A lone report far from its track is forgotten after this."""
SILENT_S = 25.0
"""A track silent so long, where a new identity reports since, is that vessel under another name."""
_TRACK_ID = re.compile(r"[A-Za-z0-9_:.\-]{1,40}")

Report = Callable[[float, str, str], None]
"""(t_s, kind, detail): how a fault is told."""


def fit_track_id(text: str) -> bool:
    """1-40 letters, digits, `_ : . -`: nothing that could carry a message into a fault or a prompt."""
    return _TRACK_ID.fullmatch(text) is not None


class Tracker:
    """All other vessels. Track ids are those of the readings; a second vessel under the same id gets "#2", "#3"."""

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {}
        self._branches: dict[str, list[str]] = {}
        self._tentative: dict[str, Track] = {}
        self._static: dict[str, TargetReading] = {}

    def fold(self, reading: TargetReading, now_s: float, own: tuple[float, float] | None, report: Report) -> None:
        """Take one report; whatever is wrong with it is told through `report` and the rest is used."""
        if not fit_track_id(reading.track_id):
            report(now_s, "bad_track_id", "target report dropped: its track id is not 1-40 letters, digits or _ : . -")
            return
        reading = sane(reading, report)
        if reading.lat_deg is None or reading.lon_deg is None:
            self._fold_static(reading)
            return
        lat, lon = reading.lat_deg, reading.lon_deg
        if own is not None and _far(own, lat, lon):
            report(
                reading.t_s, "out_of_range", f"{reading.track_id} at {lat:.4f}, {lon:.4f} is more than {MAX_RANGE_NM:.0f} NM away; dropped"
            )
            return
        branches = self._branches.get(reading.track_id, [])
        for track_id in branches:
            if self.tracks[track_id].plausible(reading.t_s, lat, lon):
                self._add(self.tracks[track_id], reading, lat, lon, report)
                return
        if not branches:
            self._start(reading.track_id, reading.track_id, Track(reading, lat, lon), report)
            return
        self._jump(reading, lat, lon, branches, report)

    def drop_old(self, now_s: float) -> list[str]:
        """Forget tracks without a report for target_drop_age_s; returns their ids."""
        gone = [i for i, t in self.tracks.items() if now_s - t.t_s > t.drop_age_s]
        for track_id in gone:
            self._remove(track_id)
        self._tentative = {i: t for i, t in self._tentative.items() if now_s - t.t_s <= TENTATIVE_S}
        return gone

    def renamed(self, now_s: float, report: Report) -> list[tuple[str, str]]:
        """(old id, new id) of vessels that changed their identity; the old track is gone, the new one has taken over."""
        young = [(i, t) for i, t in self.tracks.items() if t.reports >= 2 and now_s - t.created_s <= 120.0]
        silent = [(i, t) for i, t in self.tracks.items() if now_s - t.t_s >= SILENT_S] if young else []
        found: list[tuple[str, str]] = []
        for new_id, new in young:
            for old_id, old in silent:
                if new_id.split("#")[0] == old_id.split("#")[0] or old_id not in self.tracks or not new.continues(old):
                    continue
                new.succeed(old)
                self._remove(old_id)
                found.append((old_id, new_id))
                report(now_s, "identity_change", f"{new_id} continues the track of {old_id}, silent since; label and encounter kept")
                break
        return found

    def shift(self, dt_s: float) -> None:
        for track in [*self.tracks.values(), *self._tentative.values()]:
            track.shift(dt_s)

    def _remove(self, track_id: str) -> None:
        del self.tracks[track_id]
        base = track_id.split("#")[0]
        self._branches[base].remove(track_id)
        if not self._branches[base]:
            del self._branches[base]

    def _fold_static(self, reading: TargetReading) -> None:
        if reading.track_id in self.tracks:
            self.tracks[reading.track_id].describe(reading)
        elif reading.track_id in self._static or len(self._static) < MAX_TRACKS:
            self._static[reading.track_id] = reading

    def _start(self, base: str, track_id: str, track: Track, report: Report) -> None:
        if len(self.tracks) >= MAX_TRACKS:
            report(track.t_s, "too_many_tracks", f"{track_id} not followed: {MAX_TRACKS} tracks already")
            return
        static = self._static.pop(track_id, None)
        if static is not None:
            track.describe(static)
        self.tracks[track_id] = track
        self._branches.setdefault(base, []).append(track_id)

    def _add(self, track: Track, reading: TargetReading, lat: float, lon: float, report: Report) -> None:
        late = track.t_s - reading.t_s
        if late > 0.0 or (late == 0.0 and reading.source in track.sources):
            if late > 1.0:
                report(reading.t_s, "out_of_order", f"{reading.track_id} report {late:.1f} s older than its track; dropped")
            return
        track.add(reading, lat, lon)

    def _jump(self, reading: TargetReading, lat: float, lon: float, known: list[str], report: Report) -> None:
        """A report that no track of this id can have sent: wait for a second one that agrees with it."""
        base = reading.track_id
        waiting = self._tentative.get(base)
        if waiting is None or not waiting.plausible(reading.t_s, lat, lon) or reading.t_s < waiting.t_s:
            self._tentative[base] = Track(reading, lat, lon)
            n, e = self.tracks[known[0]].offset_m(reading.t_s, lat, lon)
            report(reading.t_s, "position_jump", f"{base} reported {hypot(n, e) / NM_M:.2f} NM from its track; held back until confirmed")
            return
        if reading.t_s == waiting.t_s:
            return
        waiting.add(reading, lat, lon)
        alive = [i for i in known if self.tracks[i].t_s >= waiting.created_s]
        if alive:
            number = next(k for k in range(2, MAX_TRACKS) if f"{base}#{k}" not in self.tracks)
            report(reading.t_s, "duplicate_mmsi", f"two vessels report as {base}; the second is followed as {base}#{number}")
            del self._tentative[base]
            self._start(base, f"{base}#{number}", waiting, report)
        elif waiting.reports >= 3:
            report(reading.t_s, "position_jump", f"{base} continues at its new position; track moved there")
            del self._tentative[base]
            waiting.inherit(self.tracks[known[0]])
            self.tracks[known[0]] = waiting


def _far(own: tuple[float, float], lat: float, lon: float) -> bool:
    m, p = curvature_radii(own[0])
    return hypot(radians(lat - own[0]) * m, radians(wrap180(lon - own[1])) * p) > MAX_RANGE_NM * NM_M


def _number(value: float | None, low: float, high: float) -> bool:
    return value is not None and isfinite(value) and low <= value <= high


def sane(reading: TargetReading, report: Report) -> TargetReading:
    """The reading without what is not available (AIS: lat 91, lon 181, sog 102.3, cog 360, heading 511) or absurd."""
    wrong: dict[str, None] = {}

    def judge(name: str, low: float, high: float, not_available: float) -> None:
        value = getattr(reading, name)
        if value is None or _number(value, low, high):
            return
        wrong[name] = None
        if value != not_available:
            report(reading.t_s, f"absurd_{name}", f"{reading.track_id} {name} {value!r} is not within {low:g}..{high:g}; ignored")

    judge("lat_deg", -89.0, 89.0, 91.0)
    judge("lon_deg", -180.0, 180.0, 181.0)
    judge("cog_deg", 0.0, 359.9999999, 360.0)
    judge("sog_kn", 0.0, MAX_SPEED_KN, 102.3)
    judge("heading_deg", 0.0, 359.9999999, 511.0)
    judge("rot_deg_min", -720.0, 720.0, -731.0)
    return reading.model_copy(update=wrong) if wrong else reading
