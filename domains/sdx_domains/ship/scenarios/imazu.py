"""The Imazu encounters: positions follow from "everybody is at the origin after 30 minutes"."""

from functools import cache
from importlib.resources import files
from math import cos, radians, sin

import yaml

from sdx_domains.ship.geometry import NM_M, LocalPlane
from sdx_domains.ship.scenarios.scenario import OwnStart, Scenario, TargetStart, ship_of

ORIGIN = (36.0, 132.0)
"""Anywhere in open water; the cases know no geography."""
OWN_SPEED_KN = 12.0
MEET_AFTER_H = 0.5


@cache
def _table() -> dict[str, list[tuple[float, float]]]:
    return yaml.safe_load((files("sdx_domains.ship.scenarios") / "imazu.yaml").read_text(encoding="utf-8"))


def case_numbers() -> tuple[str, ...]:
    """ "01" ... "22", "08b", "12b"."""
    return tuple(_table())


def same_as(number: str) -> str | None:
    """The earlier case with the same targets: 08 is printed as 05, 22 as 15."""
    table = _table()
    return next((other for other in table if other < number and table[other] == table[number]), None)


def imazu(number: str) -> Scenario:
    """One case: own ship from 6 NM south of the origin to the goal 6 NM north of it, 12 kn; targets hold. KeyError if there is none such."""
    plane = LocalPlane(*ORIGIN)

    def place(heading_deg: float, speed_kn: float, hours: float) -> tuple[float, float]:
        run = speed_kn * NM_M * hours
        return plane.to_geo(run * cos(radians(heading_deg)), run * sin(radians(heading_deg)))

    start = place(0.0, OWN_SPEED_KN, -MEET_AFTER_H)
    targets = []
    for row, (heading, speed) in enumerate(_table()[number], start=1):
        lat, lon = place(heading, speed, -MEET_AFTER_H)
        targets.append(
            TargetStart(name=f"IMAZU {number} TS{row}", mmsi=431000000 + row, lat_deg=lat, lon_deg=lon, heading_deg=heading, speed_kn=speed)
        )
    twin = same_as(number)
    return Scenario(
        name=f"imazu-{number}",
        own=OwnStart(lat_deg=start[0], lon_deg=start[1], heading_deg=0.0, speed_kn=OWN_SPEED_KN, parameters=ship_of(100.0, 16.0, 12.0)),
        route=(place(0.0, OWN_SPEED_KN, MEET_AFTER_H),),
        planned_speed_kn=OWN_SPEED_KN,
        targets=tuple(targets),
        duration_s=5400.0,
        labels=(f"same as imazu-{twin}",) if twin else (),
    )
