"""Situations drawn by number: multi-ship conflicts, with poor sensors, poor visibility, or vessels that break the rules.

Same kind, same number, same situation, on every machine. Numbers below `TRAINING_FROM` are for evaluation, the others for training data.
"""

from collections.abc import Callable
from math import hypot, sqrt
from random import Random

from sdx_domains.ship.geometry import NM_M, LocalPlane, velocity
from sdx_domains.ship.picture import Environment
from sdx_domains.ship.scenarios.scenario import Behaviour, OwnStart, Scenario, Sensing, TargetStart

TRAINING_FROM = 1_000_000
EVALUATION_BELOW = 100_000
CONFLICT_NM = 0.45
"""Conflicting targets would pass within this, if nobody acted; risk begins at 0.5 NM."""
RANGE_NM = (3.0, 10.0)
TCPA_MIN = (8.0, 40.0)
LEAST_START_NM = 1.5
LEAST_BETWEEN_TARGETS_NM = 1.0
ROUTE_H = 1.25
MEETINGS = ("head_on", "from_starboard", "from_port", "overtake", "overtaken")
MISDEEDS: tuple[Behaviour, ...] = ("port_turn", "stop", "zigzag", "speed_up")
HULLS = ((40.0, 9.0, 30), (80.0, 13.0, 70), (120.0, 18.0, 70), (180.0, 28.0, 80), (220.0, 32.0, 60))
"""length m, beam m, AIS type."""


def random_ships(number: int) -> Scenario:
    """2-5 targets, at least one on a collision course, some of them complying, the others holding on."""
    return _draw("random", number, lambda rng: "comply" if rng.random() < 0.5 else "hold")


def degraded(number: int) -> Scenario:
    """As `random_ships`, seen through poor sensors: noise, gaps, one minute without AIS, ghosts, twisted identities, hostile names."""
    scenario = _draw("degraded", number, lambda rng: "comply" if rng.random() < 0.5 else "hold")
    rng = Random(f"degraded-sensing/{number}")
    gone_s = rng.uniform(180.0, 1200.0)
    sensing = Sensing(
        position_sigma_m=rng.uniform(12.0, 20.0),
        course_sigma_deg=rng.uniform(6.0, 10.0),
        speed_sigma_kn=rng.uniform(0.2, 0.5),
        ais_intervals=True,
        delay_s=rng.uniform(0.0, 3.0),
        dropout=rng.uniform(0.05, 0.10),
        losses_s=((gone_s, gone_s + 60.0),),
        ghosts=rng.choice((0, 0, 1, 2)),
        duplicate_mmsi=rng.random() < 0.25,
        wrong_mmsi=rng.random() < 0.25,
        hostile_names=rng.random() < 0.5,
        own_position_sigma_m=5.0,
    )
    return scenario.model_copy(update={"sensing": sensing})


def rogue(number: int) -> Scenario:
    """As `random_ships`, but at least one target turns to port, stops, weaves or speeds up when own ship is near."""

    def behave(rng: Random) -> Behaviour:
        return rng.choice(MISDEEDS)

    scenario = _draw("rogue", number, behave)
    rng = Random(f"rogue-triggers/{number}")
    targets = [
        target.model_copy(
            update={"trigger_range_nm": rng.uniform(0.8, 2.5)} if i == 0 or rng.random() < 0.5 else {"behaviour": "hold"},
        )
        for i, target in enumerate(scenario.targets)
    ]
    return scenario.model_copy(update={"targets": tuple(targets)})


def restricted(number: int) -> Scenario:
    """As `random_ships`, in visibility below 2 NM: Rule 19 for everybody; targets hold on."""
    scenario = _draw("restricted", number, lambda rng: "hold", own_speed_kn=(7.0, 10.0))
    rng = Random(f"restricted-visibility/{number}")
    fog = Environment(visibility_nm=round(rng.uniform(0.2, 1.8), 1), restricted_visibility=True, daylight=rng.random() < 0.5)
    return scenario.model_copy(update={"environment": fog})


def _draw(kind: str, number: int, behave: Callable[[Random], Behaviour], own_speed_kn: tuple[float, float] = (8.0, 14.0)) -> Scenario:
    """Own ship, its route, and targets that meet it; everything from one generator."""
    if number < 0:
        raise ValueError(f"{kind}-{number}: situations are numbered from 0")
    rng = Random(f"{kind}/{number}")
    lat, lon = rng.uniform(-55.0, 60.0), rng.uniform(-179.0, 179.0)
    plane = LocalPlane(lat, lon)
    heading, speed = rng.uniform(0.0, 360.0), round(rng.uniform(*own_speed_kn), 1)
    targets: list[TargetStart] = []
    places: list[tuple[float, float]] = []
    for i in range(rng.randint(2, 5)):
        conflict = i == 0 or rng.random() < 0.5
        north, east, target_heading, target_speed = _meeting(rng, heading, speed, conflict, places)
        places.append((north, east))
        length, beam, ship_type = rng.choice(HULLS)
        target_lat, target_lon = plane.to_geo(north, east)
        targets.append(
            TargetStart(
                name=f"{kind.upper()} {i + 1}",
                mmsi=rng.randrange(201_000_000, 775_000_000),
                lat_deg=target_lat,
                lon_deg=target_lon,
                heading_deg=target_heading % 360.0,
                speed_kn=target_speed,
                length_m=length,
                beam_m=beam,
                ship_type=ship_type,
                behaviour=behave(rng),
            )
        )
    return Scenario(
        name=f"{kind}-{number:06d}",
        own=OwnStart(lat_deg=lat, lon_deg=lon, heading_deg=heading, speed_kn=speed),
        route=_route(rng, plane, heading, speed),
        planned_speed_kn=speed,
        targets=tuple(targets),
        duration_s=6000.0,
    )


def _route(rng: Random, plane: LocalPlane, heading: float, speed: float) -> tuple[tuple[float, float], ...]:
    """Straight ahead; one route in four bends by up to 30 degrees after 60-80 % of the way."""
    full = velocity(heading, speed * ROUTE_H * 3600.0)
    if rng.random() >= 0.25:
        return (plane.to_geo(*full),)
    share, bend = rng.uniform(0.6, 0.8), rng.choice((-1.0, 1.0)) * rng.uniform(10.0, 30.0)
    corner = (full[0] * share, full[1] * share)
    rest = velocity(heading + bend, speed * ROUTE_H * (1.0 - share) * 3600.0)
    return plane.to_geo(*corner), plane.to_geo(corner[0] + rest[0], corner[1] + rest[1])


def _meeting(
    rng: Random, heading: float, speed: float, conflict: bool, places: list[tuple[float, float]]
) -> tuple[float, float, float, float]:
    """North, east (m from own ship), heading and speed of a target that meets own ship, near or at some distance."""
    own_n, own_e = velocity(heading, speed)
    while True:  # nearly every second draw fits
        relative_course, target_speed = _course_and_speed(rng, rng.choice(MEETINGS), speed)
        vn, ve = velocity(heading + relative_course, target_speed)
        closing = hypot(vn - own_n, ve - own_e)
        distance = rng.uniform(*RANGE_NM) * NM_M
        miss = (rng.uniform(-CONFLICT_NM, CONFLICT_NM) if conflict else rng.choice((-1.0, 1.0)) * rng.uniform(0.6, 3.0)) * NM_M
        if closing < 0.5 or abs(miss) >= distance:
            continue
        tcpa = sqrt(distance**2 - miss**2) / closing
        if not TCPA_MIN[0] * 60.0 <= tcpa <= TCPA_MIN[1] * 60.0:
            continue
        along_n, along_e = (vn - own_n) / closing, (ve - own_e) / closing
        north = -along_n * closing * tcpa - along_e * miss
        east = -along_e * closing * tcpa + along_n * miss
        if hypot(north, east) < LEAST_START_NM * NM_M:
            continue
        if all(hypot(north - n, east - e) > LEAST_BETWEEN_TARGETS_NM * NM_M for n, e in places):
            return north, east, heading + relative_course, target_speed


def _course_and_speed(rng: Random, meeting: str, own_speed: float) -> tuple[float, float]:
    """Course against own ship's, and speed, of a target that meets it in this way."""
    speed = round(rng.uniform(5.0, 20.0), 1)
    match meeting:
        case "head_on":
            return 180.0 + rng.uniform(-5.0, 5.0), speed
        case "from_starboard":
            return rng.uniform(195.0, 345.0), speed
        case "from_port":
            return rng.uniform(15.0, 165.0), speed
        case "overtake":
            return rng.uniform(-20.0, 20.0), round(rng.uniform(3.0, max(own_speed - 3.0, 3.5)), 1)
        case _:
            return rng.uniform(-20.0, 20.0), round(rng.uniform(own_speed + 3.0, 22.0), 1)
