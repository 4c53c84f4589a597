"""A person's set-points: the rules' plan but for what is wished, within what a plan may ask for."""

from typing import Any

import pytest

pytest.importorskip("numba")

from sdx_domains.contract import Order
from sdx_domains.farm.by_hand import wished
from sdx_domains.farm.control.controller import FarmController
from sdx_domains.farm.plan import Plan


def test_a_wish_is_held_and_the_rest_is_the_rules(moment: Any) -> None:
    picture, _ = moment(0)
    setpoints = wished(picture, {"heat_temp_c": 20.5, "vent_temp_c": 25.0})
    knot = Plan.of_setpoints(setpoints).knots[0]
    assert (knot.heat_temp_c, knot.vent_temp_c) == (20.5, 25.0)
    order = Order(
        domain=picture.domain, setpoints=setpoints, issued_s=picture.t_s, valid_for_s=3600.0, source="human", picture_id=picture.id
    )
    controller = FarmController()
    assert controller.act(picture, order, picture.t_s)
    assert "no_order" not in {alarm.kind for alarm in controller.alarms()} and not [a for a in controller.alarms() if "plan" in a.detail]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({}, "no set-point was given"),
        ({"temp": 20.0}, "no set-point temp; there are heat_temp_c"),
        ({"heat_temp_c": 40.0}, "heat_temp_c 40 at hour 0 is outside 15 to 26"),
        ({"heat_temp_c": 24.0, "vent_temp_c": 23.0}, "vent_temp_c is -1 K above heat_temp_c"),
        ({"heat_temp_c": float("nan")}, "finite"),
    ],
)
def test_what_no_plan_may_ask_for_is_refused(moment: Any, wish: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wished(moment(0)[0], wish)
