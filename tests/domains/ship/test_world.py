"""The simulated sea: determinism, step size, readings, orders, traffic, sensors, speed."""

from datetime import UTC, datetime
from math import hypot

import pytest

from sdx_domains.contract import Order, Reading
from sdx_domains.ship.geometry import NM_M, LocalPlane
from sdx_domains.ship.inputs.nmea import NmeaDecoder
from sdx_domains.ship.picture import EnvironmentReading, OwnReading, RouteReading, TargetReading
from sdx_domains.ship.scenarios import OwnStart, Scenario, Sensing, TargetStart, scenario
from sdx_domains.ship.simulator.sensors import HOSTILE_NAMES, ais_interval_s
from sdx_domains.ship.simulator.world import ShipWorld, steps_per_second


def order(**setpoints: float) -> Order:
    return Order(domain="ship", setpoints=setpoints, issued_s=0.0, valid_for_s=60.0, source="human", picture_id="")


def run(
    case: Scenario, seconds: float, dt_s: float = 1.0, seed: int = 0, orders: dict[int, Order] | None = None
) -> tuple[ShipWorld, list[Reading]]:
    world, readings = ShipWorld(case, seed, dt_s), []
    for k in range(round(seconds / dt_s)):
        if orders and k * dt_s in orders:
            world.apply(orders[int(k * dt_s)])
        world.step()
        readings.extend(world.readings())
    return world, readings


def meeting(behaviour: str, heading_deg: float, bearing_nm: tuple[float, float], speed_kn: float = 12.0, **sensing: object) -> Scenario:
    """Own ship north at 12 kn from 50 N 0 E, one target at (north, east) NM."""
    lat, lon = LocalPlane(50.0, 0.0).to_geo(bearing_nm[0] * NM_M, bearing_nm[1] * NM_M)
    target = TargetStart.model_validate(
        {
            "name": "T",
            "mmsi": 257000001,
            "lat_deg": lat,
            "lon_deg": lon,
            "heading_deg": heading_deg,
            "speed_kn": speed_kn,
            "behaviour": behaviour,
            "trigger_range_nm": 1.5,
        }
    )
    return Scenario(
        name=f"meeting-{behaviour}",
        own=OwnStart(lat_deg=50.0, lon_deg=0.0, heading_deg=0.0, speed_kn=12.0),
        route=((50.25, 0.0),),
        planned_speed_kn=12.0,
        targets=(target,),
        sensing=Sensing.model_validate(sensing),
    )


def nearest_nm(world: ShipWorld, target: int = 0) -> float:
    tracks = zip(world.trace.targets[target], world.trace.own, strict=True)
    return min(hypot(a.north_m - o.north_m, a.east_m - o.east_m) for a, o in tracks) / NM_M


def test_same_seed_gives_the_same_readings_and_another_seed_others() -> None:
    case = scenario("degraded-3")
    _, first = run(case, 300.0, seed=5)
    _, again = run(case, 300.0, seed=5)
    _, other = run(case, 300.0, seed=6)
    assert first == again
    assert first != other


def test_fetching_rarely_changes_no_reading() -> None:
    case = scenario("degraded-3")
    _, often = run(case, 120.0, seed=5)
    world = ShipWorld(case, 5)
    for _ in range(120):
        world.step()
    assert list(world.readings()) == often


def test_step_size_hardly_matters() -> None:
    orders = {60: order(heading_deg=50.0), 300: order(heading_deg=0.0, speed_kn=8.0)}
    fine, _ = run(scenario("imazu-13"), 600.0, 0.1, orders=orders)
    coarse, _ = run(scenario("imazu-13"), 600.0, 1.0, orders=orders)
    assert hypot(fine.own.north_m - coarse.own.north_m, fine.own.east_m - coarse.own.east_m) < 5.0
    for a, b in zip(fine.vessels, coarse.vessels, strict=True):
        assert hypot(a.state.north_m - b.state.north_m, a.state.east_m - b.state.east_m) < 5.0


def test_first_readings_bring_route_surroundings_own_ship_and_every_target() -> None:
    world = ShipWorld(scenario("imazu-13"))
    first = list(world.readings())
    assert [type(reading) for reading in first[:3]] == [EnvironmentReading, RouteReading, OwnReading]
    assert sum(isinstance(reading, TargetReading) for reading in first) == 3
    assert world.readings() == []
    own = first[2]
    assert isinstance(own, OwnReading)
    assert (own.ordered_heading_deg, own.ordered_speed_kn) == pytest.approx((0.0, 12.0), abs=0.01)
    assert (own.cog_deg, own.sog_kn) == pytest.approx((0.0, 12.0), abs=1e-9)


def test_order_is_carried_out_and_reported() -> None:
    world, readings = run(scenario("imazu-01"), 400.0, orders={10: order(heading_deg=-300.0, speed_kn=8.0)})
    last = [reading for reading in readings if isinstance(reading, OwnReading)][-1]
    assert (last.ordered_heading_deg, last.ordered_speed_kn) == (60.0, 8.0)
    assert last.heading_deg == pytest.approx(60.0, abs=0.5)
    assert last.sog_kn == pytest.approx(8.0, abs=0.3)
    assert [t for t, _ in world.trace.orders] == [10.0]


@pytest.mark.parametrize("setpoints", [{"heading_deg": float("nan")}, {"speed_kn": float("inf")}, {"rudder": 3.0}])
def test_order_that_the_autopilot_cannot_take_is_refused(setpoints: dict[str, float]) -> None:
    world = ShipWorld(scenario("imazu-01"))
    with pytest.raises(ValueError, match=next(iter(setpoints))):
        world.apply(order(**setpoints))
    assert world.trace.orders == []


def test_without_orders_the_route_is_followed_to_the_goal() -> None:
    case = meeting("hold", 90.0, (8.0, -9.0)).model_copy(update={"route": ((50.05, 0.0), (50.08, 0.08)), "targets": ()})
    world = ShipWorld(case)
    while not world.done:
        world.step()
    goal = world.plane.to_plane(50.08, 0.08)
    assert hypot(world.own.north_m - goal[0], world.own.east_m - goal[1]) <= 0.25 * NM_M
    assert world.t_s < case.duration_s


def test_current_sets_own_ship_but_the_route_is_kept() -> None:
    around = scenario("imazu-01").environment.model_copy(
        update={"current_kn": 2.0, "current_to_deg": 90.0, "wind_kn": 25.0, "wind_from_deg": 270.0}
    )
    world, readings = run(meeting("hold", 0.0, (0.0, -9.0)).model_copy(update={"environment": around}), 1500.0)
    assert abs(world.own.east_m) < 300.0
    own = [reading for reading in readings if isinstance(reading, OwnReading)][-1]
    assert own.heading_deg == pytest.approx(349.0, abs=4.0), "it heads into the current"
    assert own.cog_deg is not None and min(own.cog_deg, 360.0 - own.cog_deg) < 3.0


def test_run_ends_early_once_the_target_is_past() -> None:
    world = ShipWorld(scenario("imazu-04"))
    while not world.done:
        world.step()
    assert 1800.0 < world.t_s < 2400.0


@pytest.mark.parametrize(
    ("heading_deg", "place", "speed_kn"),
    [(180.0, (6.0, 0.0), 12.0), (270.0, (3.0, 3.0), 12.0), (90.0, (3.0, -3.0), 12.0), (0.0, (-1.6, 0.0), 16.0)],
)
def test_complying_target_gives_way_exactly_when_the_rules_ask(heading_deg: float, place: tuple[float, float], speed_kn: float) -> None:
    world, _ = run(meeting("comply", heading_deg, place, speed_kn), 2400.0)
    turns = [(state.heading_deg - heading_deg + 180.0) % 360.0 - 180.0 for state in world.trace.targets[0]]
    stands_on = heading_deg == 270.0
    assert max(turns) > 25.0, "to starboard, in the end even the stand-on vessel (Rule 17(b))"
    assert min(turns) > -30.0
    if stands_on:
        begun = next(i for i, turn in enumerate(turns) if turn > 2.0)
        own, target = world.trace.own[begun], world.trace.targets[0][begun]
        assert hypot(own.north_m - target.north_m, own.east_m - target.east_m) < 0.9 * NM_M, "only in extremis"
    else:
        assert nearest_nm(world) > 0.45


@pytest.mark.parametrize("behaviour", ["port_turn", "stop", "zigzag", "speed_up"])
def test_misbehaving_target_begins_when_own_ship_is_near_and_obeys_its_hull(behaviour: str) -> None:
    world, _ = run(meeting(behaviour, 270.0, (3.0, 3.2)), 1500.0)
    track, ship = world.trace.targets[0], world.vessels[0].parameters
    begun = next(i for i, state in enumerate(track) if abs(state.heading_deg - 270.0) > 1.0 or abs(state.speed_kn - 12.0) > 0.1)
    own = world.trace.own[begun]
    assert 1.2 < hypot(own.north_m - track[begun].north_m, own.east_m - track[begun].east_m) / NM_M < 1.5
    assert max(abs(state.rot_deg_min) for state in track) <= ship.max_rot_deg_min + 1.0
    last = track[-1]
    if behaviour == "port_turn":
        assert last.heading_deg == pytest.approx(210.0, abs=1.0)
    if behaviour == "stop":
        assert last.speed_kn < 0.5
    if behaviour == "zigzag":
        assert {round(state.heading_deg) for state in track} >= {245, 295}
    if behaviour == "speed_up":
        assert last.speed_kn > 14.5


def test_target_keeps_to_its_waypoints() -> None:
    case = meeting("hold", 90.0, (5.0, -4.0))
    plane = LocalPlane(50.0, 0.0)
    corner, end = plane.to_geo(5.0 * NM_M, -2.0 * NM_M), plane.to_geo(8.0 * NM_M, -2.0 * NM_M)
    start = case.targets[0].model_copy(update={"waypoints": (corner, end), "leg_speeds_kn": (12.0, 8.0)})
    world, _ = run(case.model_copy(update={"targets": (start,)}), 1500.0)
    last = world.vessels[0].state
    assert last.heading_deg == pytest.approx(0.0, abs=3.0) or last.heading_deg > 357.0
    assert last.speed_kn == pytest.approx(8.0, abs=0.2)
    assert last.east_m / NM_M == pytest.approx(-2.0, abs=0.1)


def test_noise_delay_dropout_and_intervals_are_as_stated() -> None:
    case = meeting("hold", 180.0, (9.0, 1.0), position_sigma_m=15.0, course_sigma_deg=8.0, ais_intervals=True, delay_s=2.0, dropout=0.1)
    world = ShipWorld(case, 1)
    seen: list[tuple[float, TargetReading]] = []
    for _ in range(2400):
        world.step()
        seen += [(world.t_s, reading) for reading in world.readings() if isinstance(reading, TargetReading)]
    assert 195 <= len(seen) <= 235, "every 10 s, a tenth lost"
    assert all(2.0 <= now - reading.t_s <= 3.0 for now, reading in seen)
    truth = world.trace.targets[0]
    errors = []
    for _, reading in seen:
        assert reading.lat_deg is not None and reading.lon_deg is not None
        north, east = world.plane.to_plane(reading.lat_deg, reading.lon_deg)
        errors.append(hypot(north - truth[round(reading.t_s)].north_m, east - truth[round(reading.t_s)].east_m))
    assert 15.0 < sum(errors) / len(errors) < 23.0, "mean of a Rayleigh distribution is 1.25 sigma"


def test_ais_is_silent_during_a_loss() -> None:
    _, readings = run(meeting("hold", 180.0, (9.0, 0.0), losses_s=((60.0, 120.0),)), 200.0)
    times = [reading.t_s for reading in readings if isinstance(reading, TargetReading)]
    assert not [t for t in times if 60.0 <= t < 120.0]
    assert max(times) == 200.0


def test_ghosts_twins_changed_numbers_and_hostile_names_appear() -> None:
    _, readings = run(
        meeting("hold", 180.0, (9.0, 0.0), ghosts=2, duplicate_mmsi=True, wrong_mmsi=True, hostile_names=True), 1500.0, seed=2
    )
    reports = [reading for reading in readings if isinstance(reading, TargetReading)]
    numbers = {report.track_id for report in reports}
    assert {"mmsi:257000001", "mmsi:257500001"} <= numbers
    assert len(numbers) == 4, "the target under two numbers, two ghosts"
    assert {report.name_untrusted for report in reports if report.track_id == "mmsi:257500001"} <= set(HOSTILE_NAMES)
    early = [report for report in reports if report.t_s == 100.0 and report.track_id == "mmsi:257000001"]
    assert len(early) == 2, "two vessels report under one number"


@pytest.mark.parametrize(
    ("speed", "turn", "status", "interval"),
    [(0.0, 0.0, 1, 180.0), (12.0, 0.0, 0, 10.0), (12.0, 20.0, 0, 10.0 / 3.0), (20.0, 0.0, 0, 6.0), (25.0, 0.0, 0, 2.0)],
)
def test_ais_interval_follows_speed_and_turn(speed: float, turn: float, status: int, interval: float) -> None:
    assert ais_interval_s(speed, turn, status) == interval


def test_sentences_decode_to_the_readings() -> None:
    world = ShipWorld(scenario("imazu-13"))
    decoder, start = NmeaDecoder(), datetime(2026, 1, 1, tzinfo=UTC)
    decoded: list[Reading] = []
    for _ in range(3):
        world.step()
        for line in world.sentences(world.readings(), start):
            decoded += decoder.feed(line, world.t_s)
    assert decoder.faults == []
    targets = {reading.track_id: reading for reading in decoded if isinstance(reading, TargetReading) and reading.lat_deg is not None}
    assert set(targets) == {f"mmsi:{target.mmsi}" for target in world.scenario.targets}
    for vessel in world.vessels:
        reading = targets[f"mmsi:{vessel.start.mmsi}"]
        assert reading.lat_deg is not None and reading.lon_deg is not None
        north, east = world.plane.to_plane(reading.lat_deg, reading.lon_deg)
        assert hypot(north - vessel.state.north_m, east - vessel.state.east_m) < 1.0
    assert {reading.name_untrusted for reading in decoded if isinstance(reading, TargetReading)} >= {"IMAZU 13 TS1"}
    own = [reading for reading in decoded if isinstance(reading, OwnReading)]
    assert {field for reading in own for field, value in reading.model_dump().items() if value is not None} >= {
        "lat_deg",
        "heading_deg",
        "rudder_deg",
    }


def test_world_is_fast_enough() -> None:
    assert max(steps_per_second(1000) for _ in range(3)) > 2000.0, "5,000 is the aim on a quiet core; here others may be working"
