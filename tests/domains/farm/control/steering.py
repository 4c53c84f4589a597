"""A loop in a known state for tests: Loop().tick(...) runs law and filter, Loop().filter(...) the filter alone."""

import numpy as np

from sdx_domains.farm.control.box import BREACHES, HISTORY, breach, rest
from sdx_domains.farm.control.loop import hold, no_edits, no_faults
from sdx_domains.farm.control.memory import HELD, MEMORY, forget
from sdx_domains.farm.control.row import shipped
from sdx_domains.farm.control.safety import RULES, filtered, note_weather
from sdx_domains.farm.greenhouse import vectors as v

SETPOINTS = np.array([18.5, 24.0, 85.0, 800.0, 0.0, 8.0, 900.0, 1.6, 100.0, 0.25, 3.0, 5.8])
PLACES = {name: place for place, name in enumerate(v.ACTUATOR_NAMES)}


def climate(**changes):
    """A mild day, as `measured` and `weather`; keys are names of vectors in small letters."""
    measured = np.array([20.0, 75.0, 600.0, 40.0, 20.0, 200.0, 65.0, 3.0, 5.8, 0.0])
    weather = np.array([300.0, 10.0, 70.0, 420.0, 4.0, 200.0, 0.0, 0.0, 10.0])
    outside = ("SOLAR_W_M2", "OUT_TEMP_C", "OUT_RH_PCT", "WIND_M_S", "RAIN_MM_H")
    for name, value in changes.items():
        (weather if name.upper() in outside else measured)[getattr(v, name.upper())] = value
    return measured, weather


class Loop:
    """Law and filter of one house, with the oracle looking on."""

    def __init__(self, **positions):
        self.memory, self.history, self.row = np.zeros(MEMORY), np.zeros(HISTORY), shipped()
        forget(self.memory)
        rest(self.history)
        for name, position in positions.items():
            self.memory[HELD + PLACES[name]] = position
        self.edits, self.faults, self.hour = no_edits(), no_faults(), 10.0
        self.breaches = []

    def tick(self, setpoints=SETPOINTS, dt_s=60.0, **changes):
        """Positions by name after a step of law and filter."""
        measured, weather = climate(**changes)
        return self._watched(measured, weather, dt_s, lambda out: hold(
            measured, setpoints, weather, self.faults, self.hour, dt_s, self.memory, self.row, out, self.edits))  # fmt: skip

    def filter(self, asked, dt_s=60.0, **changes):
        """Positions by name after the filter alone; `asked` by name, the rest as held."""
        measured, weather = climate(**changes)
        wanted = self.memory[HELD : HELD + v.ACTUATORS].copy()
        for name, position in asked.items():
            wanted[PLACES[name]] = position

        def run(out):
            note_weather(weather, dt_s, self.memory, self.row)
            filtered(wanted, measured, weather, self.faults, self.hour, dt_s, self.memory, self.row, out, self.edits)

        return self._watched(measured, weather, dt_s, run)

    def _watched(self, measured, weather, dt_s, run):
        before, out = self.memory[HELD : HELD + v.ACTUATORS].copy(), np.zeros(v.ACTUATORS)
        self.hour = (self.hour + dt_s / 3600.0) % 24.0
        run(out)
        found = breach(before, out, measured, weather, self.faults, self.hour, dt_s, self.history, self.row)
        if found:
            self.breaches.append(BREACHES[found])
        return dict(zip(v.ACTUATOR_NAMES, out.tolist(), strict=True))

    def rules(self):
        return {RULES[place] for place in np.flatnonzero(self.edits)}
