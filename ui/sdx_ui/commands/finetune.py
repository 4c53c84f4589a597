"""sdx finetune: make rows, and a model from a recipe."""

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sdx_finetune.augment.spec import AugmentSpec
    from sdx_serving.client import ChatClient

app = typer.Typer(no_args_is_help=True, help="Make a model: more rows, training, export.")


class Stage(StrEnum):
    """Of a recipe, in order; `snapshot` takes the last checkpoint of a training that still runs."""

    all = "all"
    data = "data"
    tokenizer = "tokenizer"
    train = "train"
    export = "export"
    parity = "parity"
    card = "card"
    snapshot = "snapshot"


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a recipe file, e.g. finetune/recipes/embedded.yaml")],
    work: Annotated[Path | None, typer.Option(help="folder for everything made, used again to go on; runs/<name of the recipe>")] = None,
    stage: Annotated[Stage, typer.Option(help="one stage, or all")] = Stage.all,
    workers: Annotated[int, typer.Option(min=1, help="processes that make data")] = 2,
) -> None:
    """Run a recipe from data to an exported, measured model. What is done is not done again.

    sdx finetune run finetune/recipes/embedded.yaml
    """
    from sdx_finetune.run import main

    folder = work or Path("runs") / recipe.stem
    raise typer.Exit(main([str(recipe), "--work", str(folder), "--stage", stage.value, "--workers", str(workers)]))


@app.command()
def schema() -> None:
    """The JSON schema of a recipe: every field with its meaning, range and default.

    sdx finetune schema > recipe.schema.json
    """
    from sdx_finetune.recipe import Recipe

    print(json.dumps(Recipe.model_json_schema(), indent=1))


@app.command()
def init(
    dataset: Annotated[str, typer.Argument(help="a data set with train and eval, as NAME or NAME@VERSION")],
    minutes: Annotated[float, typer.Option(min=1.0, help="of training")] = 60.0,
) -> None:
    """A recipe to begin with, for a data set of `sdx data`: its lengths decide the sizes.

    sdx finetune init port-watch > port-watch.yaml
    """
    from sdx_finetune.datasets.store import Store
    from sdx_finetune.datasets.vocabulary import masked, open_vocabulary
    from sdx_finetune.dry_run import starting_recipe

    card = Store().card(dataset)
    if missing := [kind for kind in ("train", "eval") if kind not in card.splits]:
        raise ValueError(f"data set {card.name} has no split {missing[0]!r}: sdx data split {card.name}")
    vocabulary = open_vocabulary(None)
    longest = max(len(masked(row, vocabulary)) for _, row in Store().rows(dataset))
    print(starting_recipe(card.name, f"{card.name}@{card.version}", card.rows, longest, minutes), end="")


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

    from sdx_finetune.dry_run import dry_run

    verdict = dry_run(recipe, memory_mb, _say)
    print(json.dumps(asdict(verdict), indent=1) if as_json else verdict.advice)
    raise typer.Exit(0 if verdict.fits else 1)


@app.command()
def augment(
    spec: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="what to make, e.g. finetune/recipes/augment/ship.yaml")],
    work: Annotated[Path | None, typer.Option(help="folder of the run, used again to go on; runs/<name>")] = None,
    preview: Annotated[int, typer.Option(min=0, help="only show so many rows, and what the whole run would take")] = 0,
    store: Annotated[str | None, typer.Option("--as", help="keep the rows as a data set of this name")] = None,
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

    plan = AugmentSpec.load(spec)
    folder = work or Path("runs") / plan.name
    if store and not NAME.fullmatch(store):
        raise ValueError(f"--as {store!r} cannot name a data set; use small letters, digits, '.', '_' and '-'")
    with nullcontext(None) if not preview and finished(plan, folder) else _teacher(plan) as client:
        if preview:
            rows, _ = look(plan, client, preview, _say)
            for row in rows:
                print(json.dumps(row, ensure_ascii=False, indent=1))
            return
        made, path = make(plan, client, folder, _say)
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
    from sdx_serving.llama_cpp import open_chat

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
