"""The twin that runs along: moved by the measured positions and weather, pulled to the measurements. Start at Estimate.follow.

A simple observer (Luenberger) with fixed gains: fast states that are measured are pulled by a share of the difference each five
minutes, the crop and the soil, which nobody measures, evolve in the model. In mid-season it starts from what the grower tells.
"""

from collections.abc import Mapping

import numpy as np

from sdx_domains.farm.ahead import weather_row
from sdx_domains.farm.greenhouse import parameters as p
from sdx_domains.farm.greenhouse import state as s
from sdx_domains.farm.greenhouse import step
from sdx_domains.farm.greenhouse.psychrometrics import co2_mg_m3, vp_pa
from sdx_domains.farm.greenhouse.vectors import (
    ACTUATOR_NAMES,
    AIR_RH_PCT,
    AIR_TEMP_C,
    LEAF_TEMP_C,
    MEASURED,
    PAR_UMOL,
    PIPE_TEMP_C,
    SOIL_TEMP_C,
    SUBSTRATE_EC,
    SUBSTRATE_PH,
    SUBSTRATE_WC_PCT,
    WEATHER,
)
from sdx_domains.farm.picture import Counters, CropReading, Measured

STEP_S = 300.0
"""The gains hold for a step of this length."""
GAP_S = 3 * 3600.0
"""After a longer silence the fast states are set anew; the crop is moved on over the gap as it was."""
GAINS = {"air_temp_c": 0.5, "air_rh_pct": 0.5, "co2_ppm": 0.5, "pipe_temp_c": 0.7, "leaf_temp_c": 0.3, "substrate_wc_pct": 0.3}
SALT_GAIN = 0.3
FILLED = {
    "air_temp_c": AIR_TEMP_C,
    "air_rh_pct": AIR_RH_PCT,
    "pipe_temp_c": PIPE_TEMP_C,
    "leaf_temp_c": LEAF_TEMP_C,
    "par_umol_m2_s": PAR_UMOL,
    "substrate_wc_pct": SUBSTRATE_WC_PCT,
    "substrate_ec_ds_m": SUBSTRATE_EC,
    "substrate_ph": SUBSTRATE_PH,
}
"""What the twin stands in for where no sensor tells. Not CO2: without its sensor nothing is dosed."""
FULL_LAI, FULL_LAI_DAYS, FULL_FRUIT_G, FIRST_FRUIT_DAY, FULL_FRUIT_DAYS, DAY_CD = 2.7, 60.0, 180.0, 50.0, 50.0, 20.0
"""A tomato crop by its age, where nobody measures it: leaf area and fruit grow to those of a bearing crop (judgement, after the course
of de Koning, thesis Wageningen 1994)."""


class Estimate:
    """Holds the twin of one house; () as state until temperature, humidity and the crop's age are known."""

    def __init__(self, parameters: p.Parameters | None = None) -> None:
        self._parameters = parameters or p.Parameters.read()
        self._par = self._parameters.array()
        self._state: np.ndarray | None = None
        self._weather = np.zeros(WEATHER)
        self._flows = np.zeros(step.FLOWS)
        self._measured = np.zeros(MEASURED)
        self._cover, self._soil_c = 0.5, 0.0
        self._t_s = 0.0

    def follow(
        self, measured: Mapping[str, Measured], positions: Mapping[str, float], crop: CropReading | None, now_s: float, clear: float
    ) -> None:
        """Move the twin to now_s.

        Args:
            positions: of the actuators by name, 0..1; a missing one counts as 0.
            clear: radiation of a clear sky now, W/m2.
        """
        weather, self._cover = weather_row(measured, clear, self._cover)
        if self._state is None or not 0.0 <= now_s - self._t_s <= GAP_S:
            self._begin(measured, weather, crop, now_s)
            self._weather, self._t_s = weather, now_s
            return
        self._soil_c += (weather[1] - self._soil_c) * (now_s - self._t_s) / (10 * 86400.0)
        weather[SOIL_TEMP_C] = self._soil_c
        actuators = np.array([positions.get(name, 0.0) for name in ACTUATOR_NAMES])
        minutes = round((now_s - self._t_s) / 60.0)
        if minutes < 1:
            return
        step.advance(self._state, actuators, self._weather, weather, self._par, minutes, self._flows)
        self._pull(measured, min(minutes * 60.0 / STEP_S, 1.0))
        step.measure(self._state, weather, actuators, self._par, self._measured)
        self._weather, self._t_s = weather, now_s

    def fill(self, measured: dict[str, Measured]) -> None:
        """Stand in for sensors that are out or that the house does not have."""
        if self._state is None:
            return
        for name, place in FILLED.items():
            found = measured.get(name)
            if found is None or found.quality == "bad":
                value = round(float(self._measured[place]), 4)
                measured[name] = Measured.model_construct(value=value, quality="suspect", age_s=0.0, source="estimate")

    def state(self) -> tuple[float, ...]:
        return tuple(self._state.tolist()) if self._state is not None else ()

    def counters(self) -> Counters:
        """What the twin says was used; meters of the house, where it has some, are measured quantities."""
        flows = self._flows
        return Counters.model_construct(
            heat_kwh_m2=round(float(flows[step.HEAT_KWH]), 5),
            elec_kwh_m2=round(float(flows[step.ELEC_KWH]), 5),
            co2_kg_m2=round(float(flows[step.CO2_KG]), 6),
            water_l_m2=round(float(flows[step.WATER_L_USED]), 4),
            drain_l_m2=round(float(flows[step.DRAIN_L]), 4),
        )

    def _begin(self, measured: Mapping[str, Measured], weather: np.ndarray, crop: CropReading | None, now_s: float) -> None:
        """A twin at rest at what is measured; after a gap the crop stays."""
        temp, rh, co2 = (_value(measured, name) for name in ("air_temp_c", "air_rh_pct", "co2_ppm"))
        if temp is None or rh is None or crop is None:
            return
        days = max((now_s - crop.planted_s) / 86400.0, 0.0)
        self._soil_c = self._soil_c if self._state is not None else float(weather[1])
        begun = s.initial(
            self._parameters,
            air_temp_c=temp,
            air_rh_pct=rh,
            co2_ppm=co2 if co2 is not None else 450.0,
            soil_temp_c=self._soil_c,
            lai=FULL_LAI * min(max(days, 5.0) / FULL_LAI_DAYS, 1.0),
            fruit_dry_g=FULL_FRUIT_G * min(max((days - FIRST_FRUIT_DAY) / FULL_FRUIT_DAYS, 0.0), 1.0),
            canopy_sum_cd=DAY_CD * days,
        )
        if self._state is not None:
            begun[s.CANOPY_24H_C :] = self._state[s.CANOPY_24H_C :]
        self._state = begun
        self._pull(measured, 1.0)

    def _pull(self, measured: Mapping[str, Measured], share: float) -> None:
        state = self._state
        assert state is not None
        temp, rh, co2 = (_value(measured, name) for name in ("air_temp_c", "air_rh_pct", "co2_ppm"))
        before = state[s.AIR_C]
        if temp is not None:
            state[s.AIR_C] += share * GAINS["air_temp_c"] * (temp - before)
        if rh is not None:
            wanted = vp_pa(temp if temp is not None else float(before), rh)
            state[s.VAPOUR_PA] += share * GAINS["air_rh_pct"] * (wanted - state[s.VAPOUR_PA])
        if co2 is not None:
            state[s.CO2_MG_M3] += share * GAINS["co2_ppm"] * (co2_mg_m3(co2, float(state[s.AIR_C])) - state[s.CO2_MG_M3])
        for quantity, place in (("pipe_temp_c", s.PIPE_C), ("leaf_temp_c", s.CANOPY_C)):
            value = _value(measured, quantity)
            if value is not None:
                state[place] += share * GAINS[quantity] * (value - state[place])
        water = _value(measured, "substrate_wc_pct")
        if water is not None:
            wanted = water / 100.0 * self._par[p.SLAB_L_M2]
            state[s.WATER_L] += share * GAINS["substrate_wc_pct"] * (wanted - state[s.WATER_L])
        for quantity, place in (("substrate_ec_ds_m", s.SLAB_EC), ("substrate_ph", s.SLAB_PH)):
            value = _value(measured, quantity)
            if value is not None:
                state[place] += share * SALT_GAIN * (value - state[place])


def _value(measured: Mapping[str, Measured], quantity: str) -> float | None:
    found = measured.get(quantity)
    return found.value if found is not None and found.quality != "bad" else None
