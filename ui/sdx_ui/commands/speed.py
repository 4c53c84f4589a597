"""sdx bench sim, assurance, dds, graph, model, engine, data, augment, train: one part alone, its speed and its quality. Results are JSON."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

UNSEEN_SEED = 950_000_000
"""Situations for measuring: no recipe's training or evaluation rows begin here."""


def sim(
    scenario: Annotated[str, typer.Option(help="with own ship and how many targets it has")] = "imazu-16",
    steps: Annotated[int, typer.Option(min=100, help="of one second")] = 20_000,
    seed: Annotated[int, typer.Option(help="of the sensors' noise")] = 0,
) -> None:
    """Steps per second of the simulator with its sensors, single thread.

    sdx bench sim
    """
    from sdx_ui.measure import simulator_speed

    _print(simulator_speed(scenario, steps, seed))


def assurance(
    count: Annotated[int, typer.Option(min=1, help="orders, random and adversarial")] = 10_000,
    seed: Annotated[int, typer.Option(help="of situations and orders")] = 0,
) -> None:
    """False accepts and false rejects of the safety check against one-second simulation, and its time.

    sdx bench assurance --count 10000
    """
    from sdx_domains.ship.assurance_trial import assurance_trial

    _print(assurance_trial(count, seed))


def dds(
    count: Annotated[int, typer.Option(min=10, help="messages")] = 500,
    rate: Annotated[float, typer.Option(min=1.0, help="messages per second")] = 50.0,
) -> None:
    """One-way time of a message between two processes over DDS.

    sdx bench dds
    """
    from sdx_ros_nodes.latency import dds_latency

    _print(dds_latency(count, rate))


def graph(
    scenario: Annotated[str, typer.Option(help="whose first picture is decided on")] = "imazu-05",
    decisions: Annotated[int, typer.Option(min=10, help="how many")] = 200,
) -> None:
    """What the agent's graph costs beside domain and model.

    sdx bench graph
    """
    from dataclasses import asdict

    from sdx_agents.overhead import graph_overhead
    from sdx_domains.contract import load_domain

    domain = load_domain("ship")
    plant = domain.plant(scenario, 0)
    picture = domain.perceiver().take(plant.readings(), plant.t_s)
    _print(asdict(graph_overhead(domain, picture, decisions)))


def model(
    domain: Annotated[str, typer.Option(help="whose situations: ship, farm, or another installed domain")] = "ship",
    count: Annotated[int, typer.Option(min=1, help="situations and questions")] = 1000,
    seed: Annotated[int, typer.Option(help="of the situations")] = UNSEEN_SEED,
    gguf: Annotated[
        Path | None, typer.Option("--model", exists=True, dir_okay=False, help="a GGUF file; without it the embedded model")
    ] = None,
    out: Annotated[Path, typer.Option(help="result file; answers are kept beside it, and taken up again")] = Path("runs/bench-model.json"),
) -> None:
    """Quality of a model's proposals and answers on unseen situations, English and Korean apart.

    sdx bench model --count 1000

    sdx bench model --domain farm --count 600
    """
    from sdx_ui.measure import model_quality

    _print(model_quality(domain, gguf, count, seed, out, lambda line: print(line, file=sys.stderr)))


def engine(
    gguf: Annotated[
        Path | None, typer.Option("--model", exists=True, dir_okay=False, help="a GGUF file; without it the embedded model")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="of both, in turn")] = 2,
    pairs: Annotated[int, typer.Option(min=1, help="prompts, each asked both ways")] = 15,
    tokens: Annotated[int, typer.Option(min=8, max=1024, help="of each answer")] = 128,
    seed: Annotated[int, typer.Option(help="of the prompts")] = 0,
) -> None:
    """Tokens per second of a served model over those of llama.cpp called directly, and the share of the memory's bandwidth reached.

    sdx bench engine --threads 2
    """
    from sdx_serving.bench.engine_overhead import engine_overhead
    from sdx_serving.connect import embedded_model_path

    chosen = gguf or embedded_model_path()
    _print(engine_overhead(chosen, threads, pairs, tokens, seed, lambda line: print(line, file=sys.stderr, flush=True)))


def data(
    rows: Annotated[int, typer.Option(min=100, help="chat rows of about 60 words")] = 50_000,
    seed: Annotated[int, typer.Option(help="of their words")] = 0,
) -> None:
    """Rows per second of `sdx data check`: reading and checking, near-duplicates and leaks, and counting tokens.

    sdx bench data
    """
    from sdx_ui.measure import checker_speed

    _print(checker_speed(rows, seed))


def augment(
    spec: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="what to make, as for `sdx finetune augment`")],
    model: Annotated[
        str | None, typer.Option(help="instead of the file's teacher: embedded, a GGUF file, or an OpenAI-compatible address")
    ] = None,
    count: Annotated[int, typer.Option(min=4, help="requests, thrice")] = 60,
) -> None:
    """Answers per second of `sdx finetune augment`, and their ratio to what its server gives when it is asked by bare threads.

    sdx bench augment own.yaml --count 100
    """
    from sdx_ui.measure import augmentation_speed

    _print(augmentation_speed(spec, model, count, lambda line: print(line, file=sys.stderr, flush=True)))


def train(
    pairs: Annotated[int, typer.Option(min=1, help="runs of each kind, in turn")] = 3,
    steps: Annotated[int, typer.Option(min=10, help="of each run; the first five are not counted")] = 40,
    threads: Annotated[int, typer.Option(min=1, help="of torch")] = 2,
    base: Annotated[
        str, typer.Option(help="the model that both adapt: embedded, a GGUF file, a folder, or a Hugging Face id")
    ] = "embedded",
    seed: Annotated[int, typer.Option(help="of the rows")] = UNSEEN_SEED,
) -> None:
    """Training throughput beside a plain TRL script with the same model, rows and batches: the ratio of tokens per second.

    sdx bench train --pairs 5
    """
    from sdx_finetune.adapt.bench_train import bench

    _print(bench(pairs, steps, threads, base, seed, lambda line: print(line, file=sys.stderr, flush=True)))


def _print(result: dict[str, Any]) -> None:
    print(json.dumps(result, indent=1, ensure_ascii=False, default=float))
