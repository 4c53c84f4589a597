"""sdx run DOMAIN, sdx bench DOMAIN: a command for every installed domain that has none of its own, made when it is asked for."""

import json
import re
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from sdx_ui.commands.choices import Ablation, Tongue


def with_domains(make: Callable[[str], Callable[..., None]]) -> type[TyperGroup]:
    """A group that has, beside its own commands, one for each other installed domain: make(domain) is its function."""

    class DomainGroup(TyperGroup):
        def list_commands(self, ctx: click.Context) -> list[str]:
            own = super().list_commands(ctx)
            return [*own, *(name for name in installed() if name not in own)]

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            own = super().get_command(ctx, cmd_name)
            if own is not None or cmd_name not in installed():
                return own
            app = typer.Typer(add_completion=False, rich_markup_mode="rich")
            app.command(name=cmd_name)(make(cmd_name))
            return typer.main.get_command(app)

    return DomainGroup


def installed() -> list[str]:
    """Names of installed domains, without loading one."""
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group="sdx.domains")})


def run_command(domain: str) -> Callable[..., None]:
    """The function behind `sdx run DOMAIN`."""

    def run(
        plant: Annotated[
            str, typer.Option(help="kind of simulated plant, or a bus: modbus://host:port, mqtt://...; empty: the first kind")
        ] = "",
        scenario: Annotated[str, typer.Option(help="name of a scenario; empty: the first of the plant")] = "",
        days: Annotated[float | None, typer.Option(min=0.001, help="end after so many days of the plant's time")] = None,
        speed: Annotated[float, typer.Option(min=0.0, help="plant seconds per second; 0: as fast as it goes (a bus: 1)")] = 0.0,
        model: Annotated[str, typer.Option(help="embedded, none, a GGUF file, or an OpenAI-compatible URL")] = "embedded",
        no_guard: Annotated[bool, typer.Option("--no-guard", help="whatever is proposed is carried out (simulation only)")] = False,
        seed: Annotated[int, typer.Option(min=0, help="of scenario and sensors' noise")] = 0,
        language: Annotated[Tongue, typer.Option(help="of descriptions and reasons")] = Tongue.en,
        plot: Annotated[Path | None, typer.Option(help="draw what a scenario did to this .png, .svg or .pdf")] = None,
        site: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="file: which device is where on the bus")] = None,
        facts: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="file of what no device on the bus tells")] = None,
        forecast: Annotated[str, typer.Option(help="address of a weather service, for a bus")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line on standard output")] = False,
    ) -> None:
        from sdx_ui import domain_run, voyage

        if no_guard and "://" in plant:
            raise typer.BadParameter("real equipment is never run without the guard", param_hint="--no-guard")
        asked = domain_run.Asked(domain, plant, scenario, seed, days, speed, not no_guard, language.value, plot, site, facts, forecast)
        domain_run.scenario_of(asked)
        with voyage.decider(model, language.value, domain) as decide:
            rows = domain_run.run(asked, decide)
            first = next(rows)
            began_s = first["t_s"] if asked.on_bus else 0.0
            for row in chain([first], rows):
                print(json.dumps(row, ensure_ascii=False) if as_json else line(row, began_s), flush=True)

    run.__doc__ = f"""Run {domain} in closed loop: agent, guard, controller, and a simulated plant or real equipment.

    sdx run {domain} --days 3 --model none

    sdx run {domain} --plant modbus://10.0.0.7:502 --facts facts.yaml
    """
    return run


def line(row: dict[str, Any], began_s: float = 0.0) -> str:
    """ "  1 06:00  decision  accept: warm day; ..." with day, hour and minute of the run."""
    minutes = int(row["t_s"] - began_s) // 60
    clock = f"{minutes // 1440:3d} {minutes // 60 % 24:02d}:{minutes % 60:02d}"
    return f"{clock}  {row['kind']:9s} {_in_words(row)}"


def _in_words(row: dict[str, Any]) -> str:
    match row["kind"]:
        case "decision":
            reasons = [row.get("reason"), *row["reasons"], f"{row.get('latency_s', 0):.2f} s"]
            return "; ".join(word for word in (f"{row['verdict']}: {row.get('order', 'no order')}", *reasons) if word)
        case "order":
            return f"{row['order']} ({row['source']}, mode {row['mode']})"
        case "alarm":
            return f"{row['severity']}: {row['detail']}" if row["active"] else f"over: {row['detail']}"
        case "day":
            return f"{row['day']}: {', '.join(_figures({name: value for name, value in row.items() if name != 'day' and value}))}"
        case _:
            return "".join(f"\n{'':21s}{figure}" for figure in _figures(row)).lstrip()


def _figures(row: dict[str, Any]) -> list[str]:
    plain = {name: value for name, value in row.items() if name not in ("t_s", "kind", "case") and isinstance(value, int | float | str)}
    numbers = [f"{name} {f'{value:.3f}'.rstrip('0').rstrip('.') if isinstance(value, float) else value}" for name, value in plain.items()]
    verdicts = ", ".join(f"{name} {count}" for name, count in row.get("verdicts", {}).items())
    return [*numbers, f"verdicts: {verdicts}"] if verdicts else numbers


def bench_command(domain: str) -> Callable[..., None]:
    """The function behind `sdx bench DOMAIN`."""

    def bench(
        suite: Annotated[str, typer.Option(help="suite of scenarios or measurement; a wrong name tells what there is")],
        folder: Annotated[Path | None, typer.Option("--dir", exists=True, help="folder with cases of the user's own")] = None,
        count: Annotated[int | None, typer.Option(min=1, help="how many cases or trials")] = None,
        seed: Annotated[int, typer.Option(min=0, help="of the cases and of the sensors' noise")] = 0,
        model: Annotated[str, typer.Option(help="embedded, none, a GGUF file, or an OpenAI-compatible URL")] = "embedded",
        ablate: Annotated[
            Ablation, typer.Option(help="leave out: model (planner decides), guard, or agent (fallback alone)")
        ] = Ablation.none,
        workers: Annotated[int, typer.Option(min=1, help="processes side by side")] = 2,
        language: Annotated[Tongue, typer.Option(help="of descriptions and reasons")] = Tongue.en,
        paired: Annotated[bool, typer.Option("--paired", help="each case with the agent and with the fallback alone: differences")] = False,
        latency: Annotated[bool, typer.Option("--latency", help="how long a plan and a tick of the controller take")] = False,
        outage: Annotated[str, typer.Option(help="FROM-TO, hours of the plant: whoever decides gives no answer then")] = "",
        plots: Annotated[Path | None, typer.Option(help="folder for a drawing of each case")] = None,
        kept: Annotated[Path | None, typer.Option("--keep", help="file of finished cases; the same command goes on from it")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="the whole result as JSON on standard output")] = False,
    ) -> None:
        from sdx_agents.bench import SuiteRun
        from sdx_ui.domain_bench import Wanted, measure

        if paired and latency:
            raise typer.BadParameter("give either --paired or --latency")
        run = SuiteRun(
            suite, domain, seed, count, folder, model, ablate.value, workers, language.value, plots, kept, outage_s=_hours(outage)
        )  # fmt: skip
        asked = Wanted(run, "paired" if paired else "latency" if latency else "suite")
        result = measure(asked, lambda text: print(text, file=sys.stderr, flush=True))
        if as_json:
            print(json.dumps(result, indent=1, ensure_ascii=False, default=float))
        else:
            show(result)

    bench.__doc__ = f"""Measure {domain}: a suite of scenarios in closed loop, scored, or one of its own measurements.

    sdx bench {domain} --suite NAME

    sdx bench {domain} --suite NAME --paired --json > result.json
    """
    return bench


def _hours(text: str) -> tuple[float, float] | None:
    """ "24-48" as seconds."""
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", text)
    from_h, until_h = map(float, found.groups()) if found else (0.0, 0.0)
    if from_h >= until_h:
        raise typer.BadParameter(f"{text!r} is not FROM-TO in hours, as in 24-48", param_hint="--outage")
    return 3600.0 * from_h, 3600.0 * until_h


def show(result: dict[str, Any]) -> None:
    """Cases as a table, all else as one line each."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(120, Console().width))
    cases = result.get("cases") or []
    if cases:
        columns = [name for name, value in cases[0].items() if isinstance(value, int | float | str)]
        table = Table(title=f"{result['suite']}, seed {result['seed']}, commit {result['commit']}")
        for column in columns:
            table.add_column(column.replace("_", " "), justify="left" if column == "case" else "right", overflow="fold")
        for row in cases:
            table.add_row(*(_cell(row.get(column)) for column in columns))
        console.print(table)
    for name, value in {
        **{key: value for key, value in result.items() if key not in ("cases", "summary")},
        **result.get("summary", {}),
    }.items():
        console.print(f"{name}: {_cell(value)}", highlight=False)


def _cell(value: object) -> str:
    match value:
        case float():
            return f"{value:.4f}".rstrip("0").rstrip(".")
        case dict():
            return ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
        case list() | tuple():
            return " ".join(_cell(item) for item in value)
        case _:
            return str(value)
