"""One vessel followed: a Kalman filter on position and velocity, and what is known of it.

Same covariance north and east. The measurement noise is learnt from second differences of the reports, which a
steady turn leaves at zero, so the filter follows exact data at once and averages noisy AIS over about a minute.
"""

import unicodedata
from dataclasses import dataclass
from math import degrees, hypot, radians, sqrt

from sdx_domains.ship.filters import AngleFilter, ManoeuvreWatch, NoiseMeter
from sdx_domains.ship.geometry import KN_MS, course_speed, curvature_radii, velocity, wrap180
from sdx_domains.ship.limits import limits
from sdx_domains.ship.picture import TargetReading, VesselKind

AT_ANCHOR_PATIENCE = 3.0
"""A vessel at anchor reports every 3 min: it is kept that many times longer."""
_ACCELERATION_PSD = 3e-4
"""Process noise, m^2/s^3: a ship that holds course, within what helm and sea do to it."""


def clean_name(text: str) -> str:
    """At most 20 printable characters for display: no control, format or private characters, single spaces."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" and c != "@" else " " for c in text[:200])
    return " ".join(kept.split())[:20].rstrip()


def kind_of(nav_status: int | None, ship_type: int | None) -> VesselKind:
    """Rule 18 kind from AIS: navigational status; only where that says nothing, the type of ship."""
    by_status: dict[int, VesselKind] = {2: "nuc", 3: "ram", 4: "cbd", 7: "fishing", 8: "sail"}
    if nav_status in by_status:
        return by_status[nav_status]
    if nav_status is None or nav_status == 15:
        return "fishing" if ship_type == 30 else "sail" if ship_type == 36 else "power"
    return "power"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A track at one instant; position extrapolated."""

    lat_deg: float
    lon_deg: float
    vn: float
    """m/s, as ve."""
    ve: float
    cog_deg: float
    sog_kn: float
    heading_deg: float
    heading_sigma_deg: float
    pos_sigma_m: float
    vel_sigma_ms: float
    cog_sigma_deg: float
    age_s: float


class Track:
    """One vessel: filtered position and velocity, what is known of it, its manoeuvres."""

    def __init__(self, reading: TargetReading, lat: float, lon: float) -> None:
        self.t_s = reading.t_s
        self.lat, self.lon = lat, lon
        self.created_s = reading.t_s
        self.reports = 1
        self.sources: set[str] = {reading.source}
        self.name = ""
        self.nav_status: int | None = None
        self.ship_type: int | None = None
        self.length_m: float | None = None
        self.beam_m: float | None = None
        self.rot_deg_min = 0.0
        self._m, self._p = curvature_radii(lat)
        self._radii_lat = lat
        self._lat0, self._lon0 = lat, lon
        self._north, self._east = NoiseMeter(15.0, 2.0), NoiseMeter(15.0, 2.0)
        self._course, self._speed = NoiseMeter(2.0, 0.1), NoiseMeter(0.2, 0.05)
        self._raw_course = 0.0
        known = reading.cog_deg is not None and reading.sog_kn is not None
        self.vn, self.ve = velocity(reading.cog_deg or 0.0, reading.sog_kn or 0.0) if known else (0.0, 0.0)
        self._p00, self._p01, self._p11 = 15.0**2, 0.0, self._velocity_variance(reading.sog_kn or 0.0) if known else 5.0**2
        self._push_n = self._push_e = 0.0
        self._heading: AngleFilter | None = None
        self._meter_all(reading, lat, lon)
        cog, sog = course_speed(self.vn, self.ve)
        self.manoeuvres = ManoeuvreWatch(reading.t_s, cog, sog)
        self.describe(reading)

    def describe(self, reading: TargetReading) -> None:
        """Take over what a report says beside motion."""
        if reading.name_untrusted is not None:
            self.name = clean_name(reading.name_untrusted)
        self.nav_status = reading.nav_status if reading.nav_status is not None else self.nav_status
        self.ship_type = reading.ship_type if reading.ship_type is not None else self.ship_type
        if reading.length_m is not None and 0.0 < reading.length_m <= 500.0:
            self.length_m = reading.length_m
        if reading.beam_m is not None and 0.0 < reading.beam_m <= 80.0:
            self.beam_m = reading.beam_m

    @property
    def drop_age_s(self) -> float:
        return limits().target_drop_age_s * (AT_ANCHOR_PATIENCE if self.anchored else 1.0)

    def continues(self, other: "Track") -> bool:
        """Is this young track where the other, silent since, would be by now, on about its course?"""
        if not other.t_s - 1.0 <= self.created_s <= other.t_s + 120.0:
            return False
        n, e = other.offset_m(self.t_s, self.lat, self.lon)
        spread = 3.0 * sqrt(self._p11 + other._p11)
        same_motion = hypot(self.vn - other.vn, self.ve - other.ve) <= 1.0 + spread
        return same_motion and hypot(n, e) <= 100.0 + (1.0 + spread) * (self.t_s - other.t_s) + 3.0 * sqrt(self._p00 + other._p00)

    def succeed(self, other: "Track") -> None:
        """Take over the other's facts, manoeuvres and, weighted, its velocity: it is the same vessel."""
        self.inherit(other)
        self.manoeuvres = other.manoeuvres
        self.reports += other.reports
        mine, hers = 1.0 / self._p11, 1.0 / (other._p11 + _ACCELERATION_PSD * max(0.0, self.t_s - other.t_s))
        self.vn = (mine * self.vn + hers * other.vn) / (mine + hers)
        self.ve = (mine * self.ve + hers * other.ve) / (mine + hers)
        self._p11 = 1.0 / (mine + hers)
        self._p01 *= self._p11 * mine

    def inherit(self, other: "Track") -> None:
        """Take over what is known of the vessel, not its motion."""
        self.name = self.name or other.name
        self.nav_status = self.nav_status if self.nav_status is not None else other.nav_status
        self.ship_type = self.ship_type if self.ship_type is not None else other.ship_type
        self.length_m, self.beam_m = self.length_m or other.length_m, self.beam_m or other.beam_m

    @property
    def kind(self) -> VesselKind:
        return kind_of(self.nav_status, self.ship_type)

    @property
    def anchored(self) -> bool:
        return self.nav_status in (1, 5, 6)

    def offset_m(self, t_s: float, lat: float, lon: float) -> tuple[float, float]:
        """North and east metres from where the track would be at t_s to a position."""
        dt = t_s - self.t_s
        n = radians(lat - self.lat) * self._m - self.vn * dt
        return n, radians(wrap180(lon - self.lon)) * self._p - self.ve * dt

    def plausible(self, t_s: float, lat: float, lon: float) -> bool:
        """Could the vessel be there? Noise, a turn since the last report, and 50 m."""
        n, e = self.offset_m(t_s, lat, lon)
        dt = max(0.0, t_s - self.t_s)
        noise = sqrt(self._p00 + self._north.variance + self._p11 * dt * dt)
        return hypot(n, e) <= 50.0 + 5.0 * noise + (1.5 * hypot(self.vn, self.ve) + 3.0) * dt

    def add(self, reading: TargetReading, lat: float, lon: float) -> None:
        """Fold in a report that is not older than the track."""
        dt = max(0.0, reading.t_s - self.t_s)
        self._meter_all(reading, lat, lon)
        n, e = self.offset_m(reading.t_s, lat, lon)
        self._predict(dt)
        self.t_s = max(self.t_s, reading.t_s)
        self._update_position(n, e)
        if reading.cog_deg is not None and reading.sog_kn is not None:
            self._update_velocity(reading.cog_deg, reading.sog_kn)
        self.reports += 1
        self.sources.add(reading.source)
        self.describe(reading)
        cog, sog = course_speed(self.vn, self.ve)
        sigma = sqrt(self._p11)
        self.manoeuvres.add(self.t_s, cog, degrees(sigma / max(sog * KN_MS, 0.25)), sog, sigma / KN_MS)

    def at(self, now_s: float) -> Estimate:
        """The track extrapolated to now_s; its uncertainty grows with age, faster when the reports are old."""
        dt = max(0.0, now_s - self.t_s)
        old = 0.0 if self.anchored else max(0.0, dt - limits().target_max_age_s)
        p11 = self._p11 + _ACCELERATION_PSD * dt + 10.0 * _ACCELERATION_PSD * old
        p00 = self._p00 + 2.0 * dt * self._p01 + dt * dt * self._p11 + (_ACCELERATION_PSD * dt**3 + 10.0 * _ACCELERATION_PSD * old**3) / 3.0
        cog, sog = course_speed(self.vn, self.ve)
        cog_sigma = min(180.0, degrees(sqrt(p11) / max(sog * KN_MS, 0.25)))
        return Estimate(
            lat_deg=min(90.0, max(-90.0, self.lat + degrees(self.vn * dt / self._m))),
            lon_deg=wrap180(self.lon + degrees(self.ve * dt / self._p)),
            vn=self.vn,
            ve=self.ve,
            cog_deg=cog,
            sog_kn=sog,
            heading_deg=self._heading.deg if self._heading else cog,
            heading_sigma_deg=self._heading.sigma_deg if self._heading else cog_sigma,
            pos_sigma_m=sqrt(p00),
            vel_sigma_ms=sqrt(p11),
            cog_sigma_deg=cog_sigma,
            age_s=dt,
        )

    def shift(self, dt_s: float) -> None:
        """Move every remembered time by dt_s (the clock was set)."""
        self.t_s += dt_s
        self.created_s += dt_s
        for part in (self._north, self._east, self._course, self._speed, self._heading, self.manoeuvres):
            if part is not None:
                part.shift(dt_s)

    def _meter_all(self, reading: TargetReading, lat: float, lon: float) -> None:
        t = reading.t_s
        self._north.add(t, radians(lat - self._lat0) * self._m)
        self._east.add(t, radians(wrap180(lon - self._lon0)) * self._p)
        if reading.cog_deg is not None and reading.sog_kn is not None:
            self._raw_course += wrap180(reading.cog_deg - self._raw_course)
            self._course.add(t, self._raw_course)
            self._speed.add(t, reading.sog_kn)
        if reading.heading_deg is not None:
            if self._heading is None:
                self._heading = AngleFilter(t, reading.heading_deg, 2.0)
            else:
                self._heading.add(t, reading.heading_deg)
        if reading.rot_deg_min is not None:
            self.rot_deg_min = reading.rot_deg_min

    def _velocity_variance(self, sog_kn: float) -> float:
        across = sog_kn * KN_MS * radians(sqrt(self._course.variance))
        return 0.5 * (across * across + self._speed.variance * KN_MS * KN_MS) + 1e-4

    def _predict(self, dt: float) -> None:
        self.lat = min(89.9, max(-89.9, self.lat + degrees(self.vn * dt / self._m)))
        self.lon = wrap180(self.lon + degrees(self.ve * dt / self._p))
        if abs(self.lat - self._radii_lat) > 0.01:
            self._m, self._p = curvature_radii(self.lat)
            self._radii_lat = self.lat
        q = _ACCELERATION_PSD
        self._p00 += dt * (2.0 * self._p01 + dt * (self._p11 + q * dt / 3.0))
        self._p01 += dt * (self._p11 + 0.5 * q * dt)
        self._p11 += q * dt

    def _update_position(self, n: float, e: float) -> None:
        s = self._p00 + 0.5 * (self._north.variance + self._east.variance)
        k0, k1 = self._p00 / s, self._p01 / s
        self.lat += degrees(k0 * n / self._m)
        self.lon = wrap180(self.lon + degrees(k0 * e / self._p))
        self.vn += k1 * n
        self.ve += k1 * e
        self._p11 -= k1 * self._p01
        self._p01 *= 1.0 - k0
        self._p00 *= 1.0 - k0

    def _update_velocity(self, cog_deg: float, sog_kn: float) -> None:
        zn, ze = velocity(cog_deg, sog_kn)
        r = self._velocity_variance(sog_kn)
        dn, de = zn - self.vn, ze - self.ve
        scale = sqrt(self._p11 + r)
        self._push_n = 0.6 * self._push_n + 0.4 * dn / scale
        self._push_e = 0.6 * self._push_e + 0.4 * de / scale
        if hypot(self._push_n, self._push_e) > 2.2:  # she manoeuvres; noise has 0.5 per axis here
            self._p11 += 0.5 * r + max(0.0, dn * dn + de * de - 9.0 * r)
            self._push_n = self._push_e = 0.0
        s = self._p11 + r
        k0, k1 = self._p01 / s, self._p11 / s
        self.lat += degrees(k0 * dn / self._m)
        self.lon = wrap180(self.lon + degrees(k0 * de / self._p))
        self.vn += k1 * dn
        self.ve += k1 * de
        self._p00 -= k0 * self._p01
        self._p01 *= 1.0 - k1
        self._p11 *= 1.0 - k1
