"""Small filters of the tracker: how noisy a quantity is, a heading smoothed, a manoeuvre told from noise."""

from math import sqrt

from sdx_domains.ship.geometry import wrap180, wrap360
from sdx_domains.ship.limits import limits

WARM_UP_S = 45.0
WARM_UP_REPORTS = 8
"""So long a track only learns its noise and course before a manoeuvre can be told."""
CONFIRM_REPORTS = 3
"""So many successive reports must agree that a target manoeuvres."""


class NoiseMeter:
    """Variance of white noise on a slowly changing quantity, from second differences; forgets over about 20 values."""

    __slots__ = ("_floor", "_sum", "_t0", "_t1", "_weight", "_z0", "_z1", "count")

    def __init__(self, prior: float, floor: float) -> None:
        self._floor = floor * floor
        self._weight = 2.0
        self._sum = prior * prior * self._weight
        self._t0 = self._t1 = self._z0 = self._z1 = 0.0
        self.count = 0

    def add(self, t_s: float, z: float) -> None:
        if self.count >= 2 and t_s > self._t1 > self._t0:
            f = (self._t1 - self._t0) / (t_s - self._t0)
            d = self._z1 - self._z0 - (z - self._z0) * f
            self._sum = 0.95 * self._sum + d * d / (1.0 + f * f + (1.0 - f) * (1.0 - f))
            self._weight = 0.95 * self._weight + 1.0
        self._t0, self._z0, self._t1, self._z1 = self._t1, self._z1, t_s, z
        self.count += 1

    def shift(self, dt_s: float) -> None:
        self._t0 += dt_s
        self._t1 += dt_s

    @property
    def variance(self) -> float:
        return max(self._floor, self._sum / self._weight)


class AngleFilter:
    """Heading with its own learnt noise; unwrapped inside."""

    __slots__ = ("_meter", "_p", "_push", "_raw", "_t", "value_deg")

    def __init__(self, t_s: float, deg: float, prior_deg: float) -> None:
        self._meter = NoiseMeter(prior_deg, 0.1)
        self._meter.add(t_s, deg)
        self._raw = self.value_deg = deg
        self._p = prior_deg * prior_deg
        self._t = t_s
        self._push = 0.0

    def add(self, t_s: float, deg: float) -> None:
        self._raw += wrap180(deg - self._raw)
        self._meter.add(t_s, self._raw)
        self._p += 0.02 * max(0.0, t_s - self._t)
        self._t = max(self._t, t_s)
        r = self._meter.variance
        innovation = self._raw - self.value_deg
        self._push = 0.6 * self._push + 0.4 * innovation / sqrt(self._p + r)
        if abs(self._push) > 2.0:  # turning, not noise: noise has 0.5 here
            self._p += 0.5 * r + max(0.0, innovation * innovation - 9.0 * r)
            self._push = 0.0
        gain = self._p / (self._p + r)
        self.value_deg += gain * innovation
        self._p *= 1.0 - gain

    def shift(self, dt_s: float) -> None:
        self._t += dt_s
        self._meter.shift(dt_s)

    @property
    def deg(self) -> float:
        return wrap360(self.value_deg)

    @property
    def sigma_deg(self) -> float:
        return sqrt(self._p)


class ManoeuvreWatch:
    """Tells a target's manoeuvre from noise: the filtered course or speed leaves its reference by more than both."""

    __slots__ = (
        "_begun_s",
        "_course",
        "_doubts",
        "_on",
        "_seen",
        "_speed",
        "_steady_course",
        "_steady_s",
        "_steady_speed",
        "_t",
        "change_deg",
        "count",
        "t_s",
    )

    def __init__(self, t_s: float, course_deg: float, speed_kn: float) -> None:
        self._course, self._speed = course_deg, speed_kn
        self._steady_course, self._steady_speed, self._steady_s = course_deg, speed_kn, t_s
        self._t = self._begun_s = t_s
        self._on = False
        self._seen = self._doubts = 0
        self.t_s: float | None = None
        """When the last manoeuvre was detected."""
        self.change_deg = 0.0
        self.count = 0

    def add(self, t_s: float, course_deg: float, course_sigma: float, speed_kn: float, speed_sigma: float) -> None:
        """Fold in one filtered course and speed with their standard deviations."""
        lim = limits()
        dt, self._t = max(0.0, t_s - self._t), t_s
        turn_limit = max(lim.detectable_turn_deg, 4.0 * course_sigma)
        speed_limit = max(lim.detectable_speed_fraction * max(self._speed, 2.0), 4.0 * speed_sigma)
        turned, sped = wrap180(course_deg - self._course), speed_kn - self._speed
        moving = min(speed_kn, self._speed) >= 1.0
        self._seen += 1
        young = self._seen < WARM_UP_REPORTS or t_s - self._begun_s < WARM_UP_S
        if young or (not (moving and abs(turned) > turn_limit) and abs(sped) <= speed_limit):
            self._on, self._doubts = False, 0
            follow = 1.0 if young else min(1.0, dt / 60.0)
            self._course = wrap360(self._course + follow * turned)
            self._speed += follow * sped
            return
        if not self._on:
            self._doubts += 1
            if self._doubts < CONFIRM_REPORTS:
                return
            self._on = True
            self.t_s = t_s
            self.count += 1
            self._steady_course, self._steady_speed, self._steady_s = course_deg, speed_kn, t_s
        self.change_deg = turned if moving else 0.0
        if abs(wrap180(course_deg - self._steady_course)) > turn_limit or abs(speed_kn - self._steady_speed) > speed_limit:
            self._steady_course, self._steady_speed, self._steady_s = course_deg, speed_kn, t_s
        elif t_s - self._steady_s >= 30.0:  # steady again: the new course is the reference
            self._course, self._speed = course_deg, speed_kn

    def shift(self, dt_s: float) -> None:
        self._t += dt_s
        self._begun_s += dt_s
        self._steady_s += dt_s
        self.t_s = None if self.t_s is None else self.t_s + dt_s
