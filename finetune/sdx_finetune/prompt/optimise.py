"""Search on some rows, choose on others, measure on rows that neither has seen. Start at optimise()."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from sdx_finetune.measure import text_metrics
from sdx_finetune.progress import Say
from sdx_finetune.prompt.calls import Calls, Halt
from sdx_finetune.prompt.examples import Example, Given, Plan, Prompt, Sides, plan
from sdx_finetune.prompt.leaks import Guard
from sdx_finetune.prompt.search import Metric, search
from sdx_finetune.prompt.spec import PromptSpec
from sdx_finetune.rows import load_function

FEW = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """What one search came to."""

    prompt: Prompt
    """The base prompt when nothing was better on the validation rows."""
    proposed: Prompt | None
    """The best that was found, chosen or not; None when every candidate was refused."""
    base_on_validation: float | None
    proposed_on_validation: float | None
    refused: tuple[str, ...] = ()
    scored: tuple[float, ...] = ()
    """Of all candidates, see search.Found."""
    ended_early: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Everything that a run knows at its end."""

    plan: Plan
    base: Prompt
    choice: Choice
    pairs: tuple[tuple[str, float, float], ...] = ()
    """(key of a test row, base prompt's score, found prompt's score); empty when nothing could be measured."""
    folds: tuple[Choice, ...] = ()
    notes: list[str] = field(default_factory=list)


class Optimiser:
    """One run: rows, metric, calls.

    Args:
        log: file for what DSPy prints.
    """

    def __init__(self, spec: PromptSpec, given: Given, calls: Calls, log: Path, say: Say) -> None:
        self.spec, self.given, self.calls, self.log, self.say = spec, given, calls, log, say
        self.base = Prompt(given.instruction)
        self.metric = metric_of(spec)

    def run(self) -> Finding:
        """The prompt and its measure.

        Raises:
            ValueError: the calls that are allowed cannot hold even the final scoring.
            ChatError: the model is gone; the same run goes on from its answers.
        """
        planned = plan(self.given, self.spec)
        for note in planned.notes:
            self.say(f"note: {note}")
        if not planned.final.validation:
            few = Prompt(self.base.instruction, tuple((e.query, e.response) for e in planned.final.train[: self.spec.search.max_demos]))
            return Finding(planned, self.base, Choice(few, few, None, None), notes=list(planned.notes))
        self._afford(planned)
        try:
            return self._measured(planned)
        except Halt as halt:
            # The calls were counted out beforehand: here only a cause can end them.
            raise halt.cause or AssertionError("the reserve for scoring was spent") from halt

    def _measured(self, planned: Plan) -> Finding:
        searches = [*planned.folds, planned.final]
        pairs: list[tuple[str, float, float]] = []
        choices: list[Choice] = []
        for number, sides in enumerate(searches):
            where = f"fold {number + 1} of {len(planned.folds)}: " if number < len(planned.folds) else ""
            rest = sum(scoring(other) for other in searches[number:])
            choices.append(self._choice(sides, number, (self.calls.left - rest) // (len(searches) - number), where))
            if sides.test:
                pairs += self._pairs(sides.test, choices[-1].prompt)
        notes = [*planned.notes]
        if any(choice.ended_early for choice in choices):
            notes.append(f"max_calls {self.spec.max_calls} ended the search early; with more the result may be better")
        if len(pairs) < FEW:
            notes.append(f"{len(pairs)} scored rows make a rough interval; {FEW} or more tell better")
        return Finding(planned, self.base, choices[-1], tuple(pairs), tuple(choices[:-1]), notes)

    def _choice(self, sides: Sides, number: int, share: int, where: str) -> Choice:
        counts = f"{len(sides.train)} train, {len(sides.validation)} validation, {len(sides.test)} test rows"
        self.say(f"{where}{self.spec.search.optimiser} on {counts}, at most {share} calls")
        guard = Guard(self.given.examples, sides.test, self.base.instruction, self.spec.language)
        with self.calls.share(share) as calls:
            found = search(
                self.spec.search, sides, self.base, self.metric, guard, calls, self.log, self.spec.seed + number, lambda line: self.say(where + line)
            )  # fmt: skip
        refused = [*found.refused, *(reason for prompt in found.best if (reason := guard.prompt(prompt)))]
        best = next((prompt for prompt in found.best if not guard.prompt(prompt) and prompt != self.base), None)
        best = self._simpler(best, sides.validation) if best else None
        before = mean(self.scores(self.base, sides.validation))
        after = mean(self.scores(best, sides.validation)) if best else None
        better = best is not None and after is not None and after > before
        self.say(f"{where}validation: base {before:.3f}, {'nothing better found' if after is None else f'found {after:.3f}'}")
        return Choice(best if better and best else self.base, best, before, after, tuple(refused), tuple(found.scored), found.ended_early)

    def _simpler(self, best: Prompt, validation: Sequence[Example]) -> Prompt:
        """The same demos under the base instruction, unless the proposed one earns its place."""
        plainer = Prompt(self.base.instruction, best.demos)
        if plainer in (best, self.base):
            return best
        return plainer if mean(self.scores(plainer, validation)) >= mean(self.scores(best, validation)) else best

    def _pairs(self, test: Sequence[Example], prompt: Prompt) -> list[tuple[str, float, float]]:
        self.say(f"scoring {len(test)} test rows")
        base = self.scores(self.base, test)
        final = base if prompt == self.base else self.scores(prompt, test)
        return list(zip((example.row.key for example in test), base, final, strict=True))

    def scores(self, prompt: Prompt, examples: Sequence[Example]) -> list[float]:
        """The metric of each answer; 0 where the model gave none."""
        said = self.calls.ask_all([prompt.messages(example.query) for example in examples])
        return [0.0 if answer.failure else self.metric(e, answer.text) for e, answer in zip(examples, said, strict=True)]

    def _afford(self, planned: Plan) -> None:
        needed = sum(scoring(sides) for sides in (*planned.folds, planned.final))
        if needed >= self.calls.most:
            raise ValueError(
                f"max_calls {self.calls.most} leaves nothing to search with: choosing and scoring alone take {needed} calls; "
                "raise max_calls, or lower max_rows, validation or test"
            )


def scoring(sides: Sides) -> int:
    """Calls for the base prompt and another one on validation and test rows, and for its demos alone on the validation rows."""
    return 3 * len(sides.validation) + 2 * len(sides.test)


def expected_calls(spec: PromptSpec, planned: Plan) -> int:
    """At most about so many calls: the searches to their end, and all scoring."""
    found = spec.search
    if not planned.final.validation:
        return 0
    total = 0
    for sides in (*planned.folds, planned.final):
        tries, scored = len(sides.train) * found.rounds, len(sides.validation)
        match found.optimiser:
            case "labeled":
                total += 0
            case "bootstrap":
                total += tries
            case "random_search":
                total += (found.candidates + 1) * tries + (found.candidates + 3) * scored
            case "mipro":
                total += found.candidates * (tries + 1) + (found.combinations + 1) * scored + 12
        total += scoring(sides)
    return min(total, spec.max_calls)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def metric_of(spec: PromptSpec) -> Metric:
    """The measure by its name; a domain's own is checked to give numbers. ValueError names it when it does not."""
    name = spec.metric_name
    plain: dict[str, Callable[[str, str], float]] = {
        "token_f1": text_metrics.token_f1,
        "chrf": text_metrics.chrf,
    }
    if name in plain:
        return lambda example, answer: plain[name](answer, example.response)
    if name == "exact":
        return lambda example, answer: float(bool(text_metrics.score(example.row, answer)["exact"]))
    own = load_function(name)

    def measured(example: Example, answer: str) -> float:
        value: Any = own(example.row, answer)
        if isinstance(value, bool | int | float) and isfinite(value):
            return float(value)
        raise ValueError(f"metric: {name} gave {value!r:.80} for row {example.row.key}; it must give a number")

    return measured
