"""Own ship from partial readings: a field that a reading lacks keeps its last value, each with its own time."""

from math import degrees, hypot, isfinite, radians

from sdx_domains.ship.geometry import KN_MS, curvature_radii, velocity, wrap180, wrap360
from sdx_domains.ship.picture import OwnReading, OwnShip, OwnShipParameters, VesselKind
from sdx_domains.ship.tracker import FUTURE_S, MAX_SPEED_KN, Report

MAX_EXTRAPOLATION_S = 10.0
"""Own position is carried on no longer than this without a new fix."""
_RANGES = {
    "cog_deg": (0.0, 360.0),
    "sog_kn": (0.0, MAX_SPEED_KN),
    "heading_deg": (0.0, 360.0),
    "rot_deg_min": (-720.0, 720.0),
    "rudder_deg": (-90.0, 90.0),
    "ordered_heading_deg": (0.0, 360.0),
    "ordered_speed_kn": (0.0, MAX_SPEED_KN),
}
_JUMPS_BELIEVED = 3
"""So many successive fixes at a new place, agreeing with each other, and the new place is believed."""


class OwnState:
    """Last known values of own ship and their times."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.times: dict[str, float] = {}
        self.fix: tuple[float, float] | None = None
        self.fix_s = 0.0
        self._jumps: list[tuple[float, float, float]] = []

    @property
    def missing(self) -> list[str]:
        """What was never seen and is needed: position, heading."""
        return [name for name, there in (("position", self.fix is not None), ("heading", "heading_deg" in self.values)) if not there]

    def fold(self, reading: OwnReading, now_s: float, report: Report) -> None:
        """Take one reading; later values win, whatever order they come in."""
        if reading.t_s > now_s + FUTURE_S:
            report(now_s, "future_stamp", f"own-ship reading stamped {reading.t_s - now_s:.1f} s ahead of the clock; dropped")
            return
        for name, (low, high) in _RANGES.items():
            value = getattr(reading, name)
            if value is None:
                continue
            if not (isfinite(value) and low <= value <= high):
                report(reading.t_s, f"absurd_own_{name}", f"own {name} {value!r} is not within {low:g}..{high:g}; kept the last value")
            elif reading.t_s >= self.times.get(name, reading.t_s):
                self.values[name], self.times[name] = value, reading.t_s
        if reading.lat_deg is not None and reading.lon_deg is not None:
            self._fold_fix(reading.t_s, reading.lat_deg, reading.lon_deg, report)

    def at(self, now_s: float, parameters: OwnShipParameters, kind: VesselKind) -> OwnShip:
        """Own ship at now_s. Its age is that of the older of position and heading."""
        assert self.fix is not None
        heading = wrap360(self.values["heading_deg"])
        course = wrap360(self.values.get("cog_deg", heading))
        speed = self.values.get("sog_kn", 0.0)
        lat, lon = self._carried(min(now_s - self.fix_s, MAX_EXTRAPOLATION_S), course, speed)
        ordered = self.values.get("ordered_heading_deg")
        return OwnShip.model_construct(
            lat_deg=lat,
            lon_deg=lon,
            pos_sigma_m=10.0 + max(0.0, now_s - self.fix_s - 1.0) * 0.1 * speed * KN_MS,
            heading_deg=heading,
            cog_deg=course,
            sog_kn=speed,
            rot_deg_min=self.values.get("rot_deg_min", 0.0),
            rudder_deg=self.values.get("rudder_deg", 0.0),
            ordered_heading_deg=None if ordered is None else wrap360(ordered),
            ordered_speed_kn=self.values.get("ordered_speed_kn"),
            age_s=max(0.0, now_s - min(self.fix_s, self.times["heading_deg"])),
            kind=kind,
            parameters=parameters,
        )

    def shift(self, dt_s: float) -> None:
        """Move every remembered time by dt_s (the clock was set)."""
        self.fix_s += dt_s
        self.times = {name: t + dt_s for name, t in self.times.items()}
        self._jumps = []

    def _carried(self, dt: float, course: float, speed: float) -> tuple[float, float]:
        assert self.fix is not None
        lat, lon = self.fix
        if dt <= 0.0 or speed == 0.0:
            return lat, lon
        vn, ve = velocity(course, speed)
        m, p = curvature_radii(lat)
        return lat + degrees(vn * dt / m), wrap180(lon + degrees(ve * dt / p))

    def _fold_fix(self, t: float, lat: float, lon: float, report: Report) -> None:
        if not (isfinite(lat) and isfinite(lon) and abs(lat) <= 89.0 and abs(lon) <= 180.0):
            report(t, "absurd_own_position", f"own position {lat!r}, {lon!r} is none; kept the last one")
            return
        if self.fix is None:
            self.fix, self.fix_s = (lat, lon), t
            return
        if t < self.fix_s:
            return
        jump_m = self._jump_m(self.fix_s, *self.fix, t, lat, lon)
        if jump_m > 0.0:
            agree = bool(self._jumps) and self._jump_m(*self._jumps[-1], t, lat, lon) <= 0.0
            self._jumps = [*self._jumps, (t, lat, lon)] if agree else [(t, lat, lon)]
            if len(self._jumps) < _JUMPS_BELIEVED:
                report(t, "own_position_jump", f"own fix {jump_m / 1852.0:.2f} NM beyond what own speed allows; held back until confirmed")
                return
            report(t, "own_position_jump", f"own position moved by {jump_m / 1852.0:.2f} NM: {_JUMPS_BELIEVED} fixes agree")
        self._jumps = []
        self.fix, self.fix_s = (lat, lon), t

    def _jump_m(self, t0: float, lat0: float, lon0: float, t: float, lat: float, lon: float) -> float:
        """Metres beyond the distance that speed and noise allow; <= 0 is plausible."""
        m, p = curvature_radii(lat0)
        moved = hypot(radians(lat - lat0) * m, radians(wrap180(lon - lon0)) * p)
        return moved - 150.0 - (1.5 * self.values.get("sog_kn", 20.0) + 5.0) * KN_MS * max(0.0, t - t0)
