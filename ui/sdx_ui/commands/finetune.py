"""sdx finetune: make a model from a recipe."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make a model: data, training, export.")


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


@app.callback()
def finetune() -> None:
    """Keeps `run` a sub-command while it is the only one."""
