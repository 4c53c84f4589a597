"""One AIS message to a reading and back (ITU-R M.1371), through pyais. "Not available" codes become None.

Position reports: types 1-3, 18, 19, 27. Static data: 5, 19, 24. Other types say nothing about a ship's motion
and give no reading (base stations, aids to navigation, text, ...). Names and destinations are data from outside.
"""

from enum import Enum
from typing import Any

from pyais import encode_dict

from sdx_domains.ship.picture import OwnReading, TargetReading

POSITION_TYPES = frozenset({1, 2, 3, 18, 19, 27})
STATIC_TYPES = frozenset({5, 19, 24})
LONG_RANGE = 27
NO_SPEED_KN = 102.3
NO_SPEED_LONG_RANGE_KN = 63.0
UNDEFINED_STATUS = 15
MAX_TURN_CODE_DEG_MIN = 708.0


def read_ais(message: Any, t_s: float) -> TargetReading | None:
    """A decoded pyais message as a reading of the ship "mmsi:NNNNNNNNN"; None for types that say nothing of a ship's motion or hull.

    Raises ValueError for a message without a usable MMSI.
    """
    kind = message.msg_type
    if kind not in POSITION_TYPES | STATIC_TYPES:
        return None
    if not message.mmsi:
        raise ValueError(f"AIS type {kind} without an MMSI")
    fields: dict[str, Any] = {}
    if kind in POSITION_TYPES:
        fields |= motion(message)
    if kind in STATIC_TYPES:
        fields |= hull(message)
    return TargetReading(t_s=t_s, source="ais", track_id=f"mmsi:{int(message.mmsi):09d}", **fields)


def read_own_ais(message: Any, t_s: float) -> OwnReading | None:
    """Own ship's report (AIVDO) as a reading; None if it holds no position report."""
    if message.msg_type not in POSITION_TYPES:
        return None
    known = motion(message)
    known.pop("nav_status", None)
    return OwnReading(t_s=t_s, source="ais", **known)


def motion(message: Any) -> dict[str, Any]:
    """Position, course, speed, heading, rate of turn, status; None where not available or out of range."""
    no_speed = NO_SPEED_LONG_RANGE_KN if message.msg_type == LONG_RANGE else NO_SPEED_KN
    lat, lon = _within(message.lat, -90.0, 90.0), _within(message.lon, -180.0, 180.0)
    turn = getattr(message, "turn", None)
    status = getattr(message, "status", None)
    return {
        "lat_deg": lat if lon is not None else None,
        "lon_deg": lon if lat is not None else None,
        "cog_deg": _within(message.course, 0.0, 359.95),
        "sog_kn": _within(message.speed, 0.0, no_speed - 0.05),
        "heading_deg": _within(getattr(message, "heading", None), 0.0, 359.5),
        # An Enum here is "more than 5 deg in 30 s, no turn indicator" or "not available": no rate either way.
        "rot_deg_min": None if isinstance(turn, Enum) else _within(turn, -MAX_TURN_CODE_DEG_MIN, MAX_TURN_CODE_DEG_MIN),
        "nav_status": None if status is None or int(status) >= UNDEFINED_STATUS else int(status),
    }


def hull(message: Any) -> dict[str, Any]:
    """Name, type, length and beam; 0 and "" are "not available"."""
    bow, stern, port, starboard = (getattr(message, f"to_{side}", None) or 0 for side in ("bow", "stern", "port", "starboard"))
    return {
        "name_untrusted": getattr(message, "shipname", None) or None,
        "ship_type": int(getattr(message, "ship_type", None) or 0) or None,
        "length_m": float(bow + stern) or None,
        "beam_m": float(port + starboard) or None,
    }


def encode_ais(
    mmsi: int,
    lat_deg: float,
    lon_deg: float,
    cog_deg: float,
    sog_kn: float,
    heading_deg: float | None = None,
    rot_deg_min: float | None = None,
    nav_status: int = 0,
    second: int = 60,
    own: bool = False,
) -> list[str]:
    """A class A position report (type 1) as AIVDM sentences, as AIVDO if `own`.

    Rounded as AIS does: position 1/10,000 min, course 0.1 deg, speed 0.1 kn, heading 1 deg. `second` is the UTC second,
    60 = not available. Raises ValueError for a position, MMSI or speed that AIS cannot say.
    """
    if not (abs(lat_deg) <= 90 and abs(lon_deg) <= 180 and 0 < mmsi <= 999_999_999 and sog_kn >= 0):
        raise ValueError(f"AIS cannot say MMSI {mmsi}, lat {lat_deg}, lon {lon_deg}, speed {sog_kn} kn: want 9 digits, +-90, +-180, >= 0")
    data = {
        "type": 1,
        "mmsi": mmsi,
        "status": nav_status,
        "turn": -128 if rot_deg_min is None else max(-MAX_TURN_CODE_DEG_MIN, min(MAX_TURN_CODE_DEG_MIN, rot_deg_min)),
        "speed": round(min(sog_kn, 102.2), 1),
        "lat": lat_deg,
        "lon": lon_deg,
        "course": round(cog_deg % 360.0, 1) % 360.0,
        "heading": 511 if heading_deg is None else round(heading_deg) % 360,
        "second": second,
    }
    return encode_dict(data, sentence_type="VDO" if own else "VDM")


def encode_ais_static(
    mmsi: int, name: str = "", ship_type: int = 70, length_m: float = 0.0, beam_m: float = 0.0, sequence: int = 0, own: bool = False
) -> list[str]:
    """Static data (type 5, two sentences); the antenna stands amidships. Characters that AIS lacks become "?".

    `sequence` 0-9 ties the two sentences together; count it up from message to message.
    """
    length, beam = round(min(length_m, 1022.0)), round(min(beam_m, 126.0))
    data = {
        "type": 5,
        "mmsi": mmsi,
        "shipname": "".join(c if 32 <= ord(c) < 96 else "?" for c in name.upper())[:20],
        "ship_type": ship_type,
        "to_bow": length // 2,
        "to_stern": length - length // 2,
        "to_port": beam // 2,
        "to_starboard": beam - beam // 2,
    }
    return encode_dict(data, sentence_type="VDO" if own else "VDM", seq_id=sequence % 10)


def _within(value: Any, low: float, high: float) -> float | None:
    """The value as a float if it lies in the range, else None: codes for "not available" lie outside."""
    if value is None:
        return None
    number = float(value)
    return number if low <= number <= high else None
