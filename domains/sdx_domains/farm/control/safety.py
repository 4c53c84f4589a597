"""The last filter on positions: whatever was asked, what leaves obeys the hard limits. Compiled, NaN-proof, no Python inside.

Start at `filtered`. Limits and their sources: limits.yaml. Order of precedence: physics of the motors, then storm, people, crop, equipment.
"""

from math import isfinite

from numpy.typing import NDArray

from sdx_domains.farm.compiled import njit
from sdx_domains.farm.control.limits import HardLimits
from sdx_domains.farm.control.memory import (
    CLOCK,
    DEW_WET,
    HEAT_VENT_S,
    HELD,
    LAST_HOUR,
    LIT_S,
    RH_WET,
    RING,
    RUN,
    SEEN_OPEN,
    SHOT_S,
    SINCE_RAIN,
    SINCE_WIND,
    STARTS_FOG,
    STARTS_WATER,
    WATER_DAY,
)
from sdx_domains.farm.greenhouse.psychrometrics import dew_point_c, vp_pa
from sdx_domains.farm.greenhouse.vectors import (
    ACTUATORS,
    AIR_CO2_PPM,
    AIR_RH_PCT,
    AIR_TEMP_C,
    BLACKOUT_SCREEN,
    CO2_DOSING,
    FOG,
    HEATING,
    IRRIGATION,
    LAMPS,
    LEAF_TEMP_C,
    OUT_RH_PCT,
    OUT_TEMP_C,
    RAIN_MM_H,
    SOLAR_W_M2,
    SUBSTRATE_WC_PCT,
    THERMAL_SCREEN,
    VENT_LEE,
    VENT_WIND,
    WIND_M_S,
)

RULES = (
    "no_number", "range", "blind", "cold", "hot", "wet", "co2_people", "co2_stop", "heat_vent", "wind", "rain", "slew", "co2_vent",
    "fog_humid", "lamps_hot", "lamps_dark", "lamp_fault", "water_fault", "water_cap", "shortest_on", "shortest_off", "starts",
)  # fmt: skip
"""Names of the rules, as they are counted and explained."""
(
    NO_NUMBER, OUT_OF_RANGE, BLIND, COLD, HOT, WET, CO2_PEOPLE, CO2_STOP, HEAT_VENT, WIND, RAIN, SLEW, CO2_VENT,
    FOG_HUMID, LAMPS_HOT, LAMPS_DARK, LAMP_FAULT, WATER_FAULT, WATER_CAP, SHORTEST_ON, SHORTEST_OFF, STARTS,
) = range(22)  # fmt: skip

FAULT_WATER, FAULT_LAMP, FAULT_CO2 = range(3)
FAULTS = 3
"""What the alarms know and the filter must heed, 0 or 1: leak, no flow or tank low; lamp or screen fault; CO2 dosing or sensor fault."""

ON, EDIT, FULL = 0.02, 0.01, 1.0
"""A device counts as on from here; a change below EDIT is none."""


@njit(cache=True)
def ramp(last: float, target: float, most: float) -> float:
    """`target`, but no further from `last` than `most`."""
    return min(max(target, last - most), last + most)


@njit(cache=True)
def _known(value: float, low: float, high: float) -> bool:
    """A number that can be one of its kind: kelvin for Celsius or a share for a percentage is none."""
    return isfinite(value) and low <= value <= high


@njit(cache=True)
def _put(positions: NDArray, place: int, value: float, rule: int, edits: NDArray) -> None:
    if abs(positions[place] - value) > EDIT:
        edits[rule] = 1.0
    positions[place] = value


@njit(cache=True)
def _at_least(positions: NDArray, place: int, least: float, rule: int, edits: NDArray) -> None:
    if positions[place] < least:
        _put(positions, place, least, rule, edits)


@njit(cache=True)
def _at_most(positions: NDArray, place: int, most: float, rule: int, edits: NDArray) -> None:
    if positions[place] > most:
        _put(positions, place, most, rule, edits)


@njit(cache=True)
def _numbers(asked: NDArray, held: NDArray, positions: NDArray, edits: NDArray) -> None:
    for place in range(ACTUATORS):
        value = asked[place]
        if not isfinite(value):
            edits[NO_NUMBER] = 1.0
            value = held[place] if place < LAMPS else 0.0
        positions[place] = value
        _at_least(positions, place, 0.0, OUT_OF_RANGE, edits)
        _at_most(positions, place, FULL, OUT_OF_RANGE, edits)


@njit(cache=True)
def _drying(temp: float, measured: NDArray, dt_s: float, memory: NDArray, hard: HardLimits) -> bool:
    """Humid for too long, or leaves too near the dew point for too long."""
    humid = measured[AIR_RH_PCT]
    sure = _known(humid, 1.0, 100.0)
    memory[RH_WET] = memory[RH_WET] + dt_s if sure and humid > hard.rh_wet_pct else 0.0
    near = sure and _known(measured[LEAF_TEMP_C], -30.0, 60.0) and measured[LEAF_TEMP_C] < dew_point_c(temp, humid) + hard.dew_margin_k
    memory[DEW_WET] = memory[DEW_WET] + dt_s if near else 0.0
    return memory[RH_WET] > hard.rh_wet_s or memory[DEW_WET] > hard.dew_s


@njit(cache=True)
def _climate(
    measured: NDArray, weather: NDArray, dt_s: float, memory: NDArray, hard: HardLimits, positions: NDArray, edits: NDArray
) -> None:
    """Cold, heat, wet, CO2 for people; without a thermometer heat after the weather and nearly shut vents."""
    temp = measured[AIR_TEMP_C]
    if not _known(temp, -30.0, 60.0):
        outside = weather[OUT_TEMP_C]
        if _known(outside, -50.0, 60.0):
            _put(positions, HEATING, min(max((18.0 - outside) / 30.0, 0.0), 1.0), BLIND, edits)
        _at_most(positions, VENT_LEE, 0.4 if outside > 18.0 else 0.1, BLIND, edits)
        _at_most(positions, VENT_WIND, 0.1, BLIND, edits)
    elif temp < hard.cold_c:
        _put(positions, HEATING, FULL, COLD, edits)
        _put(positions, VENT_LEE, 0.0, COLD, edits)
        _put(positions, VENT_WIND, 0.0, COLD, edits)
        _put(positions, THERMAL_SCREEN, FULL, COLD, edits)
        _at_most(positions, FOG, 0.0, COLD, edits)
        if temp < hard.frost_c:
            _put(positions, BLACKOUT_SCREEN, FULL, COLD, edits)
    elif temp > hard.hot_c:
        _put(positions, HEATING, 0.0, HOT, edits)
        _put(positions, VENT_LEE, FULL, HOT, edits)
        _put(positions, VENT_WIND, FULL, HOT, edits)
        if weather[SOLAR_W_M2] > hard.lit_w_m2:
            _at_least(positions, THERMAL_SCREEN, hard.shade_least, HOT, edits)
        _at_most(positions, BLACKOUT_SCREEN, 0.0, HOT, edits)
    elif _drying(temp, measured, dt_s, memory, hard):
        if temp < hard.dry_cool_c and 0.5 * (positions[VENT_LEE] + positions[VENT_WIND]) < hard.heat_vent_open:
            _at_least(positions, HEATING, hard.dry_heat, WET, edits)
        if vp_pa(weather[OUT_TEMP_C], weather[OUT_RH_PCT]) < vp_pa(temp, measured[AIR_RH_PCT]) - hard.drying_pa:
            _at_least(positions, VENT_LEE, hard.dry_vent, WET, edits)
    if measured[AIR_CO2_PPM] >= hard.co2_worker_ppm and isfinite(measured[AIR_CO2_PPM]):
        _at_least(positions, VENT_LEE, hard.co2_clear_vent, CO2_PEOPLE, edits)
        _at_least(positions, VENT_WIND, hard.co2_clear_vent, CO2_PEOPLE, edits)


@njit(cache=True)
def _against_each_other(measured: NDArray, dt_s: float, memory: NDArray, hard: HardLimits, positions: NDArray, edits: NDArray) -> None:
    """Heating against open vents for no longer than its time: then heat stops, or where it is cool the vents shut to the limit.

    Meanwhile neither grows, so that a temperature that swings about the border between the two cannot keep both open.
    """
    held = memory[HELD:]
    open_held = 0.5 * (held[VENT_LEE] + held[VENT_WIND])
    both = held[HEATING] > 0.05 and open_held > hard.heat_vent_open
    memory[HEAT_VENT_S] = memory[HEAT_VENT_S] + dt_s if both else max(memory[HEAT_VENT_S] - dt_s, 0.0)
    opening = 0.5 * (positions[VENT_LEE] + positions[VENT_WIND])
    if memory[HEAT_VENT_S] + dt_s > hard.heat_vent_s and (both or (positions[HEATING] > 0.05 and opening > hard.heat_vent_open)):
        if measured[AIR_TEMP_C] > hard.cold_c + 3.0:
            _at_most(positions, HEATING, 0.0, HEAT_VENT, edits)
            if measured[AIR_TEMP_C] < hard.hot_c and not measured[AIR_CO2_PPM] >= hard.co2_worker_ppm:
                _at_most(positions, VENT_LEE, held[VENT_LEE], HEAT_VENT, edits)
                _at_most(positions, VENT_WIND, held[VENT_WIND], HEAT_VENT, edits)
        else:
            _at_most(positions, VENT_LEE, hard.heat_vent_open, HEAT_VENT, edits)
            _at_most(positions, VENT_WIND, 0.0, HEAT_VENT, edits)
            if measured[AIR_TEMP_C] > hard.cold_c:
                _at_most(positions, HEATING, held[HEATING], HEAT_VENT, edits)


@njit(cache=True)
def note_weather(weather: NDArray, dt_s: float, memory: NDArray, hard: HardLimits) -> None:
    """Remember wind and rain; an anemometer or rain gauge that says nothing counts as wind or rain."""
    wind, rain = weather[WIND_M_S], weather[RAIN_MM_H]
    windy = not _known(wind, 0.0, 75.0) or wind > hard.wind_m_s
    memory[SINCE_WIND] = 0.0 if windy else memory[SINCE_WIND] + dt_s
    wet = not _known(rain, 0.0, 500.0) or rain >= hard.rain_mm_h
    memory[SINCE_RAIN] = 0.0 if wet else memory[SINCE_RAIN] + dt_s


@njit(cache=True)
def most_open(weather: NDArray, memory: NDArray, hard: HardLimits) -> tuple[float, float]:
    """How far leeward and windward vents may open in wind and rain, and for a while after."""
    lee, wind = FULL, FULL
    if memory[SINCE_RAIN] < hard.weather_hold_s:
        lee, wind = hard.rain_lee_most, hard.rain_wind_most
    if memory[SINCE_WIND] < hard.weather_hold_s:
        lee, wind = min(lee, hard.wind_lee_most), 0.0
    return (0.0 if weather[WIND_M_S] > hard.storm_m_s else lee), wind


@njit(cache=True)
def _outside(weather: NDArray, memory: NDArray, hard: HardLimits, positions: NDArray, edits: NDArray) -> None:
    lee, wind = most_open(weather, memory, hard)
    rule = WIND if memory[SINCE_WIND] < hard.weather_hold_s else RAIN
    _at_most(positions, VENT_LEE, lee, rule, edits)
    _at_most(positions, VENT_WIND, wind, rule, edits)


@njit(cache=True)
def _slew(asked: NDArray, held: NDArray, dt_s: float, hard: HardLimits, positions: NDArray, edits: NDArray) -> None:
    """Motors move no faster, whoever asks; it counts as an edit where the command itself was too fast."""
    minutes = dt_s / 60.0
    for place in (HEATING, THERMAL_SCREEN, BLACKOUT_SCREEN, VENT_LEE, VENT_WIND):
        rate = hard.heating_rate_min if place == HEATING else hard.screen_rate_min
        if place in (VENT_LEE, VENT_WIND):
            rate = hard.vent_rate_min
        if abs(asked[place] - held[place]) > rate * minutes + EDIT:
            edits[SLEW] = 1.0
        positions[place] = ramp(held[place], positions[place], rate * minutes)


@njit(cache=True)
def _gas_and_fog(measured: NDArray, faults: NDArray, memory: NDArray, hard: HardLimits, positions: NDArray, edits: NDArray) -> bool:
    """Dosing and fogging after the vents are known, told or read back: one may be stuck open. Returns whether fog was forbidden."""
    co2, humid, held = measured[AIR_CO2_PPM], measured[AIR_RH_PCT], memory[HELD:]
    if not _known(co2, 100.0, 1e5) or co2 > hard.co2_stop_ppm or faults[FAULT_CO2] > 0.0:
        _at_most(positions, CO2_DOSING, 0.0, CO2_STOP, edits)
    opening = 0.5 * max(positions[VENT_LEE] + positions[VENT_WIND], held[VENT_LEE] + held[VENT_WIND])
    if max(opening, memory[SEEN_OPEN]) > hard.co2_vent_open:
        _at_most(positions, CO2_DOSING, 0.0, CO2_VENT, edits)
    if not _known(humid, 1.0, 100.0) or humid > hard.fog_rh_pct:
        _at_most(positions, FOG, 0.0, FOG_HUMID, edits)
        return True
    return not measured[AIR_TEMP_C] >= hard.cold_c


@njit(cache=True)
def _light(
    measured: NDArray, weather: NDArray, faults: NDArray, hard: HardLimits, memory: NDArray, positions: NDArray, edits: NDArray
) -> bool:
    """Lamps off in heat, on a fault, and for the dark hours of a day. Returns whether they were forbidden."""
    hot = not _known(measured[AIR_TEMP_C], -30.0, hard.lamp_hot_c)
    dark = memory[LIT_S] >= 3600.0 * (24.0 - hard.lamp_dark_h)
    fault = faults[FAULT_LAMP] > 0.0
    if hot:
        _at_most(positions, LAMPS, 0.0, LAMPS_HOT, edits)
    if dark:
        _at_most(positions, LAMPS, 0.0, LAMPS_DARK, edits)
    if fault:
        _at_most(positions, LAMPS, 0.0, LAMP_FAULT, edits)
    return hot or dark or fault


@njit(cache=True)
def _water(measured: NDArray, faults: NDArray, dt_s: float, memory: NDArray, hard: HardLimits, positions: NDArray, edits: NDArray) -> bool:
    """Irrigation: faults, full substrate, salt, longest shot, daily cap. Returns whether it was forbidden."""
    if faults[FAULT_WATER] > 0.0:
        _at_most(positions, IRRIGATION, 0.0, WATER_FAULT, edits)
        return True
    full = isfinite(measured[SUBSTRATE_WC_PCT]) and measured[SUBSTRATE_WC_PCT] >= hard.wc_full_pct
    left_l = hard.water_day_l_m2 - memory[WATER_DAY]
    left_s = hard.shot_most_s - memory[SHOT_S]
    most = 0.0 if full else min(left_l / hard.pump_l_m2_min * 60.0, left_s) / dt_s
    _at_most(positions, IRRIGATION, max(most, 0.0), WATER_CAP, edits)
    return most < ON


@njit(cache=True)
def _switch(
    place: int, run: int, ring: int, on_s: float, off_s: float, forbidden: bool, dt_s: float,
    memory: NDArray, hard: HardLimits, positions: NDArray, edits: NDArray,
) -> None:  # fmt: skip
    """Shortest time on and off, and starts in an hour (ring > 0), of a device that is switched."""
    was_on, clock = memory[HELD + place] >= ON, memory[CLOCK]
    if positions[place] < ON:
        positions[place] = 0.0
    if was_on and positions[place] == 0.0 and memory[run] < on_s and not forbidden:
        _put(positions, place, memory[HELD + place], SHORTEST_ON, edits)
    elif not was_on and positions[place] > 0.0:
        oldest = int(memory[ring + RING]) if ring > 0 else 0
        if memory[run] < off_s:
            _put(positions, place, 0.0, SHORTEST_OFF, edits)
        elif ring > 0 and clock - memory[ring + oldest] < 3600.0:
            _put(positions, place, 0.0, STARTS, edits)
        elif ring > 0:
            memory[ring + oldest], memory[ring + RING] = clock, (oldest + 1) % int(min(hard.pump_starts_h, RING))
            if place == IRRIGATION:
                _at_least(positions, place, min(on_s / dt_s, 1.0), SHORTEST_ON, edits)
    memory[run] = memory[run] + dt_s if was_on == (positions[place] > 0.0) else dt_s


@njit(cache=True)
def filtered(
    asked: NDArray, measured: NDArray, weather: NDArray, faults: NDArray, hour: float, dt_s: float,
    memory: NDArray, hard: HardLimits, positions: NDArray, edits: NDArray,
) -> None:  # fmt: skip
    """Fill `positions` with what may leave of `asked`, and flag in `edits` each rule that changed something.

    Args:
        asked: ACTUATORS positions, any numbers at all; another array than `positions`.
        measured: vectors.MEASURED; NaN where nothing is believed.
        weather: vectors.WEATHER as measured; NaN likewise.
        faults: FAULTS flags.
        hour: local time of day; a smaller one than before begins a new day.
        dt_s: seconds that these positions will stand, 0.1..600.
        memory: memory.MEMORY numbers of this house; note_weather() has been told of this tick.
        edits: (len(RULES),), set to 0 first.
    """
    held = memory[HELD : HELD + ACTUATORS]
    edits[:] = 0.0
    memory[CLOCK] += dt_s
    if isfinite(hour):
        if hour < memory[LAST_HOUR]:
            memory[LIT_S] = memory[WATER_DAY] = 0.0
        memory[LAST_HOUR] = hour
    _numbers(asked, held, positions, edits)
    _climate(measured, weather, dt_s, memory, hard, positions, edits)
    _against_each_other(measured, dt_s, memory, hard, positions, edits)
    _outside(weather, memory, hard, positions, edits)
    _slew(asked, held, dt_s, hard, positions, edits)
    no_fog = _gas_and_fog(measured, faults, memory, hard, positions, edits)
    no_lamps = _light(measured, weather, faults, hard, memory, positions, edits)
    no_water = _water(measured, faults, dt_s, memory, hard, positions, edits)
    _switch(LAMPS, RUN, -1, hard.lamp_on_s, hard.lamp_off_s, no_lamps, dt_s, memory, hard, positions, edits)
    _switch(FOG, RUN + 1, STARTS_FOG, hard.pump_on_s, hard.pump_off_s, no_fog, dt_s, memory, hard, positions, edits)
    _switch(IRRIGATION, RUN + 2, STARTS_WATER, hard.pump_on_s, hard.pump_off_s, no_water, dt_s, memory, hard, positions, edits)
    if positions[LAMPS] >= ON or weather[SOLAR_W_M2] > hard.lit_w_m2:
        memory[LIT_S] += dt_s
    memory[SHOT_S] = memory[SHOT_S] + positions[IRRIGATION] * dt_s if positions[IRRIGATION] > 0.0 else 0.0
    memory[WATER_DAY] += positions[IRRIGATION] * dt_s / 60.0 * hard.pump_l_m2_min
    held[:] = positions
    for place in range(ACTUATORS):
        if not abs(asked[place] - positions[place]) <= EDIT:
            return
    edits[:] = 0.0  # what was asked is on its way to where a rule wants it: nothing was changed in the end
