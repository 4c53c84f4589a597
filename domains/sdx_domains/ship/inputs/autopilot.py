"""Orders to an autopilot as NMEA 0183 sentences: HSC (heading), HTC (heading control, with limits); HTD read back.

Speed has no standard sentence here: the engine order goes its own way. Field lists: IEC 61162-1, HTC/HTD.
"""

from math import isfinite

HEADING_TO_STEER_FIELD = 9
"""Of HTC and HTD, counted from 0 after the sentence's name."""


def hsc(heading_deg: float, talker: str = "AP") -> str:
    """Heading steering command: true heading to steer, 0.1 deg. Raises ValueError for a heading that is not finite."""
    return _sentence(talker, "HSC", [_heading(heading_deg), "T", "", "M"])


def htc(
    heading_deg: float,
    max_rot_deg_min: float | None = None,
    max_rudder_deg: float | None = None,
    off_heading_limit_deg: float | None = None,
    talker: str = "AG",
) -> str:
    """Heading control command: steer a true heading ("H"), turning at a limited rate ("T") where one is given.

    Fields: override, commanded rudder angle, its side, steering mode, turn mode, rudder limit deg, off-heading limit deg,
    radius NM, rate of turn deg/min, heading to steer, off-track limit, track, T/M reference.
    Raises ValueError for a value that is not finite or a limit that is not positive.
    """
    fields = [
        "V",  # no override
        "",
        "",
        "H",
        "N" if max_rot_deg_min is None else "T",
        _limit(max_rudder_deg, "max_rudder_deg"),
        _limit(off_heading_limit_deg, "off_heading_limit_deg"),
        "",
        _limit(max_rot_deg_min, "max_rot_deg_min"),
        _heading(heading_deg),
        "",
        "",
        "T",
    ]
    return _sentence(talker, "HTC", fields)


def read_htd(sentence: str) -> float | None:
    """Heading to steer of an HTC or HTD sentence with a verified checksum, deg true; None when empty or magnetic.

    Raises ValueError for a sentence too short or a heading that is none.
    """
    fields = sentence.partition("*")[0].split(",")[1:]
    if len(fields) < 13:
        raise ValueError(f"HTD with {len(fields)} fields, at least 13 expected")
    text, reference = fields[HEADING_TO_STEER_FIELD], fields[12]
    if not text or reference != "T":
        return None
    heading = float(text)
    if not (isfinite(heading) and 0.0 <= heading <= 360.0):
        raise ValueError(f"heading to steer {text} is outside 0 .. 360")
    return heading % 360.0


def _heading(deg: float) -> str:
    if not isfinite(deg):
        raise ValueError(f"heading {deg} cannot be steered")
    return f"{round(deg % 360.0, 1) % 360.0:.1f}"


def _limit(value: float | None, name: str) -> str:
    if value is None:
        return ""
    if not (isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}; a positive number is wanted, or None for no limit")
    return f"{value:.1f}"


def _sentence(talker: str, kind: str, fields: list[str]) -> str:
    body = ",".join([talker + kind, *fields])
    checksum = 0
    for character in body:
        checksum ^= ord(character)
    return f"${body}*{checksum:02X}"
