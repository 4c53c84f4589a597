"""Weather over plant time: one table of vectors.WEATHER columns at equal steps, asked with `.at(t_s)`. Files: weather_files.py; made up: climate.py."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from sdx_domains.farm.greenhouse import vectors as v
from sdx_domains.farm.world.solar import Array

WEATHER_NAMES = (
    "solar_w_m2", "temp_c", "rh_pct", "co2_ppm", "wind_m_s", "wind_dir_deg", "rain_mm_h", "sky_temp_c", "soil_temp_c",
)  # fmt: skip
"""Columns, in the order of vectors.py, as CSV files name them."""
OUTSIDE_CO2_PPM = 420.0
"""Where nothing else is known; Mauna Loa, 2023."""
RANGES = {
    "solar_w_m2": (0.0, 1600.0), "temp_c": (-60.0, 60.0), "rh_pct": (0.0, 100.0), "co2_ppm": (200.0, 1500.0), "wind_m_s": (0.0, 80.0),
    "wind_dir_deg": (0.0, 360.0), "rain_mm_h": (0.0, 400.0), "sky_temp_c": (-120.0, 60.0), "soil_temp_c": (-30.0, 50.0),
}  # fmt: skip
"""What can be true outdoors; a value outside is an error of the file."""


@dataclass(frozen=True)
class Weather:
    """`rows` (N, WEATHER) at 0, step_s, 2 step_s ... after `start` (UTC). Before and after, the first and last row hold."""

    start: datetime
    lat_deg: float
    lon_deg: float
    hours_east: float
    step_s: float
    rows: Array

    @property
    def end_s(self) -> float:
        return (len(self.rows) - 1) * self.step_s

    def at(self, t_s: float) -> Array:
        """The row at a moment, linear in between; the direction of the wind is the nearest one's."""
        place = min(max(t_s / self.step_s, 0.0), len(self.rows) - 1.0)
        low = int(place)
        share = place - low
        row: Array = self.rows[low].copy()
        if share > 0.0:
            row += share * (self.rows[low + 1] - row)
            row[v.WIND_DIR_DEG] = self.rows[low + (share >= 0.5), v.WIND_DIR_DEG]
        return row

    def hourly(self, from_s: float, hours: int) -> Array:
        """(hours, WEATHER): means of the hour about from_s, from_s + 1 h, ...; the direction of the wind is the one in its middle."""
        half = max(round(1800.0 / self.step_s), 0)
        middle = np.rint((from_s + 3600.0 * np.arange(hours)) / self.step_s).astype(int)
        around = np.clip(middle[:, None] + np.arange(-half, half + 1), 0, len(self.rows) - 1)
        table: Array = self.rows[around].mean(axis=1)
        table[:, v.WIND_DIR_DEG] = self.rows[around[:, half], v.WIND_DIR_DEG]
        return table

    def utc(self, t_s: float) -> datetime:
        return self.start + timedelta(seconds=t_s)

    def local_hour(self, t_s: float) -> float:
        """Hour of the day at the site, 0..24."""
        seconds = (self.start - datetime(self.start.year, 1, 1, tzinfo=UTC)).total_seconds() + t_s
        return (seconds / 3600.0 + self.hours_east) % 24.0
