"""Angles, the local plane, and closest approach in closed form.

Plane: north and east in metres about an origin, WGS-84. Relative quantities are target minus own:
`dn, de` metres, `dvn, dve` metres per second. Functions that say "broadcasts" take floats (fast, plain
`math`) or numpy arrays. Nothing here knows of tracks, rules or pictures.
"""

from math import atan2, cos, degrees, hypot, inf, isnan, nan, radians, sin, sqrt
from typing import overload

import numpy as np
from numpy.typing import NDArray

NM_M = 1852.0
KN_MS = 1852.0 / 3600.0
MIN_CLOSING_KN = 0.1
"""Relative speed below which two ships count as not closing."""

_MIN_SPEED2 = (MIN_CLOSING_KN * KN_MS) ** 2
_WGS84_A = 6378137.0
_WGS84_E2 = 0.0066943799901413165

Array = NDArray[np.float64]


def wrap360(deg: float) -> float:
    """The same direction in [0, 360)."""
    wrapped = deg % 360.0
    return 0.0 if wrapped == 360.0 else wrapped


def wrap180(deg: float) -> float:
    """The same angle in [-180, 180)."""
    return (deg + 180.0) % 360.0 - 180.0


def curvature_radii(lat_deg: float) -> tuple[float, float]:
    """Radii of curvature of WGS-84 in metres: along the meridian, along the parallel (already times cos lat)."""
    s = sin(radians(lat_deg))
    w2 = 1.0 - _WGS84_E2 * s * s
    n = _WGS84_A / sqrt(w2)
    return n * (1.0 - _WGS84_E2) / w2, max(n * cos(radians(lat_deg)), 1.0)


def velocity(course_deg: float, speed_kn: float) -> tuple[float, float]:
    """North and east components, m/s."""
    c = radians(course_deg)
    v = speed_kn * KN_MS
    return v * cos(c), v * sin(c)


def course_speed(vn: float, ve: float) -> tuple[float, float]:
    """Course in degrees true and speed in knots of a velocity in m/s; course 0 at rest."""
    return wrap360(degrees(atan2(ve, vn))), hypot(vn, ve) / KN_MS


class LocalPlane:
    """North-east plane about an origin: range and bearing from the origin are the geodesic ones.

    Gauss's mid-latitude formulae, so building one is cheap; within 30 NM of the origin and 80 degrees of
    latitude positions agree with geographiclib to about a centimetre (tested).
    """

    __slots__ = ("_m0", "_p0", "lat0_deg", "lon0_deg")

    def __init__(self, lat0_deg: float, lon0_deg: float) -> None:
        self.lat0_deg = lat0_deg
        self.lon0_deg = lon0_deg
        self._m0, self._p0 = curvature_radii(lat0_deg)

    def to_plane(self, lat_deg: float, lon_deg: float) -> tuple[float, float]:
        """Metres north and east of the origin."""
        half_lat = radians(0.5 * (lat_deg - self.lat0_deg))
        half_lon = radians(0.5 * wrap180(lon_deg - self.lon0_deg))
        mid = radians(0.5 * (lat_deg + self.lat0_deg))
        s, c = sin(mid), cos(mid)
        w2 = 1.0 - _WGS84_E2 * s * s
        prime = _WGS84_A / sqrt(w2)
        # Gauss's equations, exact on the sphere: half chord along the mean azimuth; arc = 2 asin(chord) ~ 2 chord (1 + chord^2 / 6)
        x, y = sin(half_lat) * cos(half_lon), c * sin(half_lon)
        arc = 2.0 * (1.0 + (x * x + y * y) / 6.0)
        along_n, along_e = arc * x * prime * (1.0 - _WGS84_E2) / w2, arc * y * prime
        # from the mean azimuth back to that at the origin: half the convergence of the meridians
        back = atan2(sin(half_lon) * s, cos(half_lon) * cos(half_lat))
        cb, sb = cos(back), sin(back)
        return along_n * cb + along_e * sb, along_e * cb - along_n * sb

    def to_geo(self, north_m: float, east_m: float) -> tuple[float, float]:
        """Latitude and longitude in degrees (longitude in [-180, 180)); inverse of to_plane."""
        lat = min(89.9, max(-89.9, self.lat0_deg + degrees(north_m / self._m0)))
        lon = self.lon0_deg + degrees(east_m / curvature_radii(lat)[1])
        for _ in range(6):
            n, e = self.to_plane(lat, lon)
            dn, de = north_m - n, east_m - e
            m, p = curvature_radii(lat)
            lat = min(89.9, max(-89.9, lat + degrees(dn / m)))
            lon += degrees(de / p)
            if abs(dn) + abs(de) < 1e-4:
                break
        return lat, wrap180(lon)


@overload
def bearing_range(dn: float, de: float) -> tuple[float, float]: ...
@overload
def bearing_range(dn: Array, de: Array) -> tuple[Array, Array]: ...
def bearing_range(dn: float | Array, de: float | Array) -> tuple[float, float] | tuple[Array, Array]:
    """Bearing in degrees true [0, 360) and range in metres. Broadcasts."""
    if isinstance(dn, (float, int)) and isinstance(de, (float, int)):
        return wrap360(degrees(atan2(de, dn))), hypot(dn, de)
    return np.degrees(np.arctan2(de, dn)) % 360.0, np.hypot(dn, de)


@overload
def closest_approach(dn: float, de: float, dvn: float, dve: float) -> tuple[float, float]: ...
@overload
def closest_approach(dn: Array, de: Array, dvn: Array, dve: Array) -> tuple[Array, Array]: ...
def closest_approach(
    dn: float | Array, de: float | Array, dvn: float | Array, dve: float | Array
) -> tuple[float, float] | tuple[Array, Array]:
    """(cpa, tcpa): closest approach in the unit of dn, and seconds until it. Broadcasts.

    cpa = |p + v tcpa| with tcpa = -(p.v)/(v.v). Past (tcpa < 0): tcpa stays negative, cpa is the present range.
    Relative speed below 0.1 kn: not closing, tcpa 0 and cpa the present range.
    """
    if isinstance(dn, (float, int)) and isinstance(dvn, (float, int)) and isinstance(de, (float, int)) and isinstance(dve, (float, int)):
        v2 = dvn * dvn + dve * dve
        if v2 < _MIN_SPEED2:
            return hypot(dn, de), 0.0
        t = -(dn * dvn + de * dve) / v2
        if t <= 0.0:
            return hypot(dn, de), t
        return abs(dn * dve - de * dvn) / sqrt(v2), t
    v2 = np.asarray(dvn * dvn + dve * dve, dtype=np.float64)
    still = v2 < _MIN_SPEED2
    t = np.where(still, 0.0, -(dn * dvn + de * dve) / np.where(still, 1.0, v2))
    ahead = np.maximum(t, 0.0)
    return np.hypot(dn + dvn * ahead, de + dve * ahead), t


@overload
def bow_crossing(dn: float, de: float, dvn: float, dve: float, heading_deg: float) -> tuple[float, float]: ...
@overload
def bow_crossing(dn: Array, de: Array, dvn: Array, dve: Array, heading_deg: float | Array) -> tuple[Array, Array]: ...
def bow_crossing(
    dn: float | Array, de: float | Array, dvn: float | Array, dve: float | Array, heading_deg: float | Array
) -> tuple[float, float] | tuple[Array, Array]:
    """(bcr, bct): signed range at which the target crosses own heading line, and seconds until then. Broadcasts.

    bcr + = ahead of the bow, - = astern. NaN, NaN when it does not cross in future (parallel, or crossed already).
    With the arguments negated and the target's heading: where own ship crosses the target's bow.
    """
    if isinstance(heading_deg, (float, int)) and isinstance(dn, (float, int)) and isinstance(de, (float, int)):
        c, s = cos(radians(heading_deg)), sin(radians(heading_deg))
        across = de * c - dn * s
        rate = dve * c - dvn * s
        if abs(rate) < 1e-9 or across * rate > 0.0:
            return nan, nan
        t = -across / rate
        return float((dn + dvn * t) * c + (de + dve * t) * s), float(t)
    c, s = np.cos(np.radians(heading_deg)), np.sin(np.radians(heading_deg))
    across = np.asarray(de * c - dn * s, dtype=np.float64)
    rate = np.asarray(dve * c - dvn * s, dtype=np.float64)
    never = (np.abs(rate) < 1e-9) | (across * rate > 0.0)
    t = np.where(never, np.nan, -across / np.where(never, 1.0, rate))
    return (dn + dvn * t) * c + (de + dve * t) * s, t


def cpa_sigma(dn: float, de: float, dvn: float, dve: float, tcpa_s: float, pos_sigma_m: float, vel_sigma_ms: float) -> float:
    """One standard deviation of the closest approach, metres, by first-order propagation.

    The miss distance is the cross-track component of p + v t with respect to the relative velocity; for isotropic
    errors its variance is sigma_p^2 + (t sigma_v)^2. Not closing or past: that of the range itself.
    """
    ahead = tcpa_s if 0.0 < tcpa_s < inf and not isnan(tcpa_s) else 0.0
    return hypot(pos_sigma_m, ahead * vel_sigma_ms)
