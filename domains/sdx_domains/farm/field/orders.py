"""How an irrigation travels inside an order: {"irrigation_mm": 20.0, "day": 41.0}, day of the plant's clock."""

from collections.abc import Mapping
from math import isfinite

KEYS = {"irrigation_mm", "day"}


def setpoints(irrigation_mm: float, day: int) -> dict[str, float]:
    return {"irrigation_mm": float(irrigation_mm), "day": float(day)}


def irrigation_of(setpoints: Mapping[str, float]) -> tuple[float, int] | None:
    """(mm, day); None when these are no irrigation: other keys, no numbers, a negative amount, half a day."""
    if set(setpoints) != KEYS or not all(isinstance(v, int | float) and isfinite(v) for v in setpoints.values()):
        return None
    amount, day = float(setpoints["irrigation_mm"]), float(setpoints["day"])
    return (amount, int(day)) if amount >= 0.0 and day >= 0.0 and day == int(day) else None
