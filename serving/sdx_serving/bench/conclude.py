"""What the rows of an experiment say, in sentences that are computed from them. Start at conclusion()."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median

import numpy as np

from sdx_serving.bench.rows import Measured
from sdx_serving.bench.run import Outcome
from sdx_serving.results import Spread

RESAMPLES = 4000


def conclusion(outcome: Outcome) -> list[str]:
    """What to run under which deadline, what compression, HTTP, concurrency and the network cost, and how sure that is."""
    good = [one for one in outcome.measured if not one.row.failure]
    if not good:
        return ["Nothing was measured: every cell failed. The failures below say why."]
    plain = plain_way(good)
    return [
        *_under_deadlines(plain, outcome.plan.deadlines_s, outcome.metric),
        *_accuracy_lost(plain),
        *_steps(good, "in-process", "http", "Over HTTP the median request changes by {change} against a function call in process"),
        *_concurrency(good),
        *_steps(good, "http", "http-impaired", "Over the impaired network{how} it changes by {change} against the plain one"),
        *_noise(good),
    ]


def plain_way(good: Sequence[Measured]) -> list[Measured]:
    """The rows by which models are compared: HTTP with one request at a time, else the first way that was measured."""
    asked = [one for one in good if one.row.way == "http" and one.row.concurrency == 1]
    return asked or [one for one in good if one.cell.way == good[0].cell.way]


def paired(own: Sequence[float], other: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Mean of own - other over the same rows, and its 95 % interval by resampling rows."""
    found = np.asarray(own, float) - np.asarray(other, float)
    means = np.random.default_rng(seed).choice(found, (RESAMPLES, len(found))).mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(found.mean()), float(low), float(high)


def best_within(rows: Sequence[Measured], deadline_s: float) -> Measured | None:
    """Of those that answer 95 % of requests in time and are not proved less accurate than the best of them, the fastest."""
    timely = [one for one in rows if one.row.request_s and one.row.request_s.p95 <= deadline_s]
    if not timely:
        return None
    top = max(timely, key=_accuracy)
    alike = [one for one in timely if one is top or paired(one.scores, top.scores)[2] >= 0.0]
    return min(alike, key=lambda one: _p50(one.row.request_s))


def _under_deadlines(rows: Sequence[Measured], deadlines_s: Sequence[float], metric: str) -> Iterator[str]:
    """One sentence for each choice, however many deadlines it holds for."""
    chosen = [(deadline_s, best_within(rows, deadline_s)) for deadline_s in sorted(deadlines_s)]
    for best, group in groupby(chosen, key=lambda pair: pair[1]):
        times = [deadline_s for deadline_s, _ in group]
        when = f"Within {times[0]:g} s" if len(times) == 1 else f"Within {times[0]:g} to {times[-1]:g} s"
        if best is None:
            fastest = min(rows, key=lambda one: one.row.request_s.p95 if one.row.request_s else math.inf)
            yield f"{when}: nothing here answers 95 % of requests; the nearest is {_named(fastest)} with {_p95(fastest):.2f} s."
        else:
            facts = (
                f"95 % of requests in {_p95(best):.2f} s, {_accuracy(best):.1%} {metric}, {best.row.weights_bytes / 1e6:.1f} MB of weights"
            )
            memory = f", {best.row.peak_rss_bytes / 1e6:.0f} MB in memory" if best.row.peak_rss_bytes else ""
            yield f"{when}: {_named(best)} ({facts}{memory})."


def _accuracy_lost(rows: Sequence[Measured]) -> Iterator[str]:
    """Against the first compression of each model on the first runtime that has it."""
    for _, group in groupby(sorted(rows, key=lambda one: one.cell.model), key=lambda one: one.cell.model):
        first, *others = group
        worse, unsure = [], []
        for other in others:
            mean, low, high = paired(other.scores, first.scores)
            if high < 0.0:
                worse.append(f"{_named(other)} by {-100 * mean:.1f} points ({-100 * high:.1f} to {-100 * low:.1f})")
            elif mean < 0.0:
                unsure.append(f"{_named(other)} by {-100 * mean:.1f} ({max(0.0, -100 * high):.1f} to {-100 * low:.1f})")
        rows_told = f"on {len(first.scores)} rows, which show no loss of less than about {300 / len(first.scores):.1f} points"
        if worse:
            yield f"Less accurate than {_named(first)}: {'; '.join(worse)}."
        if unsure:
            yield f"Perhaps less accurate, within what chance does: {'; '.join(unsure)} ({rows_told})."
        if others and not worse and not unsure:
            yield f"No compression lost accuracy against {_named(first)} ({rows_told})."


def _steps(good: Sequence[Measured], before: str, after: str, sentence: str) -> Iterator[str]:
    """By what the median request differs between two ways, one request at a time: its middle over all models, least and most."""
    one = [(old.row, new.row) for old, new in _pairs(good, before, after) if old.row.concurrency == new.row.concurrency == 1]
    added = [_p50(new.request_s) - _p50(old.request_s) for old, new in one]
    if added:
        change = f"{1000 * median(added):+.0f} ms (middle of {len(added)}; {1000 * min(added):+.0f} to {1000 * max(added):+.0f})"
        yield sentence.format(change=change, how=f" ({one[0][1].impairment})" if one[0][1].impairment else "") + "."


def _concurrency(good: Sequence[Measured]) -> Iterator[str]:
    """What each runtime gains from asking it several things at once, and what it costs."""
    for runtime, group in groupby(sorted(good, key=lambda one: one.cell.runtime), key=lambda one: one.cell.runtime):
        served = [one for one in group if one.row.way == "http"]
        most = max((one.row.concurrency for one in served), default=1)
        gains, longer = [], []
        for single, many in _pairs(served, "http", "http"):
            if single.row.concurrency == 1 and many.row.concurrency == most > 1 and single.row.tokens_per_s and many.row.tokens_per_s:
                gains.append(many.row.tokens_per_s / single.row.tokens_per_s)
                longer.append(_p50(many.row.request_s) / _p50(single.row.request_s))
        if gains:
            how = ", one after the other," if median(gains) < 1.2 else ""
            yield (
                f"With {most} requests at once {runtime} answers{how} x{median(gains):.2f} tokens/s of one at a time, "
                f"and a request takes x{median(longer):.1f} as long."
            )


def _noise(good: Sequence[Measured]) -> Iterator[str]:
    apart = [one.noise for one in good if one.noise is not None]
    if apart:
        yield (
            f"Rounds of the same cell lay {median(apart):.0%} apart in their median request (worst {max(apart):.0%}): "
            "take no smaller difference for real."
        )
    else:
        yield "Each cell was measured once: how far a repeat would lie off is not known."
    others, stolen = (median(getattr(one, name) for one in good) for name in ("others_cores", "stolen_cores"))
    if others > 0.1 or stolen > 0.05:
        yield f"The machine was not idle: other processes kept {others:.1f} cores busy, and the host took {stolen:.2f}; times are too long by as much."
    if throttled := sum(one.throttled for one in good):
        yield f"The processor was held back {throttled} times (heat, or the container's share)."


def _pairs(good: Sequence[Measured], before: str, after: str) -> Iterator[tuple[Measured, Measured]]:
    """The same model on the same runtime, asked in two ways."""
    for old in good:
        for new in good:
            same = all(getattr(old.cell, name) == getattr(new.cell, name) for name in ("model", "compression", "runtime"))
            if same and old.row.way == before and new.row.way == after:
                yield old, new


def _named(one: Measured) -> str:
    return f"{one.row.compression} on {one.cell.runtime}"


def _accuracy(one: Measured) -> float:
    return one.row.accuracy or 0.0


def _p50(found: Spread | None) -> float:
    return found.p50 if found else math.nan


def _p95(one: Measured) -> float:
    return one.row.request_s.p95 if one.row.request_s else math.nan
