"""sdx up: the whole ship, as processes, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from sdx_ui.commands.choices import Approval


def up(
    scenario: Annotated[str, typer.Option(help="what the simulated ship meets, e.g. imazu-05, random-17")] = "imazu-05",
    model: Annotated[str, typer.Option(help="embedded, none, a GGUF file, or an OpenAI-compatible URL")] = "embedded",
    port: Annotated[int, typer.Option(min=1, max=65535, help="of the page")] = 7860,
    approval: Annotated[Approval, typer.Option(help="auto: verified orders leave at once; ask: a person approves each")] = Approval.auto,
    seconds: Annotated[float | None, typer.Option("--for", min=1.0, help="end by itself after so many seconds")] = None,
    seed: Annotated[int, typer.Option(help="of the sensors' noise")] = 0,
    speed: Annotated[float, typer.Option(min=0.1, max=20.0, help="simulated seconds per second")] = 1.0,
    runs: Annotated[Path, typer.Option(help="folder for logs and audit")] = Path("runs"),
) -> None:
    """Run ship, guard, agent, model and page. Ctrl-C ends them all.

    sdx up

    sdx up --scenario imazu-16 --approval ask --for 600
    """
    from sdx_ui.ship_crew import UpOptions, run_up

    options = UpOptions(scenario, model, port, approval.value, seconds, seed, speed, runs)
    raise typer.Exit(run_up(options))
