"""Places of each quantity in the arrays that the compiled code works on. Plain integers, so that numba takes them as constants.

All arrays are float64. Temperatures in degrees Celsius; vapour pressure in Pa; everything "per square metre" is of floor.
"""

# Weather and surroundings at a moment, also one row of a forecast
SOLAR_W_M2, OUT_TEMP_C, OUT_RH_PCT, OUT_CO2_PPM, WIND_M_S, WIND_DIR_DEG, RAIN_MM_H, SKY_TEMP_C, SOIL_TEMP_C = range(9)
WEATHER = 9

# Prices at a moment
HEAT_EUR_KWH, ELEC_EUR_KWH, CO2_EUR_KG, WATER_EUR_M3, FRUIT_EUR_KG = range(5)
PRICES = 5

# Positions of the devices, 0 (shut, off, open screen) to 1. IRRIGATION is 1 while a shot runs.
HEATING, CO2_DOSING, THERMAL_SCREEN, BLACKOUT_SCREEN, VENT_LEE, VENT_WIND, LAMPS, FOG, IRRIGATION = range(9)
ACTUATORS = 9
ACTUATOR_NAMES = (
    "heating_valve", "co2_valve", "thermal_screen", "blackout_screen", "vent_lee", "vent_wind", "lamps", "fog", "irrigation_valve",
)  # fmt: skip

# What the controller measures (estimates where a sensor is out); the twin fills it from its state
AIR_TEMP_C, AIR_RH_PCT, AIR_CO2_PPM, PIPE_TEMP_C, LEAF_TEMP_C, PAR_UMOL, SUBSTRATE_WC_PCT, SUBSTRATE_EC, SUBSTRATE_PH, LIGHT_SUM_J_CM2 = (
    range(10)
)
"""PAR inside, umol m-2 s-1; LIGHT_SUM: outside solar since the last irrigation shot."""
MEASURED = 10

# Set-points of a plan at a moment
(
    HEAT_TEMP_C,        # heating below this air temperature
    VENT_TEMP_C,        # vents open above this air temperature
    RH_MAX_PCT,         # vents (and screens) open above this humidity
    CO2_PPM_SET,        # dosing below this, in light only
    LAMP_PCT,           # lamps may burn up to this share; the blackout screen follows them at night
    SCREEN_OUT_TEMP_C,  # thermal screen shut when it is colder than this outside and there is little light
    SHADE_W_M2,         # screens shade above this outside radiation
    FOG_VPD_KPA,        # fogging above this vapour pressure deficit
    SHOT_J_CM2,         # an irrigation shot per so much outside radiation
    SHOT_L_M2,          # its size
    FEED_EC,            # dS/m
    FEED_PH,
) = range(12)  # fmt: skip
SETPOINTS = 12
SETPOINT_NAMES = (
    "heat_temp_c", "vent_temp_c", "rh_max_pct", "co2_ppm", "lamp_pct", "screen_out_temp_c", "shade_w_m2", "fog_vpd_kpa",
    "shot_j_cm2", "shot_l_m2", "feed_ec_ds_m", "feed_ph",
)  # fmt: skip
