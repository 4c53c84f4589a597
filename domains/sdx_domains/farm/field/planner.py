"""Which irrigation is best: least water for full yield, by profit in which lost yield counts more than its price (planner.yaml)."""

from collections.abc import Sequence

from sdx_domains.contract import Proposal
from sdx_domains.farm.field import language
from sdx_domains.farm.field.options import planner
from sdx_domains.farm.field.picture import FieldOption, FieldPicture


def best(options: Sequence[FieldOption], least_gain: float | None = None) -> FieldOption:
    """The option of most worth; none today unless another one is clearly better, because water can still be given tomorrow.

    ValueError when there is none.
    """
    none = next((option for option in options if option.amount_mm == 0.0), None)
    if none is None:
        raise ValueError(f"no irrigation is not among the {len(options)} options")
    chosen = max(options, key=lambda option: (option.outcome.value_usd_ha, option is none, option.id))
    gain = planner().least_gain if least_gain is None else least_gain
    return chosen if chosen.outcome.value_usd_ha - none.outcome.value_usd_ha >= gain else none


def planned(picture: FieldPicture, options: Sequence[FieldOption]) -> Proposal:
    """The planner's proposal with its reason; it abstains where nothing is offered."""
    if not options:
        return Proposal(option_id=None, source="fallback", picture_id=picture.id)
    chosen = best(options)
    return Proposal(option_id=chosen.id, source="fallback", picture_id=picture.id, reason=language.advise(picture, chosen, "en"))
