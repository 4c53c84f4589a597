"""What `sdx bench DOMAIN` measures: the domain's suites in closed loop, alone or paired, its own measurements, and how fast it decides."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from sdx_agents.bench import SuiteRun, run_suite
from sdx_domains.contract import Measuring, load_domain
from sdx_serving.provenance import provenance

Say = Callable[[str], None]
How = Literal["suite", "paired", "latency"]
"""suite: each case once. paired: with the agent and with the fallback alone. latency: how long a plan and a controller's tick take."""

KEEPING = ("phantoms", "calibration")
"""Measurements whose finished cases are kept."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for; see `sdx bench DOMAIN --help`."""

    run: SuiteRun
    how: How = "suite"


def measure(asked: Wanted, say: Say) -> dict[str, Any]:
    """The result as JSON values, with machine, commit and seed.

    Raises:
        KeyError: no such domain; or no such suite or measurement, with those that there are.
        ValueError: `how` does not fit a measurement.
    """
    run = asked.run
    measures = measures_of(run.domain)
    if run.suite in measures and asked.how != "suite":
        raise ValueError(f"{run.suite} is a measurement of its own; --{asked.how} goes with a suite of scenarios")
    if run.kept and run.suite in measures and run.suite not in KEEPING:
        raise ValueError(
            f"{run.suite} has no cases to keep; leave --keep out (they are kept by {', '.join(KEEPING)} and suites of scenarios)"
        )
    found = _measurement(run, measures[run.suite], say) if run.suite in measures else _suite(run, asked.how, list(measures), say)
    made = provenance()
    head = {"domain": run.domain, "suite": run.suite, "seed": run.seed}
    return {**head, **found, "machine": made["machine"], "commit": made["commit"]}


def measures_of(name: str) -> dict[str, Callable[[Measuring], dict[str, Any]]]:
    """The domain's own; for one that steers devices that of the bus, for one that sees that of its drafts."""
    domain = load_domain(name)
    of_bus = {"equipment": _equipment} if hasattr(domain, "controller") else {}
    of_drafts = {"phantoms": _phantoms, "calibration": _calibration, "speed": _speed} if hasattr(domain, "sees") else {}
    return {**of_bus, **of_drafts, **domain.measures()}


def _equipment(asked: Measuring) -> dict[str, Any]:
    from sdx_ui.equipment_bench import equipment  # loads pymodbus

    return equipment(asked)


def _phantoms(asked: Measuring) -> dict[str, Any]:
    from sdx_agents.reading.bench import phantoms  # loads the reading of images

    return phantoms(asked)


def _calibration(asked: Measuring) -> dict[str, Any]:
    from sdx_agents.reading.bench import calibration

    return calibration(asked)


def _speed(asked: Measuring) -> dict[str, Any]:
    from sdx_agents.reading.bench import speed

    return speed(asked)


def _measurement(run: SuiteRun, function: Callable[[Measuring], dict[str, Any]], say: Say) -> dict[str, Any]:
    model = run.model if run.with_model and run.model else "none"
    with _completing(model) as complete:
        asked = Measuring(seed=run.seed, count=run.count, model=model, complete=complete, folder=run.folder, kept=run.kept, say=say)
        return function(asked)


@contextmanager
def _completing(model: str) -> Iterator[Callable[[list[dict[str, str]], Mapping[str, Any]], str] | None]:
    """The model as a function, None for none. Its engine starts when it is first asked: most measurements ask nothing."""
    if model == "none":
        yield None
        return
    from sdx_serving.connect import open_chat

    with ExitStack() as stack:
        chat = cache(lambda: stack.enter_context(open_chat(model)))
        yield lambda messages, schema: chat().complete(messages, schema).text


def _suite(run: SuiteRun, how: How, measures: list[str], say: Say) -> dict[str, Any]:
    try:
        load_domain(run.domain).suite(run.suite, run.seed, run.count, run.folder)
    except KeyError as error:
        raise KeyError(f"{error.args[0]}; measurements: {', '.join(measures) or 'none'}") from error
    if how == "suite":
        return run_suite(run, lambda done, total, row: say(f"{done}/{total} {row.get('case', '')}"))
    from sdx_agents.paired import latency, run_paired

    if how == "latency":
        return latency(run)
    return run_paired(run, lambda done, total, row: say(f"{row['half']} {done}/{total} {row.get('case', '')}"))
