"""sdx serve: one model at an OpenAI-compatible address."""

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sdx_serving.engine import Engine


def serve(
    model: Annotated[str, typer.Argument(help="embedded, a GGUF or ONNX file, a folder, or a Hugging Face id")] = "embedded",
    flags: Annotated[list[str] | None, typer.Argument(help="after --: passed to the engine as they are")] = None,
    engine: Annotated[str, typer.Option(help="auto, llama.cpp, vllm, onnx, tensorrt-llm or tensorrt-edge-llm")] = "auto",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8080,
    name: Annotated[str, typer.Option(help="for clients; without it the file's or folder's own")] = "",
    context: Annotated[int, typer.Option(min=128, help="tokens of question and answer together")] = 2048,
    parallel: Annotated[int, typer.Option(min=1, help="requests computed together, where the engine can")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 1,
    adapter: Annotated[list[str] | None, typer.Option(metavar="NAME=PATH", help="LoRA adapter, asked for by its name; repeatable")] = None,
    projector: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="GGUF file (mmproj) for images")] = None,
    embeddings: Annotated[bool, typer.Option("--embeddings", help="serve vectors of texts instead of answers")] = False,
) -> None:
    """Serve a model on this machine until Ctrl-C. It is restarted when it dies; other machines cannot reach it: `sdx gateway` lets them in.

    sdx serve runs/watch-report/gguf/watch-report-Q8_0.gguf

    sdx serve base-Q8_0.gguf --adapter ship=ship-lora.gguf --adapter farm=farm-lora.gguf

    sdx serve Qwen/Qwen3-8B --engine vllm --parallel 8 -- --gpu-memory-utilization 0.8
    """
    from sdx_serving.connect import named
    from sdx_serving.engine import EngineError, Serving
    from sdx_serving.engines.choose import engine_for

    if model.startswith(("http://", "https://")):
        raise EngineError(f"{model} is served already: ask it there, or put it behind `sdx gateway`")
    adapters = dict(_named(given) for given in adapter or [])
    asked = Serving(named(model), name, context, parallel, threads, projector, adapters, embeddings, tuple(flags or []))
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    chosen = engine_for(asked, engine, port)
    print(f"{_why(chosen)}; starting", file=sys.stderr, flush=True)
    with chosen:
        print(f"{asked.alias} answers at {chosen.base_url}, log {getattr(chosen, 'log', 'none')}; Ctrl-C ends it", flush=True)
        print(f"try: {_example(chosen)}", flush=True)
        while not ended.wait(60.0):
            pass
    print("ended", file=sys.stderr)


def _named(given: str) -> tuple[str, Path]:
    name, equals, path = given.partition("=")
    if not (name and equals and path):
        raise typer.BadParameter(f"{given!r} is not NAME=PATH", param_hint="--adapter")
    return name, Path(path).expanduser()


def _why(engine: "Engine") -> str:
    """What was chosen, and what that means for who asks."""
    form = ", ".join(engine.facts.formats)
    together = f"{engine.serving.parallel} requests together" if engine.facts.parallel else "requests one after the other"
    return f"engine {engine.name}: takes {form}, installed here, computes {together}"


def _example(engine: "Engine") -> str:
    if engine.serving.embeddings:
        where, what = "embeddings", '{"input": "Who are you?"}'
    else:
        where, what = "chat/completions", '{"messages": [{"role": "user", "content": "Who are you?"}]}'
    return f"curl {engine.base_url}/{where} -H 'Content-Type: application/json' -d '{what}'"
