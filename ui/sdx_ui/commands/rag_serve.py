"""sdx rag serve: one library over REST."""

import os
from contextlib import ExitStack
from typing import Annotated

import typer

from sdx_ui.commands.rag_ask import Domain, say


def serve(
    domain: Domain = "ship",
    host: Annotated[str, typer.Option(help="beyond this machine only with a key")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8780,
    api_key_env: Annotated[str, typer.Option(help="environment variable that holds the key that requests must send")] = "SDX_API_KEY",
    model: Annotated[
        str | None, typer.Option(help="writes the answers: OpenAI-compatible URL, GGUF file; without it they are quoted")
    ] = None,
    model_key_env: Annotated[str, typer.Option(help="environment variable that holds the key of that URL")] = "SDX_MODEL_KEY",
) -> None:
    """Search and ask over REST, upload and remove documents: POST /rag/search, POST /rag/ask, GET and POST /rag/documents.

    sdx rag serve

    SDX_API_KEY=... sdx rag serve --host 0.0.0.0 --domain farm
    """
    import uvicorn

    from sdx_agents.library import opened
    from sdx_serving.connect import open_chat
    from sdx_ui.envelope import LOOPBACK
    from sdx_ui.rag_api import Service, create_rag_api

    key = os.environ.get(api_key_env)
    if host not in LOOPBACK and not key:
        raise ValueError(f"--host {host} can be reached by others: set {api_key_env} to a key that requests must send")
    if key is not None and len(key) < 16:
        raise ValueError(f"the key in {api_key_env} has {len(key)} characters; use at least 16")
    with ExitStack() as stack:
        library = stack.enter_context(opened(domain, say, write=True))
        chat = stack.enter_context(open_chat(model, n_ctx=8192, api_key=os.environ.get(model_key_env))) if model else None
        for note in library.notes():
            say(note)
        say(f"library {domain!r}: http://{host}:{port}; Ctrl-C ends it")
        uvicorn.run(create_rag_api(Service(library, chat), key), host=host, port=port, log_level="warning", timeout_graceful_shutdown=3)
