"""The last word on irrigation: assure() a proposal, check() a standing order, fallback() when nobody decides.

Deterministic. No water on unfit data, at field capacity, or where forecast rain will fill the soil; never more than a day's cap or than
the soil can hold. Limits: limits.yaml.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import yaml

from sdx_domains.contract import Closed, Order, Proposal, Verdict, VerdictKind
from sdx_domains.farm.field import figures
from sdx_domains.farm.field.options import label
from sdx_domains.farm.field.orders import irrigation_of, setpoints
from sdx_domains.farm.field.picture import DAY_S, FieldOption, FieldPicture
from sdx_domains.farm.field.rules import rule_mm


class FieldLimits(Closed):
    """limits.yaml."""

    daily_cap_mm: float
    ahead_days: int
    wet_margin_mm: float
    rain_days: int
    rain_trust: float


@cache
def limits() -> FieldLimits:
    return FieldLimits.model_validate(yaml.safe_load((files(__package__ or "") / "limits.yaml").read_text(encoding="utf-8")))


def safe_mm(picture: FieldPicture, setpoints_: Mapping[str, float]) -> tuple[float | None, int, tuple[str, ...]]:
    """What may be given of an irrigation: (mm, day, why). None: it is rejected; less than asked: clipped."""
    found = irrigation_of(setpoints_)
    if found is None:
        return None, picture.day, (f"set-points {dict(setpoints_)} are not an irrigation: irrigation_mm from 0 and a whole day are wanted",)
    asked, day = found
    bounds = limits()
    if not picture.day <= day <= picture.day + bounds.ahead_days:
        return None, day, (f"day {day} is not within {bounds.ahead_days} days from day {picture.day}",)
    if asked == 0.0:
        return 0.0, day, ()
    if picture.unfit:
        return None, day, picture.unfit
    if picture.days_to_harvest <= 0:
        return None, day, ("the crop is ripe",)
    reasons = _soil_is_full(picture, day) or _rain_will_do(picture, day)
    if reasons:
        return None, day, reasons
    return _within(picture, asked, day)


def _soil_is_full(picture: FieldPicture, day: int) -> tuple[str, ...]:
    """Field capacity by the balance, or by the good sensors among the roots; today only, a later day is looked at when it comes."""
    if day > picture.day:
        return ()
    if picture.depletion_mm <= limits().wet_margin_mm:
        return (f"IR-9 the soil holds field capacity: {picture.depletion_mm:.1f} mm are missing",)
    rooted = [s.vwc_m3_m3 for s in picture.sensors if s.quality == "good" and s.depth_m <= picture.root_m]
    if rooted and min(rooted) >= picture.field_capacity_m3_m3:
        return (f"IR-9 every sensor among the roots is at field capacity or above: {min(rooted):.3f} m3/m3",)
    return ()


def _rain_will_do(picture: FieldPicture, day: int) -> tuple[str, ...]:
    """Rain of the next days that would fill the soil by itself."""
    if picture.forecast is None:
        return ()
    bounds, first = limits(), day - picture.day
    rain = sum(picture.forecast.rain_mm[first : first + bounds.rain_days])
    need = picture.depletion_mm + picture.etc_mm * first
    if rain > 0.0 and bounds.rain_trust * rain >= need:
        return (f"IR-18 {rain:.1f} mm of rain are forecast, {need:.1f} mm are missing in the soil",)
    return ()


def _within(picture: FieldPicture, asked: float, day: int) -> tuple[float, int, tuple[str, ...]]:
    """Not above the cap, not above what the soil can take with the day's own use."""
    room = picture.depletion_mm + max(picture.etc_mm, 1.0) * (1 + day - picture.day)
    most = min(limits().daily_cap_mm, room)
    if asked <= most:
        return asked, day, ()
    what = "the cap of a day" if most == limits().daily_cap_mm else "what the soil can hold"
    return round(most, 1), day, (f"{asked:.1f} mm cut to {most:.1f} mm, {what}",)


def assure(picture: FieldPicture, options: Sequence[FieldOption], proposal: Proposal) -> Verdict:
    """Offered, true to the picture, and safe: accept, clip or reject."""
    option = next((item for item in options if item.id == proposal.option_id), None)
    if option is None:
        offered = ", ".join(item.id for item in options) or "none"
        what = "the proposal abstains" if proposal.option_id is None else f"option {proposal.option_id!r} was not offered ({offered})"
        return _verdict(picture, "reject", (what,))
    untrue = figures.unsupported(proposal.reason, picture, option) if proposal.reason and proposal.picture_id in ("", picture.id) else []
    if untrue:
        return _verdict(picture, "reject", tuple(untrue))
    amount, day, reasons = safe_mm(picture, option.setpoints)
    if amount is None:
        return _verdict(picture, "reject", reasons)
    order = _order(picture, amount, day, proposal, option)
    return _verdict(picture, "clip" if reasons else "accept", reasons, order)


def check(picture: FieldPicture, order: Order) -> Verdict:
    """May this order stand? What it would give today or later is held to the same limits; a day that is over asks nothing."""
    found = irrigation_of(order.setpoints)
    if found is not None and found[1] < picture.day:
        return _verdict(picture, "accept", ("its day is over",))
    amount, _, reasons = safe_mm(picture, order.setpoints)
    if amount is None or found is None or amount < found[0]:
        return _verdict(picture, "reject", reasons)
    return _verdict(picture, "accept")


def fallback(picture: FieldPicture) -> Verdict:
    """The stage-wise thresholds of rules.yaml, inside the same limits; nothing on unfit data."""
    amount, _, reasons = safe_mm(picture, setpoints(rule_mm(picture), picture.day))
    why = reasons or picture.unfit or ("the curve of allowed depletion holds",)
    return _verdict(picture, "fallback", why, _order(picture, amount or 0.0, picture.day, None, None))


def _order(picture: FieldPicture, amount: float, day: int, proposal: Proposal | None, option: FieldOption | None) -> Order:
    """Valid to just before the end of its day."""
    return Order(
        domain=picture.domain, setpoints=setpoints(amount, day), issued_s=picture.t_s, source=proposal.source if proposal else "fallback",
        valid_for_s=max((day + 1) * DAY_S - picture.t_s - 1.0, 1.0), picture_id=picture.id, option_id=option.id if option else "",
        label=label(day - picture.day, amount),
    )  # fmt: skip


def _verdict(picture: FieldPicture, kind: VerdictKind, reasons: tuple[str, ...] = (), order: Order | None = None) -> Verdict:
    bounds = limits()
    margins = {"depletion_mm": round(picture.depletion_mm, 1)}
    if order is not None:
        margins["cap_mm"] = round(bounds.daily_cap_mm - order.setpoints["irrigation_mm"], 1)
    return Verdict(kind=kind, picture_id=picture.id, reasons=reasons, margins=margins, order=order)
