"""One cell, measured once: engine, asking process and watching process apart, and one record of what came. Start at run_trial()."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sdx_serving.bench.errand import Errand
from sdx_serving.bench.impair import Network, NoNetwork, impaired_network
from sdx_serving.bench.in_process import OPENERS
from sdx_serving.bench.load import Exchange, Job, Loaded
from sdx_serving.bench.monitor import Sample, Watch, Watched
from sdx_serving.bench.plan import Cell, Plan
from sdx_serving.bench.task import Question, Task
from sdx_serving.closed import Closed
from sdx_serving.engine import Engine, EngineError, Serving
from sdx_serving.engines.choose import engine_for

_POLL_S = 0.05
_MIB = 1024 * 1024
_KILLED_S = 0.5
"""How long the monitor takes, at most, to say that it was who killed a process."""


class Trial(Closed):
    """What one round of one cell gave; with `failure`, why it gave nothing."""

    cell: str
    """Cell.key"""
    round: int
    at: str
    """ISO 8601, UTC."""
    device: str = ""
    commit: str = ""
    failure: str = ""
    cold: tuple[Exchange, ...] = ()
    answers: tuple[Exchange, ...] = ()
    scores: tuple[float, ...] = ()
    """0..1, of each answer."""
    seconds: float = 0.0
    """From the first question sent to the last answer received."""
    whole_s: float = 0.0
    """Of the trial, start and end of the engine included."""
    peak_rss_bytes: int | None = None
    energy_j: float | None = None
    """While the questions were answered."""
    others_cores: float = 0.0
    stolen_cores: float = 0.0
    throttled: int = 0
    load: tuple[float, float] = (0.0, 0.0)
    network: str = ""
    """What impaired it: netem, or the user-space link."""


class Failed(Exception):
    """This cell gives no figures; the message says why, beginning with a word for the kind."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where; () is anywhere."""

    engine: tuple[int, ...] = ()
    ours: tuple[int, ...] = ()

    @classmethod
    def apart(cls, pin: bool) -> Self:
        """The last core for client and monitor, the others for the engine; unpinned on one core or where that cannot be set."""
        allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        return cls(tuple(allowed[:-1]), tuple(allowed[-1:])) if pin and len(allowed) > 1 else cls()


def run_trial(cell: Cell, number: int, plan: Plan, task: Task, folder: Path) -> Trial:
    """Measure; a failure of any kind is in the record and not raised.

    Args:
        number: of the round, from 0; it chooses the rows.
        folder: for jobs, logs and what the processes tell.
    """
    began_s = time.monotonic()
    record = Trial(cell=cell.key, round=number, at=datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        told = _measured(cell, number, plan, task, folder)
    except Failed as failed:
        told = {"failure": str(failed)}
    return record.model_copy(update={**told, "whole_s": time.monotonic() - began_s})


def _measured(cell: Cell, number: int, plan: Plan, task: Task, folder: Path) -> dict[str, Any]:
    name, cores, way = f"{cell.key}-{number}", Cores.apart(plan.pin), cell.way
    if not cell.path.exists():
        raise Failed(f"missing: {cell.path.name} is not there")
    with ExitStack() as stack:
        network = stack.enter_context(_network(cell, plan.seed))
        engine = _engine(cell, plan, cores, network.host, folder / f"{name}.log")
        limit = plan.memory_limit_mb and plan.memory_limit_mb * _MIB
        watch = Watch(parent=os.getpid(), in_process=way.way == "in-process", memory_limit_bytes=limit, cores=cores.ours)
        monitor = stack.enter_context(Errand("monitor", watch, Watched, folder / f"{name}.watch"))
        monitor.await_ready()
        job = _job(cell, number, plan, task, cores)
        if way.way == "in-process":
            job = job.model_copy(update={"cores": cores.engine})
        else:
            stack.callback(engine.stop)
            _start(engine, cores, monitor)
            job = job.model_copy(update={"address": engine.base_url, "name": engine.serving.alias, "cores": cores.ours})
        asking = stack.enter_context(Errand("load", job, Loaded, folder / f"{name}.load", network.enter))
        _wait(asking, monitor, engine, plan)
        loaded, watched = asking.result(), monitor.result()
        _check(loaded, engine)
    return {
        "cold": loaded.cold,
        "answers": loaded.answers,
        "scores": tuple(task.score(number * plan.requests + at, answer.text) for at, answer in enumerate(loaded.answers)),
        "seconds": loaded.ended_s - loaded.began_s,
        "energy_j": energy_between(watched.samples, loaded.began_s, loaded.ended_s),
        "network": network.by if way.impairment else "",
        **{name: getattr(watched, name) for name in ("peak_rss_bytes", "others_cores", "stolen_cores", "throttled", "load")},
    }


@contextmanager
def _network(cell: Cell, seed: int) -> Iterator[Network]:
    if cell.way.impairment is None:
        yield Network("127.0.0.1", (), "netem")
        return
    try:
        with impaired_network(cell.way.impairment, seed) as network:
            yield network
    except NoNetwork as error:
        raise Failed(f"unsupported: no impaired network: {error}") from error


def _engine(cell: Cell, plan: Plan, cores: Cores, host: str, log: Path) -> Engine:
    """Not started. Where it is not installed or does not take the model, in-process would not either."""
    threads = plan.threads or len(cores.engine) or 1
    serving = Serving(str(cell.path), context_tokens=plan.context_tokens, parallel=cell.way.concurrency, threads=threads)
    try:
        engine = engine_for(serving, cell.runtime, host=host, log=log)
    except EngineError as error:
        reason = str(error).strip().splitlines()[-1].strip().removeprefix(f"{cell.runtime}: ")
        raise Failed(f"unsupported: {reason.replace(str(cell.path), cell.path.name)}") from error
    if cell.way.way == "in-process" and cell.runtime not in OPENERS:
        raise Failed(f"unsupported: {cell.runtime} runs in a process of its own only")
    return engine


def _job(cell: Cell, number: int, plan: Plan, task: Task, cores: Cores) -> Job:
    first, end = number * plan.requests, (number + 1) * plan.requests
    questions: tuple[Question, ...] = tuple(task.questions[first:end])
    return Job(
        runtime=cell.runtime,
        model=cell.path,
        context_tokens=plan.context_tokens,
        threads=plan.threads or len(cores.engine) or 1,
        warm_up=tuple(task.questions[-cell.way.concurrency :]),
        cold=tuple(questions[at % len(questions)].unseen(f"{plan.seed}.{number}.{at}") for at in range(plan.cold_requests)),
        questions=questions,
        concurrency=cell.way.concurrency,
        max_tokens=plan.output_tokens,
        deadline_s=plan.deadline_s,
        parent=os.getpid(),
    )


def _start(engine: Engine, cores: Cores, monitor: Errand[Watched]) -> None:
    try:
        with _pinned(cores.engine):
            engine.start()
    except EngineError as error:
        _over_limit(monitor, _KILLED_S)
        reason, _, rest = str(error).partition("\n")
        words = [line.strip() for line in rest.splitlines() if line.strip() and not line.startswith("command: ")]
        raise Failed(f"start: {reason.partition('; the end')[0]:.200}: {words[-1] if words else 'its log is empty':.200}") from error


def _wait(asking: Errand[Loaded], monitor: Errand[Watched], engine: Engine, plan: Plan) -> None:
    """Until all questions are answered. Failed when the engine dies, memory or time is up."""
    ends_s = time.monotonic() + plan.trial_s
    while not asking.ended():
        _over_limit(monitor)
        if engine.restarts:
            raise Failed("died: the server ended while it was asked")
        if time.monotonic() > ends_s:
            raise Failed(f"timeout: not done within {plan.trial_s:g} s")
        time.sleep(_POLL_S)
    if asking.code:
        _over_limit(monitor, _KILLED_S)
        raise Failed(f"{'died' if asking.code < 0 else 'failed'}: the asking process ended with code {asking.code}: {asking.last_words()}")


def _over_limit(monitor: Errand[Watched], patience_s: float = 0.0) -> None:
    """Failed when it has ended the server; it may still be writing so."""
    ends_s = time.monotonic() + patience_s
    while not monitor.ended() and time.monotonic() < ends_s:
        time.sleep(_POLL_S)
    if monitor.ended():
        if monitor.code:
            raise Failed(f"failed: the monitor ended with code {monitor.code}: {monitor.last_words()}")
        watched = monitor.result()
        raise Failed(f"out of memory: {watched.peak_rss_bytes / _MIB:.0f} MiB resident, the limit is passed")


def _check(loaded: Loaded, engine: Engine) -> None:
    wrong = [asked.error for asked in (*loaded.cold, *loaded.answers) if asked.error]
    if not wrong:
        return
    ends_s = time.monotonic() + 1.0
    while not engine.restarts and time.monotonic() < ends_s and not wrong[0].startswith("timeout"):
        time.sleep(_POLL_S)
    kind = "died" if engine.restarts else "timeout" if wrong[0].startswith("timeout") else "requests"
    raise Failed(f"{kind}: {len(wrong)} of {len(loaded.cold) + len(loaded.answers)} requests failed: {wrong[0].removeprefix('timeout: ')}")


def energy_between(samples: tuple[Sample, ...], began_s: float, ended_s: float) -> float | None:
    """Joules between two moments, by the samples nearest inside; None where energy cannot be read."""
    inside = [sample.joules for sample in samples if began_s <= sample.at_s <= ended_s and sample.joules is not None]
    return inside[-1] - inside[0] if len(inside) > 1 else None


@contextmanager
def _pinned(cores: tuple[int, ...]) -> Iterator[None]:
    """This thread, and what it starts, on these cores."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
