"""No water on full soil, before rain that fills it, on unfit data; never more than the cap or than the soil can hold."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdx_domains.contract import Order, Proposal
from sdx_domains.equipment import Alarm
from sdx_domains.farm.field import assurance
from sdx_domains.farm.field.options import options
from sdx_domains.farm.field.orders import setpoints
from sdx_domains.farm.field.picture import DAY_S, FieldForecast, FieldPicture

Played = Callable[..., FieldPicture]
Ordered = Callable[[float, int], Order]


def with_rain(picture: FieldPicture, *rain: float) -> FieldPicture:
    days = len(rain)
    return picture.model_copy(update={
        "forecast": FieldForecast(tmin_c=(15.0,) * days, tmax_c=(30.0,) * days, rain_mm=rain, et0_mm=(6.0,) * days)
    })  # fmt: skip


@pytest.fixture
def dry(played: Played) -> FieldPicture:
    return with_rain(played(60), 0.0, 0.0, 0.0)


def proposal(option_id: str | None, reason: str = "") -> Proposal:
    return Proposal(option_id=option_id, reason=reason)


def test_an_offered_irrigation_of_a_dry_field_is_accepted(dry: FieldPicture) -> None:
    offered = options(dry)
    chosen = next(option for option in offered if option.amount_mm == 15.0 and option.in_days == 0)
    verdict = assurance.assure(dry, offered, proposal(chosen.id))
    assert verdict.kind == "accept" and verdict.order is not None
    assert verdict.order.setpoints == {"irrigation_mm": 15.0, "day": 60.0}
    assert not verdict.order.expired(dry.t_s + DAY_S - 2) and verdict.order.expired(dry.t_s + DAY_S)
    assert assurance.check(dry, verdict.order).kind == "accept"


def test_abstaining_or_an_unknown_option_is_rejected(dry: FieldPicture) -> None:
    offered = options(dry)
    assert "abstains" in assurance.assure(dry, offered, proposal(None)).reasons[0]
    assert "not offered" in assurance.assure(dry, offered, proposal("Z9")).reasons[0]


def test_a_reason_with_a_number_that_is_not_there_is_rejected(dry: FieldPicture) -> None:
    verdict = assurance.assure(dry, options(dry), proposal("A", f"The root zone lacks {dry.depletion_mm + 7:.1f} mm."))
    assert verdict.kind == "reject" and "is not a figure" in verdict.reasons[0]
    assert assurance.assure(dry, options(dry), proposal("A", f"The root zone lacks {dry.depletion_mm:.1f} mm.")).kind == "accept"


def test_full_soil_takes_no_water(played: Played) -> None:
    full = with_rain(played(3), 0.0, 0.0).model_copy(update={"depletion_mm": 0.4})
    amount, _, reasons = assurance.safe_mm(full, setpoints(10.0, full.day))
    assert amount is None and reasons[0].startswith("IR-9")


def test_sensors_at_field_capacity_overrule_the_balance(dry: FieldPicture) -> None:
    wet = dry.model_copy(update={"sensors": tuple(s.model_copy(update={"vwc_m3_m3": 0.23, "quality": "good"}) for s in dry.sensors)})
    amount, _, reasons = assurance.safe_mm(wet, setpoints(10.0, wet.day))
    assert amount is None and "0.230" in reasons[0]


def test_rain_that_fills_the_soil_takes_the_place_of_irrigation(dry: FieldPicture) -> None:
    need = dry.depletion_mm
    assert assurance.safe_mm(with_rain(dry, need, need), setpoints(10.0, dry.day))[0] is None
    assert assurance.safe_mm(with_rain(dry, need / 4, 0.0), setpoints(10.0, dry.day))[0] == 10.0


def test_more_than_a_days_cap_is_clipped(dry: FieldPicture) -> None:
    amount, _, reasons = assurance.safe_mm(dry, setpoints(90.0, dry.day))
    assert amount == 25.0 and "cap" in reasons[0]
    damp = dry.model_copy(update={"depletion_mm": 6.0, "etc_mm": 5.0})
    assert assurance.safe_mm(damp, setpoints(20.0, dry.day))[0] == 11.0


def test_unfit_data_give_no_water_by_any_way(dry: FieldPicture, order: Ordered) -> None:
    alarm = Alarm(kind="leak", severity="critical", since_s=0.0, detail="leak")
    unfit = dry.model_copy(update={"unfit": ("the station is silent",), "alarms": (alarm,)})
    assert options(unfit) == ()
    assert assurance.safe_mm(unfit, setpoints(10.0, dry.day))[0] is None
    held = assurance.fallback(unfit)
    assert held.order is not None and held.order.setpoints["irrigation_mm"] == 0.0 and "silent" in held.reasons[0]
    assert assurance.check(unfit, order(20.0, dry.day)).kind == "reject"


def test_the_fallback_waters_a_dry_field_and_its_order_stands(dry: FieldPicture) -> None:
    held = assurance.fallback(dry)
    assert held.kind == "fallback" and held.order is not None
    assert held.order.setpoints["irrigation_mm"] == 25.0
    assert assurance.check(dry, held.order).kind == "accept"


def test_an_order_whose_day_is_over_asks_nothing(dry: FieldPicture, order: Ordered) -> None:
    assert assurance.check(dry, order(25.0, dry.day - 1)).kind == "accept"


ANY = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-(10**6), 10**6).map(float), st.floats(0, 40))


@settings(max_examples=400, deadline=None)
@given(amount=ANY, day=ANY, key=st.sampled_from(["irrigation_mm", "irrigation_m", "ignore the rules"]), deplete=st.floats(-50, 300))
def test_no_command_leaves_the_box(played: Played, amount: float, day: float, key: str, deplete: float) -> None:
    picture = with_rain(played(60), 0.0, 0.0).model_copy(update={"depletion_mm": deplete})
    asked = {key: amount, "day": day}
    given_mm, on, _ = assurance.safe_mm(picture, asked)
    if given_mm is None:
        return
    assert key == "irrigation_mm" and math.isfinite(amount) and picture.day <= on <= picture.day + 5
    assert 0.0 <= given_mm <= min(amount, 25.0)
    stands = Order(domain="farm", setpoints=asked, issued_s=picture.t_s, valid_for_s=DAY_S, source="model", picture_id="")
    assert (assurance.check(picture, stands).kind == "accept") == (given_mm >= amount)
