"""sdx finetune serve: jobs over REST."""

import os
from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(help="beyond this machine only with a key")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8770,
    api_key_env: Annotated[str, typer.Option(help="environment variable that holds the key")] = "SDX_API_KEY",
    recipes: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="folder whose recipes and files requests may name; none without it")
    ] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="a machine whose models requests may ask, besides this one")] = None,
    allow_key: Annotated[list[str] | None, typer.Option(help="an environment variable that inline recipes may name as a key")] = None,
) -> None:
    """Take jobs over REST: POST /run, GET /jobs/{id}, POST /jobs/{id}/cancel. They outlive the service.

    sdx finetune serve --recipes finetune/recipes

    SDX_API_KEY=... sdx finetune serve --host 0.0.0.0 --recipes finetune/recipes --allow-host gpu-server
    """
    import uvicorn

    from sdx_finetune.jobs.queue import Queue
    from sdx_finetune.jobs.submit import look_after
    from sdx_ui.envelope import LOOPBACK
    from sdx_ui.jobs_api import create_jobs_api
    from sdx_ui.jobs_requests import Bounds

    key = os.environ.pop(api_key_env, None)  # taken away, so that no job inherits it
    if host not in LOOPBACK and not key:
        raise ValueError(f"--host {host} can be reached by others: set {api_key_env} to a key that requests must send")
    if key is not None and len(key) < 16:
        raise ValueError(f"the key in {api_key_env} has {len(key)} characters; use at least 16")
    queue = Queue()
    look_after(queue)
    bounds = Bounds(recipes, (*LOOPBACK, *(allow_host or ())), tuple(allow_key or ()))
    uvicorn.run(create_jobs_api(queue, bounds, key), host=host, port=port, log_level="warning", timeout_graceful_shutdown=3)
