"""What the greenhouse can do for the next hours: plans around the rules' one, each rolled out 72 h in the twin, and the few worth showing.

Start at shown_options(). Strategies (strategies.yaml) are laid over the rules' schedule one by one, then mixes are sought from the best.
Ids say nothing: the shown plans stand in the order of strategies.yaml, mixes last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.ahead import HOURS, prices_ahead, weather_ahead
from sdx_domains.farm.assurance import VALID_S
from sdx_domains.farm.control.limits import clipped, limits
from sdx_domains.farm.control.row import Row
from sdx_domains.farm.control.rules import rule_schedule
from sdx_domains.farm.greenhouse import step
from sdx_domains.farm.greenhouse.parameters import Parameters
from sdx_domains.farm.greenhouse.twin import Bounds, RollOuts, roll_out
from sdx_domains.farm.greenhouse.vectors import ACTUATOR_NAMES, HEAT_TEMP_C
from sdx_domains.farm.picture import FarmOption, FarmPicture, Outcome
from sdx_domains.farm.plan import MAX_HOURS, Knot, Plan
from sdx_domains.farm.planner import worth_eur_m2
from sdx_domains.farm.strategies import MIX, RULES, alike, book, changed, words

Array = NDArray[np.float64]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SPARE_K = 0.25
"""The twin's own error: a plan that keeps the temperature's bounds by less is taken to leave them."""
BOUNDS = Bounds(temp_min_c=Bounds().temp_min_c + SPARE_K, temp_max_c=Bounds().temp_max_c - SPARE_K)
RH_BOUNDS, TEMP_BOUNDS = (BOUNDS.rh_min_pct, BOUNDS.rh_max_pct), (BOUNDS.temp_min_c, BOUNDS.temp_max_c)
SAME_EUR_M2 = 1e-5
"""Plans whose worth differs by less are taken for the same."""


@dataclass(frozen=True, eq=False)
class Ahead:
    """What every roll-out from a picture shares."""

    picture: FarmPicture
    weather: Array
    prices: Array
    rules: Array
    """The rules' schedule, (H + 1, SETPOINTS)."""


def ahead_of(picture: FarmPicture) -> Ahead:
    weather, prices = weather_ahead(picture, HOURS), prices_ahead(picture, HOURS)
    return Ahead(picture, weather, prices, rule_schedule(weather, prices, picture.hour, HOURS))


@cache
def _parameters() -> Array:
    found = Parameters.read().array()
    found.setflags(write=False)
    return found


def simulated(ahead: Ahead, schedules: Sequence[Array], step_s: float | None = None, row: Row | None = None) -> RollOuts:
    """Roll schedules (H + 1, SETPOINTS) out from the picture's twin; `row` as in roll_out. ValueError when the picture has none."""
    picture = ahead.picture
    stand = {actuator.device: actuator.position_pct / 100.0 for actuator in picture.actuators}
    return roll_out(
        np.array(picture.twin), ahead.weather, ahead.prices, np.stack(schedules), _parameters(),
        hour=picture.hour, bounds=BOUNDS, positions=np.array([stand.get(name, 0.0) for name in ACTUATOR_NAMES]),
        row=row, step_s=step_s or book().step_s,
    )  # fmt: skip


def shown_options(picture: FarmPicture) -> tuple[FarmOption, ...]:
    """At most eight plans with the rules' one among them; the rules' alone where forecast, prices or twin are missing. () without a twin."""
    if not picture.twin:
        return ()
    ahead = ahead_of(picture)
    known = picture.forecast is not None and picture.prices is not None
    found = _searched(ahead) if known else _rolled(ahead, [(RULES,)], set())
    picked = _picked(found)
    return tuple(candidate.option(picture, LETTERS[i]) for i, candidate in enumerate(picked))


def outcomes_of_plan(picture: FarmPicture, plan: Plan) -> tuple[Outcome, Outcome, tuple[str, ...]]:
    """A plan and then the rules, and the rules alone, rolled out from this picture; and the hard limits that the plan alone would break."""
    ahead = ahead_of(picture)
    schedule = ahead.rules.copy()
    times = picture.t_s + 3600.0 * np.arange(MAX_HOURS)
    schedule[:MAX_HOURS] = [plan.at(t_s) for t_s in times]
    rolled = simulated(ahead, [ahead.rules, schedule])
    rules = _outcome(rolled, 0, None)
    return _outcome(rolled, 1, rules), rules, _flags(rolled, 1, 0)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A schedule that was rolled out."""

    strategies: tuple[str, ...]
    schedule: Array
    outcome: Outcome
    worth: float
    flags: tuple[str, ...]

    def option(self, picture: FarmPicture, letter: str) -> FarmOption:
        name = MIX.join(self.strategies)
        plan = Plan(start_s=picture.t_s, knots=tuple(Knot.of_row(row) for row in self.schedule[:MAX_HOURS]))
        return FarmOption.model_construct(
            id=letter,
            label=words(name),
            setpoints=plan.setpoints(),
            flags=self.flags,
            kind="greenhouse",
            strategy=name,
            valid_for_s=VALID_S,
            outcome=self.outcome,
        )


def _searched(ahead: Ahead) -> list[_Candidate]:
    """Every single strategy, then ever better mixes: each round tries every strategy on top of the best so far. The rules come first."""
    known: set[bytes] = set()
    found = _rolled(ahead, [(name,) for name in book().strategies], known)
    best = min(found, key=_rank)
    for _ in range(book().rounds):
        found += _rolled(ahead, _neighbours(best.strategies), known, found[0].outcome)
        better = min(found, key=_rank)
        if better.worth <= best.worth + SAME_EUR_M2:
            break
        best = better
    return found


def _neighbours(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A mix with one strategy more, in place of those that it contradicts, or one less."""
    now = [name for name in names if name != RULES]
    found: dict[tuple[str, ...], None] = {}
    for name in book().strategies:
        if name in now:
            mix = [other for other in now if other != name]
        else:
            mix = [*(other for other in now if not alike(other, name)), name]
        found[_in_order([other for other in mix if other != RULES]) or (RULES,)] = None
    return list(found)


def _in_order(names: Sequence[str]) -> tuple[str, ...]:
    order = list(book().strategies)
    return tuple(sorted(names, key=order.index))


def _rolled(ahead: Ahead, named: Sequence[tuple[str, ...]], known: set[bytes], rules: Outcome | None = None) -> list[_Candidate]:
    """Roll out strategies and mixes; without `rules` the first one is the rules' plan.

    Many come to the same in these hours (a night's strategy by day): each schedule is rolled out once, under the first name, and kept
    in `known`.
    """
    new: dict[tuple[str, ...], Array] = {}
    for names in named:
        schedule = _within(changed(ahead.rules, names, ahead.weather, ahead.prices))
        if schedule.tobytes() not in known:
            known.add(schedule.tobytes())
            new[names] = schedule
    if not new:
        return []
    rolled = simulated(ahead, list(new.values()))
    found: list[_Candidate] = []
    for k, (names, schedule) in enumerate(new.items()):
        outcome = _outcome(rolled, k, rules)
        rules = rules or outcome
        found.append(_Candidate(names, schedule, outcome, worth_eur_m2(outcome), _flags(rolled, k, None)))
    return found


def _within(schedule: Array) -> Array:
    """Inside the soft box, as an Order will carry it, and heating never changes faster than a plan may."""
    inside = clipped(schedule)
    most = 0.99 * limits().plan.heat_step_k_h
    for hour in range(1, len(inside)):
        before = inside[hour - 1, HEAT_TEMP_C]
        inside[hour, HEAT_TEMP_C] = min(max(inside[hour, HEAT_TEMP_C], before - most), before + most)
    return clipped(inside).round(3)


def _picked(found: list[_Candidate]) -> list[_Candidate]:
    """The rules, the best mixes, the best singles of different kinds, and one that is worse: what is shown must tell them apart."""
    rules, others = found[0], sorted(found[1:], key=_rank)
    picked = [rules]
    for candidate in others:
        if len(picked) == book().shown - 1:
            break
        mixes = sum(len(other.strategies) > 1 for other in picked)
        new = all(abs(candidate.outcome.profit_eur_m2 - other.outcome.profit_eur_m2) > SAME_EUR_M2 for other in picked)
        if new and (len(candidate.strategies) == 1 or mixes < book().shown // 2):
            picked.append(candidate)
    rest = [candidate for candidate in others if all(candidate is not other for other in picked)]
    picked += rest[-1:] if len(picked) < book().shown else []
    order = list(book().strategies)
    return sorted(picked, key=lambda c: (len(c.strategies) > 1, [order.index(name) for name in c.strategies]))


def _rank(candidate: _Candidate) -> tuple[bool, float, tuple[str, ...]]:
    return (bool(candidate.flags), -round(candidate.worth, 6), candidate.strategies)


def _flags(rolled: RollOuts, k: int, rules: int | None) -> tuple[str, ...]:
    """Limits that a plan crosses in the roll-out; with `rules`, only where the rules' plan does not."""
    if rules is not None and rolled.hard_breaches[rules] >= rolled.hard_breaches[k]:
        return ()
    count = int(rolled.hard_breaches[k])
    return (f"hard limits crossed {count} times",) if count else ()


def _outcome(rolled: RollOuts, k: int, rules: Outcome | None) -> Outcome:
    """What plan k leads to, beside what the rules' plan does; None: it is the rules' plan."""
    profit, flows = float(rolled.profit_eur_m2[k]), rolled.flows[k]
    rh_out, temp_out = round(float(rolled.rh_out_share[k]), 5), round(float(rolled.temp_out_share[k]), 5)

    def chart(rows: Array, digits: int) -> tuple[float, ...]:
        return tuple(rows[k].round(digits).tolist())

    return Outcome.model_construct(
        hours=rolled.air_temp_c.shape[1],
        profit_eur_m2=round(profit, 5),
        gain_eur_m2=round(profit - rules.profit_eur_m2, 5) if rules is not None else 0.0,
        heat_kwh_m2=round(float(flows[step.HEAT_KWH]), 4),
        elec_kwh_m2=round(float(flows[step.ELEC_KWH]), 4),
        co2_kg_m2=round(float(flows[step.CO2_KG]), 5),
        water_l_m2=round(float(flows[step.WATER_L_USED]), 3),
        fruit_kg_m2=round(float(rolled.fruit_kg_m2[k]), 5),
        temp_min_c=round(float(rolled.temp_min_c[k]), 3),
        temp_mean_c=round(float(rolled.temp_mean_c[k]), 3),
        temp_max_c=round(float(rolled.temp_max_c[k]), 3),
        rh_max_pct=round(float(rolled.rh_max_pct[k]), 3),
        rh_out_share=rh_out,
        temp_out_share=temp_out,
        rh_more_d=_more_d(rh_out, chart(rolled.air_rh_pct, 1), rules and (rules.rh_out_share, rules.air_rh_pct), RH_BOUNDS),
        temp_more_d=_more_d(temp_out, chart(rolled.air_temp_c, 2), rules and (rules.temp_out_share, rules.air_temp_c), TEMP_BOUNDS),
        co2_mean_ppm=round(float(rolled.co2_mean_ppm[k]), 2),
        air_temp_c=chart(rolled.air_temp_c, 2),
        air_rh_pct=chart(rolled.air_rh_pct, 1),
        co2_ppm=chart(rolled.co2_ppm, 0),
    )


def _more_d(share: float, hourly: Sequence[float], rules: tuple[float, Sequence[float]] | None, bounds: tuple[float, float]) -> float:
    """See Outcome.rh_more_d."""
    if rules is None:
        return 0.0
    soon, soon_rules = (sum(not bounds[0] <= value <= bounds[1] for value in chart[:MAX_HOURS]) for chart in (hourly, rules[1]))
    return round(max((share - rules[0]) * len(hourly), soon - soon_rules, 0.0) / 24.0, 5)
