"""Water for full yield: the planner against irrigation rules on seasons never used for tuning. python -m sdx_domains.farm.field.bench

Maize on sandy loam at Champion (Nebraska), from field capacity, AquaCrop as the field. The rules see AquaCrop's true soil water; the
agent sees noisy sensors and forecasts with errors (forecast.py), and knows the weather of 1982 to 1990.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from sdx_domains.contract import Proposal
from sdx_domains.farm.field import assurance
from sdx_domains.farm.field.options import Planner, options, planner
from sdx_domains.farm.field.perceive import FieldPerceiver
from sdx_domains.farm.field.picture import DAY_S
from sdx_domains.farm.field.planner import best
from sdx_domains.farm.field.plant import FieldPlant
from sdx_domains.farm.field.prices import prices, profit_usd_ha
from sdx_domains.farm.field.scenarios import HELD_OUT_YEARS, TUNING_YEARS, FieldCase, case
from sdx_domains.farm.field.scoring import full_yield, ruled

TUNED_SMT = (45, 60, 45, 15)
"""AquaCrop's stage-wise thresholds of least water at 99 % of full yield on the tuning seasons: tuning.py thresholds."""
RULES: dict[str, dict[str, Any]] = {
    "rainfed": {"irrigation_method": 0},
    "every 7 days": {"irrigation_method": 2, "IrrInterval": 7},
    **{f"soil water {pct} %": {"irrigation_method": 1, "SMT": [pct] * 4} for pct in (80, 60, 40, 20)},
    "net irrigation 60 %": {"irrigation_method": 4, "NetIrrSMT": 60},
    "stage-wise [50, 50, 50, 20]": {"irrigation_method": 1, "SMT": [50, 50, 50, 20]},
    "stage-wise, optimised": {"irrigation_method": 1, "SMT": list(TUNED_SMT)},
}
BAR_MM, BAR_PCT = 119.0, 99.0
Progress = Callable[[str], None]


def agent(season: FieldCase, seed: int = 0, plan: Planner | None = None) -> tuple[float, float]:
    """(yield t/ha, irrigation mm) of a season under the planner, each decision assured, the fallback where it is refused."""
    plan = plan or planner()
    plant, perceiver = FieldPlant(season, seed), FieldPerceiver()
    while not plant.done:
        picture = perceiver.take(plant.readings(), plant.t_s)
        offered = options(picture, plan)
        verdict = assurance.fallback(picture)
        if offered:
            chosen = best(offered, plan.least_gain)
            said = assurance.assure(picture, offered, Proposal(option_id=chosen.id, picture_id=picture.id))
            verdict = said if said.order is not None else verdict
        if verdict.order is not None:
            plant.apply(verdict.order)
        plant.step(DAY_S)
    return plant.field.yield_t_ha(), sum(row["meter_mm"] for row in plant.log)


def bench(years: Sequence[int] = HELD_OUT_YEARS, seed: int = 0, progress: Progress = lambda line: None) -> dict[str, Any]:
    """The table: rows of means over the seasons, and whether the agent clears the bar. Takes a few minutes."""
    started = time.perf_counter()
    cases = [case(f"field-champion-{year}") for year in years]
    full: list[float] = []
    for item in cases:
        full.append(full_yield(item))
        progress(f"{item.name}: full yield {full[-1]:.2f} t/ha")
    rows = []
    for name, rule in RULES.items():
        rows.append(_row(name, [ruled(item, **rule) for item in cases], full))
        progress(_line(rows[-1]))
    found = []
    for item, most in zip(cases, full, strict=True):
        found.append(agent(item, seed))
        progress(f"agent {item.name}: {found[-1][1]:.0f} mm, {found[-1][0]:.2f} t/ha, {100.0 * found[-1][0] / most:.1f} %")
    rows.append(_row("agent", found, full))
    progress(_line(rows[-1]))
    mine = rows[-1]
    return {
        "years": list(years), "seed": seed, "held_out": not set(years) & set(TUNING_YEARS), "rows": rows,
        "bar": {"irrigation_mm": BAR_MM, "yield_pct": BAR_PCT, "met": mine["irrigation_mm"] <= BAR_MM and mine["yield_pct"] >= BAR_PCT},
        "wall_s": round(time.perf_counter() - started, 1),
    }  # fmt: skip


def _row(name: str, found: Sequence[tuple[float, float]], full: Sequence[float]) -> dict[str, Any]:
    count = len(found)
    tonnes, water = sum(y for y, _ in found) / count, sum(mm for _, mm in found) / count
    shares = [100.0 * y / most for (y, _), most in zip(found, full, strict=True)]
    return {
        "rule": name, "irrigation_mm": round(water, 1), "yield_t_ha": round(tonnes, 2), "yield_pct": round(100.0 * sum(y for y, _ in found) / sum(full), 2),
        "yield_pct_least": round(min(shares), 2), "profit_usd_ha": round(profit_usd_ha(prices(), tonnes, water)),
        "seasons": [{"irrigation_mm": round(mm, 1), "yield_t_ha": round(y, 3)} for y, mm in found],
    }  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['rule']:28s} {row['irrigation_mm']:6.1f} mm {row['yield_t_ha']:6.2f} t/ha {row['yield_pct']:6.2f} %"
        f" (least {row['yield_pct_least']:6.2f} %) {row['profit_usd_ha']:6d} $/ha"
    )


def _years(text: str) -> tuple[int, ...]:
    """ "1999-2006" or "1999"."""
    first, _, last = text.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first)):
        raise ValueError(f"--years {text!r} is no span of years such as 1999-2006")
    return tuple(range(int(first), int(last or first) + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tuning", action="store_true", help="the seasons that the numbers were tuned on")
    parser.add_argument("--years", help="other seasons, as 1999-2006")
    parser.add_argument("--seed", type=int, default=0, help="of sensor noise and forecast errors")
    parser.add_argument("--json", action="store_true", help="the table as JSON on standard output")
    chosen = parser.parse_args()
    try:
        years = TUNING_YEARS if chosen.tuning else _years(chosen.years) if chosen.years else HELD_OUT_YEARS
        found = bench(years, chosen.seed, lambda line: print(line, file=sys.stderr, flush=True))
    except ValueError as error:
        parser.error(str(error))
    print(json.dumps(found, indent=1) if chosen.json else f"bar met: {found['bar']['met']}, {found['wall_s']} s")


if __name__ == "__main__":
    main()
