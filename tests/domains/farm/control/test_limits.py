"""Every limit has a source; the soft box names what lies outside it."""

import numpy as np
import pytest

from sdx_domains.farm.control.limits import clipped, limits, outside
from sdx_domains.farm.control.rules import rule_plan
from sdx_domains.farm.greenhouse.vectors import SETPOINT_NAMES, SETPOINTS
from sdx_domains.farm.plan import Plan


def test_every_limit_has_a_source():
    known = limits()
    named = {*known.soft, *known.plan.__class__.model_fields, *known.hard.__class__.model_fields, *known.data.__class__.model_fields}
    assert named == set(known.sources)
    assert all(len(source) > 0 for source in known.sources.values())
    assert set(known.soft) == set(SETPOINT_NAMES)


@pytest.mark.parametrize("name", SETPOINT_NAMES)
def test_a_set_point_beyond_its_range_is_named(house, name):
    plan = rule_plan(house())
    for wrong in (limits().soft[name].low - 0.1, limits().soft[name].high + 0.1):
        sent = plan.setpoints() | {f"{name}@2": wrong}
        said = outside(Plan.of_setpoints(sent))
        assert any(line.startswith(f"{name} {wrong:g} at hour 2") for line in said), said


def test_vents_below_heating_and_a_jump_of_heating_are_named(house):
    knots = rule_plan(house()).setpoints()
    said = outside(Plan.of_setpoints(knots | {"heat_temp_c@1": 24.0, "vent_temp_c@1": 23.0}))
    assert any("vent_temp_c is" in line for line in said)
    said = outside(Plan.of_setpoints(knots | {"heat_temp_c@0": 15.0, "heat_temp_c@1": 22.0}))
    assert any("changes by 7 K" in line for line in said)


def test_clipped_brings_anything_inside():
    table = clipped(np.random.default_rng(0).uniform(-1e6, 1e6, (50, SETPOINTS)))
    low, high = limits().box()
    assert (table >= low).all()
    assert (np.delete(table, 1, axis=1) <= np.delete(high, 1)).all()
    assert (table[:, 1] - table[:, 0] >= limits().plan.dead_zone_min_k).all()
