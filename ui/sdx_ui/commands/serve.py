"""sdx serve: one model at an OpenAI-compatible address."""

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer


def serve(
    model: Annotated[str, typer.Argument(help="a GGUF file, or embedded")] = "embedded",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8080,
    context: Annotated[int, typer.Option(min=128, help="tokens of question and answer together")] = 2048,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 1,
) -> None:
    """Serve a model on this machine until Ctrl-C. It is restarted when it dies; other machines cannot reach it.

    sdx serve runs/watch-report/gguf/watch-report-Q8_0.gguf
    """
    from sdx_serving.connect import embedded_model_path
    from sdx_serving.engine import Serving
    from sdx_serving.engines.llama_cpp import LlamaCpp

    path = embedded_model_path() if model == "embedded" else Path(model).expanduser()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with LlamaCpp(Serving(str(path), context_tokens=context, threads=threads), port) as engine:
        print(f"{path.name} answers at {engine.base_url}, log {engine.log}; Ctrl-C ends it", flush=True)
        ask = '{"messages": [{"role": "user", "content": "Who are you?"}]}'
        print(f"try: curl {engine.base_url}/chat/completions -H 'Content-Type: application/json' -d '{ask}'", flush=True)
        while not ended.wait(60.0):
            pass
    print("ended", file=sys.stderr)
