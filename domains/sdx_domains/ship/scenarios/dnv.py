"""Traffic situations in the JSON form of DNV's ship-traffic-generator (schema 0.2; positions in degrees, speeds in knots).

Only what a situation needs is read; other fields may be there. What is missing or wrong is told with file and field.
"""

import json
from itertools import pairwise
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from sdx_domains.ship.geometry import NM_M, LocalPlane, bearing_range, velocity
from sdx_domains.ship.picture import OwnShipParameters
from sdx_domains.ship.scenarios.scenario import OwnStart, Scenario, TargetStart, ship_of

LEAST_ROUTE_H = 1.25
"""Own ship's route is prolonged along its last leg to at least this: a situation may meet later than its own waypoints end."""
SERVICE_SPEED_KN = 12.0
SHIP_TYPES = {
    "cargo": 70,
    "passenger": 60,
    "tanker": 80,
    "fishing": 30,
    "tug": 52,
    "sailing": 36,
    "pleasure craft": 37,
    "high speed craft": 40,
}
NAV_STATUS = {
    "under way using engine": 0,
    "at anchor": 1,
    "not under command": 2,
    "restricted maneuverability": 3,
    "restricted manoeuverability": 3,
    "constrained by her draught": 4,
    "moored": 5,
    "aground": 6,
    "engaged in fishing": 7,
    "under way sailing": 8,
}


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Position(_Loose):
    lat: float = Field(validation_alias=AliasChoices("lat", "latitude"), ge=-85.0, le=85.0)
    lon: float = Field(validation_alias=AliasChoices("lon", "longitude"), ge=-180.0, le=180.0)


class _Leg(_Loose):
    sog: float | None = Field(default=None, ge=0.0, le=60.0)


class _Waypoint(_Loose):
    position: _Position
    leg: _Leg = _Leg()


class _Initial(_Loose):
    heading: float | None = Field(default=None, ge=-360.0, le=360.0)
    cog: float | None = Field(default=None, ge=-360.0, le=360.0)
    sog: float | None = Field(default=None, ge=0.0, le=60.0)
    position: _Position | None = None
    navStatus: str | int = 0


class _Dimensions(_Loose):
    length: float = Field(default=100.0, gt=0.0)
    width: float = Field(default=16.0, gt=0.0)


class _Static(_Loose):
    id: int | str = 0
    mmsi: int | None = None
    name: str = ""
    dimensions: _Dimensions = _Dimensions()
    shipType: str = ""


class _Ship(_Loose):
    initial: _Initial
    waypoints: tuple[_Waypoint, ...] = ()
    static: _Static = _Static()


class _Situation(_Loose):
    title: str = ""
    ownShip: _Ship
    targetShips: tuple[_Ship, ...] = ()


def read_dnv(path: Path) -> Scenario:
    """The situation in one file; its title is the label, split at the commas, in target order.

    Raises:
        ValueError: not JSON, or a field is missing or wrong; names file and field.
        OSError: the file cannot be read.
    """
    try:
        situation = _Situation.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON, {error.msg} in line {error.lineno}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text, {error.reason} at byte {error.start}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "top level"
        given = "" if first["type"] == "missing" else f" (given: {first['input']!r})"
        raise ValueError(f"{path}: {field}: {first['msg']}{given}") from error
    (lat, lon), heading, speed = _start(path, "ownShip", situation.ownShip)
    if speed <= 0.0:
        raise ValueError(f"{path}: ownShip: its speed is {speed:g} kn; give initial.sog or waypoints.0.leg.sog above 0")
    size = situation.ownShip.static.dimensions
    labels = tuple(part.strip() for part in situation.title.split(",") if part.strip())
    return Scenario(
        name=f"dnv-{path.stem}",
        own=OwnStart(
            lat_deg=lat, lon_deg=lon, heading_deg=heading, speed_kn=speed, parameters=_own_parameters(size.length, size.width, speed)
        ),
        route=_own_route(situation.ownShip, (lat, lon), heading, speed),
        planned_speed_kn=speed,
        targets=tuple(_target(path, row, ship) for row, ship in enumerate(situation.targetShips)),
        duration_s=max(5400.0, 3600.0 * LEAST_ROUTE_H * 1.2),
        labels=labels,
    )


def dnv_files(folder: Path) -> list[Path]:
    """The .json files in a folder, by name. ValueError if there is none."""
    found = sorted(folder.glob("*.json"))
    if not found:
        raise ValueError(f"{folder}: no .json file in it; give the folder of the traffic situations")
    return found


def _start(path: Path, who: str, ship: _Ship) -> tuple[tuple[float, float], float, float]:
    """Position, heading and speed at t = 0."""
    initial = ship.initial
    position = initial.position or (ship.waypoints[0].position if ship.waypoints else None)
    if position is None:
        raise ValueError(f"{path}: {who}: neither initial.position nor a waypoint says where it starts")
    heading = initial.heading if initial.heading is not None else initial.cog
    if heading is None:
        raise ValueError(f"{path}: {who}.initial: neither heading nor cog is given")
    speed = initial.sog if initial.sog is not None else (ship.waypoints[0].leg.sog if ship.waypoints else None)
    if speed is None:
        raise ValueError(f"{path}: {who}: neither initial.sog nor waypoints.0.leg.sog is given")
    return (position.lat, position.lon), heading % 360.0, speed


def _own_parameters(length_m: float, beam_m: float, speed_kn: float) -> OwnShipParameters:
    return ship_of(length_m, beam_m, max(speed_kn, SERVICE_SPEED_KN))


def _own_route(ship: _Ship, start: tuple[float, float], heading: float, speed: float) -> tuple[tuple[float, float], ...]:
    """The waypoints after the start, prolonged along the last leg to LEAST_ROUTE_H."""
    plane = LocalPlane(*start)
    points = [(0.0, 0.0)] + [plane.to_plane(w.position.lat, w.position.lon) for w in ship.waypoints]
    legs = [bearing_range(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points)]
    route = [(w.position.lat, w.position.lon) for w, (_, length) in zip(ship.waypoints, legs, strict=True) if length > 1.0]
    missing_nm = speed * LEAST_ROUTE_H - sum(length for _, length in legs) / NM_M
    if missing_nm > 0.0:
        course = next((bearing for bearing, length in reversed(legs) if length > 1.0), heading)
        north, east = velocity(course, missing_nm * 3600.0)
        last = points[-1]
        end = plane.to_geo(last[0] + north, last[1] + east)
        # a prolonged last leg is one leg: its old end is no longer a waypoint
        route = route[:-1] + [end] if route else [end]
    return tuple(route)


def _target(path: Path, row: int, ship: _Ship) -> TargetStart:
    (lat, lon), heading, speed = _start(path, f"targetShips.{row}", ship)
    status = ship.initial.navStatus
    size = ship.static.dimensions
    return TargetStart(
        name=ship.static.name or f"target_ship_{row + 1}",
        mmsi=ship.static.mmsi or 257_000_000 + row + 1,
        lat_deg=lat,
        lon_deg=lon,
        heading_deg=heading,
        speed_kn=speed,
        length_m=size.length,
        beam_m=size.width,
        ship_type=SHIP_TYPES.get(ship.static.shipType.lower(), 0),
        nav_status=status if isinstance(status, int) else NAV_STATUS.get(status.lower(), 15),
        waypoints=tuple((w.position.lat, w.position.lon) for w in ship.waypoints),
        leg_speeds_kn=tuple(speed if w.leg.sog is None else w.leg.sog for w in ship.waypoints),
    )
