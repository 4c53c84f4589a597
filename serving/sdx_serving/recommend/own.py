"""What a device's own measurements make of the estimator's constants. Start at own_of()."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from sdx_serving.recommend.constants import Constants
from sdx_serving.recommend.facts import ModelFacts
from sdx_serving.recommend.fit import descend
from sdx_serving.recommend.rows import implied_gb_s
from sdx_serving.recommend.timing import Load, Own, Place, prefill_s, step_s
from sdx_serving.results import Measurement

_ROW_FACTOR = 1.05
"""Spread of one measurement that was made with care."""
_GAIN_FACTOR, _TOKEN_FACTOR = 2.0, 3.0
"""Before any row: how far a device may be from the pooled share, and from the runtime's usual time of a token outside of the model."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A measurement, and the model that it is of."""

    row: Measurement
    facts: ModelFacts

    @property
    def load(self) -> Load:
        return Load(self.row.prompt_tokens, max(1, self.row.output_tokens), self.row.concurrency)


def usable(rows: Iterable[Measurement], facts_of: Callable[[Measurement], ModelFacts | None], device: str) -> list[Seen]:
    """Measurements of this device whose models are known; failures and those over bad networks are left out."""
    found: list[Seen] = []
    for row in rows:
        if row.device == device and not row.failure and row.way != "http-impaired" and (facts := facts_of(row)):
            found.append(Seen(row, facts))
    return found


def plausible(seen: Seen, bandwidth_gb_s: float, most_share: float, cache_bytes: int = 0) -> str | None:
    """None, or why the row breaks physics. Weights that a cache holds may be read faster than memory gives them."""
    rate = seen.row.decode_tokens_per_s
    if rate is None or seen.facts.read_bytes() <= cache_bytes:
        return None
    implied = implied_gb_s(seen.facts, Load(seen.row.prompt_tokens, max(1, seen.row.output_tokens)), rate)
    if implied <= most_share * bandwidth_gb_s:
        return None
    what = f"{seen.row.model} {seen.row.compression} on {seen.row.runtime}, {seen.row.at}"
    return f"{what}: {rate:g} tok/s would read {implied:.0f} GB/s, the memory gives {bandwidth_gb_s:g} (x {most_share:g}): not used"


def own_of(rows: Sequence[Seen], place: Callable[[Seen], Place], constants: Constants) -> Own:
    """Gain over the pooled share and time of every token, from decoding of one answer at a time; then the gain of prompts.

    Args:
        rows: of one device and one runtime.
        place: where a row was measured: its threads decide the bandwidth.
    """
    single = [seen for seen in rows if seen.row.decode_tokens_per_s and seen.row.concurrency == 1]
    if not single:
        return Own()
    middles = np.array([0.0, math.log(constants.token_s(place(single[0]).runtime))])
    widths = np.array([math.log(_GAIN_FACTOR), math.log(_TOKEN_FACTOR)])

    def misfits(point: np.ndarray) -> np.ndarray:
        own = Own(math.exp(point[0]), math.exp(point[1]))
        taken = [step_s(seen.facts, place(seen), seen.load, constants, own) * (seen.row.decode_tokens_per_s or 1.0) for seen in single]
        return np.log(np.array(taken)) / math.log(_ROW_FACTOR)

    gain, token_s = (math.exp(value) for value in descend(misfits, middles, widths).tolist())
    return Own(gain, token_s, _prefill_gain(single, place, constants, Own(gain, token_s)), len(single))


def own_memory(rows: Sequence[Seen], constants: Constants) -> float | None:
    """Bytes of the runtime beside weights and context, the middle of what was measured; None where nothing was."""

    def beside(seen: Seen, most_bytes: int) -> float:
        held = 1.0 + constants.priors.held_again.get(seen.row.runtime.split(" ")[0], 0.0)
        return most_bytes - held * seen.facts.weights_bytes - seen.facts.kv_bytes(seen.row.context_tokens)

    found = [
        beside(seen, seen.row.peak_rss_bytes)
        for seen in rows
        if seen.row.peak_rss_bytes and seen.row.way != "in-process" and seen.row.concurrency == 1
    ]
    return max(0.0, median(found)) if found else None


def _prefill_gain(rows: Sequence[Seen], place: Callable[[Seen], Place], constants: Constants, own: Own) -> float:
    ratios: list[float] = []
    for seen in rows:
        taken_s = prefill_s(seen.facts, place(seen), seen.row.prompt_tokens, constants, own)
        if seen.row.ttft_cold_s and seen.row.ttft_cold_s.p50 > 0 and taken_s:
            ratios.append(taken_s / seen.row.ttft_cold_s.p50)
    return median(ratios) if ratios else 1.0
