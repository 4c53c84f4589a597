"""Joules used by this machine, where it tells: RAPL of Intel and AMD processors, INA3221 sensors of Jetson boards."""

import time
from collections.abc import Callable, Sequence

from sdx_serving.devices.hardware import Root, readings

Joules = Callable[[], float]
"""Since it was made."""
_POWER, _WHOLE_BOARD = "power_w:", "power_w:VDD_IN"


def energy_meter(root: Root = Root()) -> Joules | None:
    """None where nothing can be read. RAPL counts processor packages, INA3221 the whole board's input."""
    packages = [root.inner(path) for path in root.glob("sys/class/powercap/*-rapl:?")]
    if counted := [path for path in packages if root.number(f"{path}/energy_uj") is not None]:
        return _rapl(root, counted)
    rails = [name for name in readings(root) if name.startswith(_POWER)]
    return _ina(root, _WHOLE_BOARD if _WHOLE_BOARD in rails else rails[0]) if rails else None


def _rapl(root: Root, packages: Sequence[str]) -> Joules:
    """Microjoule counters that begin anew at max_energy_range_uj."""
    last = [root.number(f"{path}/energy_uj") or 0.0 for path in packages]
    total = 0.0

    def joules() -> float:
        nonlocal total
        for number, path in enumerate(packages):
            now = root.number(f"{path}/energy_uj")
            if now is None:
                continue
            step = now - last[number]
            total += step if step >= 0 else step + (root.number(f"{path}/max_energy_range_uj") or 0.0)
            last[number] = now
        return total / 1e6

    return joules


def _ina(root: Root, rail: str) -> Joules:
    """The power of each reading is held until the next."""
    at, total = time.monotonic(), 0.0

    def joules() -> float:
        nonlocal at, total
        now = time.monotonic()
        total, at = total + readings(root).get(rail, 0.0) * (now - at), now
        return total

    return joules
