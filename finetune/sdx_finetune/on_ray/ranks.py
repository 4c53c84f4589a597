"""Training on the nodes: each process of Ray Train watches over one process that trains as it would anywhere.

A process of its own, so that a stop reaches it as a signal, memory that runs out ends it alone, and its exit code says how it ended.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdx_finetune.journal import write_whole
from sdx_finetune.on_ray.cluster import Need, path_of_modules
from sdx_finetune.on_ray.foreman import Put
from sdx_finetune.outcomes import Outcome

LOOK_S = 1.0
FAILURES = 8
"""Nodes or processes that may be lost before the run gives up."""
START_S = "600"
"""For all processes to start: a busy machine takes its time."""
DATASETS = "datasets/"
"""Before the names of files that belong to the data set and not to the work folder."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One training, for a node."""

    recipe: str
    """The file's text."""
    work: str
    here: str
    """Where the command was given: relative paths count from there, on nodes that have the folder."""
    witness: str
    """Name of a file in `work`: who finds it there shares the folder."""
    module: str
    """What trains: sdx_finetune.run, or sdx_finetune.adapt.train for one of several processes."""
    arguments: tuple[str, ...]
    """After the recipe and --work."""
    environ: dict[str, str]
    need: Need


@dataclass(frozen=True, slots=True)
class Line:
    """What a process said."""

    text: str


@dataclass(frozen=True, slots=True)
class Apart:
    """A node does not share the work folder, and waits for its files."""

    host: str


@dataclass(frozen=True, slots=True)
class Sent:
    """Files of a node that does not share the folder; None for one that is gone."""

    files: dict[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and where it ran."""

    code: int
    rank: int
    host: str


def fit(plan: Plan, put: Put, foreman: Any) -> None:
    """On the cluster: Ray Train starts the processes, and starts them again when one is lost."""
    # Its figures and its watch for announced ends take a process each; neither is needed where every end is gone on from.
    os.environ |= {
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": START_S,
        "RAY_TRAIN_METRICS_ENABLED": "0",
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    }
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    need = plan.need
    resources: dict[str, float] = {"CPU": need.cpus, **({"GPU": need.gpus} if need.gpus else {})}
    with tempfile.TemporaryDirectory(prefix="sdx-ray-") as notes:
        DataParallelTrainer(
            lambda: _rank(plan, foreman),
            scaling_config=ScalingConfig(num_workers=need.processes, use_gpu=need.gpus > 0, resources_per_worker=resources),
            run_config=RunConfig(storage_path=notes, failure_config=FailureConfig(max_failures=FAILURES)),
        ).fit()


def _rank(plan: Plan, foreman: Any) -> None:
    """One process, from start to end. RuntimeError when it was killed: then Ray Train begins again with the last checkpoint."""
    import ray.train

    rank, host = ray.train.get_context().get_world_rank(), socket.gethostname()
    if plan.need.processes > 1 and not (Path(plan.work) / plan.witness).exists():
        ray.get(foreman.put.remote(Line(f"error: {host} does not see {plan.work}: several processes want a folder that all nodes share\n")))
        return ray.get(foreman.put.remote(Ended(Outcome.WRONG_INPUT, rank, host)))
    with _folder(plan, foreman) as (work, mail):
        recipe = work / f".recipe-{plan.witness}.yaml"
        write_whole(recipe, plan.recipe.encode())
        command = [plan.module, str(recipe), "--work", str(work), *plan.arguments]
        environ = os.environ | plan.environ | _meeting(plan, rank) | {"PYTHONPATH": path_of_modules(), "PYTHONUNBUFFERED": "1"}
        if (work / DATASETS).is_dir():
            environ["SDX_DATASETS"] = str(work / DATASETS)
        child = subprocess.Popen(
            [sys.executable, "-m", "sdx_finetune.on_ray.tied", str(os.getpid()), *command],
            cwd=plan.here if Path(plan.here).is_dir() else None, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            code = _watched(child, foreman, mail)
        finally:
            child.kill()
    if code < 0 or code not in [int(outcome) for outcome in Outcome]:
        raise RuntimeError(f"the process on {host} ended with {code}")
    ray.get(foreman.put.remote(Ended(code, rank, host)))


def _meeting(plan: Plan, rank: int) -> dict[str, str]:
    """Where several processes find each other. Ray shows each its own devices alone: for each, its first is local rank 0."""
    if plan.need.processes == 1:
        return {}
    import ray.util
    from ray.train.collective import broadcast_from_rank_zero

    place = ""
    if rank == 0:
        with socket.socket() as probe:
            probe.bind(("", 0))
            place = f"{ray.util.get_node_ip_address()}:{probe.getsockname()[1]}"
    host, _, port = str(broadcast_from_rank_zero(place)).rpartition(":")
    return {"RANK": str(rank), "LOCAL_RANK": "0", "MASTER_ADDR": host, "MASTER_PORT": port, "WORLD_SIZE": str(plan.need.processes)}


def _watched(child: "subprocess.Popen[str]", foreman: Any, mail: "Mail | None") -> int:
    """Until it ends: what it says and writes is passed on, a stop is passed down."""
    import ray

    def relay() -> None:
        for line in child.stdout or ():
            ray.get(foreman.put.remote(Line(line)))

    relaying = threading.Thread(target=relay, daemon=True)
    relaying.start()
    stopped = False
    while child.poll() is None:
        time.sleep(LOOK_S)
        if not stopped and ray.get(foreman.stopping.remote()):
            stopped = True
            child.send_signal(signal.SIGTERM)
        if mail is not None:
            mail.send()
    relaying.join(10.0)
    if mail is not None:
        mail.send()
    return child.returncode


@contextmanager
def _folder(plan: Plan, foreman: Any) -> "Iterator[tuple[Path, Mail | None]]":
    """The work folder where it is shared, else a copy of it, whose changes are sent back."""
    import ray

    work = Path(plan.work)
    if (work / plan.witness).exists():
        yield work, None
        return
    ray.get(foreman.put.remote(Apart(socket.gethostname())))
    while plan.witness not in (files := ray.get(foreman.files.remote())):
        time.sleep(LOOK_S)
    with tempfile.TemporaryDirectory(prefix="sdx-work-") as made:
        for name, data in files.items():
            path = Path(made) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield Path(made), Mail(Path(made), foreman)


class Mail:
    """What changes in a folder, sent to the foreman: he keeps it for the next node, and the work folder gets it."""

    def __init__(self, folder: Path, foreman: Any) -> None:
        self.folder, self.foreman = folder, foreman
        self.sent = states(folder)

    def send(self) -> None:
        """Oldest first: a file that marks others as whole comes after them."""
        import ray

        now = states(self.folder)
        changed = sorted((name for name, state in now.items() if self.sent.get(name) != state), key=lambda name: now[name][0])
        for name in [*changed, *(name for name in self.sent if name not in now)]:
            try:
                data = (self.folder / name).read_bytes() if name in now else None
            except FileNotFoundError:
                data = None
            ray.get(self.foreman.keep.remote({name: data}))
            ray.get(self.foreman.put.remote(Sent({name: data})))
        self.sent = now


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> (time, size) of files that are whole and not the data set's."""
    found: dict[str, tuple[int, int]] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if "/." in f"/{name}" or ".partial" in name or name.startswith(DATASETS):
            continue
        try:
            if path.is_file():
                found[name] = (path.stat().st_mtime_ns, path.stat().st_size)
        except FileNotFoundError:
            continue
    return found
