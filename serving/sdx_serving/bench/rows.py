"""From trials to Measurements: one row for each cell, the rounds put together. Start at measurement()."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdx_serving.bench.figures import decode_rate, middle, noise, spread, token_gaps
from sdx_serving.bench.load import Exchange
from sdx_serving.bench.plan import Cell, Plan
from sdx_serving.bench.trial import Cores, Trial
from sdx_serving.results import Measurement


@dataclass(frozen=True, slots=True)
class Origin:
    """What rows say that is not in their trials."""

    task: str
    weights_bytes: Mapping[Path, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """A cell with its row and what the report says beside it."""

    cell: Cell
    row: Measurement
    rounds: int
    scores: tuple[float, ...] = ()
    """Of each of the task's rows, the same in every cell."""
    noise: float | None = None
    """How far the rounds' median request times lie apart, as a share."""
    others_cores: float = 0.0
    stolen_cores: float = 0.0
    throttled: int = 0
    network: str = ""


def measurement(cell: Cell, trials: Sequence[Trial], plan: Plan, origin: Origin) -> Measured:
    """Times of all rounds' requests pooled; rates, which each round has once, by their median. One failed round fails the cell."""
    threads = plan.threads or len(Cores.apart(plan.pin).engine) or 1
    told: dict[str, Any] = {
        "device": trials[-1].device,
        "model": cell.model,
        "model_sha256": cell.sha256,
        "compression": cell.compression,
        "runtime": f"{cell.runtime} {cell.version}".strip(),
        "way": cell.way.way,
        "impairment": str(cell.way.impairment or ""),
        "concurrency": cell.way.concurrency,
        "threads": threads,
        "context_tokens": plan.context_tokens,
        "weights_bytes": origin.weights_bytes.get(cell.path, 0),
        "task": origin.task,
        "at": max(trial.at for trial in trials),
        "commit": trials[-1].commit,
        "seed": plan.seed,
    }
    if failure := next((trial.failure for trial in trials if trial.failure), ""):
        return Measured(cell, Measurement(**told, failure=failure), len(trials))
    scores = tuple(score for trial in trials for score in trial.scores)
    row = Measurement(**told, **_times(trials), **_totals(trials), accuracy=sum(scores) / len(scores))
    return Measured(
        cell,
        row,
        len(trials),
        scores,
        noise([middle([asked.request_s for asked in trial.answers]) or 0.0 for trial in trials]),
        sum(trial.others_cores for trial in trials) / len(trials),
        sum(trial.stolen_cores for trial in trials) / len(trials),
        sum(trial.throttled for trial in trials),
        trials[0].network,
    )


def _times(trials: Sequence[Trial]) -> dict[str, Any]:
    answers = list(_all(trial.answers for trial in trials))
    cold = _all(trial.cold for trial in trials)
    return {
        "ttft_cold_s": spread(asked.ttft_s for asked in cold),
        "ttft_warm_s": spread(asked.ttft_s for asked in answers),
        "inter_token_s": spread(gap for asked in answers for gap in token_gaps(asked)),
        "request_s": spread(asked.request_s for asked in answers),
        "prompt_tokens": round(middle([asked.prompt_tokens for asked in answers]) or 0),
        "output_tokens": round(middle([asked.output_tokens for asked in answers]) or 0),
        "requests": len(answers),
        "decode_tokens_per_s": middle([rate for asked in answers if (rate := decode_rate(asked)) is not None]),
    }


def _totals(trials: Sequence[Trial]) -> dict[str, Any]:
    energies = [trial.energy_j for trial in trials]
    return {
        "tokens_per_s": middle([sum(asked.output_tokens for asked in trial.answers) / trial.seconds for trial in trials]),
        "peak_rss_bytes": max((trial.peak_rss_bytes or 0 for trial in trials), default=0) or None,
        "energy_j": None if None in energies else sum(joules for joules in energies if joules is not None),
    }


def _all(groups: Iterable[Sequence[Exchange]]) -> Iterable[Exchange]:
    return (asked for group in groups for asked in group)
