"""How fast the simulator is on this machine, one thread: `python -m sdx_domains.farm.greenhouse.bench`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from time import process_time

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.control.rules import rule_schedule
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.state import initial
from sdx_domains.farm.greenhouse.step import FLOWS, advance
from sdx_domains.farm.greenhouse.twin import roll_out
from sdx_domains.farm.greenhouse.vectors import ACTUATORS, HEAT_TEMP_C, HEATING, VENT_LEE
from sdx_domains.farm.world.climate import generate
from sdx_domains.farm.world.prices import prices, regimes

Array = NDArray[np.float64]
PLANS, HOURS, DAY_MIN = 8, 72, 1440
STEPS_BAR, ROLL_OUT_BAR_S = 20_000.0, 1.0


@dataclass(frozen=True)
class Speed:
    """Of one thread's own time, best of some rounds, so that other work on the machine counts little."""

    steps_per_s: float
    """One-minute steps of the plant."""
    roll_out_s: float
    """Eight plans of 72 h, minute by minute, with control law and safety filter."""

    @property
    def passed(self) -> bool:
        return self.steps_per_s >= STEPS_BAR and self.roll_out_s <= ROLL_OUT_BAR_S


def speed(rounds: int = 5) -> Speed:
    """Measures both over a made-up spring in the Netherlands; compiling is not counted."""
    parameters = Parameters.read()
    weather = generate("nl", date(2026, 3, 1), 4, seed=1)
    rows, costs = weather.hourly(0.0, HOURS + 1), prices(regimes()[0], weather, seed=1).rows[: HOURS + 1]
    schedules = np.repeat(rule_schedule(rows, costs, 0.0, HOURS)[None], PLANS, axis=0)
    schedules[:, :, HEAT_TEMP_C] += np.linspace(-1.0, 1.0, PLANS)[:, None]
    actuators = np.zeros(ACTUATORS)
    actuators[HEATING], actuators[VENT_LEE] = 0.3, 0.1
    state, par, flows = initial(parameters), parameters.array(), np.zeros(FLOWS)

    def days() -> None:
        advance(state.copy(), actuators, rows[0], rows[12], par, 10 * DAY_MIN, flows)

    def plans() -> None:
        roll_out(state, rows, costs, schedules, par)

    return Speed(10 * DAY_MIN / _best(days, rounds), _best(plans, rounds))


def _best(work: Callable[[], None], rounds: int) -> float:
    work()
    seconds: list[float] = []
    for _ in range(rounds):
        start = process_time()
        work()
        seconds.append(process_time() - start)
    return min(seconds)


def main() -> int:
    found = speed()
    print(f"one-minute steps per second: {found.steps_per_s:,.0f} (bar {STEPS_BAR:,.0f})")
    print(f"{PLANS} plans of {HOURS} h: {found.roll_out_s:.3f} s (bar {ROLL_OUT_BAR_S:g} s)")
    return 0 if found.passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
