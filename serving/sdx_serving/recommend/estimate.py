"""What one model costs on one device under one runtime: memory, time to first token, tokens a second, time of a decision.

Start at estimate(). A measurement of the very thing wins over an estimate; an estimate rests on the device's own measurements where there
are some, else on published rows; where neither knows the runtime or the memory's bandwidth there is a range and no middle.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sdx_serving.devices.device import Device, PowerMode, Runtime, devices
from sdx_serving.recommend.answer import Basis, Estimate, Interval, MemoryNeed
from sdx_serving.recommend.constants import Constants, Fitted, share_names
from sdx_serving.recommend.facts import ModelFacts
from sdx_serving.recommend.own import Own, Seen, own_memory, own_of
from sdx_serving.recommend.shapes import kernel_of
from sdx_serving.recommend.timing import Load, Place, prefill_s, queues, step_s
from sdx_serving.results import Measurement, Spread

_Z90 = 1.645
"""Standard deviations on either side that hold nine of ten."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the model."""

    load: Load
    context_tokens: int
    threads: int = 1
    mode: PowerMode | None = None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All that an estimate may rest on."""

    constants: Constants
    fitted: Fitted
    measured: Sequence[Seen] = ()
    """Of this device, with the facts of the models."""
    queueing: frozenset[str] = frozenset()
    """Engines that serve one after the other as they are installed there."""


def place_on(
    device: Device, runtime: Runtime, threads: int, mode: PowerMode | None, bandwidth_gb_s: float, queueing: frozenset[str] = frozenset()
) -> Place:
    """Where the model runs, at this power mode and so many threads."""
    speed = mode.speed if mode else 1.0
    if runtime.unit == "cpu" and device.bandwidth_1_gb_s:
        bandwidth_gb_s = min(bandwidth_gb_s, threads * device.bandwidth_1_gb_s)
    kinds = {"npu": ("int8", "fp16"), "cpu": ("fp32",)}.get(runtime.unit, ("fp16", "fp32"))
    tflops = device.tflops(runtime.unit, *kinds)  # type: ignore[arg-type]
    if tflops and runtime.unit == "cpu" and device.cores:
        tflops *= min(1.0, threads / device.cores)
    return Place(
        device.id, runtime.unit, runtime.engine, bandwidth_gb_s * speed, tflops * speed if tflops else None, runtime.engine in queueing
    )


def estimate(facts: ModelFacts, device: Device, runtime: Runtime, asked: Asked, known: Knowledge) -> Estimate:
    """See the module. ValueError when no bandwidth is known of any such device."""
    slow, fast = bandwidths(device, runtime)
    places = [place_on(device, runtime, asked.threads, asked.mode, speed, known.queueing) for speed in (slow, fast)]
    same = [seen for seen in known.measured if seen.row.runtime.split(" ")[0] == runtime.engine]
    own = own_of(same, lambda seen: place_on(device, runtime, seen.row.threads, None, slow), known.constants)
    queued = queues(places[0], known.constants)
    memory = memory_need(facts, device, runtime, asked, known, same)
    exact = next((seen.row for seen in reversed(same) if _is_the_same(seen, facts, asked)), None)
    if exact:
        return _measured(exact, memory, asked)
    low, high, sure = _spread(facts, runtime, known, own, slow == fast)
    steps = [step_s(facts, place, asked.load, known.constants, own) for place in reversed(places)]
    step = Interval(low=steps[0] / high, middle=math.sqrt(steps[0] * steps[1]) if sure else None, high=steps[1] / low)
    cold, warm = (_prompt(facts, places, tokens, known, own, sure) for tokens in (asked.load.prompt_tokens, _fresh(asked.load)))
    decision = _decision(warm, step, asked.load, queued)
    basis, words = _basis(runtime, own, known, sure)
    return Estimate(
        memory=memory,
        ttft_cold_s=cold,
        ttft_warm_s=warm,
        tokens_per_s=_rate(step, 1),
        total_tokens_per_s=_rate(step, 1 if queued else asked.load.concurrency),
        decision_s=decision,
        energy_j=_energy_j(device, asked, decision),
        basis=basis,
        rests_on=words,
    )


def bandwidths(device: Device, runtime: Runtime) -> tuple[float, float]:
    """The memory's bandwidth twice, or where it is not known the least and the most of known devices with such a unit, GB/s."""
    if device.bandwidth_gb_s:
        return device.bandwidth_gb_s, device.bandwidth_gb_s
    alike = [
        other.bandwidth_gb_s
        for other in devices().values()
        if other.bandwidth_gb_s and any(one.unit == runtime.unit for one in other.runtimes)
    ]
    if not alike:
        raise ValueError(f"{device.id}: bandwidth_gb_s is not known, nor that of any device with such a unit ({runtime.unit})")
    return min(alike), max(alike)


def memory_need(
    facts: ModelFacts, device: Device, runtime: Runtime, asked: Asked, known: Knowledge, same: Sequence[Seen] = ()
) -> MemoryNeed:
    """Weights, context of all sequences and the engine itself."""
    queued = queues(place_on(device, runtime, 1, None, 1.0, known.queueing), known.constants)
    kv = facts.kv_bytes(asked.context_tokens) * (1 if queued else asked.load.concurrency)
    again = round(known.constants.priors.held_again.get(runtime.engine, 0.0) * facts.weights_bytes)
    found = own_memory(same, known.constants)
    listed = known.constants.priors.runtime_mb.get(runtime.engine, {})
    default = listed.get(runtime.unit, max(listed.values(), default=500.0))
    return MemoryNeed(
        weights=facts.weights_bytes + facts.projector_bytes,
        kv=kv,
        runtime=round(found if found is not None else default * 1e6) + again,
        usable=device.usable_bytes,
        basis=f"measured here in {len(same)} runs" if found is not None else "typical of this engine, not of this version",
    )


def most_context(facts: ModelFacts, need: MemoryNeed, context_tokens: int) -> int:
    """Tokens of context that would fit with all else as it is, at most the model's own."""
    if not need.kv or need.total - need.kv >= need.usable:
        return 0 if need.kv else facts.context_tokens
    room = (need.usable - need.weights - need.runtime) / need.kv * context_tokens
    return min(facts.context_tokens, int(room))


def _fresh(load: Load) -> int:
    """Tokens of the prompt that are new when its shared beginning is cached."""
    return max(1, load.prompt_tokens - load.cached_tokens)


def _is_the_same(seen: Seen, facts: ModelFacts, asked: Asked) -> bool:
    """The same weights in the same form, asked as much at once, with as many threads, and a prompt of about the length."""
    row = seen.row
    size = seen.facts.weights_bytes / max(1, facts.weights_bytes)
    alike = seen.facts.quantisation == facts.quantisation and abs(size - 1) < 0.01
    length = row.prompt_tokens / max(1, asked.load.prompt_tokens)
    asks_alike = row.concurrency == asked.load.concurrency and row.threads == asked.threads and row.way != "http-impaired"
    return alike and asks_alike and 0.8 <= length <= 1.25 and row.decode_tokens_per_s is not None and row.ttft_cold_s is not None


def _measured(row: Measurement, memory: MemoryNeed, asked: Asked) -> Estimate:
    rate = row.decode_tokens_per_s or 1.0
    between = row.inter_token_s
    one = Interval(low=1 / between.p95 if between and between.p95 else rate, middle=rate, high=rate)
    cold, warm = _of(row.ttft_cold_s), _of(row.ttft_warm_s or row.ttft_cold_s)
    step = Interval(low=1 / one.high, middle=1 / rate, high=1 / one.low)
    total = row.tokens_per_s or rate
    if row.peak_rss_bytes:
        held = memory.weights + memory.kv
        memory = memory.model_copy(update={"runtime": max(0, row.peak_rss_bytes - held), "basis": f"measured here, {row.at}"})
    return Estimate(
        memory=memory,
        ttft_cold_s=cold,
        ttft_warm_s=warm,
        tokens_per_s=one,
        total_tokens_per_s=Interval(low=total, middle=total, high=total),
        decision_s=_decision(warm, step, asked.load, queued=False),
        energy_j=row.energy_j,
        basis="measured here",
        rests_on=f"{row.requests} requests on {row.at[:10]}, {row.runtime}, p50 to p95",
    )


def _of(spread: Spread | None) -> Interval | None:
    return Interval(low=spread.p50, middle=spread.p50, high=spread.p95) if spread else None


def _spread(facts: ModelFacts, runtime: Runtime, known: Knowledge, own: Own, bandwidth_known: bool) -> tuple[float, float, bool]:
    """Rates may be these factors of the estimate; and whether a middle may be given.

    What no row spoke of widens the interval by its prior's width, as does the time of layers where a model is smaller than any row's; a
    shape that was guessed by a fifth.
    """
    low, high = (math.log(factor) for factor in known.fitted.decode_factor)
    priors, kernel = known.constants.priors, kernel_of(facts.quantisation)
    names = share_names(priors, runtime.unit, runtime.engine, kernel)
    unseen = [name for name in names if not known.constants.seen(name)] if not own.rows else []
    tiny = _is_tiny(facts, known, own)
    unseen += [f"layer_ms:{runtime.unit}"] if tiny else []
    wider = _Z90 * math.hypot(*(math.log(priors.of(name).factor) for name in unseen), 0.0 if facts.exact else math.log(1.2))
    if own.rows:
        wider, low, high = 0.0, math.log(0.8), math.log(1.25)
    sure = bandwidth_known and not tiny and (bool(own.rows) or names[1] not in unseen)
    return math.exp(-math.hypot(low, wider)), math.exp(math.hypot(high, wider)), sure


def _prompt(facts: ModelFacts, places: Sequence[Place], tokens: int, known: Knowledge, own: Own, sure: bool) -> Interval | None:
    """Prompts are known less well than tokens: by the width of the prior, or a quarter where this device was measured."""
    times = [prefill_s(facts, place, tokens, known.constants, own) for place in reversed(places)]
    if times[0] is None or times[1] is None:
        return None
    factor = 1.25 if own.rows else _prompt_factor(known, places[0].unit, _is_tiny(facts, known, own))
    return Interval(low=times[0] / factor, middle=math.sqrt(times[0] * times[1]) if sure else None, high=times[1] * factor)


def _prompt_factor(known: Knowledge, unit: str, tiny: bool) -> float:
    """How far a prompt's time may be off to either side, without measurements of the device."""
    priors = known.constants.priors
    factor = priors.prefill.factor if known.constants.seen(f"prefill:{unit}") else priors.prefill.factor**_Z90
    return factor * priors.layer_ms.factor if tiny else factor


def _is_tiny(facts: ModelFacts, known: Knowledge, own: Own) -> bool:
    """Smaller than any model that was published, and nothing was measured here."""
    return not own.rows and facts.read_bytes() < known.constants.priors.least_read_mb * 1e6


def _decision(warm: Interval | None, step: Interval, load: Load, queued: bool) -> Interval | None:
    """The last of those who ask at once: their prompts are read one after the other, and where requests queue, so are their answers."""
    if warm is None:
        return None
    more = max(0, load.output_tokens - 1) * (load.concurrency if queued else 1)
    middle = None if warm.middle is None or step.middle is None else load.concurrency * warm.middle + more * step.middle
    return Interval(low=load.concurrency * warm.low + more * step.low, middle=middle, high=load.concurrency * warm.high + more * step.high)


def _rate(step: Interval, sequences: int) -> Interval:
    return Interval(low=sequences / step.high, middle=None if step.middle is None else sequences / step.middle, high=sequences / step.low)


def _energy_j(device: Device, asked: Asked, decision: Interval | None) -> float | None:
    """At most: the whole device's power for the whole time, shared by those served at once."""
    watts = (asked.mode.watts if asked.mode else None) or device.watts
    if watts is None or decision is None or decision.middle is None:
        return None
    return watts * decision.middle / asked.load.concurrency


def _basis(runtime: Runtime, own: Own, known: Knowledge, sure: bool) -> tuple[Basis, str]:
    if not sure:
        return (
            "range",
            f"nothing like it was measured ({runtime.engine} on such a unit, this memory, or so small a model): run the verify command there",
        )
    if own.rows:
        return "fitted to this device's measurements", f"{own.rows} measurements of {runtime.engine} on this device"
    spread = "/".join(f"{factor:g}" for factor in known.fitted.decode_factor)
    return (
        "fitted to published rows",
        f"{known.fitted.rows} published rows of {known.fitted.devices} devices; nine of ten left out were within {spread} of the estimate",
    )
