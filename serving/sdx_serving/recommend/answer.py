"""The words of a recommendation: intervals, memory, figures of one way, choices, what was ruled out. Start at Recommendation."""

from typing import Literal

from sdx_serving.closed import Closed

Basis = Literal["measured here", "fitted to this device's measurements", "fitted to published rows", "range"]


class Interval(Closed):
    """Nine of ten lie between low and high; no middle where only a range is known."""

    low: float
    middle: float | None
    high: float


class MemoryNeed(Closed):
    """Bytes."""

    weights: int
    kv: int
    """Context of all sequences that are served at once."""
    runtime: int
    """The engine's process beside them."""
    usable: int
    basis: str

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.runtime

    @property
    def fits(self) -> bool:
        return self.total <= self.usable


class Estimate(Closed):
    """Times in seconds, rates in tokens a second."""

    memory: MemoryNeed
    ttft_cold_s: Interval | None
    """None where nothing is known of how fast prompts are read."""
    ttft_warm_s: Interval | None
    tokens_per_s: Interval
    """Of one answer."""
    total_tokens_per_s: Interval
    """Of all answers that are made at once."""
    decision_s: Interval | None
    """A whole answer: prompt with its shared beginning cached, and all its tokens."""
    energy_j: float | None
    """Of one answer; of the device's stated power where it was not measured."""
    basis: Basis
    rests_on: str
    """What the basis is, in words."""


class Accuracy(Closed):
    """How well the model does the task."""

    metric: str
    value: float | None
    lost_points: float | None
    """Against the uncompressed model that it was made from, in hundredths; None where one of both was not measured."""
    passed: bool
    words: str


class Choice(Closed):
    """One way that works."""

    rank: int
    model: str
    quantisation: str
    runtime: str
    unit: str
    context_tokens: int
    most_context_tokens: int
    """That would still fit."""
    figures: Estimate
    accuracy: Accuracy
    meets_deadline: bool | None
    """By the middle of the estimate; None without a deadline, or where only a range is known that holds it."""
    surely: bool
    """By the slow end of the interval too, or there is no deadline."""
    here: bool
    file: str
    """The file, folder or address; or the known name of a model that is not here."""
    note: str
    run: str
    verify: str


class RuledOut(Closed):
    """One way that does not, and why."""

    model: str
    quantisation: str
    runtime: str
    why: str


class Recommendation(Closed):
    """The whole answer."""

    task: str
    device: str
    power_mode: str
    inputs: dict[str, float | int | str | None]
    choices: tuple[Choice, ...]
    ruled_out: tuple[RuledOut, ...]
    notes: tuple[str, ...]
