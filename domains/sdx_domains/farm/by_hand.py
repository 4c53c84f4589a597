"""Set-points that a person gives by hand, made into a plan that the controller holds."""

from collections.abc import Mapping

from sdx_domains.farm.control.limits import outside
from sdx_domains.farm.control.rules import rule_plan
from sdx_domains.farm.picture import FarmPicture
from sdx_domains.farm.plan import Knot, Plan


def wished(picture: FarmPicture, wish: Mapping[str, float]) -> dict[str, float]:
    """The set-points of a plan that is the rules' but for what is wished, and stands until its order ends.

    Args:
        wish: set-points by the names of plan.Knot, e.g. {"heat_temp_c": 19.0, "vent_temp_c": 23.0}.

    Raises:
        ValueError: no such set-point, or outside of what a plan may ask for; with the limit.
    """
    unknown = sorted(wish.keys() - Knot.model_fields.keys())
    if unknown or not wish:
        raise ValueError(f"no set-point {', '.join(unknown) or 'was given'}; there are {', '.join(Knot.model_fields)}")
    knot = rule_plan(picture, hours=1).knots[0].model_copy(update=dict(wish))
    plan = Plan(start_s=picture.t_s, knots=(knot,))
    if wrong := outside(plan):
        raise ValueError("; ".join(wrong))
    return plan.setpoints()
