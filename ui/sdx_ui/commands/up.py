"""sdx up: plant, guard, agent, model and page of one domain or several, as processes, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from sdx_ui.commands.choices import Approval


def up(
    domain: Annotated[
        str, typer.Option(help="installed domain, or several: ship,farm; each has its page, at --port and the next ones")
    ] = "ship",
    scenario: Annotated[
        list[str] | None,
        typer.Option(help="what the simulated plant meets, e.g. imazu-05, random-17; of several domains: farm=NAME, repeatable"),
    ] = None,
    model: Annotated[str, typer.Option(help="embedded, none, a GGUF file, or an OpenAI-compatible URL")] = "embedded",
    port: Annotated[int, typer.Option(min=1, max=65535, help="of the page")] = 7860,
    approval: Annotated[Approval, typer.Option(help="auto: verified orders leave at once; ask: a person approves each")] = Approval.auto,
    seconds: Annotated[float | None, typer.Option("--for", min=1.0, help="end by itself after so many seconds")] = None,
    seed: Annotated[int, typer.Option(help="of the sensors' noise")] = 0,
    speed: Annotated[
        list[str] | None, typer.Option(help="simulated seconds per second: a ship 1 (at most 20), others 60 (3600); of several: farm=600")
    ] = None,
    runs: Annotated[Path, typer.Option(help="folder for logs and audit")] = Path("runs"),
) -> None:
    """Run plant, guard, agent, model and page. Ctrl-C ends them all.

    sdx up

    sdx up --scenario imazu-16 --approval ask --for 600

    sdx up --domain ship,farm --speed farm=600
    """
    from sdx_ui.crew import UpOptions, run_up, sailings

    names = list(dict.fromkeys(name.strip() for name in domain.split(",") if name.strip()))
    if not names:
        raise typer.BadParameter("give a domain, as in ship or ship,farm", param_hint="--domain")
    options = UpOptions(sailings(names, scenario or [], speed or [], port), model, approval.value, seconds, seed, runs)
    raise typer.Exit(run_up(options))
