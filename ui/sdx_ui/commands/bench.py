"""sdx bench: suites of scenarios, and the speed of the parts."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sdx_ui.commands import bench_estimator, bench_gateway, bench_rag, bench_serve, speed
from sdx_ui.commands.choices import Ablation, Tongue
from sdx_ui.commands.domain_commands import bench_command, with_domains

app = typer.Typer(cls=with_domains(bench_command), no_args_is_help=True, help="Measure: suites of scenarios, and the speed of each part.")

COLUMNS = ("case", "min_cpa_nm", "collision", "forbidden", "colreg_score", "extra_time_min", "reversals", "verdicts", "decision_s_p95")

for part in (speed.sim, speed.assurance, speed.dds, speed.graph, speed.model, speed.engine, speed.data, speed.augment, speed.train):
    app.command()(part)
app.command()(bench_serve.serve)
app.command()(bench_estimator.estimator)
app.command()(bench_rag.rag)
for part in (bench_gateway.gateway, bench_gateway.soak):
    app.command()(part)


@app.command()
def ship(
    suite: Annotated[str, typer.Option(help="imazu, dnv, random, degraded, rogue or restricted")],
    folder: Annotated[Path | None, typer.Option("--dir", help="folder with situation files, for dnv")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="how many cases, for the random suites")] = None,
    seed: Annotated[int, typer.Option(help="seed of the cases and of the sensors' noise")] = 0,
    model: Annotated[str, typer.Option(help="embedded, none, a GGUF file, or an OpenAI-compatible URL")] = "embedded",
    ablate: Annotated[Ablation, typer.Option(help="leave out: model (the planner decides) or guard (nothing checks)")] = Ablation.none,
    workers: Annotated[int, typer.Option(min=1, help="processes side by side")] = 2,
    language: Annotated[Tongue, typer.Option(help="of descriptions and reasons")] = Tongue.en,
    plots: Annotated[Path | None, typer.Option(help="folder for a drawing of each case's tracks")] = None,
    kept: Annotated[Path | None, typer.Option("--keep", help="file that holds finished cases; the same command goes on from it")] = None,
    documents: Annotated[bool, typer.Option("--documents", help="ask the user's library of documents at every decision")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the whole result as JSON on standard output")] = False,
) -> None:
    """Run every case of a suite in closed loop and score it.

    sdx bench ship --suite imazu

    sdx bench ship --suite random --count 500 --ablate model --json > result.json
    """
    from sdx_agents.bench import SuiteRun, run_suite

    run = SuiteRun(suite, "ship", seed, count, folder, model, ablate.value, workers, language.value, plots, kept, documents)
    result = run_suite(run, _show_progress)
    print(file=sys.stderr)
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        _print_suite(result)


def _show_progress(done: int, total: int, row: dict[str, Any]) -> None:
    end = "" if sys.stderr.isatty() else "\n"
    print(f"\r{done}/{total} {row['case']}: min CPA {row['min_cpa_nm']:.2f} NM   ", end=end, file=sys.stderr, flush=True)


def _print_suite(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{result['suite']}, seed {result['seed']}, model {result['model']}, commit {result['commit']}")
    for column in COLUMNS:
        table.add_column(column.replace("_", " "), justify="left" if column == "case" else "right")
    for row in result["cases"]:
        table.add_row(*(_cell(row.get(column)) for column in COLUMNS))
    console = Console(width=max(120, Console().width))
    console.print(table)
    for name, value in result["summary"].items():
        console.print(f"{name}: {_cell(value)}", highlight=False)


def _cell(value: object) -> str:
    """A share as "19/20 = 95.0 % (76.4-99.1)", verdicts as "accept 12, reject 1", numbers short."""
    match value:
        case {"n": n, "of": of, "rate": rate, "low": low, "high": high}:
            return f"{n}/{of} = {100 * rate:.1f} % ({100 * low:.1f}-{100 * high:.1f})"
        case dict():
            return ", ".join(f"{key} {_cell(item)}" for key, item in value.items() if item)
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
