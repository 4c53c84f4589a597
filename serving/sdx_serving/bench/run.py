"""The whole experiment: every cell of a plan in rotated rounds, each trial kept as it ends. Start at run()."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sdx_serving.bench.plan import Cell, Plan, cells
from sdx_serving.bench.rows import Measured, Origin, measurement
from sdx_serving.bench.task import MakeTask, RowsTask, Task
from sdx_serving.bench.trial import Cores, Trial, run_trial
from sdx_serving.bench.versions import runtime_version
from sdx_serving.provenance import commit
from sdx_serving.results import Results
from sdx_serving.weights import weights_bytes, weights_sha256

Say = Callable[[str], None]
WORK = "runs"
"""Folder of trials, logs and made files beside the results; what is in it can be made again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has so far."""

    plan: Plan
    measured: tuple[Measured, ...]
    missing: tuple[Cell, ...]
    """Cells that time did not reach."""
    origin: Origin
    metric: str
    """What accuracy means."""
    cores: Cores

    @property
    def whole(self) -> bool:
        return not self.missing and all(one.row.failure or one.rounds == self.plan.rounds for one in self.measured)


def run(plan: Plan, make_task: MakeTask | None, out: Path, device: str, say: Say = lambda line: None, again: bool = False) -> Outcome:
    """Measure what `out` does not hold yet, within the plan's time.

    Args:
        make_task: of plan.prompts; None where that is a file of rows.
        device: id of this machine for the results.
        again: measure failed cells once more.

    Raises:
        ValueError: the rows cannot be had.
    """
    ends_s = time.monotonic() + 60.0 * plan.minutes
    work = out / WORK / "trials"
    work.mkdir(parents=True, exist_ok=True)
    (out / "plan.yaml").write_text(plan.text(out), encoding="utf-8")
    if again:
        _forget_failures(work)
    task = _task(plan, make_task)
    named, origin = _named(plan, task)
    now, times = commit(), list[float]()
    for place, (number, cell) in enumerate(_order(named, plan), 1):
        path = work / f"{cell.key}-{number}.trial.json"
        if any(trial.round == number or trial.failure for trial in _trials(work, cell, number + 1)):
            continue
        if time.monotonic() + (median(times) if times else 0.0) > ends_s:
            say(f"the {plan.minutes:g} minutes are nearly over: the same command goes on from here")
            break
        trial = run_trial(cell, number, plan, task, work).model_copy(update={"commit": now, "device": device})
        times.append(trial.whole_s)
        _keep(path, trial)
        say(f"{place}/{plan.rounds * len(named)} {cell}: {trial.failure or _figures(trial)}")
    outcome = _outcome(plan, named, origin, task, work)
    _publish(outcome)
    return outcome


def _task(plan: Plan, make_task: MakeTask | None) -> Task:
    """With rows for all rounds, and some that only warm up."""
    count = plan.requests * plan.rounds + max(way.concurrency for way in plan.ways)
    if plan.prompts.endswith(".jsonl"):
        return RowsTask(Path(plan.prompts), count)
    if make_task is None:
        raise ValueError(f"prompts: no task {plan.prompts!r} is known here: give a .jsonl file of chat rows")
    return make_task(count, plan.seed)


def _named(plan: Plan, task: Task) -> tuple[list[Cell], Origin]:
    """The cells with all that identifies them, and what their rows say of task and weights."""
    files = [file.path for model in plan.models for file in model.files]
    hashes = {path: weights_sha256(path) for path in files}
    resolved = plan.model_copy(update={"threads": plan.threads or len(Cores.apart(plan.pin).engine) or 1})
    found = list(cells(plan, hashes, lambda name, way: runtime_version(name, way.way == "in-process"), resolved.load_id(task.questions)))
    return found, Origin(task.name, {path: weights_bytes(path) for path in files})


def _order(named: Sequence[Cell], plan: Plan) -> Iterator[tuple[int, Cell]]:
    """(round, cell): drawn once, and every second round reversed, so that each cell stands on average in the middle of the run."""
    drawn = list(named)
    random.Random(plan.seed).shuffle(drawn)
    for number in range(plan.rounds):
        yield from ((number, cell) for cell in (reversed(drawn) if number % 2 else drawn))


def _forget_failures(work: Path) -> None:
    for path in work.glob("*.trial.json"):
        if Trial.model_validate_json(path.read_text(encoding="utf-8")).failure:
            path.unlink()


def _trials(work: Path, cell: Cell, rounds: int) -> list[Trial]:
    paths = (work / f"{cell.key}-{number}.trial.json" for number in range(rounds))
    return [Trial.model_validate_json(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def _keep(path: Path, trial: Trial) -> None:
    """Whole or not at all. What the processes told beside it is in it."""
    partial = path.with_suffix(".partial")
    partial.write_text(trial.model_dump_json(), encoding="utf-8")
    partial.replace(path)
    stem = path.name.removesuffix(".trial.json")
    for left in path.parent.glob(f"{stem}.*"):
        if left != path and (left.suffix == ".json" or not left.stat().st_size):
            left.unlink()


def _figures(trial: Trial) -> str:
    middle = median(asked.request_s for asked in trial.answers)
    score = sum(trial.scores) / len(trial.scores)
    return f"{middle:.3f} s a request, accuracy {score:.2f}, {(trial.peak_rss_bytes or 0) / 1e6:.0f} MB"


def _outcome(plan: Plan, named: Sequence[Cell], origin: Origin, task: Task, work: Path) -> Outcome:
    found = [(cell, _trials(work, cell, plan.rounds)) for cell in named]
    measured = tuple(measurement(cell, trials, plan, origin) for cell, trials in found if trials)
    missing = tuple(cell for cell, trials in found if not trials)
    return Outcome(plan, measured, missing, origin, task.metric, Cores.apart(plan.pin))


def _publish(outcome: Outcome) -> None:
    """Rows of finished cells go to the results that the recommender reads, each once."""
    results = Results()
    there = {row.model_dump_json() for row in results}
    for one in outcome.measured:
        if (one.row.failure or one.rounds == outcome.plan.rounds) and one.row.model_dump_json() not in there:
            results.add(one.row)
