"""Where the sun stands and what a clear or clouded sky gives; vectorised over times."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STEFAN_BOLTZMANN = 5.670374e-8


def seconds_of_year(start: datetime, t_s: Array) -> Array:
    """Seconds since 1 January, UTC, of plant times that begin at `start`."""
    return (start - datetime(start.year, 1, 1, tzinfo=UTC)).total_seconds() + t_s


def cos_zenith(start: datetime, t_s: Array, lat_deg: float, lon_deg: float) -> Array:
    """Cosine of the sun's zenith angle at t_s after `start`, 0 at night. Declination and equation of time: Spencer 1971."""
    second = seconds_of_year(start, t_s)
    day = 2.0 * np.pi * (second / 86400.0) / 365.25
    declination = (
        0.006918 - 0.399912 * np.cos(day) + 0.070257 * np.sin(day) - 0.006758 * np.cos(2 * day) + 0.000907 * np.sin(2 * day)
        - 0.002697 * np.cos(3 * day) + 0.00148 * np.sin(3 * day)
    )  # fmt: skip
    equation_min = 229.18 * (
        0.000075 + 0.001868 * np.cos(day) - 0.032077 * np.sin(day) - 0.014615 * np.cos(2 * day) - 0.040849 * np.sin(2 * day)
    )
    hour_angle = np.pi * ((second / 3600.0 + lon_deg / 15.0 + equation_min / 60.0) % 24.0 - 12.0) / 12.0
    lat = np.radians(lat_deg)
    return np.maximum(np.sin(lat) * np.sin(declination) + np.cos(lat) * np.cos(declination) * np.cos(hour_angle), 0.0)


def clear_sky_w_m2(cosine: Array) -> Array:
    """Global radiation under a clear sky: Haurwitz 1945, 1098 cos z exp(-0.057 / cos z)."""
    return 1098.0 * cosine * np.exp(-0.057 / np.maximum(cosine, 1e-4))


def cloud_cover(clearness: Array) -> Array:
    """Share of the sky that is clouded from measured over clear-sky radiation: Kasten and Czeplak 1980, 1 - 0.75 n^3.4, solved for n."""
    return np.clip((1.0 - clearness) / 0.75, 0.0, 1.0) ** (1.0 / 3.4)


def sky_temp_c(temp_c: Array, rh_pct: Array, cover: Array) -> Array:
    """Radiation temperature of the sky: clear-sky emissivity of Berdahl and Martin 1984 by dew point, clouds after Unsworth and Monteith 1975."""
    dew = dew_point_c(temp_c, rh_pct) / 100.0
    clear = 0.711 + 0.56 * dew + 0.73 * dew**2
    emissivity = (1.0 - 0.84 * cover) * clear + 0.84 * cover
    return (temp_c + 273.15) * emissivity**0.25 - 273.15


def sky_temp_of_infrared_c(infrared_w_m2: Array) -> Array:
    """The same from measured downward long-wave radiation (Stefan-Boltzmann)."""
    return (infrared_w_m2 / STEFAN_BOLTZMANN) ** 0.25 - 273.15


def dew_point_c(temp_c: Array, rh_pct: Array) -> Array:
    """Magnus form with the constants of Alduchov and Eskridge 1996."""
    gamma = np.log(np.maximum(rh_pct, 1.0) / 100.0) + 17.625 * temp_c / (243.04 + temp_c)
    return 243.04 * gamma / (17.625 - gamma)


def rh_of_dew_point_pct(temp_c: Array, dew_c: Array) -> Array:
    """The way back."""
    return 100.0 * np.exp(17.625 * dew_c / (243.04 + dew_c) - 17.625 * temp_c / (243.04 + temp_c))
