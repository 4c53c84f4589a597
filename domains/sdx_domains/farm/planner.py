"""Which plan is best: profit, with time out of bounds paid for at an explicit rate."""

from collections.abc import Sequence

from sdx_domains.contract import Proposal
from sdx_domains.farm.language import reason
from sdx_domains.farm.picture import FarmOption, FarmPicture, Outcome
from sdx_domains.farm.situation import understanding_of
from sdx_domains.farm.strategies import RULES, book

NOT_WORTH_EUR_M2 = 0.001
"""A plan that promises less than this above the rules' is not worth leaving them: it is within what a roll-out cannot tell apart."""
CLOSE_EUR_M2 = 0.002
"""Plans this near to each other are as good; judgement."""


def worth_eur_m2(outcome: Outcome) -> float:
    """Profit less the price of time out of bounds: a low one for all of it, a high one for what is beyond the rules' plan.

    The rates are `exchange` of strategies.yaml, EUR per m2 and day of such time. The high one holds the agent to bounds no worse than the
    rules': it is above what a day's dehumidifying or heating costs at the margin. The low one buys better ones where they cost next to
    nothing. A judgement, to be set by the grower; found on tuning seasons.
    """
    days = outcome.hours / 24.0
    rate = book().exchange
    paid = days * (rate.rh_out_eur_m2_d * outcome.rh_out_share + rate.temp_out_eur_m2_d * outcome.temp_out_share)
    more = rate.rh_more_eur_m2_d * outcome.rh_more_d + rate.temp_more_eur_m2_d * outcome.temp_more_d
    return outcome.profit_eur_m2 - paid - more


def best(options: Sequence[FarmOption]) -> FarmOption:
    """The option of most worth among those without a hard flag; the rules' plan where nothing is clearly better.

    ValueError when there is none.
    """
    rules = next((option for option in options if option.strategy == RULES), None)
    if rules is None:
        raise ValueError(f"the rules' plan is not among the {len(options)} options")
    allowed = [option for option in options if not option.flags or option is rules]
    chosen = max(allowed, key=lambda option: (worth_eur_m2(option.outcome), option is rules, option.id))
    return chosen if worth_eur_m2(chosen.outcome) - worth_eur_m2(rules.outcome) >= NOT_WORTH_EUR_M2 else rules


def planned(picture: FarmPicture, options: Sequence[FarmOption]) -> Proposal:
    """What the planner proposes, with its reason; it abstains when nothing is offered."""
    if not options:
        return Proposal(option_id=None, source="fallback", picture_id=picture.id, reason="")
    chosen = best(options)
    return Proposal(
        option_id=chosen.id,
        understanding=understanding_of(picture),
        reason=reason(picture, chosen, options, "en"),
        source="fallback",
        picture_id=picture.id,
    )
