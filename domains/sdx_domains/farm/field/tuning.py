"""How the field's numbers were found, on the seasons 1983 to 1990 alone: python -m sdx_domains.farm.field.tuning fit|curves|thresholds|weight.

fit: the twin's water productivity against AquaCrop, and its error. curves: rules for rules.yaml and planner.yaml, on the fast twin. thresholds: AquaCrop's own stage-wise thresholds, the rival of the bench.
weight: what yield_weight and least_gain_usd_ha do to the agent. Each prints what to write into the files; nothing is written.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from sdx_domains.farm.field import balance
from sdx_domains.farm.field.parameters import MATURITY, TH_FC, WP, crop, soil
from sdx_domains.farm.field.prices import prices, profit_usd_ha
from sdx_domains.farm.field.rollout import AMOUNT_MM, KNOTS, LAST_SHARE, RULE, roll_out
from sdx_domains.farm.field.scenarios import TUNING_YEARS, case
from sdx_domains.farm.field.weather import climate

Array = NDArray[np.float64]

SHORT_MM_PER_PCT = 40.0
"""What a search pays for each % of yield below its target: more than any irrigation that would bring it."""
TARGETS = ((99.0, 10.0), (99.2, 20.0), (99.5, 10.0), (99.5, 25.0), (98.5, 10.0), (99.8, 15.0))
"""(% of full yield, mm of an irrigation) of the follow-ups; the first is the rule that holds when nobody decides, with 25 mm."""
CURVE_TRIALS, THRESHOLD_TRIALS = 6000, 70
FIT_EVERY_DAYS = (7, 10, 14)
"""25 mm so often: from plenty to drought."""


def tuning_weather(crop_name: str = "maize") -> Array:
    """(years, days, 4) of the tuning seasons."""
    days = int(crop(crop_name)[MATURITY])
    return np.stack([climate("champion").rows(date(year, 5, 1), days) for year in TUNING_YEARS])


def curve_result(rule: Array, weather: Array) -> tuple[float, float]:
    """(% of full yield, mm) of a rule in the twin, means over the seasons."""
    parameters, ground = crop(), soil()
    full = np.full(balance.LAYERS, ground[TH_FC])
    never_dry = np.array([*[0.2] * KNOTS, 50.0, 1.0])
    found = roll_out(balance.start(full, parameters), 1, weather, np.empty((1, 0)), np.stack([rule, never_dry]), parameters, ground)[0]
    return 100.0 * float((found[0, :, 0] / found[1, :, 0]).mean()), float(found[0, :, 1].mean())


def search_curve(weather: Array, target_pct: float, amount_mm: float, seed: int, trials: int = CURVE_TRIALS) -> Array:
    """The rule of least water at that yield: one better neighbour after another, from a flat curve."""
    rng = np.random.default_rng(seed)

    def cost(rule: Array) -> float:
        pct, mm = curve_result(rule, weather)
        return mm + SHORT_MM_PER_PCT * max(target_pct - pct, 0.0)

    best = np.full(RULE, 0.63)
    best[AMOUNT_MM], best[LAST_SHARE] = amount_mm, 0.89
    least = cost(best)
    for _ in range(trials):
        rule = best.copy()
        moved = rng.random(KNOTS) < 0.3
        rule[:KNOTS] = np.clip(rule[:KNOTS] + moved * rng.normal(0.0, 0.12, KNOTS), 0.2, 1.0)
        if rng.random() < 0.2:
            rule[LAST_SHARE] = np.clip(rule[LAST_SHARE] + rng.normal(0.0, 0.03), 0.7, 1.0)
        rule = rule.round(3)
        if (found := cost(rule)) <= least:
            best, least = rule, found
    return best


def search_thresholds(result: Callable[[Sequence[int]], tuple[float, float]], target_pct: float, seed: int = 0) -> tuple[list[int], int]:
    """AquaCrop's four SMT thresholds of least water at that yield: random steps of 5 points from [50, 50, 50, 20]. Gives them and the trials made."""
    rng, seen = np.random.default_rng(seed), {}

    def cost(smt: list[int]) -> float:
        if tuple(smt) not in seen:
            pct, mm = result(smt)
            seen[tuple(smt)] = mm + SHORT_MM_PER_PCT * max(target_pct - pct, 0.0)
            print(f"{len(seen):4d} {smt} {pct:.2f} % {mm:.1f} mm", flush=True)
        return seen[tuple(smt)]

    best = [50, 50, 50, 20]
    least = cost(best)
    for _ in range(THRESHOLD_TRIALS):
        trial = [int(np.clip(value + 5 * rng.integers(-2, 3), 5, 80)) if rng.random() < 0.5 else value for value in best]
        if (found := cost(trial)) < least:
            best, least = trial, found
    return best, len(seen)


def fit() -> tuple[float, float, float]:
    """wp_g_m2 with which the twin's mean yield is AquaCrop's; then the rms errors of yield, %, and of evapotranspiration, mm."""
    from sdx_domains.farm.field.plant import AquaCropField

    parameters, ground, pairs = crop(), soil(), []
    for year in TUNING_YEARS:
        for every in FIT_EVERY_DAYS:
            field = AquaCropField(case(f"field-champion-{year}"))
            state = balance.start(np.full(balance.LAYERS, ground[TH_FC]), parameters)
            for day, row in enumerate(field.weather):
                amount = 25.0 if day % every == 0 else 0.0
                field.step(amount)
                balance.day(state, day + 1, row, amount, parameters, ground)
            flux = field.model.get_water_flux()
            theirs = (field.yield_t_ha(), float((flux.Es + flux.Tr)[: field.days].sum()))
            pairs.append((*theirs, balance.yield_t_ha(state), state[balance.ET_MM]))
    found = np.array(pairs)
    scale = found[:, 0].sum() / found[:, 2].sum()
    off = 100.0 * (scale * found[:, 2] / found[:, 0] - 1.0)
    return float(parameters[WP] * scale), float(np.sqrt((off**2).mean())), float(np.sqrt(((found[:, 3] - found[:, 1]) ** 2).mean()))


def _curves() -> None:
    weather = tuning_weather()
    for seed, (target, amount) in enumerate(((99.0, 25.0), *TARGETS)):
        rule = search_curve(weather, target, amount, seed)
        pct, mm = curve_result(rule, weather)
        print(f"# {target} %: {pct:.2f} % with {mm:.1f} mm\n  - {rule.tolist()}", flush=True)


def _thresholds() -> None:
    from sdx_domains.farm.field.scoring import full_yield, ruled

    full = np.array([full_yield(case(f"field-champion-{year}")) for year in TUNING_YEARS])

    def result(smt: Sequence[int]) -> tuple[float, float]:
        found = np.array([ruled(case(f"field-champion-{year}"), irrigation_method=1, SMT=list(smt)) for year in TUNING_YEARS])
        return 100.0 * float((found[:, 0] / full).mean()), float(found[:, 1].mean())

    best, trials = search_thresholds(result, 99.0)
    print(f"best of {trials}: {best}")


def _weight(pairs: Sequence[tuple[float, float]], seed: int) -> None:
    from sdx_domains.farm.field.bench import agent
    from sdx_domains.farm.field.options import planner
    from sdx_domains.farm.field.scoring import full_yield

    cases = [case(f"field-champion-{year}") for year in TUNING_YEARS]
    full = np.array([full_yield(item) for item in cases])
    for weight, gain in pairs:
        plan = replace(planner(), yield_weight=weight, least_gain=gain)
        found = np.array([agent(item, seed, plan)[:2] for item in cases])
        pct, (tonnes, mm) = 100.0 * (found[:, 0] / full), found.mean(axis=0)
        profit = profit_usd_ha(prices(), tonnes, mm)
        print(f"weight {weight:g} gain {gain:g}: {pct.mean():.2f} % (least {pct.min():.2f}) {mm:.1f} mm {profit:.0f} $/ha", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("fit", "curves", "thresholds", "weight"))
    parser.add_argument("--seed", type=int, default=0, help="of sensor noise and forecasts, for weight")
    parser.add_argument("--pairs", nargs="*", default=["0.8:1", "1.0:1", "1.2:1"], help="weight:gain pairs to try, for weight")
    chosen = parser.parse_args()
    if chosen.what == "fit":
        print("wp_g_m2 {:.2f}, yield off by {:.2f} %, evapotranspiration by {:.1f} mm (rms)".format(*fit()))
    elif chosen.what == "curves":
        _curves()
    elif chosen.what == "thresholds":
        _thresholds()
    else:
        _weight([(float(a), float(b)) for a, b in (pair.split(":") for pair in chosen.pairs)], chosen.seed)


if __name__ == "__main__":
    main()
