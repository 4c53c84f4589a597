"""sdx stop: the emergency stop from a terminal, past page, agent and model."""

import sys
from typing import Annotated

import typer


def stop(
    reset: Annotated[bool, typer.Option("--reset", help="end the stop instead")] = False,
    domain: Annotated[str, typer.Option(help="which one, or several: ship,farm; without it every installed one")] = "",
    namespace: Annotated[str, typer.Option(help="of a house that has one of its own, e.g. /farm/house1")] = "",
    wait: Annotated[float, typer.Option(min=0.1, help="seconds to wait for the guard's word that it is so")] = 5.0,
) -> None:
    """Stop what runs, now. Needs neither page, agent nor model; 0 only when a guard confirms, and every one that was named.

    sdx stop

    sdx stop --domain farm --reset
    """
    from sdx_ui.commands.domain_commands import installed
    from sdx_ui.stopping import request_stop

    named = [f"/{name.strip()}" for name in domain.split(",") if name.strip()] + ([f"/{namespace.strip('/')}"] if namespace else [])
    asked = named or [f"/{name}" for name in installed()]
    confirmed = request_stop(not reset, wait, asked)
    wanted = "ended" if reset else "on"
    for one in confirmed:
        print(f"the stop of {one} is {wanted}, confirmed by its guard")
    silent = [one for one in asked if one not in confirmed] if named or not confirmed else []
    if silent:
        print(
            f"error: nobody confirmed within {wait:g} s that the stop of {', '.join(silent)} is {wanted}: is `sdx up` running, "
            "ROS_DOMAIN_ID the same?",
            file=sys.stderr,
        )
    raise typer.Exit(1 if silent else 0)
