"""The four ways of looking for a better prompt. Start at search(); DSPy is imported here and nowhere before."""

from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sdx_finetune.progress import Say
from sdx_finetune.prompt.calls import Halt, Share
from sdx_finetune.prompt.examples import Example, Prompt, Sides
from sdx_finetune.prompt.leaks import Guard
from sdx_finetune.prompt.spec import SearchSpec

Metric = Callable[[Example, str], float]
MINIBATCH = 35
"""Validation rows per trial of mipro where there are more than FULL of them."""
FULL = 50
NEVER = 1 << 30
"""Errors that DSPy may count: an answer that fails is worth 0, and does not end the search."""


@dataclass(slots=True)
class Found:
    """What a search has seen."""

    best: list[Prompt] = field(default_factory=list)
    """Candidates, the most promising first."""
    refused: list[str] = field(default_factory=list)
    """Instructions that were not tried, with the reason."""
    scored: list[float] = field(default_factory=list)
    """Of the candidates on all validation rows, in the order they were tried; those of searches that compare several."""
    ended_early: bool = False


def search(
    spec: SearchSpec, sides: Sides, base: Prompt, metric: Metric, guard: Guard, calls: Share, log: Path, seed: int, say: Say
) -> Found:
    """Candidates for sides.validation, from sides.train; sides.test is never touched.

    Raises what ended the calls, when it was not that they were used up.
    """
    import dspy

    from sdx_finetune.prompt.program import PlainAdapter, Program, as_dspy, language_models, prompt_of

    found = Found()
    answering, writing = language_models(calls)
    watch = _watch(len(sides.validation), say)
    train = [example for example in sides.train if not guard.demo(example.query, example.response)]
    Random(f"{seed}:train").shuffle(train)
    by_text = {(example.query, example.response): example for example in (*train, *sides.validation)}

    def measured(example: Any, answer: Any, trace: Any = None) -> float:
        """DSPy passes a trace where a good answer is to become a demo: not one that gives a test row away."""
        if trace is not None and guard.demo(example.query, answer.response):
            return 0.0
        try:
            return metric(by_text[example.query, example.response], answer.response)
        except Exception as error:
            raise Halt(error) from error  # DSPy would take it for a bad answer

    with log.open("a", encoding="utf-8") as text, redirect_stdout(text), redirect_stderr(text):
        valset = as_dspy(sides.validation)
        optimiser, more = _optimiser(spec, measured, (answering, writing), guard, found, valset, calls.spec.concurrency, seed)
        try:
            with dspy.context(
                lm=answering, adapter=PlainAdapter(), callbacks=[watch], disable_history=True, num_threads=calls.spec.concurrency
            ):
                program = optimiser.compile(Program(base.instruction), trainset=as_dspy(train), **more)
            found.best = [prompt_of(program)]
        except Halt as halt:
            if halt.cause is not None:
                raise halt.cause from halt
            found.ended_early = True
            found.best = [prompt_of(program) for _, _, program in sorted(watch.seen, key=lambda item: (-item[0], item[1]))]
    found.scored = [round(score / 100, 4) for score, _, _ in watch.seen]
    return found


def _optimiser(
    spec: SearchSpec, metric: Any, models: tuple[Any, Any], guard: Guard, found: Found, valset: list[Any], threads: int, seed: int
) -> tuple[Any, dict[str, Any]]:
    """The optimiser, and what its compile() takes besides the training rows."""
    from dspy.teleprompt import BootstrapFewShot, BootstrapFewShotWithRandomSearch, LabeledFewShot

    own = spec.max_bootstrapped or spec.max_demos
    shared: dict[str, Any] = {
        "metric": metric, "metric_threshold": spec.good, "max_bootstrapped_demos": own, "max_labeled_demos": spec.max_demos,
        "max_errors": NEVER,
    }  # fmt: skip
    match spec.optimiser:
        case "labeled":
            return LabeledFewShot(k=spec.max_demos), {}
        case "bootstrap":
            return BootstrapFewShot(max_rounds=spec.rounds, **shared), {}
        case "random_search":
            count = {"max_rounds": spec.rounds, "num_candidate_programs": spec.candidates, "num_threads": threads}
            return BootstrapFewShotWithRandomSearch(**shared, **count), {"valset": valset}
        case "mipro":
            count = {"auto": None, "num_candidates": spec.candidates, "num_threads": threads, "seed": seed + 1}
            optimiser = _guarded_mipro(guard, found)(task_model=models[0], prompt_model=models[1], **shared, **count)
            parts = {"minibatch": len(valset) > FULL, "minibatch_size": min(MINIBATCH, len(valset))}
            return optimiser, {"valset": valset, "num_trials": spec.combinations, "program_aware_proposer": False, **parts}


def _guarded_mipro(guard: Guard, found: Found) -> Any:
    """MIPROv2 that tries no instruction that the guard refuses, and goes on with demos alone when the model proposes none."""
    from dspy.teleprompt import MIPROv2

    class GuardedMipro(MIPROv2):
        def _propose_instructions(self, program: Any, *given: Any, **more: Any) -> dict[int, list[str]]:
            base = program.predictors()[0].signature.instructions
            try:
                proposed = super()._propose_instructions(program, *given, **more)[0]
            except Exception as error:  # noqa: BLE001 - whatever a model writes instead of an instruction
                found.refused.append(f"the model proposed none: {str(error).splitlines()[0][:160]}")
                proposed = []
            kept = [base]
            for text in (text.strip() for text in proposed):
                if text in kept:
                    continue
                if reason := "it is empty" if not text else guard.instruction(text):
                    found.refused.append(f"{reason}: {text[:160]}")
                else:
                    kept.append(text)
            return {0: kept}

    return GuardedMipro


def _watch(rows: int, say: Say) -> Any:
    """Remembers every program that DSPy has scored on all validation rows."""
    from dspy.utils.callback import BaseCallback

    class Watch(BaseCallback):
        def __init__(self) -> None:
            self.seen: list[tuple[float, int, Any]] = []
            self._open: dict[str, Any] = {}

        def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
            self._open[call_id] = inputs["program"]

        def on_evaluate_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
            program = self._open.pop(call_id)
            if exception is None and len(outputs.results) == rows:
                self.seen.append((outputs.score, len(self.seen), program.deepcopy()))
                say(f"candidate {len(self.seen)}: {outputs.score / 100:.3f} on {rows} validation rows")

    return Watch()
