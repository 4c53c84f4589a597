"""What of past pictures the page draws: where vessels were, or how measured quantities and devices went."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

Points = Mapping[str, tuple[float, float]]


class Trail:
    """The last points of each subject; one is kept each `every_s` of the plant's time.

    Args:
        points: a picture -> its point by subject; subjects that are gone lose their trail.
    """

    def __init__(self, points: Callable[[Any], Points], every_s: float, most: int) -> None:
        self._points, self._every_s, self._most = points, every_s, most
        self.clear()

    def clear(self) -> None:
        self._last_s = float("-inf")
        self._trails: dict[str, deque[tuple[float, float]]] = {}

    def extend(self, picture: Any) -> None:
        if picture.t_s - self._last_s < self._every_s:
            return
        self._last_s = picture.t_s
        now = self._points(picture)
        for name, point in now.items():
            self._trails.setdefault(name, deque(maxlen=self._most)).append(point)
        for name in set(self._trails) - set(now):
            del self._trails[name]

    def points(self) -> dict[str, list[tuple[float, float]]]:
        return {name: list(points) for name, points in self._trails.items()}


def trail_of(domain: Any) -> Trail:
    """Of a domain that steers devices: (plant time, value) by quantity and device over a day; else (latitude, longitude) by vessel."""
    if hasattr(domain, "controller"):
        return Trail(measured, max(domain.pace.tick_s, 600.0), 144)
    return Trail(places, 15.0, 80)


def places(picture: Any) -> Points:
    own = {"own": (picture.own.lat_deg, picture.own.lon_deg)}
    return own | {target.label: (target.lat_deg, target.lon_deg) for target in picture.targets}


def measured(picture: Any) -> Points:
    """Every believed quantity, and every device as its position."""
    quantities = {name: (picture.t_s, each.value) for name, each in getattr(picture, "measured", {}).items()}
    return quantities | {each.device: (picture.t_s, each.position_pct) for each in getattr(picture, "actuators", ())}
