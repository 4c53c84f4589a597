"""How long a token and a prompt take on a device: bytes over bandwidth, operations over throughput. Start at step_s().

t_token = weights and context read / (share x bandwidth) + layers x t_layer      prefill = operations / (share x peak)
"""

from dataclasses import dataclass

from sdx_serving.recommend.constants import Constants
from sdx_serving.recommend.facts import ModelFacts
from sdx_serving.recommend.shapes import kernel_of


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model runs: one unit of one device under one runtime."""

    device: str
    unit: str
    runtime: str
    bandwidth_gb_s: float
    tflops: float | None = None
    """Peak of the type that prompts are computed in; None is not known."""
    queues: bool = False
    """It serves one after the other, whatever its runtime can elsewhere."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of it."""

    prompt_tokens: int
    output_tokens: int
    concurrency: int = 1
    cached_tokens: int = 0
    """Of the prompt, read before and kept."""


@dataclass(frozen=True, slots=True)
class Own:
    """What this device's own measurements made of the constants: its effective share is `gain` of the pooled one; and a time that
    every token takes whatever the model."""

    gain: float = 1.0
    token_s: float | None = None
    """None: as the runtime's prior says."""
    prefill_gain: float = 1.0
    rows: int = 0


def step_s(facts: ModelFacts, place: Place, load: Load, constants: Constants, own: Own | None = None) -> float:
    """Time of one decoding step: each sequence gains a token, at the middle of its answer.

    Sequences read the weights together and each its own context. Runtimes that gain little from a batch take longer for each more. Where
    requests queue, each is served as if it were alone, and waits: see queues().
    """
    own = own or Own()
    context = load.prompt_tokens + load.output_tokens // 2
    speed_gb_s = effective_gb_s(facts, place, constants) * own.gain
    fixed_s = fixed_of(facts, place, constants, own)
    sequences = 1 if queues(place, constants) else load.concurrency
    adds = constants.priors.batch_step.get(place.runtime, 0.0)
    read = facts.read_bytes(sequences) + sequences * facts.kv_bytes(context)
    together_s = read / (speed_gb_s * 1e9) + fixed_s
    return together_s * (1.0 + adds * (sequences - 1))


def queues(place: Place, constants: Constants) -> bool:
    """Whether requests are served one after the other."""
    return place.queues or constants.priors.batch_step.get(place.runtime, 0.0) >= 1.0


def fixed_of(facts: ModelFacts, place: Place, constants: Constants, own: Own) -> float:
    """Seconds of a step that bytes do not explain."""
    outside_s = constants.token_s(place.runtime) if own.token_s is None else own.token_s
    return facts.layers * constants.layer_s(place.unit) + outside_s


def effective_gb_s(facts: ModelFacts, place: Place, constants: Constants) -> float:
    """Bandwidth that the kernel reaches."""
    share = constants.share(place.unit, place.runtime, kernel_of(facts.quantisation))
    return min(share * place.bandwidth_gb_s, constants.ceiling_gb_s(place.unit, place.runtime))


def prefill_s(facts: ModelFacts, place: Place, tokens: int, constants: Constants, own: Own | None = None) -> float | None:
    """Time to read so many tokens of one prompt: limited by operations, and by reading the weights once. None where the peak is not known."""
    if tokens <= 0:
        return 0.0
    if place.tflops is None:
        return None
    own = own or Own()
    speed = constants.get(f"prefill:{place.unit}") * place.tflops * 1e12 * own.prefill_gain
    reading_s = facts.read_bytes(tokens) / (effective_gb_s(facts, place, constants) * own.gain * 1e9)
    return max(facts.flops_per_token() * tokens / speed, reading_s) + fixed_of(facts, place, constants, own)


def tokens_per_s(facts: ModelFacts, place: Place, load: Load, constants: Constants, with_prefill: bool = False) -> float:
    """Of all sequences together; `with_prefill` counts the time that the prompts take."""
    answer_s = load.output_tokens * step_s(facts, place, load, constants) * (load.concurrency if queues(place, constants) else 1)
    if with_prefill:
        answer_s += load.concurrency * (prefill_s(facts, place, load.prompt_tokens - load.cached_tokens, constants) or 0.0)
    return load.concurrency * load.output_tokens / answer_s
