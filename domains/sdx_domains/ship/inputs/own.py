"""Own ship's instruments as NMEA 0183 sentences: to readings through pynmea2, and back for a simulator."""

from collections.abc import Callable
from datetime import datetime
from math import isfinite
from typing import Any

import pynmea2

from sdx_domains.contract import Reading
from sdx_domains.ship.picture import EnvironmentReading, OwnReading

KNOTS_PER_UNIT = {"N": 1.0, "K": 1 / 1.852, "M": 3600 / 1852}
"""NMEA's letters: knots, km/h, m/s."""
MAX_SPEED_KN = 102.3
MAX_ROT_DEG_MIN = 720.0
MAX_WIND_KN = 250.0
MAX_DEPTH_M = 12_000.0


class NoFix(ValueError):
    """The instrument itself says that its value is not valid."""


def read_own(sentence: Any, t_s: float, heading_deg: float | None) -> Reading | None:
    """A parsed pynmea2 sentence as a reading; None for a kind that says nothing we use, or whose fields are empty.

    `heading_deg` is own ship's last true heading, for wind given from the bow. Raises ValueError for a value out of range,
    NoFix when the status says invalid.
    """
    read = _READERS.get(sentence.sentence_type)
    return read(sentence, t_s, heading_deg) if read else None


def _position_and_motion(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    if sentence.status != "A":
        raise NoFix(f"RMC status {sentence.status!r}, not A")
    known = _position(sentence) | {
        "sog_kn": _number(sentence.spd_over_grnd, "speed", 0.0, MAX_SPEED_KN),
        "cog_deg": _direction(sentence.true_course),
    }
    return _own(t_s, "gnss", known)


def _position_only(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    if not sentence.gps_qual:
        raise NoFix(f"GGA quality {sentence.gps_qual!r}: no fix")
    return _own(t_s, "gnss", _position(sentence))


def _motion(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    speed = _number(sentence.spd_over_grnd_kts, "speed", 0.0, MAX_SPEED_KN)
    return _own(t_s, "gnss", {"cog_deg": _direction(sentence.true_track), "sog_kn": speed})


def _heading(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    return _own(t_s, "gyro", {"heading_deg": _direction(sentence.heading)})


def _log_heading(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    return _own(t_s, "log", {"heading_deg": _direction(sentence.heading_true)})


def _turn(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    if sentence.status != "A":
        raise NoFix(f"ROT status {sentence.status!r}, not A")
    return _own(t_s, "gyro", {"rot_deg_min": _number(sentence.rate_of_turn, "rate of turn", -MAX_ROT_DEG_MIN, MAX_ROT_DEG_MIN)})


def _rudder(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    """A single rudder, or the starboard one, is the first field; + is to starboard."""
    if sentence.rsa_starboard_status != "A":
        raise NoFix(f"RSA status {sentence.rsa_starboard_status!r}, not A")
    return _own(t_s, "rudder", {"rudder_deg": _number(sentence.rsa_starboard, "rudder", -90.0, 90.0)})


def _ordered_heading(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    return _own(t_s, "autopilot", {"ordered_heading_deg": _direction(sentence.heading_true)})


def _wind_from_bow(sentence: Any, t_s: float, heading_deg: float | None) -> Reading | None:
    """MWV: only the true wind is used; the apparent one would need own speed through the water."""
    if sentence.status != "A":
        raise NoFix(f"MWV status {sentence.status!r}, not A")
    angle = _direction(sentence.wind_angle)
    speed = _number(sentence.wind_speed, "wind speed", 0.0, MAX_WIND_KN)
    if sentence.reference != "T" or angle is None or speed is None or heading_deg is None:
        return None
    if sentence.wind_speed_units not in KNOTS_PER_UNIT:
        raise ValueError(f"wind unit {sentence.wind_speed_units!r} is none of {', '.join(KNOTS_PER_UNIT)}")
    return EnvironmentReading(
        t_s=t_s, source="wind", wind_kn=speed * KNOTS_PER_UNIT[sentence.wind_speed_units], wind_from_deg=(heading_deg + angle) % 360.0
    )


def _wind_true(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    direction, speed = _direction(sentence.direction_true), _number(sentence.wind_speed_knots, "wind speed", 0.0, MAX_WIND_KN)
    return (
        None if direction is None or speed is None else EnvironmentReading(t_s=t_s, source="wind", wind_kn=speed, wind_from_deg=direction)
    )


def _current(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    direction, speed = _direction(sentence.deg_t), _number(sentence.current, "current", 0.0, 30.0)
    return (
        None
        if direction is None or speed is None
        else EnvironmentReading(t_s=t_s, source="log", current_kn=speed, current_to_deg=direction)
    )


def _depth(sentence: Any, t_s: float, _: float | None) -> Reading | None:
    """Below the surface where the offset is positive (transducer's depth), else below the transducer."""
    depth, offset = _number(sentence.depth, "depth", 0.0, MAX_DEPTH_M), _number(sentence.offset, "offset", -100.0, 100.0)
    return None if depth is None else EnvironmentReading(t_s=t_s, source="sounder", depth_m=depth + max(0.0, offset or 0.0))


_READERS: dict[str, Callable[[Any, float, float | None], Reading | None]] = {
    "RMC": _position_and_motion,
    "GGA": _position_only,
    "VTG": _motion,
    "HDT": _heading,
    "VHW": _log_heading,
    "ROT": _turn,
    "RSA": _rudder,
    "HSC": _ordered_heading,
    "MWV": _wind_from_bow,
    "MWD": _wind_true,
    "VDR": _current,
    "DPT": _depth,
}


def _own(t_s: float, source: str, known: dict[str, float | None]) -> OwnReading | None:
    return OwnReading(t_s=t_s, source=source, **known) if any(value is not None for value in known.values()) else None


def _position(sentence: Any) -> dict[str, float | None]:
    if not (sentence.lat and sentence.lon):
        return {"lat_deg": None, "lon_deg": None}
    if sentence.lat_dir not in ("N", "S") or sentence.lon_dir not in ("E", "W"):
        raise ValueError(f"hemispheres {sentence.lat_dir!r} and {sentence.lon_dir!r}: want N or S, E or W")
    lat, lon = _number(sentence.latitude, "latitude", -90.0, 90.0), _number(sentence.longitude, "longitude", -180.0, 180.0)
    return {"lat_deg": lat, "lon_deg": lon}


def _direction(value: Any) -> float | None:
    number = _number(value, "direction", 0.0, 360.0)
    return None if number is None else number % 360.0


def _number(value: Any, name: str, low: float, high: float) -> float | None:
    """A field as a float; None when empty. Raises ValueError when it is no number or out of range."""
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{name} {value!r} is not a number") from None
    if not (isfinite(number) and low <= number <= high):
        raise ValueError(f"{name} {value} is outside {low:g} .. {high:g}")
    return number


def encode_own(own: OwnReading, utc: datetime) -> list[str]:
    """RMC (with GNSS data), HDT, ROT and RSA sentences for whatever the reading holds, with checksums.

    Rounded to 0.0001 min (0.2 m), 0.01 kn, 0.01 deg.
    """
    sentences: list[Any] = []
    if own.lat_deg is not None and own.lon_deg is not None:
        lat, lon = _degrees_minutes(own.lat_deg, 2, "NS"), _degrees_minutes(own.lon_deg, 3, "EW")
        motion = ("" if own.sog_kn is None else f"{own.sog_kn:.2f}", "" if own.cog_deg is None else _compass(own.cog_deg))
        sentences.append(pynmea2.RMC("GP", "RMC", (f"{utc:%H%M%S}.00", "A", *lat, *lon, *motion, f"{utc:%d%m%y}", "", "", "A")))
    if own.heading_deg is not None:
        sentences.append(pynmea2.HDT("HE", "HDT", (_compass(own.heading_deg), "T")))
    if own.rot_deg_min is not None:
        sentences.append(pynmea2.ROT("HE", "ROT", (f"{own.rot_deg_min:.2f}", "A")))
    if own.rudder_deg is not None:
        sentences.append(pynmea2.RSA("II", "RSA", (f"{own.rudder_deg:.2f}", "A", "", "V")))
    return [str(sentence) for sentence in sentences]


def _compass(deg: float) -> str:
    return f"{round(deg % 360.0, 2) % 360.0:.2f}"


def _degrees_minutes(deg: float, digits: int, hemispheres: str) -> tuple[str, str]:
    """ddmm.mmmm and the hemisphere; rounded first, so that minutes never read 60."""
    ten_thousandths = round(abs(deg) * 600_000)
    whole, minutes = divmod(ten_thousandths, 600_000)
    return f"{whole:0{digits}d}{minutes / 10_000:07.4f}", hemispheres[0] if deg >= 0 else hemispheres[1]
