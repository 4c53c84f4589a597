"""sdx finetune: make rows, and a model from a recipe."""

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdx_ui.commands import jobs
from sdx_ui.commands.detach import Detach, Device, alone_in, follow, hand_over, joined

if TYPE_CHECKING:
    from sdx_finetune.augment.spec import AugmentSpec
    from sdx_serving.client import ChatClient

app = typer.Typer(no_args_is_help=True, help="Make a model: more rows, training, export.")
jobs.add_to(app, "sdx finetune")


On = Annotated[str | None, typer.Option(metavar="ADDRESS", help="a Ray cluster: ray://HOST:10001, HOST:6379 on a node of it, or local")]


class Stage(StrEnum):
    """Of a recipe, in order; `snapshot` takes the last checkpoint of a training that still runs."""

    all = "all"
    data = "data"
    tokenizer = "tokenizer"
    train = "train"
    merge = "merge"
    export = "export"
    parity = "parity"
    evaluate = "evaluate"
    card = "card"
    snapshot = "snapshot"


class Start(StrEnum):
    """What a recipe begins with."""

    base = "base"
    scratch = "scratch"


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a recipe file, e.g. finetune/recipes/embedded.yaml")],
    work: Annotated[Path | None, typer.Option(help="folder for everything made, used again to go on; runs/<name of the recipe>")] = None,
    stage: Annotated[Stage, typer.Option(help="one stage, or all")] = Stage.all,
    workers: Annotated[int, typer.Option(min=1, help="processes that make data")] = 2,
    device: Device = None,
    detach: Detach = False,
    here: Annotated[bool, typer.Option("--here", help="in this process and not as a job: Ctrl-C stops it with a checkpoint")] = False,
    on: On = None,
    as_json: Annotated[bool, typer.Option("--json", help="with --detach: the job as JSON on standard output")] = False,
) -> None:
    """Run a recipe from data to an exported, measured model, as a job that outlives the terminal. What is done is not done again.

    sdx finetune run finetune/recipes/embedded.yaml

    sdx finetune run own.yaml --on ray://trainer:10001

    It is followed until it ends; Ctrl-C leaves it running. The same command joins it again, or goes on where it ended.
    """
    from sdx_finetune.jobs.job import default_device

    folder = (work or Path("runs") / recipe.stem).absolute()
    argv = [str(recipe.absolute()), "--work", str(folder), "--stage", stage.value, "--workers", str(workers), *(["--on", on] if on else [])]
    # A snapshot is taken beside a training, not after it.
    if here or stage is Stage.snapshot:
        from sdx_finetune.run import main

        if here:
            alone_in(folder)
        raise typer.Exit(main(argv))
    place = device or ("cpu" if on else default_device())
    kind = "export" if stage in (Stage.merge, Stage.export, Stage.parity, Stage.evaluate, Stage.card) else "train"
    command = ["sdx_finetune.run", *argv]
    if detach:
        hand_over(kind, command, folder, place, as_json)
    follow(*joined(kind, command, folder, place))


@app.command()
def schema(
    scratch: Annotated[bool, typer.Option("--scratch", help="only of recipes that make a model from nothing")] = False,
    adapt: Annotated[bool, typer.Option("--adapt", help="only of recipes that adapt a model")] = False,
) -> None:
    """The JSON schema of recipes: every field with its meaning, range and default. `method` tells the two kinds apart.

    sdx finetune schema > recipe.schema.json
    """
    from pydantic import TypeAdapter

    from sdx_finetune.adapt.recipe import AdaptRecipe
    from sdx_finetune.recipe import Recipe
    from sdx_finetune.vision.recipe import VisionRecipe

    kind = Recipe if scratch and not adapt else AdaptRecipe if adapt and not scratch else AdaptRecipe | Recipe | VisionRecipe
    print(json.dumps(TypeAdapter(kind).json_schema(), indent=1))


@app.command()
def init(
    dataset: Annotated[str, typer.Argument(help="a data set with train and eval, as NAME or NAME@VERSION")],
    base: Annotated[str, typer.Option(help="the model to adapt: embedded, a GGUF file, a folder, or a Hugging Face id")] = "embedded",
    start: Annotated[Start, typer.Option("--from", help="adapt the base, or make a model from nothing")] = Start.base,
    scorer: Annotated[str | None, typer.Option(help="what measures an answer, as package.module:name; words alike without it")] = None,
    answer_schema: Annotated[
        str | None, typer.Option("--schema", help="what gives the JSON schema that answers are held to, as package.module:name")
    ] = None,
    minutes: Annotated[float, typer.Option(min=1.0, help="of training, from scratch")] = 60.0,
) -> None:
    """A recipe to begin with, for a data set of `sdx data`: its lengths decide the sizes, rejected answers the method.

    sdx finetune init port-watch > port-watch.yaml

    sdx finetune init port-watch --from scratch --minutes 60 > port-watch.yaml
    """
    from sdx_finetune.adapt.dry_run import starting_recipe as adapting
    from sdx_finetune.datasets.store import Store
    from sdx_finetune.datasets.vocabulary import masked, open_vocabulary
    from sdx_finetune.scratch.dry_run import starting_recipe

    card = Store().card(dataset)
    if missing := [kind for kind in ("train", "eval") if kind not in card.splits]:
        raise ValueError(f"data set {card.name} has no split {missing[0]!r}: sdx data split {card.name}")
    vocabulary = open_vocabulary(base if base.endswith(".gguf") or Path(base).is_dir() else None)
    name, rows = f"{card.name}@{card.version}", [row for _, row in Store().rows(dataset)]
    rejected = [
        row | {"messages": [*row["messages"][:-1], {"role": "assistant", "content": row["rejected"]}]}
        for row in rows
        if row.get("rejected")
    ]
    longest = max(len(masked(row, vocabulary)) for row in [*rows, *rejected])
    if start is Start.scratch:
        print(starting_recipe(card.name, name, card.rows, longest, minutes), end="")
    else:
        pairs = all(row.get("rejected") for row in rows)
        print(adapting(card.name, name, base, longest, pairs, scorer, answer_schema), end="")


@app.command()
def check(
    recipe: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a recipe file")],
    memory_mb: Annotated[float | None, typer.Option(min=100.0, help="most memory that training may take")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")] = False,
) -> None:
    """A few steps at the longest length: does it fit into memory, how fast is it, and if not, what would fit.

    sdx finetune check own.yaml
    """
    from dataclasses import asdict

    from sdx_finetune.adapt import dry_run as adapting
    from sdx_finetune.recipe import Recipe
    from sdx_finetune.run import load_recipe
    from sdx_finetune.scratch.dry_run import dry_run
    from sdx_finetune.vision.recipe import VisionRecipe

    kind = load_recipe(recipe)
    if isinstance(kind, VisionRecipe):
        raise typer.BadParameter(
            f"{recipe}: of method vision nothing is measured beforehand; its stage `encoder` tells CPU seconds a volume"
        )
    made = dry_run if isinstance(kind, Recipe) else adapting.dry_run
    verdict = made(recipe, memory_mb, _say)
    print(json.dumps(asdict(verdict), indent=1) if as_json else verdict.advice)
    raise typer.Exit(0 if verdict.fits else 1)


@app.command()
def augment(
    spec: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="what to make, e.g. finetune/recipes/augment/ship.yaml")],
    work: Annotated[Path | None, typer.Option(help="folder of the run, used again to go on; runs/<name>")] = None,
    preview: Annotated[int, typer.Option(min=0, help="only show so many rows, and what the whole run would take")] = 0,
    store: Annotated[str | None, typer.Option("--as", help="keep the rows as a data set of this name")] = None,
    detach: Detach = False,
    on: On = None,
) -> None:
    """Make more rows: a teacher writes, every row is checked, and what is rejected keeps its reason. Stops and goes on at any time.

    sdx finetune augment finetune/recipes/augment/ship.yaml --preview 3

    sdx finetune augment own.yaml --as port-watch-more
    """
    from sdx_finetune.augment.run import augment as make
    from sdx_finetune.augment.run import finished
    from sdx_finetune.augment.run import preview as look
    from sdx_finetune.augment.spec import AugmentSpec
    from sdx_finetune.datasets.store import NAME
    from sdx_finetune.on_ray.augment import augment_on

    plan = AugmentSpec.load(spec)
    folder = work or Path("runs") / plan.name
    if store and not NAME.fullmatch(store):
        raise ValueError(f"--as {store!r} cannot name a data set; use small letters, digits, '.', '_' and '-'")
    if detach:
        argv = ["sdx_ui.cli", "finetune", "augment", str(spec.absolute()), "--work", str(folder.absolute())]
        hand_over("augment", [*argv, *(["--as", store] if store else []), *(["--on", on] if on else [])], folder)
    if preview and on:
        raise ValueError("--preview is made on this machine: leave --on out")
    with nullcontext(None) if on or (not preview and finished(plan, folder)) else _teacher(plan) as client:
        if preview:
            rows, _ = look(plan, client, preview, _say)
            for row in rows:
                print(json.dumps(row, ensure_ascii=False, indent=1))
            return
        made, path = augment_on(on, plan, folder, _say) if on else make(plan, client, folder, _say)
    count = path.read_bytes().count(b"\n")
    print(f"{path}: {count} rows of {made.requests} requests, {made.rejected} rejected (rejected.jsonl says why)")
    if store and count:
        _keep(store, path, plan)
    raise typer.Exit(0 if len(made.accepted) >= plan.rows else 1)


@app.command()
def review(
    work: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="folder of an augmentation")],
    rejected: Annotated[bool, typer.Option("--rejected", help="only show what was rejected, with the reasons")] = False,
) -> None:
    """Accept, edit or reject made rows by hand; decisions are kept at once, and count when `augment` is run again.

    sdx finetune review runs/port-watch-more
    """
    from sdx_finetune.augment.review import decide, last_answer, rejected_rows, unreviewed

    if rejected:
        for reason, row in rejected_rows(work):
            print(f"{reason}\n    {last_answer(row)}")
        return
    waiting = unreviewed(work)
    for number, row in enumerate(waiting, 1):
        print(f"\n{number}/{len(waiting)}")
        for message in row["messages"]:
            print(f"[{message['role']}] {message['content']}")
        said = ""
        while said not in ("a", "e", "r", "q"):
            said = typer.prompt("a accept, e edit the answer, r reject, q quit").strip().lower()[:1]
        if said == "q":
            break
        edited = (typer.edit(last_answer(row)) or "").strip() if said == "e" else ""
        if said == "e" and edited in ("", last_answer(row)):
            print("nothing was changed; the row waits")
        else:
            decide(work, row, "edit" if edited else "reject" if said == "r" else "accept", edited)
    print(f"{len(unreviewed(work))} rows wait; run `sdx finetune augment` again to write rows.jsonl with your decisions")


def _teacher(plan: "AugmentSpec") -> "AbstractContextManager[ChatClient | None]":
    from sdx_finetune.augment.spec import PLANNER
    from sdx_serving.connect import open_chat

    teacher = plan.teacher
    if teacher.model == PLANNER:
        return nullcontext(None)
    key = os.environ.get(teacher.api_key_env) if teacher.api_key_env else None
    if teacher.api_key_env and not key:
        raise ValueError(f"teacher.api_key_env: the environment variable {teacher.api_key_env} is not set")
    return open_chat(teacher.model, n_ctx=4096, api_key=key)


def _keep(name: str, path: Path, plan: "AugmentSpec") -> None:
    from sdx_finetune.datasets.check import check
    from sdx_finetune.datasets.gather import gather
    from sdx_finetune.datasets.store import ALL, Store
    from sdx_finetune.datasets.vocabulary import open_vocabulary

    found = gather([path])
    report = check(found, open_vocabulary(None), 1 << 30)
    facts = {
        "name": name, "sources": [str(path.resolve())], "licence": "as its teacher and examples allow", "dropped": found.dropped,
        "description": f"Made by {plan.teacher.model}. {plan.task}".strip(), "tokens": report.tokens, "tokenizer": report.tokenizer,
        "languages": report.languages, "groups": report.groups,
    }  # fmt: skip
    card = Store().add({ALL: found.rows}, facts)
    print(f"kept as {card.name}@{card.version}; next: sdx data split {name}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
