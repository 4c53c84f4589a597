"""sdx finetune: make a model from a recipe."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make a model: data, training, export.")


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a recipe file, e.g. finetune/recipes/embedded.yaml")],
) -> None:
    """Run a recipe from data to an exported, measured model.

    sdx finetune run finetune/recipes/embedded.yaml
    """
    from sdx_finetune.run import main

    raise typer.Exit(main([str(recipe)]))
