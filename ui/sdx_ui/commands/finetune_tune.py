"""sdx finetune tune: the best values for fields of a recipe."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sdx_ui.commands.detach import Detach, Device, hand_over


def tune(
    study: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="what to search, e.g. finetune/recipes/tune/embedded-rate.yaml")
    ],
    work: Annotated[Path | None, typer.Option(help="folder of the search, used again to go on; runs/<name of the study file>")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="all trials as JSON on standard output")] = False,
    device: Device = None,
    detach: Detach = False,
) -> None:
    """Try values for fields of a recipe, end hopeless trials early, and write the best recipe. Stops and goes on at any time.

    sdx finetune tune finetune/recipes/tune/embedded-rate.yaml

    sdx finetune run runs/embedded-rate/best.yaml
    """
    from sdx_finetune.outcomes import Outcome
    from sdx_finetune.run import sigterm_as_interrupt
    from sdx_finetune.tune.search import search

    folder = (work or Path("runs") / study.stem).absolute()
    if detach:
        from sdx_finetune.jobs.job import default_device

        argv = ["sdx_ui.cli", "finetune", "tune", str(study.absolute()), "--work", str(folder)]
        hand_over("tune", argv, folder, device or default_device(), as_json)
    try:
        with sigterm_as_interrupt():
            result = search(study, folder, lambda line: print(line, file=sys.stderr, flush=True))
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the same trial", file=sys.stderr)
        raise typer.Exit(Outcome.STOPPED) from None
    print(json.dumps(result, indent=1)) if as_json else _show(result, folder)
    raise typer.Exit(0 if result["best"] else 1)


def _show(result: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    fields = list(dict.fromkeys(path for one in result["trials"] for path in one["values"]))
    table = Table(title=f"{result['study']}: {result['objective']}")
    for column in ("trial", *fields, "figure", "min", "end"):
        table.add_column(column, justify="right")
    for one in result["trials"]:
        best = "best" if result["best"] and one["trial"] == result["best"]["trial"] else one["state"]
        values = [_cell(one["values"].get(path, "")) for path in fields]
        table.add_row(str(one["trial"]), *values, _cell(one["value"]), f"{one['seconds'] / 60:.1f}", f"{best} {one['why']}".strip())
    console = Console(width=max(120, Console().width))
    console.print(table, markup=False)
    if result["best"]:
        console.print(f"best recipe: {folder / 'best.yaml'}", highlight=False, markup=False, soft_wrap=True)


def _cell(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else str(value)
