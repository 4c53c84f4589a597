"""The safety layer of plans: a proposal becomes an order only through here; a standing plan is watched; the rules always have one.

assure(): is the option one of those offered, are the proposal's figures true, is its plan inside the soft box, and does a roll-out made
anew from the set-points stay off the hard limits and no worse in bounds than the rules. Whether a plan is safe is believed of nothing stored
in an option. Who misreads what limits or threatens the house is put right, and keeps its plan only where it is as good as the planner's.
Behind every plan the controller's safety filter holds the hard limits whatever a plan asks.
"""

from collections.abc import Sequence
from math import isfinite

from sdx_domains.contract import Order, Proposal, Verdict, VerdictKind
from sdx_domains.farm.control.limits import limits, outside
from sdx_domains.farm.faithful import unsupported_numbers
from sdx_domains.farm.picture import FarmOption, FarmPicture
from sdx_domains.farm.plan import Plan
from sdx_domains.farm.planner import CLOSE_EUR_M2, best, worth_eur_m2
from sdx_domains.farm.situation import wrong_understanding

VALID_S = 8 * 3600.0
"""An order's life: the six hours of its knots, and two for a late decision."""
RH_WORSE, TEMP_WORSE = 0.15, 0.05
"""A plan that would spend so much more of the time out of bounds than the rules' is turned down, whatever it earns; judgement."""


def assure(picture: FarmPicture, options: Sequence[FarmOption], proposal: Proposal) -> Verdict:
    """accept with an order; clip where the house was misread; reject with every reason found at the first failing step. Pure, deterministic.

    ValueError: the house was misread and the rules' plan is not among the options, so none can stand in; the caller turns it down.

    Margins: how the plan compares with limits in the roll-out: temp_low_k and temp_high_k above and below the hard limits,
    rh_out_share and temp_out_share below what is still let pass, gain_eur_m2 against the rules.
    """
    option = next((o for o in options if o.id == proposal.option_id), None)
    if option is None:
        offered = ", ".join(o.id for o in options) or "none"
        what = "the proposal abstains" if proposal.option_id is None else f"option {proposal.option_id!r} was not offered ({offered})"
        return _verdict(picture, "reject", (what,))
    reasons = (*_unfit_data(picture), *_untrue(picture, option, proposal))
    option, misread = _put_right(picture, options, option, proposal)
    try:
        plan = Plan.of_setpoints(option.setpoints)
    except ValueError as error:
        return _verdict(picture, "reject", (*reasons, f"option {option.id}: {error}"))
    reasons = (*reasons, *unfit(picture, plan), *_unfit_time(option))
    if reasons:
        return _verdict(picture, "reject", reasons)
    reasons, margins = _simulated(picture, plan)
    if reasons:
        return _verdict(picture, "reject", reasons, margins)
    order = _order(picture, plan, option.valid_for_s, proposal.source, option)
    return _verdict(picture, "clip" if misread else "accept", misread, margins, order)


def check(picture: FarmPicture, order: Order) -> Verdict:
    """May this standing order go on standing? accept or reject; well below a millisecond, no roll-out."""
    try:
        plan = Plan.of_setpoints(order.setpoints)
    except ValueError as error:
        return _verdict(picture, "reject", (str(error),))
    reasons = unfit(picture, plan)
    if order.expired(picture.t_s):
        reasons += (f"the plan's time is over since {picture.t_s - order.issued_s - order.valid_for_s:.0f} s",)
    if order.option_id:  # somebody's choice; the rules are what holds in an alarm
        reasons += tuple(f"alarm {alarm.kind}: {alarm.detail}" for alarm in picture.alarms if alarm.severity == "critical")
    return _verdict(picture, "reject" if reasons else "accept", reasons)


def fallback(picture: FarmPicture) -> Verdict:
    """The rules' plan from now on; kind "fallback", its order always there."""
    from sdx_domains.farm.control.rules import rule_plan

    order = _order(picture, rule_plan(picture), VALID_S, "fallback", None)
    return _verdict(picture, "fallback", ("the rules hold",), order=order)


def unfit(picture: FarmPicture, plan: Plan) -> tuple[str, ...]:
    """What speaks against a plan by itself: outside the soft box, or of another time."""
    late, early = limits().plan.start_late_s, limits().plan.start_early_s
    away = plan.start_s - picture.t_s
    wrong = () if -early <= away <= late else (f"the plan starts {away:.0f} s from now; {-early:.0f} to {late:.0f} s are allowed",)
    return (*outside(plan), *wrong)


def _unfit_data(picture: FarmPicture) -> tuple[str, ...]:
    missing = [name for name, known in (("forecast", picture.forecast), ("prices", picture.prices), ("twin", picture.twin)) if not known]
    return (f"no {' and no '.join(missing)} in the picture: the rules hold",) if missing else ()


def _untrue(picture: FarmPicture, option: FarmOption, proposal: Proposal) -> tuple[str, ...]:
    """Figures of the proposal that the picture it was made from does not have."""
    return tuple(unsupported_numbers(proposal.reason, picture, [option])) if proposal.reason and _of(picture, proposal) else ()


def _of(picture: FarmPicture, proposal: Proposal) -> bool:
    """Was it made from this picture? An older one's words are no concern of this one."""
    return proposal.picture_id in ("", picture.id)


def _put_right(
    picture: FarmPicture, options: Sequence[FarmOption], option: FarmOption, proposal: Proposal
) -> tuple[FarmOption, tuple[str, ...]]:
    """The plan that may stand, and what was misread with what became of it; the option itself and nothing where all was read rightly."""
    misread = wrong_understanding(picture, proposal) if _of(picture, proposal) else ()
    if not misread:
        return option, ()
    planned = best(options)
    if worth_eur_m2(planned.outcome) - worth_eur_m2(option.outcome) < CLOSE_EUR_M2 and not option.flags:
        return option, (*misread, f"plan {option.id} is as good as the planner's and stands")
    return planned, (*misread, f"the planner's plan {planned.id} stands in for {option.id}")


def _unfit_time(option: FarmOption) -> tuple[str, ...]:
    low, high = limits().plan.valid_min_s, limits().plan.valid_max_s
    within = isfinite(option.valid_for_s) and low <= option.valid_for_s <= high
    return () if within else (f"valid_for_s is {option.valid_for_s!r}; {low:.0f} to {high:.0f} s are allowed",)


def _simulated(picture: FarmPicture, plan: Plan) -> tuple[tuple[str, ...], dict[str, float]]:
    """The plan and then the rules, beside the rules alone, in the twin: what speaks against it, and the margins."""
    from sdx_domains.farm.options import outcomes_of_plan

    outcome, rules, breaks = outcomes_of_plan(picture, plan)
    hard = limits().hard
    rh_room = rules.rh_out_share + RH_WORSE - outcome.rh_out_share
    temp_room = rules.temp_out_share + TEMP_WORSE - outcome.temp_out_share
    reasons = [f"breaks {flag} in the simulation" for flag in breaks]
    if rh_room < 0.0:
        reasons.append(f"humidity is out of bounds {outcome.rh_out_share:.0%} of the time, {rules.rh_out_share:.0%} under the rules")
    if temp_room < 0.0:
        reasons.append(f"temperature is out of bounds {outcome.temp_out_share:.0%} of the time, {rules.temp_out_share:.0%} under the rules")
    margins = {
        "temp_low_k": outcome.temp_min_c - hard.cold_c,
        "temp_high_k": hard.hot_c - outcome.temp_max_c,
        "rh_out_share": rh_room,
        "temp_out_share": temp_room,
        "gain_eur_m2": outcome.gain_eur_m2,
    }
    return tuple(reasons), margins


def _order(picture: FarmPicture, plan: Plan, valid_s: float, source, option: FarmOption | None) -> Order:
    return Order(
        domain=picture.domain,
        setpoints=plan.setpoints(),
        issued_s=picture.t_s,
        valid_for_s=valid_s,
        source=source,
        picture_id=picture.id,
        option_id=option.id if option else "",
        label=option.label if option else "the rules' plan",
    )


def _verdict(
    picture: FarmPicture,
    kind: VerdictKind,
    reasons: tuple[str, ...] = (),
    margins: dict[str, float] | None = None,
    order: Order | None = None,
) -> Verdict:
    rounded = {name: round(value, 3) for name, value in (margins or {}).items() if isfinite(value)}
    return Verdict(kind=kind, picture_id=picture.id, reasons=reasons, margins=rounded, order=order)
