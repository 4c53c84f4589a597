"""sdx run, sdx replay: one run in simulated time or over recorded data; an earlier run again."""

import json
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer

from sdx_ui.commands.choices import Tongue
from sdx_ui.commands.domain_commands import run_command, with_domains
from sdx_ui.commands.medicine import medicine

INDENT = "\n" + " " * 19

app = typer.Typer(
    cls=with_domains(run_command), no_args_is_help=True, help="One run: a scenario in closed loop, a recording, or real equipment."
)
app.command()(medicine)


@app.command()
def ship(
    scenario: Annotated[str | None, typer.Option(help="e.g. imazu-05, imazu-08b, random-17, or a situation file")] = None,
    recording: Annotated[Path | None, typer.Option("--from", exists=True, help="NMEA 0183 / AIS file, TANGO2 CSV file or folder")] = None,
    own: Annotated[str | None, typer.Option(help="own ship for a recording without one: LAT,LON,HEADING,SPEED")] = None,
    model: Annotated[str, typer.Option(help="embedded, none, a GGUF file, or an OpenAI-compatible URL")] = "embedded",
    no_guard: Annotated[bool, typer.Option("--no-guard", help="whatever is proposed is carried out (simulation only)")] = False,
    seed: Annotated[int, typer.Option(help="of the sensors' noise")] = 0,
    language: Annotated[Tongue, typer.Option(help="of descriptions and reasons")] = Tongue.en,
    plot: Annotated[Path | None, typer.Option(help="draw the tracks of a scenario to this .png, .svg or .pdf")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line on standard output")] = False,
) -> None:
    """Sail a scenario to its end, or describe and propose for what was recorded.

    sdx run ship --scenario imazu-05 --plot tracks.png

    sdx run ship --from traffic.nmea --own 55.0,12.9,10,12
    """
    from sdx_ui import voyage

    if (scenario is None) == (recording is None):
        raise typer.BadParameter("give either --scenario or --from")
    if scenario is not None:
        voyage.known_scenario(scenario, seed)
    show = _print_json if as_json else _print_row
    with voyage.decider(model, language.value) as decide:
        if recording is not None:
            for row in voyage.over_recording(recording, decide, language.value, voyage.parse_own(own)):
                show(row)
            return
        assert scenario is not None
        for row in voyage.through_scenario(scenario, seed, decide, guarded=not no_guard, plot=plot):
            show(row)


def _print_json(row: dict[str, Any]) -> None:
    print(json.dumps(row, ensure_ascii=False), flush=True)


def _print_row(row: dict[str, Any]) -> None:
    """ "12:34  decision  accept: alter course 30 deg to starboard; R15 ..." """
    seconds = int(row["t_s"])
    print(f"{seconds // 60:3d}:{seconds % 60:02d}  {row['kind']:9s}  {_in_words(row)}", flush=True)


def _in_words(row: dict[str, Any]) -> str:
    match row["kind"]:
        case "decision":
            words = [
                f"{row['verdict']}: {row.get('order', 'no order')}",
                row.get("reason"),
                *row["reasons"],
                f"{row.get('latency_s', 0):.2f} s",
            ]
            return "; ".join(word for word in words if word)
        case "order":
            return f"{row['order']} ({row['source']}, mode {row['mode']})"
        case "fault":
            return f"{row['what']} x {row['count']}: {row['detail']}"
        case "situation":
            lines = [*row["description"].split("\n\n"), row["advice"], row["reason"], f"{row['verdict']}: {row['label']}", *row["reasons"]]
            return INDENT.join(piece for line in lines if line for piece in wrap(line, 110))
        case _:
            figures = {name: value for name, value in row.items() if isinstance(value, int | float | str) and name not in ("t_s", "kind")}
            return INDENT.join(f"{name}: {value}" for name, value in figures.items())


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="an audit file, e.g. runs/<time>/audit.jsonl")],
    as_json: Annotated[bool, typer.Option("--json", help="the report as JSON on standard output")] = False,
) -> None:
    """Recompute every verdict and order of an audit file without the model, and compare bit for bit.

    sdx replay runs/20260101-120000/audit.jsonl
    """
    from dataclasses import asdict

    from sdx_agents.replay import replay as replay_file

    report = replay_file(file)
    facts = asdict(report) | {"times_real_time": round(report.times_real_time, 1)}
    print(json.dumps(facts, indent=None if as_json else 1, ensure_ascii=False, default=str))
    raise typer.Exit(0 if report.ok else 1)
