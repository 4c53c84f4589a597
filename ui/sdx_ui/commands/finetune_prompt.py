"""sdx finetune prompt: a better prompt for a model that stays as it is."""

from pathlib import Path
from typing import Annotated

import typer

from sdx_ui.commands.detach import Detach, hand_over


def prompt(
    spec: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="what to improve, e.g. finetune/recipes/prompt/ship-questions.yaml")
    ],
    work: Annotated[Path | None, typer.Option(help="folder of the run, used again to go on; runs/<name>")] = None,
    detach: Detach = False,
    as_json: Annotated[bool, typer.Option("--json", help="the result, or with --detach the job, as JSON on standard output")] = False,
) -> None:
    """Look for a better prompt (demos, instruction), and measure on rows apart whether it is one. Stops and goes on at any time.

    sdx finetune prompt finetune/recipes/prompt/ship-questions.yaml

    sdx finetune prompt own.yaml --work runs/own-prompt --json
    """
    from sdx_finetune.prompt.spec import PromptSpec

    folder = (work or Path("runs") / PromptSpec.load(spec).name).absolute()
    argv = [str(spec.absolute()), "--work", str(folder)]
    if detach:
        hand_over("prompt", ["sdx_finetune.prompt.run", *argv], folder, as_json=as_json)
    from sdx_finetune.prompt.run import main

    raise typer.Exit(main([*argv, *(["--json"] if as_json else [])]))
