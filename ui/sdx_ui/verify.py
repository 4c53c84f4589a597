"""A choice of `sdx recommend`, run on this machine and kept among the results. Start at verify()."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdx_serving.results import Measurement

if TYPE_CHECKING:
    from sdx_serving.bench.task import Question as AskedOf
    from sdx_serving.recommend.answer import Choice
    from sdx_serving.recommend.choose import Question

_QUESTIONS, _SEED = 7, 5_000


def verify(choice: "Choice", question: "Question") -> Measurement:
    """Serve the chosen model on its runtime, ask it the task's own questions, and keep the row; a failure is a row too."""
    from sdx_serving.engine import EngineError
    from sdx_serving.engines.choose import engine_for
    from sdx_serving.provenance import commit
    from sdx_serving.recommend.headers import facts_of
    from sdx_serving.recommend.here import Plan, measure_here, serving_of
    from sdx_serving.weights import weights_bytes, weights_sha256

    threads = question.threads or question.device.cores or 1
    plan = Plan(context_tokens=choice.context_tokens, output_tokens=question.output_tokens or 160, threads=threads)
    path = choice.file
    try:
        engine = engine_for(serving_of(path, plan), choice.runtime)
        row = measure_here(engine, facts_of(path), task_questions(question.task), plan, question.device.id, weights_sha256(Path(path)))
    except (EngineError, ValueError) as error:
        row = Measurement.model_validate({
            "device": question.device.id, "model": choice.model, "compression": choice.quantisation, "runtime": choice.runtime,
            "threads": threads, "context_tokens": choice.context_tokens, "weights_bytes": weights_bytes(Path(path)),
            "failure": str(error).splitlines()[0], "at": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit(),
        })  # fmt: skip
    question.results.add(row)
    return row


def task_questions(task: str) -> "Sequence[AskedOf]":
    """What the task asks, as its domain asks it: with the schema that the answer is held to."""
    from sdx_ui.serve_bench import DomainTask

    return DomainTask(task, _QUESTIONS, _SEED).questions


def trial_here(models: Sequence[str], threads: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each model file on the engine that takes it, keep the rows, and hold estimates from the others against each.

    Args:
        models: none takes those of the registry that are here.
        rounds: each file is measured once in each, so that what else the machine does hits all; of a file the least disturbed row counts.

    Raises:
        ValueError: a measurement failed, or each runtime has fewer than two files.
    """
    from sdx_serving.devices.probe import device_of, probe
    from sdx_serving.recommend.choose import Question, recommend
    from sdx_serving.recommend.constants import constants, fitted
    from sdx_serving.recommend.estimate import Knowledge
    from sdx_serving.recommend.headers import facts_of
    from sdx_serving.recommend.own import Seen
    from sdx_serving.recommend.trial import here_trial

    device = device_of(probe())
    question = Question("ship", device, models=tuple(models), threads=threads, context_tokens=2048)
    choices = [choice for choice in recommend(question).choices if choice.here and choice.runtime in ("llama.cpp", "onnx")]
    best: dict[str, Seen] = {}
    for number in range(1, rounds + 1):
        for choice in choices:
            say(f"round {number} of {rounds}: {choice.model} on {choice.runtime}")
            row = verify(choice, question)
            if row.failure:
                raise ValueError(f"{choice.model} on {choice.runtime}: {row.failure}")
            before = best.get(choice.file)
            if before is None or (row.decode_tokens_per_s or 0.0) > (before.row.decode_tokens_per_s or 0.0):
                best[choice.file] = Seen(row, facts_of(choice.file))
    return here_trial(device, list(best.values()), Knowledge(constants(), fitted()))
