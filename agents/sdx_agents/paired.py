"""The same cases twice, with whoever decides and with nobody: is the agent better than the fallback alone? Start at run_paired()."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sdx_agents.bench import Progress, SuiteRun, run_suite
from sdx_agents.episode import Episode, planner_decider
from sdx_domains.contract import load_domain

DRAWS = 10_000
"""Of the bootstrap."""


def run_paired(run: SuiteRun, progress: Progress | None = None) -> dict[str, Any]:
    """Every case of a suite under the decider of `run` and under the fallback alone, and the paired differences of every figure.

    Each half keeps its cases in a file of its own when `run.kept` is given ("x.jsonl" and "x.alone.jsonl"), and goes on from it.

    Returns:
        {"agent": .., "alone": .. (as run_suite), "paired": {figure: {mean, low, high, better, worse, cases}}}: agent minus alone.
    """
    alone = replace(run, ablate="agent", outage_s=None, kept=run.kept.with_suffix(f".alone{run.kept.suffix}") if run.kept else None)
    done = {"alone": run_suite(alone, _told(progress, "alone")), "agent": run_suite(run, _told(progress, "agent"))}
    rows = {half: {row["case"]: row for row in result["cases"]} for half, result in done.items()}
    pairs = [(rows["agent"][case], rows["alone"][case]) for case in rows["agent"] if case in rows["alone"]]
    return {**done, "paired": paired_differences(pairs, run.seed)}


def paired_differences(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], seed: int = 0) -> dict[str, dict[str, float | int]]:
    """Mean difference (first minus second) of every number that both rows hold, with its 95 % bootstrap interval over the pairs."""
    found: dict[str, dict[str, float | int]] = {}
    for figure in pairs[0][0] if pairs else ():
        values = [(mine.get(figure), other.get(figure)) for mine, other in pairs]
        if not all(_number(a) and _number(b) for a, b in values):
            continue
        difference = np.array([float(a) - float(b) for a, b in values])  # type: ignore[arg-type]
        draws = np.random.default_rng(seed).integers(0, len(difference), (DRAWS, len(difference)))
        low, high = np.quantile(difference[draws].mean(axis=1), (0.025, 0.975))
        found[figure] = {
            "mean": round(float(difference.mean()), 5),
            "low": round(float(low), 5),
            "high": round(float(high), 5),
            "better": int((difference > 0).sum()),
            "worse": int((difference < 0).sum()),
            "cases": len(difference),
        }
    return found


def latency(run: SuiteRun, decisions: int = 5, ticks: int = 500) -> dict[str, Any]:
    """How long a plan takes, roll-outs included, and a tick of the controller where the domain has one; milliseconds, first case of the suite."""
    domain = load_domain(run.domain)
    case = domain.suite(run.suite, run.seed, run.count, run.folder)[0]
    domain = domain.fitted(case)
    episode = Episode(domain, domain.plant_of(case, run.seed), planner_decider(domain))
    pictures: list[Any] = []
    plans: list[float] = []
    for step in episode.run():
        pictures.append(step.picture)
        plans += [1000.0 * step.latency_s] if step.kind == "decision" else []
        if len(plans) > decisions:  # the first one loads and compiles
            break
    result: dict[str, Any] = {"case": str(getattr(case, "name", case)), "plan_ms": _spread(plans[1:])}
    make = getattr(domain, "controller", None)
    if make is not None:
        result["controller_tick_ms"] = _spread(_ticks(domain, make(), pictures[-1], ticks + 1)[1:])
    return result


def _ticks(domain: Any, controller: Any, picture: Any, times: int) -> list[float]:
    """Milliseconds of each act, time going on as in a run."""
    order, taken = domain.fallback(picture, None).order, []
    for tick in range(times):
        now = picture.model_copy(update={"t_s": picture.t_s + tick * domain.pace.step_s})
        began = time.perf_counter()
        controller.act(now, order, now.t_s)
        taken.append(1000.0 * (time.perf_counter() - began))
    return taken


def _spread(values: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.quantile(values, (0.5, 0.95))
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "max": round(max(values), 3)}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _told(progress: Progress | None, half: str) -> Progress | None:
    return None if progress is None else lambda done, total, row: progress(done, total, {**row, "half": half})
