"""Fast twin: what plans of set-points lead to over the next days. Start at `roll_out`; the loop that would really steer is inside.

Every minute of every plan runs through the same equations as the plant (step.py) and the same control law and safety filter as the
house (control/loop.py), so that a plan is judged by what would be done with it. Equal inputs give bit-equal results.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.control.loop import hold, no_edits, no_faults
from sdx_domains.farm.control.memory import HELD, fresh_memory
from sdx_domains.farm.control.row import Row, shipped
from sdx_domains.farm.greenhouse import parameters as p
from sdx_domains.farm.greenhouse.parameters import FRUIT_STAGES, PARAMETERS
from sdx_domains.farm.greenhouse.state import BUFFER_MG, FEED_EC_NOW, FEED_PH_NOW, FRUIT_MG, STATES
from sdx_domains.farm.greenhouse.step import CO2_KG, ELEC_KWH, FLOWS, FRUIT_KG, HEAT_KWH, WATER_L_USED, measure, step
from sdx_domains.farm.greenhouse.vectors import (
    ACTUATORS,
    AIR_CO2_PPM,
    AIR_RH_PCT,
    AIR_TEMP_C,
    CO2_EUR_KG,
    ELEC_EUR_KWH,
    FEED_EC,
    FEED_PH,
    FRUIT_EUR_KG,
    HEAT_EUR_KWH,
    LAMPS,
    MEASURED,
    PRICES,
    SETPOINTS,
    SOLAR_W_M2,
    WATER_EUR_M3,
    WEATHER,
)

Array = NDArray[np.float64]
FRUIT_KEPT = 0.9
"""Of the dry matter of growing fruit is paid in the end: the rest is lost to thinning, rot and unripe fruit at the end of the season.
Judgement; growers count on 90 to 95 % saleable fruit."""
BUFFER_TO_FRUIT = 0.51
"""Of the carbohydrates in the buffer ends as fruit: its share of the sinks, 0.328 of 0.497 mg/m2 s, less 0.28 for growth respiration
(Vanthoor 2011b, Table 1)."""
LIGHT_W_M2 = 20.0
"""Outside radiation from which an hour counts as light, for the mean CO2."""
HOUR_S = 3600.0
(TEMP_OUT, RH_OUT, CO2_OUT, BREACHES, EDITS, TEMP_MIN, TEMP_MAX, TEMP_SUM, RH_MAX, CO2_LIGHT, LIGHT_S, IN_BREACH) = range(12)
TALLY = 12


class Bounds(NamedTuple):
    """Climate in which the crop is well; time outside is counted, not forbidden. Defaults: van Laatum et al. 2025, GreenLight-Gym."""

    temp_min_c: float = 15.0
    temp_max_c: float = 34.0
    rh_min_pct: float = 50.0
    rh_max_pct: float = 85.0
    co2_min_ppm: float = 300.0
    co2_max_ppm: float = 1600.0


@dataclass(frozen=True, eq=False)
class RollOuts:
    """One entry a plan, K of them; money in EUR per m2 over the whole time."""

    air_temp_c: Array
    """(K, H): mean of each hour; likewise the next two."""
    air_rh_pct: Array
    co2_ppm: Array
    flows: Array
    """(K, FLOWS): sums, places in step.py."""
    cost_eur_m2: Array
    """(K, 4): heat, electricity, CO2, water."""
    revenue_eur_m2: Array
    """Of fruit picked."""
    growth_eur_m2: Array
    """Value that growing fruit and carbohydrate buffer gained, see FRUIT_KEPT and BUFFER_TO_FRUIT."""
    fruit_kg_m2: Array
    """Fresh weight gained, picked and on the plants."""
    temp_out_share: Array
    """Of the time outside the bounds, 0..1; likewise the next two."""
    rh_out_share: Array
    co2_out_share: Array
    hard_breaches: Array
    """How often a hard limit (chilling, heat alarm, CO2 for people) was crossed."""
    edited_share: Array
    """Of the time the safety filter changed what the law asked."""
    temp_min_c: Array
    temp_mean_c: Array
    temp_max_c: Array
    rh_max_pct: Array
    co2_mean_ppm: Array
    """In light; 0 where there was none."""
    end: Array
    """(K, STATES)."""

    @property
    def profit_eur_m2(self) -> Array:
        """Revenue and growth minus costs, (K,)."""
        return self.revenue_eur_m2 + self.growth_eur_m2 - self.cost_eur_m2.sum(axis=1)


def roll_out(
    state: Array, weather: Array, prices: Array, schedules: Array, params: Array, *,
    hour: float = 0.0, bounds: Bounds | None = None, positions: Array | None = None, memory: Array | None = None,
    row: Row | None = None, step_s: float = 60.0,
) -> RollOuts:  # fmt: skip
    """Rolls K plans out from one state.

    Args:
        state: (STATES,), left as it is.
        weather: (H + 1, WEATHER), a row an hour, linear in between.
        prices: (H + 1, PRICES), each row for its hour.
        schedules: (K, H + 1, SETPOINTS), linear between the hours.
        params: Parameters.array().
        hour: local time of day at the first row, 0..24.
        bounds: where time counts as good.
        positions: (ACTUATORS,) where the devices stand now; all shut without.
        memory: the loop's memory instead (control/loop.py); copied.
        row: bands and limits of the loop; the shipped ones without.
        step_s: of law and climate, 60 to 300 s, an hour's whole divisor.

    Raises:
        ValueError: names the array whose shape or numbers are wrong.
    """
    hours = len(weather) - 1
    _check("state", state, (STATES,))
    _check("weather", weather, (hours + 1, WEATHER))
    _check("prices", prices, (hours + 1, PRICES))
    _check("schedules", schedules, (len(schedules), hours + 1, SETPOINTS))
    _check("params", params, (PARAMETERS,))
    steps = round(HOUR_S / step_s)
    if hours < 1 or not 1.0 <= step_s <= 300.0 or abs(steps * step_s - HOUR_S) > 1e-6:
        raise ValueError(f"a roll-out takes an hour or more in steps of 1 to 300 s that fill an hour; got {hours} h, {step_s:g} s")
    count = len(schedules)
    start_memory = fresh_memory(positions) if memory is None else memory
    charts, ends = np.zeros((count, 3, hours)), np.empty((count, STATES))
    flows, costs, tallies = np.zeros((count, FLOWS)), np.zeros((count, 5)), np.zeros((count, TALLY))
    for plan in range(count):
        ends[plan] = state
        _roll(
            ends[plan], weather, prices, schedules[plan], params, hour, steps, np.array(bounds or Bounds()), start_memory.copy(),
            row or shipped(), no_faults(), no_edits(), charts[plan], flows[plan], costs[plan], tallies[plan],
        )  # fmt: skip
    seconds = hours * HOUR_S
    dry_kg = 1e-6 * (ends[:, FRUIT_MG : FRUIT_MG + FRUIT_STAGES].sum(axis=1) - state[FRUIT_MG : FRUIT_MG + FRUIT_STAGES].sum())
    buffer_kg = 1e-6 * (ends[:, BUFFER_MG] - state[BUFFER_MG])
    fresh = 1.0 / params[p.FRUIT_DRY_MATTER]
    return RollOuts(
        air_temp_c=charts[:, 0],
        air_rh_pct=charts[:, 1],
        co2_ppm=charts[:, 2],
        flows=flows,
        cost_eur_m2=costs[:, :4],
        revenue_eur_m2=costs[:, 4],
        growth_eur_m2=prices[-1, FRUIT_EUR_KG] * fresh * (FRUIT_KEPT * dry_kg + BUFFER_TO_FRUIT * buffer_kg),
        fruit_kg_m2=fresh * (flows[:, FRUIT_KG] + dry_kg),
        temp_out_share=tallies[:, TEMP_OUT] / seconds,
        rh_out_share=tallies[:, RH_OUT] / seconds,
        co2_out_share=tallies[:, CO2_OUT] / seconds,
        hard_breaches=tallies[:, BREACHES],
        edited_share=tallies[:, EDITS] / seconds,
        temp_min_c=tallies[:, TEMP_MIN],
        temp_mean_c=tallies[:, TEMP_SUM] / seconds,
        temp_max_c=tallies[:, TEMP_MAX],
        rh_max_pct=tallies[:, RH_MAX],
        co2_mean_ppm=tallies[:, CO2_LIGHT] / np.maximum(tallies[:, LIGHT_S], 1.0),
        end=ends,
    )


def _check(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape or not np.isfinite(array).all():
        bad = "no finite numbers" if array.shape == shape else f"shape {array.shape}, expected {shape}"
        raise ValueError(f"roll_out: {name} has {bad}")


@njit(cache=True)
def _roll(
    state: Array, weather: Array, prices: Array, schedule: Array, par: Array, hour: float, steps: int, bounds: Array, memory: Array,
    row: Row, faults: Array, edits: Array, chart: Array, flows: Array, costs: Array, tally: Array,
) -> None:  # fmt: skip
    """One plan; fills the arrays after `edits`."""
    dt_s = HOUR_S / steps
    measured, positions, before = np.zeros(MEASURED), np.zeros(ACTUATORS), np.zeros(FLOWS)
    positions[:] = memory[HELD : HELD + ACTUATORS]
    tally[TEMP_MIN] = 1e9
    tally[TEMP_MAX] = -1e9
    for place in range(len(weather) - 1):
        before[:] = flows
        for part in range(steps):
            share = (part + 0.5) / steps
            now = weather[place] + share * (weather[place + 1] - weather[place])
            wanted = schedule[place] + share * (schedule[place + 1] - schedule[place])
            measure(state, now, positions, par, measured)
            edits[:] = 0.0
            hold(measured, wanted, now, faults, (hour + place + part / steps) % 24.0, dt_s, memory, row, positions, edits)
            state[FEED_EC_NOW], state[FEED_PH_NOW] = wanted[FEED_EC], wanted[FEED_PH]
            step(state, now, positions, par, dt_s, flows)
            measure(state, now, positions, par, measured)
            for chosen, quantity in enumerate((AIR_TEMP_C, AIR_RH_PCT, AIR_CO2_PPM)):
                chart[chosen, place] += measured[quantity] / steps
            _count(tally, measured, bounds, row, now[SOLAR_W_M2] > LIGHT_W_M2 or positions[LAMPS] > 0.0, edits.sum() > 0.0, dt_s)
        used, price = flows - before, prices[place]
        costs[0] += used[HEAT_KWH] * price[HEAT_EUR_KWH]
        costs[1] += used[ELEC_KWH] * price[ELEC_EUR_KWH]
        costs[2] += used[CO2_KG] * price[CO2_EUR_KG]
        costs[3] += 0.001 * used[WATER_L_USED] * price[WATER_EUR_M3]
        costs[4] += used[FRUIT_KG] / par[p.FRUIT_DRY_MATTER] * price[FRUIT_EUR_KG]


@njit(cache=True)
def _count(tally: Array, measured: Array, bounds: Array, row: Row, light: bool, edited: bool, dt_s: float) -> None:
    temp, rh, co2 = measured[AIR_TEMP_C], measured[AIR_RH_PCT], measured[AIR_CO2_PPM]
    tally[TEMP_OUT] += dt_s if temp < bounds[0] or temp > bounds[1] else 0.0
    tally[RH_OUT] += dt_s if rh < bounds[2] or rh > bounds[3] else 0.0
    tally[CO2_OUT] += dt_s if co2 < bounds[4] or co2 > bounds[5] else 0.0
    breach = 1.0 if temp < row.chill_c or temp > row.heat_alarm_c or co2 > row.co2_worker_ppm else 0.0
    if breach > tally[IN_BREACH]:
        tally[BREACHES] += 1.0
    tally[IN_BREACH] = breach
    tally[EDITS] += dt_s if edited else 0.0
    tally[TEMP_MIN] = min(tally[TEMP_MIN], temp)
    tally[TEMP_MAX] = max(tally[TEMP_MAX], temp)
    tally[TEMP_SUM] += temp * dt_s
    tally[RH_MAX] = max(tally[RH_MAX], rh)
    if light:
        tally[CO2_LIGHT] += co2 * dt_s
        tally[LIGHT_S] += dt_s
