"""The stage `train` of a recipe on a Ray cluster, with the files, lines and ends that it has anywhere. Start at train_on().

Where the nodes share the work folder, they train in it; else a node trains in a copy, and what changes there comes back at once.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.datasets.store import Store
from sdx_finetune.journal import write_whole
from sdx_finetune.on_ray.cluster import Need, checked_address, joined, make_room, nodes_of
from sdx_finetune.on_ray.foreman import Lost, Site
from sdx_finetune.on_ray.ranks import DATASETS, Apart, Ended, Line, Plan, Sent, fit, states
from sdx_finetune.outcomes import Outcome
from sdx_finetune.progress import Say
from sdx_finetune.recipe import Recipe
from sdx_finetune.stopping import Stop

LOSSES = 3
NOT_SENT = ("gguf", "onnx", "model", "adapter")
"""Folders of the work folder that training makes and does not read."""


def need_of(recipe: Recipe | AdaptRecipe, gpus: float) -> Need:
    """What a recipe takes of a cluster that has so many GPUs: one for each process, where there are any."""
    adapts = isinstance(recipe, AdaptRecipe)
    on_gpu = gpus > 0 or (adapts and recipe.weights == "qlora")
    return Need(recipe.run.processes if adapts else 1, recipe.train.threads, int(on_gpu))


def train_on(address: str, recipe: Recipe | AdaptRecipe, recipe_path: Path, work: Path, say: Say) -> None:
    """Train on the cluster at `address`.

    Raises:
        ValueError: the cluster cannot be used, or has no room for the recipe.
        KeyboardInterrupt: stopped, with a checkpoint.
        SystemExit: training failed; its exit code is of sdx_finetune.outcomes, its error was told.
    """
    checked_address(address)
    work = work.resolve()
    if isinstance(recipe, AdaptRecipe):
        functions = [recipe.grpo.reward if recipe.grpo else None]
    else:
        functions = [recipe.data.generator, recipe.data.derive]
    with joined(address, functions) as ray, Site(ray) as site, _witness(work) as witness, Stop(say) as stop:
        need = need_of(recipe, sum(node.get("GPU", 0) for node in nodes_of(ray)))
        make_room(ray, need, say)
        plan = _plan(recipe, recipe_path, work, witness, need)
        ended = _trained(site, plan, recipe, say, stop)
    if ended.code == Outcome.STOPPED:
        raise KeyboardInterrupt
    if ended.code != Outcome.DONE:
        raise SystemExit(ended.code)
    _note(work, {"address": address, "nodes": [ended.host], "processes": need.processes})


def _plan(recipe: Recipe | AdaptRecipe, path: Path, work: Path, witness: str, need: Need) -> Plan:
    text, here = path.read_text(encoding="utf-8"), str(Path.cwd())
    if isinstance(recipe, Recipe) or need.processes == 1:
        return Plan(text, str(work), here, witness, "sdx_finetune.run", ("--stage", "train"), {}, need)
    from sdx_finetune.adapt.launch import environment_of

    # Of what accelerate says, only what it adds: the rest is this machine's own.
    added = {name: value for name, value in environment_of(recipe.run.strategy, need.processes).items() if os.environ.get(name) != value}
    return Plan(text, str(work), here, witness, "sdx_finetune.adapt.train", (), added, need)


def _trained(site: Site, plan: Plan, recipe: Recipe | AdaptRecipe, say: Say, stop: Stop) -> Ended:
    """How it ended; begun again when even the node was lost from which Ray Train looks after the others."""
    for losses in range(1, LOSSES + 1):
        try:
            return _followed(site, plan, recipe, say, stop)
        except Lost as loss:
            if stop.asked:
                raise KeyboardInterrupt from loss
            say(f"the cluster lost the training ({loss}); it goes on from the last checkpoint" if losses < LOSSES else str(loss))
    raise RuntimeError(f"the cluster lost the training {LOSSES} times; the same command goes on from the last checkpoint")


def _followed(site: Site, plan: Plan, recipe: Recipe | AdaptRecipe, say: Say, stop: Stop) -> Ended:
    """Until training has ended: its lines are shown, its files kept. Raises Lost."""
    work, ended = Path(plan.work), Ended(Outcome.FAILED, 0, "")
    passed_on = False

    def pass_on(foreman: Any) -> None:
        nonlocal passed_on
        if stop.asked and not passed_on:
            passed_on = True
            site.ray.get(foreman.ask_to_stop.remote())

    for item in site.carried_out(partial(fit, plan), pass_on):
        if isinstance(item, Line):
            print(item.text, end="", file=sys.stderr, flush=True)
        elif isinstance(item, Apart):
            say(f"{item.host} does not share {work}: its files are sent there, and what changes comes back")
            _send(site, plan, recipe)
        elif isinstance(item, Sent):
            _kept(work, item)
        elif isinstance(item, Ended):
            ended = item if item.rank == 0 or item.code else ended
            if item.code:
                return item  # the others may wait for this one for ever
    return ended


def _send(site: Site, plan: Plan, recipe: Recipe | AdaptRecipe) -> None:
    """The work folder and the data set; the witness last: with it, all is there."""
    work, dataset = Path(plan.work), recipe.data.dataset
    files = {name: work / name for name in states(work) if name.split("/")[0] not in NOT_SENT and name != "base.json"}
    if dataset is not None:
        home, folder = Store().home, Store().folder(dataset)
        files |= {f"{DATASETS}{path.relative_to(home)}": path for path in folder.rglob("*") if path.is_file()}
    for name, path in files.items():
        site.ray.get(site.foreman.keep.remote({name: path.read_bytes()}))
    site.ray.get(site.foreman.keep.remote({plan.witness: b""}))


def _kept(work: Path, sent: Sent) -> None:
    for name, data in sent.files.items():
        path = work / name
        if not path.resolve().is_relative_to(work):
            raise ValueError(f"a node sent a file {name!r} that is not in the work folder")
        if data is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)


def _note(work: Path, where: dict[str, Any]) -> None:
    """In run.json: where it ran. What a session before wrote there stays."""
    path = work / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    if "ran_on" not in record:
        write_whole(path, json.dumps(record | {"ran_on": where}, indent=1).encode())


@contextmanager
def _witness(work: Path) -> Iterator[str]:
    """A file by whose name a node knows the folder."""
    path = work / f".on-ray-{uuid4().hex}"
    path.touch()
    try:
        yield path.name
    finally:
        for left in work.glob(f".*{path.name}*"):
            left.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
