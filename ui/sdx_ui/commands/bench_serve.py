"""sdx bench serve: every model x compression x runtime x way of serving, measured on this machine."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sdx_serving.bench.run import Outcome

SHOWN = ("compression", "runtime", "way", "accuracy", "first token warm ms", "request p50 s", "p95 s", "tokens/s", "memory MB")
"""Columns for a terminal; the files have all."""


def serve(
    plan: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="YAML: models, runtimes, ways, prompts; see sdx_serving.bench.plan")
    ] = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="instead of a plan: the shipped model in eight compressions")] = False,
    out: Annotated[Path | None, typer.Option(help="folder for results; used again it goes on where it was")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.1, help="instead of the plan's; --embedded takes 20")] = None,
    whole: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="for --embedded: float32 GGUF to make the files from, not the shipped Q8_0"),
    ] = None,
    runtime: Annotated[
        list[str] | None, typer.Option(help="for --embedded, once for each: llama.cpp and onnx; vllm takes long to start")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry-failures", help="measure failed cells once more")] = False,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(exists=True, dir_okay=False, help="results.jsonl before and after: what changed")
    ] = None,
    noise: Annotated[float, typer.Option(min=0.0, max=1.0, help="for --compare: share that counts as no change")] = 0.1,
    as_json: Annotated[bool, typer.Option("--json", help="rows, or changes, as JSON on standard output")] = False,
) -> None:
    """Measure accuracy, latency, throughput, memory and energy of models as they are served; failures are rows too.

    Writes results.jsonl, results.csv, README.md, plots and report.html into the folder, and each finished row to the results that
    `sdx recommend` reads. A run that was stopped or killed goes on with the same command. Ends with 1 while cells are left.

    sdx bench serve --embedded --out docs/benchmarks/embedded

    sdx bench serve own.yaml --out runs/own-serving --minutes 60

    sdx bench serve --compare before/results.jsonl after/results.jsonl
    """
    if compare:
        _compare(compare, noise, as_json)
        return
    if (plan is None) == (not embedded):
        raise ValueError("give either a plan or --embedded (or --compare BEFORE AFTER)")
    if out is None:
        raise ValueError("--out FOLDER is missing: where the results go")
    outcome = _measured(plan, out, minutes, runtime, whole, retry)
    title = f"{plan.stem if plan else 'The embedded model'}, served"
    words = [str(plan) if plan else "--embedded", "--out", str(out), *(["--minutes", f"{minutes:g}"] if minutes else [])]
    _report(outcome, out, title, shlex.join(["sdx", "bench", "serve", *words]), as_json)
    raise typer.Exit(0 if outcome.whole else 1)


def _measured(
    plan: Path | None, out: Path, minutes: float | None, runtimes: list[str] | None, whole: Path | None, retry: bool
) -> "Outcome":
    from sdx_serving.bench.plan import Plan
    from sdx_serving.bench.run import run
    from sdx_serving.devices.probe import probe
    from sdx_ui.serve_bench import EMBEDDED_MINUTES, RUNTIMES, embedded_plan, task_maker

    if plan is None:
        asked = embedded_plan(out, minutes or EMBEDDED_MINUTES, runtimes or RUNTIMES, whole, _say)
    else:
        asked = Plan.load(plan)
        asked = asked.model_copy(update={"minutes": minutes}) if minutes else asked
    return run(asked, task_maker(asked.prompts), out, probe(measure=False).id, _say, retry)


def _report(outcome: "Outcome", out: Path, title: str, command: str, as_json: bool) -> None:
    import json

    from sdx_serving.bench.report import COLUMNS, table, write_report

    files = write_report(outcome, out, title, command)
    if as_json:
        print(json.dumps([one.row.model_dump(mode="json") for one in outcome.measured], indent=1, ensure_ascii=False))
        return
    shown = [COLUMNS.index(column) for column in SHOWN]
    _print(SHOWN, [[row[number] for number in shown] for row in table(outcome.measured)], title)
    failed = sum(bool(one.row.failure) for one in outcome.measured)
    print(
        f"{len(outcome.measured) - failed} cells measured, {failed} failed, {len(outcome.missing)} left; {', '.join(map(str, files[2:4]))}"
    )


def _compare(paths: tuple[Path, Path], noise: float, as_json: bool) -> None:
    from sdx_serving.bench.compare import compare, read_rows

    found = compare(read_rows(paths[0]), read_rows(paths[1]), noise)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    changed = [one for one in found.changes if one.verdict != "as before"]
    rows = [
        [one.cell, one.figure, f"{one.before:.4g}", f"{one.after:.4g}", f"{one.ratio:.2f}" if one.ratio else "", one.verdict]
        for one in changed
    ]
    _print(("cell", "figure", "before", "after", "ratio", "verdict"), rows, f"{paths[0]} and {paths[1]}")
    print(f"{len(changed)} of {len(found.changes)} figures differ by more than {noise:.0%}")
    for words, names in (("only in the first", found.only_before), ("only in the second", found.only_after), ("fails now", found.failed)):
        if names:
            print(f"{words}: {'; '.join(names)}")


def _print(head: tuple[str, ...], rows: list[list[str]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title)
    for column in head:
        shown.add_column(column, justify="left" if column in ("cell", "compression", "runtime", "way", "figure") else "right")
    for row in rows:
        shown.add_row(*row)
    Console(width=max(140, Console().width)).print(shown)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
