"""Readings as sentences: what the simulated sensors would put on an NMEA 0183 line."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sdx_domains.contract import Reading
from sdx_domains.ship.inputs.ais import encode_ais, encode_ais_static
from sdx_domains.ship.inputs.own import encode_own
from sdx_domains.ship.picture import OwnReading, TargetReading

STATIC_EVERY_S = 360.0
"""Reporting interval of class A static data, ITU-R M.1371."""


class Wire:
    """Remembers when each vessel last sent its static data."""

    def __init__(self) -> None:
        self._static_s: dict[str, float] = {}
        self._sequence = 0

    def sentences(self, readings: Sequence[Reading], utc: datetime) -> list[str]:
        """NMEA sentences of the readings that have one (route and surroundings have none), in their order."""
        lines: list[str] = []
        for reading in readings:
            if isinstance(reading, OwnReading):
                lines += encode_own(reading, utc + timedelta(seconds=reading.t_s))
            elif isinstance(reading, TargetReading) and reading.lat_deg is not None and reading.lon_deg is not None:
                lines += self._target(reading, utc + timedelta(seconds=reading.t_s))
        return lines

    def _target(self, reading: TargetReading, now: datetime) -> list[str]:
        mmsi = int(reading.track_id.removeprefix("mmsi:"))
        assert reading.lat_deg is not None and reading.lon_deg is not None
        lines = encode_ais(
            mmsi,
            reading.lat_deg,
            reading.lon_deg,
            reading.cog_deg or 0.0,
            reading.sog_kn or 0.0,
            reading.heading_deg,
            reading.rot_deg_min,
            reading.nav_status or 0,
            second=now.second,
        )
        if reading.t_s - self._static_s.get(reading.track_id, float("-inf")) >= STATIC_EVERY_S:
            self._static_s[reading.track_id] = reading.t_s
            self._sequence += 1
            size = reading.length_m or 0.0, reading.beam_m or 0.0
            lines = encode_ais_static(mmsi, reading.name_untrusted or "", reading.ship_type or 0, *size, sequence=self._sequence) + lines
        return lines
