"""What of past pictures is kept for drawing."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "ros_nodes"))

from heated_tank import HeatedTank

from sdx_domains.contract import load_domain
from sdx_ui.page.trails import Trail, measured, places, trail_of


def house(t_s: float, temp_c: float | None) -> Any:
    known = {} if temp_c is None else {"air_temp_c": SimpleNamespace(value=temp_c)}
    return SimpleNamespace(t_s=t_s, measured=known, actuators=(SimpleNamespace(device="vent", position_pct=40.0),))


def test_one_point_in_its_time_and_the_last_ones() -> None:
    trail = Trail(measured, every_s=600.0, most=3)
    for minute in range(60):
        trail.extend(house(60.0 * minute, 20.0 + minute))
    assert trail.points()["air_temp_c"] == [(1800.0, 50.0), (2400.0, 60.0), (3000.0, 70.0)]
    assert trail.points()["vent"][-1] == (3000.0, 40.0)
    trail.extend(house(3600.0, None))
    assert set(trail.points()) == {"vent"}
    trail.clear()
    assert trail.points() == {}


def test_the_domain_says_what_is_drawn() -> None:
    ship, tank = trail_of(load_domain("ship")), trail_of(HeatedTank())
    vessel = SimpleNamespace(lat_deg=1.0, lon_deg=2.0, label="T1")
    picture = SimpleNamespace(t_s=0.0, own=vessel, targets=(vessel,))
    assert places(picture) == {"own": (1.0, 2.0), "T1": (1.0, 2.0)}
    ship.extend(picture)
    assert ship.points() == {"own": [(1.0, 2.0)], "T1": [(1.0, 2.0)]}
    tank.extend(SimpleNamespace(t_s=0.0))
    assert tank.points() == {}
