"""Tunes the rules: `python -m sdx_domains.farm.control.tune [--write] [--journal tune.jsonl]`, minutes on one core; prints the table.

A random search around the best so far (an evolution strategy of one, Rechenberg 1973) over tuning scenarios; never over held-out ones.
Each candidate is rolled out on the plants of those scenarios, the weather itself standing for the forecast. What was computed is kept
in the journal, so that a killed search goes on where it was. `--write` puts the best figures into rules.yaml.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml

from sdx_domains.contract import digest
from sdx_domains.farm.control.rules import Array, Rules, rule_schedule, shipped_rules
from sdx_domains.farm.greenhouse.twin import roll_out
from sdx_domains.farm.world.house import GreenhouseHouse
from sdx_domains.farm.world.suites import suite

HOUR_S = 3600.0
Figures = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Season:
    """One tuning case, ready to be rolled out."""

    name: str
    state: Array
    weather: Array
    prices: Array
    parameters: Array


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate's means over the seasons."""

    profit_eur_m2: float
    rh_out: float
    temp_out: float

    def worth(self, book: Mapping[str, Any]) -> float:
        """Profit, less the penalty for time out of bounds beyond what is allowed."""
        beyond = max(self.rh_out - book["rh_out_most"], 0.0) + max(self.temp_out - book["temp_out_most"], 0.0)
        return self.profit_eur_m2 - book["penalty_eur_m2"] * beyond


@cache
def tuning_book() -> Mapping[str, Any]:
    """tune.yaml."""
    return yaml.safe_load((files(__package__ or "") / "tune.yaml").read_text(encoding="utf-8"))


def seasons(days: int, count: int | None = None) -> list[Season]:
    """The tuning suite, hourly."""
    found: list[Season] = []
    for case in suite(f"tuning@{days}", count=count):
        house = GreenhouseHouse(case)
        times = HOUR_S * np.arange(24 * days + 1)
        weather, prices = (np.stack([source.at(t) for t in times]) for source in (house.weather, house.prices))
        found.append(Season(case.name, house.states[0].copy(), weather, prices, house.parameters.array()))
    return found


def tried(rules: Rules, over: Sequence[Season], step_s: float) -> Tried:
    """Roll the rules out over all seasons."""
    rows: list[tuple[float, float, float]] = []
    for season in over:
        schedule = rule_schedule(season.weather, season.prices, 0.0, rules=rules)[None]
        out = roll_out(season.state, season.weather, season.prices, schedule, season.parameters, step_s=step_s)
        rows.append((float(out.profit_eur_m2[0]), float(out.rh_out_share[0]), float(out.temp_out_share[0])))
    return Tried(*(round(float(mean), 5) for mean in np.mean(rows, axis=0)))


def proposed(best: Figures, random: Random, book: Mapping[str, Any], progress: float) -> dict[str, float]:
    """The best so far with a few figures moved, less far towards the end (`progress` 0..1)."""
    spread = book["spread"] * (1.0 - 0.8 * progress)
    moved = dict(best)
    for name in random.sample(sorted(book["ranges"]), book["moved"]):
        low, high = book["ranges"][name]
        moved[name] = round(min(max(moved[name] + random.gauss(0.0, spread * (high - low)), low), high), 4)
    return moved


def tune(
    journal: Path, seed: int = 0, candidates: int | None = None, over: Sequence[Season] | None = None
) -> tuple[dict[str, float], list[tuple[dict[str, float], Tried]]]:
    """The best figures and everything tried, in order, the shipped ones first."""
    book = tuning_book()
    over = seasons(book["days"]) if over is None else over
    known = _known(journal)
    random, total = Random(seed), book["candidates"] if candidates is None else candidates
    best = {name: float(getattr(shipped_rules(), name)) for name in book["ranges"]}
    rows: list[tuple[dict[str, float], Tried]] = []
    best_worth = -np.inf
    for number in range(total):
        figures = proposed(best, random, book, number / total) if number else best
        key = digest([figures, [season.name for season in over], book["step_s"]])
        if key not in known:
            known[key] = tried(shipped_rules().model_copy(update=figures), over, book["step_s"])
            with journal.open("a", encoding="utf-8") as lines:
                found = known[key]
                lines.write(
                    json.dumps({"key": key, "figures": figures, "result": [found.profit_eur_m2, found.rh_out, found.temp_out]}) + "\n"
                )
        rows.append((figures, known[key]))
        if (worth := known[key].worth(book)) > best_worth:
            best, best_worth = figures, worth
            print(f"{number:4d}  worth {worth:8.4f}  profit {known[key].profit_eur_m2:8.4f} EUR/m2  RH out {known[key].rh_out:.3f}  T out {known[key].temp_out:.3f}", flush=True)  # fmt: skip
    return best, rows


def _known(journal: Path) -> dict[str, Tried]:
    """What an earlier search left; a line that was cut off is computed again."""
    found: dict[str, Tried] = {}
    for line in journal.read_text(encoding="utf-8").splitlines() if journal.exists() else ():
        try:
            row = json.loads(line)
            found[row["key"]] = Tried(*row["result"])
        except (ValueError, KeyError, TypeError):
            continue
    return found


def rewritten(text: str, figures: Figures) -> str:
    """rules.yaml with other numbers and the same words."""
    for name, value in figures.items():
        text, count = re.subn(rf"^{name}: [-0-9.]+", f"{name}: {value:g}", text, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"rules.yaml has {count} lines of {name}, expected one")
    return text


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", type=Path, default=Path("tune.jsonl"), help="what was computed; a killed search goes on from it")
    parser.add_argument("--candidates", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the best figures into rules.yaml")
    chosen = parser.parse_args(argv)
    best, rows = tune(chosen.journal, chosen.seed, chosen.candidates)
    first = rows[0][0]
    print("\n".join(f"{name:16s} {first[name]:10.3f} -> {best[name]:10.3f}" for name in best))
    if chosen.write:
        path = Path(str(files(__package__ or "") / "rules.yaml"))
        path.write_text(rewritten(path.read_text(encoding="utf-8"), best), encoding="utf-8")


if __name__ == "__main__":
    main()
