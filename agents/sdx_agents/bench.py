"""A suite of scenarios in closed loop: every case an episode, scored on ground truth, summed up with intervals.

Cases are independent and run side by side in `workers` processes; with a model each worker starts an engine of
its own, so that a result does not depend on what another case asked meanwhile.
"""

import hashlib
import json
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sdx_agents.episode import Decider, Episode, agent_decider, planner_decider, silent_decider, with_outage
from sdx_agents.kept import Kept
from sdx_domains.contract import load_domain

Ablation = Literal["none", "model", "guard", "agent"]
"""none: model and guard. model: without the model, the planner decides. guard: without the guard, the model's word is the order.
agent: nobody decides, the guard's fallback holds throughout: the baseline."""
VERDICTS = ("accept", "clip", "reject", "fallback", "timeout")
Progress = Callable[[int, int, dict[str, Any]], None]


@dataclass(frozen=True)
class SuiteRun:
    """What to run. `model`: None or "none" = no model, "embedded", a GGUF path, or an OpenAI-compatible URL."""

    suite: str
    domain: str = "ship"
    seed: int = 0
    count: int | None = None
    folder: Path | None = None
    model: str | None = "embedded"
    ablate: Ablation = "none"
    workers: int = 2
    language: str = "en"
    plots: Path | None = None
    """Folder for a drawing of each case's tracks."""
    kept: Path | None = None
    """File that every finished case is added to at once; the same run goes on from it."""
    documents: bool = False
    """The user's library is asked at every decision."""
    outage_s: tuple[float, float] | None = None
    """From when to when whoever decides gives no answer, seconds of the plant's clock."""

    @property
    def with_model(self) -> bool:
        return self.ablate not in ("model", "agent") and self.model not in (None, "none")


def run_suite(run: SuiteRun, progress: Progress | None = None) -> dict[str, Any]:
    """Run every case; the result is the JSON of `sdx bench`. KeyError for an unknown suite, with the known ones."""
    started = time.perf_counter()
    domain = load_domain(run.domain)
    total = len(domain.suite(run.suite, run.seed, run.count, run.folder))
    kept = _kept(run)
    results = _finished(kept, domain) if kept else {}
    results = {index: found for index, found in results.items() if index < total}
    for index, score, row in _rows(run, [index for index in range(total) if index not in results]):
        results[index] = (score, row)
        if kept:
            kept.add(json.dumps({"index": index, "score": score.model_dump(mode="json"), "row": row}))
        if progress is not None:
            progress(len(results), total, row)
    rows = [results[index][1] for index in sorted(results)]
    summary = domain.summarise([results[index][0] for index in sorted(results)])
    verdicts = {kind: sum(row["verdicts"][kind] for row in rows) for kind in VERDICTS}
    decided = sum(verdicts[kind] for kind in ("accept", "clip", "reject", "timeout"))
    summary |= {
        "verdicts": verdicts,
        "accept_rate": round(verdicts["accept"] / decided, 4) if decided else None,
        "decisions": decided,
        "decision_s_p50": _quantile([s for row in rows for s in row["latencies_s"]], 0.5),
        "decision_s_p95": _quantile([s for row in rows for s in row["latencies_s"]], 0.95),
        "wall_s": round(time.perf_counter() - started, 1),
    }
    for row in rows:
        del row["latencies_s"]
    model = run.model if run.with_model else "none"
    head = {"suite": run.suite, "seed": run.seed, "model": model, "ablate": run.ablate, "commit": commit(), "cores": os.cpu_count()}
    if run.documents:
        head["documents"] = True
    if run.outage_s:
        head["outage_s"] = run.outage_s
    return {**head, "cases": rows, "summary": summary}


def _kept(run: SuiteRun) -> Kept | None:
    """ValueError when the file is of another run."""
    if run.kept is None:
        return None
    head = {
        "suite": run.suite, "domain": run.domain, "seed": run.seed, "folder": str(run.folder.resolve()) if run.folder else None,
        "model": _model_of(run), "ablate": run.ablate, "language": run.language, "documents": run.documents, "commit": commit(),
    }  # fmt: skip
    if run.outage_s:
        head["outage_s"] = list(run.outage_s)
    return Kept(run.kept, head)


def _finished(kept: Kept, domain: Any) -> dict[int, tuple[Any, dict[str, Any]]]:
    read = [json.loads(line) for line in kept.lines]
    return {item["index"]: (domain.load_score(item["score"]), item["row"]) for item in read}


def _model_of(run: SuiteRun) -> str:
    """The name, and for weights on this machine their hash: a new edition under an old name is another model."""
    if not run.with_model:
        return "none"
    from sdx_serving.connect import embedded_model_path

    name = run.model or "embedded"
    path = embedded_model_path() if name == "embedded" else Path(name)
    return f"{name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}" if path.is_file() else name


def _rows(run: SuiteRun, indices: list[int]) -> Iterator[tuple[int, Any, dict[str, Any]]]:
    workers = min(run.workers, len(indices))
    if workers == 0:
        return
    if workers == 1:
        with ExitStack() as stack:
            decide = _decider(run, stack)
            for index in indices:
                yield run_case(run, index, decide)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(run,)) as pool:
        for future in as_completed([pool.submit(_case_in_worker, run, index) for index in indices]):
            yield future.result()


_worker: dict[str, Any] = {}


def _start_worker(run: SuiteRun) -> None:
    logging.disable(logging.INFO)
    _worker["stack"] = ExitStack()
    _worker["decide"] = _decider(run, _worker["stack"])


def _case_in_worker(run: SuiteRun, index: int) -> tuple[int, Any, dict[str, Any]]:
    return run_case(run, index, _worker["decide"])


def _decider(run: SuiteRun, stack: ExitStack) -> Decider:
    """Nobody, the planner, or an agent with an engine that lives as long as `stack`; silent while the outage lasts."""
    decide = _awake(run, stack)
    return with_outage(decide, *run.outage_s) if run.outage_s else decide


def _awake(run: SuiteRun, stack: ExitStack) -> Decider:
    if run.ablate == "agent":
        return silent_decider
    domain = load_domain(run.domain)
    if not run.with_model:
        return planner_decider(domain)
    from sdx_agents.documents import library_documents
    from sdx_agents.graph import Agent
    from sdx_serving.connect import open_chat

    chat = stack.enter_context(open_chat(run.model or "embedded"))
    documents = stack.enter_context(library_documents(run.domain)) if run.documents else None
    return agent_decider(Agent(domain, chat, documents=documents), run.language)


def run_case(run: SuiteRun, index: int, decide: Decider) -> tuple[int, Any, dict[str, Any]]:
    """One case: (index, score, row of the result)."""
    domain = load_domain(run.domain)
    case = domain.suite(run.suite, run.seed, run.count, run.folder)[index]
    domain = domain.fitted(case)
    plant = domain.plant_of(case, run.seed)
    episode = Episode(domain, plant, decide, guarded=run.ablate != "guard")
    for _ in episode.run():
        pass
    score = domain.score(case, plant)
    if run.plots is not None:
        domain.draw(plant, run.plots / f"{score.case}.png", score.case)
    row = score.model_dump(mode="json") | {
        "verdicts": {kind: episode.verdicts[kind] for kind in VERDICTS},
        "decision_s_p95": _quantile(episode.latencies_s, 0.95),
        "latencies_s": [round(s, 4) for s in episode.latencies_s],
    }
    return index, score, row


def _quantile(values: list[float], q: float) -> float | None:
    return round(float(np.quantile(values, q)), 4) if values else None


def commit() -> str:
    """Commit of the code that runs, "+" when changed; "unknown" outside a checkout."""
    try:
        here = Path(__file__).parent
        sha = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return sha + ("+" if dirty else "")
