"""sdx bench gateway, soak: what the gateway costs, and whether it loses answers under load and kills."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="a GGUF file; without it the embedded model")]


def gateway(
    pairs: Annotated[int, typer.Option(min=2, help="single requests, each directly and through the gateway")] = 60,
    blocks: Annotated[int, typer.Option(min=1, help="of throughput, each directly and through the gateway")] = 6,
    concurrency: Annotated[int, typer.Option(min=1, help="clients of a block")] = 8,
    max_tokens: Annotated[int, typer.Option(min=1, help="of an answer")] = 32,
    starts: Annotated[int, typer.Option(min=1, help="of the gateway's process")] = 5,
    model: Model = None,
) -> None:
    """What the gateway adds to an engine asked directly, in pairs: time, throughput, memory, start. Exit code 1 when a bar is missed.

    sdx bench gateway --pairs 100
    """
    from sdx_serving.bench.gateway_overhead import gateway_overhead

    result = gateway_overhead(pairs, blocks, concurrency, max_tokens, starts, model, _tell)
    print(json.dumps(result, indent=1))
    raise typer.Exit(0 if all(result["passed"].values()) else 1)


def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="of load")] = 60.0,
    concurrency: Annotated[int, typer.Option(min=1, help="clients")] = 8,
    kill_every: Annotated[float, typer.Option(min=1.0, help="seconds between kills of the engine")] = 300.0,
    deadline: Annotated[float, typer.Option(min=1.0, help="seconds of each request")] = 60.0,
    model: Model = None,
    seed: Annotated[int, typer.Option(help="of the words that answers must repeat")] = 0,
) -> None:
    """Load on the gateway while its engine is killed: lost answers, other people's answers, memory. Exit code 1 unless there are none and it is flat.

    sdx bench soak --minutes 60 --concurrency 8 --kill-every 300
    """
    from sdx_serving.bench.soak import soak as run

    result = run(minutes, concurrency, kill_every, deadline, model, seed, _tell)
    print(json.dumps(result, indent=1))
    raise typer.Exit(0 if result["passed"] else 1)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
