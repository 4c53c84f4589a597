"""sdx stop: the emergency stop from a terminal, past page, agent and model."""

import sys
from typing import Annotated

import typer


def stop(
    reset: Annotated[bool, typer.Option("--reset", help="end the stop instead")] = False,
    wait: Annotated[float, typer.Option(min=0.1, help="seconds to wait for the guard's word that it is so")] = 5.0,
) -> None:
    """Stop the ship now. Needs neither page, agent nor model; 0 only when the guard confirms.

    sdx stop

    sdx stop --reset
    """
    from sdx_ui.stopping import request_stop

    confirmed = request_stop(active=not reset, timeout_s=wait)
    wanted = "ended" if reset else "on"
    if not confirmed:
        print(
            f"error: nobody confirmed within {wait:g} s that the stop is {wanted}: is `sdx up` running, ROS_DOMAIN_ID the same?",
            file=sys.stderr,
        )
    else:
        print(f"the stop is {wanted}, confirmed by the guard")
    raise typer.Exit(0 if confirmed else 1)
