"""The answer to "which model, in which form, on which runtime, for my device and my deadline", ranked, and what was ruled out. Start at recommend()."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote

from sdx_serving.devices.device import Device, PowerMode, Runtime
from sdx_serving.recommend.answer import Accuracy, Choice, Estimate, Recommendation, RuledOut
from sdx_serving.recommend.constants import constants, fitted
from sdx_serving.recommend.estimate import Asked, Knowledge, estimate, most_context
from sdx_serving.recommend.library import Model, Task, candidates, facts_by_measurement, tasks
from sdx_serving.recommend.own import plausible, usable
from sdx_serving.recommend.timing import Load
from sdx_serving.registry import Registry
from sdx_serving.results import Results

_NUMBERS = {"BF16": "bf16", "FP8": "fp8", "NVFP4": "fp4", "MXFP4": "fp4"}
"""Quantisations that want a type of number of the device."""
_OTHER_FORMAT = ", this model is "
_MULTIPLE = 256
"""Contexts are given in steps of this many tokens."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. Tokens that are 0 are taken from the task."""

    task: str
    device: Device
    deadline_s: float | None = None
    concurrency: int = 1
    context_tokens: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    watts: float | None = None
    threads: int = 0
    """0 takes all cores of the device."""
    models: Sequence[str] = ()
    runtimes: Sequence[str] = ()
    """Only these; none means all of the device's."""
    queueing: frozenset[str] = frozenset()
    """Engines that are installed there so that they serve one after the other."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Engines that are not installed there, and what to type."""
    registry: Registry = field(default_factory=Registry)
    results: Results = field(default_factory=Results)


def recommend(question: Question) -> Recommendation:
    """Every model in every form on every runtime of the device, ranked.

    First what meets the deadline surely, then by the middle of its estimate; among those what passed the task, then the better score, then
    what is on this machine; models that nobody measured by size, the larger and less compressed first; then the faster.

    Raises:
        ValueError: no such task or power mode, or a named model is not there.
    """
    task = _task(question.task)
    mode = _mode(question)
    load = _load(question, task)
    models, notes = candidates(question.models, question.registry)
    if not models:
        raise ValueError("no models: the registry is empty; name one with --model")
    known, refused = _knowledge(question)
    choices: list[Choice] = []
    out: list[RuledOut] = []
    for model in models:
        for runtime in _runtimes(question):
            found = _weigh(model, runtime, question, load, mode, known)
            choices.append(found) if isinstance(found, Choice) else out.append(found)
    best = max((score for model in models if (score := model.score(question.task))), key=lambda score: score.value, default=None)
    as_good = 0.0 if best is None else best.low if best.low is not None else best.value
    ranked = sorted(choices, key=lambda choice: _order(choice, models, as_good))
    return Recommendation(
        task=question.task,
        device=question.device.id,
        power_mode=mode.name if mode else "as it is",
        inputs=_inputs(question, load, models),
        choices=tuple(choice.model_copy(update={"rank": number}) for number, choice in enumerate(ranked, 1)),
        ruled_out=tuple(_shortened(out, ranked)),
        notes=(*notes, *refused, *_remarks(question)),
    )


def _remarks(question: Question) -> list[str]:
    device = question.device
    unheld = question.watts is not None and not device.power_modes and device.watts is None
    return [remark for remark in (device.note, f"{device.id} tells no power: {question.watts} W are not held" if unheld else "") if remark]


def _task(name: str) -> Task:
    known = tasks()
    if name not in known:
        raise ValueError(f"no task {name!r}: known are {', '.join(known)}")
    return known[name]


def _runtimes(question: Question) -> list[Runtime]:
    found = [runtime for runtime in question.device.runtimes if not question.runtimes or runtime.engine in question.runtimes]
    if not found:
        known = ", ".join(runtime.engine for runtime in question.device.runtimes)
        raise ValueError(f"{question.device.id} has no runtime {' or '.join(question.runtimes)}: known are {known}")
    return found


def _mode(question: Question) -> PowerMode | None:
    device, watts = question.device, question.watts
    if watts is not None and not device.power_modes and device.watts and device.watts > watts:
        raise ValueError(f"{device.id} takes {device.watts:g} W and has no power modes: it cannot be held to {watts:g} W")
    return device.mode(watts)


def _load(question: Question, task: Task) -> Load:
    prompt = question.prompt_tokens or task.prompt_tokens
    return Load(prompt, question.output_tokens or task.output_tokens, question.concurrency, min(task.shared_tokens, prompt - 1))


def _knowledge(question: Question) -> tuple[Knowledge, list[str]]:
    """Constants and the device's own measurements; and the measurements that break physics."""
    known = constants()
    seen = usable(question.results, facts_by_measurement(question.registry), question.device.id)
    bandwidth = question.device.bandwidth_gb_s
    if bandwidth is None:
        return Knowledge(known, fitted(), seen, question.queueing), []
    judged = [(one, plausible(one, bandwidth, known.priors.most_share, question.device.cache_bytes)) for one in seen]
    return Knowledge(known, fitted(), [one for one, wrong in judged if wrong is None], question.queueing), [
        wrong for _, wrong in judged if wrong
    ]


def _weigh(model: Model, runtime: Runtime, question: Question, load: Load, mode: PowerMode | None, known: Knowledge) -> Choice | RuledOut:
    """One model on one runtime."""
    facts, device = model.facts, question.device
    context = question.context_tokens or -(-(load.prompt_tokens + load.output_tokens) // _MULTIPLE) * _MULTIPLE

    def out(why: str) -> RuledOut:
        return RuledOut(model=facts.name, quantisation=facts.quantisation, runtime=runtime.engine, why=why)

    if facts.format not in runtime.takes:
        return out(f"{runtime.engine} takes {' and '.join(runtime.takes)}, this model is {facts.format}")
    if why := device.refusal(facts.quantisation, _NUMBERS.get(facts.quantisation, ""), runtime.engine, f"{facts.format} on {runtime.unit}"):
        return out(why)
    if load.prompt_tokens + load.output_tokens > context or context > facts.context_tokens:
        return out(
            f"question and answer take {load.prompt_tokens + load.output_tokens} tokens, the context is {context}, the model's at most {facts.context_tokens}"
        )
    if why := question.missing.get(runtime.engine):
        return out(why)
    threads = question.threads or (device.cores or 1 if runtime.unit == "cpu" else 1)
    asked = Asked(load, context, threads, mode)
    figures = estimate(facts, device, runtime, asked, known)
    if not figures.memory.fits:
        return out(_too_large(figures))
    decision = figures.decision_s
    middle, slow = (decision.middle, decision.high) if decision else (None, None)
    deadline = question.deadline_s
    sure = deadline is None or (slow is not None and slow <= deadline)
    meets = None if deadline is None else True if sure else None if middle is None else middle <= deadline
    return Choice(
        rank=1,
        model=facts.name,
        quantisation=facts.quantisation,
        runtime=runtime.engine,
        unit=runtime.unit,
        context_tokens=context,
        most_context_tokens=most_context(facts, figures.memory, context),
        figures=figures,
        accuracy=_accuracy(model, question),
        meets_deadline=meets,
        surely=sure,
        here=model.here,
        file=model.given,
        note="; ".join(word for word in _notes(model, runtime) if word),
        run=_run(model, runtime, asked),
        verify=f"sdx recommend --verify --model {quote(model.given)} --runtime {runtime.engine} --task {question.task} --threads {threads}",
    )


def _notes(model: Model, runtime: Runtime) -> tuple[str, ...]:
    return (
        runtime.note,
        "" if model.facts.exact else "its shape is guessed from its size",
        "" if model.here else "its file is not here: get it first",
    )


def _too_large(figures: Estimate) -> str:
    need = figures.memory
    parts = f"weights {need.weights / 1e9:.1f}, context {need.kv / 1e9:.1f}, runtime {need.runtime / 1e9:.1f}"
    return f"needs {need.total / 1e9:.1f} GB ({parts}), {need.usable / 1e9:.1f} usable"


def _accuracy(model: Model, question: Question) -> Accuracy:
    score = model.score(question.task)
    if score is None or model.entry is None:
        return Accuracy(metric="", value=None, lost_points=None, passed=False, words="not measured")
    base = question.registry.find(model.entry.base_sha256) if model.entry.base_sha256 else None
    before = base.tasks.get(question.task) if base else None
    alike = before is not None and before.metric == score.metric
    lost = round(100 * (before.value - score.value), 2) if before and alike else 0.0 if not model.entry.base_sha256 else None
    words = f"{score.metric} {100 * score.value:.1f} % of {score.rows} rows"
    words += (
        f", {lost:+.1f} points lost" if lost is not None and model.entry.base_sha256 else "" if lost is not None else ", loss not measured"
    )
    return Accuracy(metric=score.metric, value=score.value, lost_points=lost, passed=score.passed, words=words)


def _run(model: Model, runtime: Runtime, asked: Asked) -> str:
    if runtime.note and "not started by sdx" in runtime.note:
        return ""
    parallel = f" --parallel {asked.load.concurrency}" if asked.load.concurrency > 1 else ""
    threads = f" --threads {asked.threads}" if runtime.unit == "cpu" else ""
    model_file = model.given if model.here or model.entry else f"{model.facts.name}-{model.facts.quantisation}.gguf"
    if runtime.engine != "llama.cpp" and not model.here:
        model_file = model.given.partition(":")[0]
    return f"sdx serve {quote(model_file)} --engine {runtime.engine} --context {asked.context_tokens}{parallel}{threads}"


def _order(choice: Choice, models: Sequence[Model], as_good: float) -> tuple[float, ...]:
    """Smaller is better. Scores from `as_good` on cannot be told from the best one: among those what is here, then the fastest, comes first."""
    facts = next(model.facts for model in models if (model.facts.name, model.facts.quantisation) == (choice.model, choice.quantisation))
    decision = choice.figures.decision_s
    time_s = (decision.middle or decision.high) if decision else 1e9
    late = choice.meets_deadline is False  # then only speed counts
    score = choice.accuracy.value
    unmeasured = score is None
    return (
        3.0 if late else 2.0 if choice.meets_deadline is None and not choice.surely else 0.0 if choice.surely else 1.0,
        time_s if late else 0.0,
        not choice.run,  # runtimes that we cannot start come last
        not choice.accuracy.passed,
        1.0 if unmeasured else max(0.0, as_good - score),
        not choice.here,
        -facts.parameters if unmeasured else 0.0,
        -min(facts.weights_bytes / max(1, facts.parameters), 1.1) if unmeasured else 0.0,  # over eight bits a weight no better
        time_s,
    )


def _inputs(question: Question, load: Load, models: Sequence[Model]) -> dict[str, float | int | str | None]:
    device = question.device
    return {
        "prompt_tokens": load.prompt_tokens,
        "cached_tokens": load.cached_tokens,
        "output_tokens": load.output_tokens,
        "concurrency": load.concurrency,
        "deadline_s": question.deadline_s,
        "usable_gb": device.usable_gb,
        "bandwidth_gb_s": device.bandwidth_gb_s,
        "models": len(models),
    }


def _shortened(out: Sequence[RuledOut], choices: Sequence[Choice]) -> list[RuledOut]:
    """That a runtime takes other formats is told once, of models that no runtime takes; all else is told."""
    wanted = [one for one in out if _OTHER_FORMAT not in one.why]
    taken = {(one.model, one.quantisation) for one in (*wanted, *choices)}
    for one in out:
        if (one.model, one.quantisation) not in taken:
            taken.add((one.model, one.quantisation))
            form = one.why.partition(_OTHER_FORMAT)[2]
            wanted.append(one.model_copy(update={"runtime": "", "why": f"no runtime of this device takes {form}"}))
    return wanted
