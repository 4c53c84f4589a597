"""What an experiment leaves behind: rows, a table for people and for spreadsheets, plots, one page that needs nothing else.

Start at write_report(). Every figure stands beside the command, machine, commit and seed that gave it.
"""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sdx_serving.bench.conclude import conclusion
from sdx_serving.bench.plots import plots
from sdx_serving.bench.rows import Measured
from sdx_serving.bench.run import Outcome
from sdx_serving.bench.svg import alone
from sdx_serving.provenance import provenance
from sdx_serving.results import Measurement, Spread

COLUMNS = (
    "compression", "runtime", "way", "accuracy", "first token cold ms", "first token warm ms", "between tokens ms",
    "request p50 s", "p95 s", "p99 s", "tokens/s", "decode tokens/s", "memory MB", "weights MB", "energy J", "noise",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusals:
    """Cells that failed for the same reason."""

    reason: str
    cells: tuple[str, ...]


def write_report(outcome: Outcome, out: Path, title: str, command: str) -> list[Path]:
    """results.jsonl, results.csv, README.md, report.html and plots/*.svg in `out`, each whole or not there."""
    drawn = plots(outcome.measured)
    said = conclusion(outcome)
    origin = provenance()
    colours = _data("colours.css")
    texts = {
        "results.jsonl": "".join(one.row.model_dump_json() + "\n" for one in outcome.measured),
        "results.csv": _csv([one.row for one in outcome.measured]),
        "README.md": _markdown(outcome, title, command, said, origin, {name: told for name, (told, _) in drawn.items()}),
        "report.html": _page(outcome, title, command, said, origin, drawn, colours, outcome.plan.text(out)),
        **{f"plots/{name}.svg": alone(svg, colours) for name, (_, svg) in drawn.items()},
    }
    return [_write(out / name, text) for name, text in texts.items()]


def table(measured: Sequence[Measured]) -> list[list[str]]:
    """COLUMNS of every cell that was measured, as text; the model's name goes first where there are several."""
    several = len({one.row.model for one in measured}) > 1
    return [_line(one, several) for one in measured if not one.row.failure]


def refusals(measured: Sequence[Measured]) -> list[Refusals]:
    """Failures by their reason, in the order in which they came."""
    found: dict[str, list[str]] = {}
    for one in measured:
        if one.row.failure:
            found.setdefault(one.row.failure, []).append(str(one.cell))
    return [Refusals(reason, tuple(cells)) for reason, cells in found.items()]


def _line(one: Measured, several: bool) -> list[str]:
    row = one.row
    return [
        f"{row.model} {row.compression}" if several else row.compression,
        one.cell.runtime,
        str(one.cell.way) + (f" ({one.network})" if one.network else ""),
        f"{row.accuracy:.1%}" if row.accuracy is not None else "",
        *(_ms(found) for found in (row.ttft_cold_s, row.ttft_warm_s, row.inter_token_s)),
        *((f"{value:.3f}" for value in (row.request_s.p50, row.request_s.p95, row.request_s.p99)) if row.request_s else ("", "", "")),
        *(f"{value:.0f}" if value is not None else "" for value in (row.tokens_per_s, row.decode_tokens_per_s)),
        f"{row.peak_rss_bytes / 1e6:.0f}" if row.peak_rss_bytes else "",
        f"{row.weights_bytes / 1e6:.1f}",
        f"{row.energy_j:.1f}" if row.energy_j is not None else "",
        f"{one.noise:.0%}" if one.noise is not None else "",
    ]


def _ms(found: Spread | None) -> str:
    return f"{1000 * found.p50:.1f}" if found else ""


def _csv(rows: Sequence[Measurement]) -> str:
    """One column for each field, three for a spread."""
    flat = [dict(_flat(row)) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: Measurement) -> Iterator[tuple[str, Any]]:
    for name, value in row:
        if isinstance(value, Spread):
            yield from ((f"{name.removesuffix('_s')}_{share}_s", seconds) for share, seconds in value)
        elif name.endswith("_s") and name.removesuffix("_s") in ("ttft_cold", "ttft_warm", "inter_token", "request"):
            yield from ((f"{name.removesuffix('_s')}_{share}_s", "") for share in Spread.model_fields)
        else:
            yield name, "" if value is None else value


def _markdown(outcome: Outcome, title: str, command: str, said: Sequence[str], origin: Mapping[str, Any], drawn: Mapping[str, str]) -> str:
    lines = [f"# {title}", "", f"`{command}`", "", made_with(outcome, origin), ""]
    lines += [f"- {sentence}" for sentence in said] + [""]
    lines += [f"> {note}\n" for note in outcome.plan.notes]
    lines += [f"![{name}](plots/{name}.svg)\n\n{told}\n" for name, told in drawn.items()]
    lines += _grid(COLUMNS, table(outcome.measured))
    lines += ["", how_measured(outcome), ""]
    if refused := refusals(outcome.measured):
        rows = [[one.reason, str(len(one.cells)), "; ".join(one.cells)] for one in refused]
        lines += ["## What failed", "", *_grid(("reason", "cells", "which"), rows), ""]
    if outcome.missing:
        lines += [f"Time did not reach {len(outcome.missing)} cells: {'; '.join(map(str, outcome.missing))}.", ""]
    return "\n".join(lines)


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "/").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]


def made_with(outcome: Outcome, origin: Mapping[str, Any]) -> str:
    """Machine, commits, seed, and when, in one line. The commit of the rows, which may be older than this report."""
    rows = [one.row for one in outcome.measured]
    commits = ", ".join(sorted({row.commit for row in rows})) or origin["commit"]
    devices = ", ".join(sorted({row.device for row in rows}))
    days = sorted({row.at[:10] for row in rows})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else "never"
    machine, runtimes = origin["machine"], ", ".join(sorted({row.runtime for row in rows if not row.failure})) or "no runtime"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']} ({devices}); {runtimes}, Python {origin['python']}; commit {commits}; "
        f"seed {outcome.plan.seed}; measured {when} (UTC)."
    )


def how_measured(outcome: Outcome) -> str:
    """What the figures are of."""
    plan, cores = outcome.plan, outcome.cores
    where = (
        f"The engine has cores {', '.join(map(str, cores.engine))} and the client and the monitor {', '.join(map(str, cores.ours))}"
        if cores.engine
        else "Engine, client and monitor share all cores"
    )
    threads = plan.threads or len(cores.engine) or 1
    return (
        f"Each cell: {plan.rounds} round{'s' if plan.rounds > 1 else ''} of {plan.requests} requests of the task {outcome.origin.task!r}, the same rows for all, answers of at "
        f"most {plan.output_tokens} tokens, greedy; {plan.cold_requests} requests a round with a beginning never seen give the cold first token. "
        f"Accuracy: {outcome.metric}. Server, client and monitor are processes of their own. {where}; the engine computes on {threads} "
        f"thread{'s' if threads > 1 else ''}. Every second round ran in reversed order. Percentiles are of all rounds' requests, rates the middle of the "
        "rounds, memory the highest of all rounds; noise is how far the rounds' median requests lie apart. First token and between tokens: medians."
    )


def _page(
    outcome: Outcome,
    title: str,
    command: str,
    said: Sequence[str],
    origin: Mapping[str, Any],
    drawn: Mapping[str, tuple[str, str]],
    colours: str,
    plan: str,
) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_data("report.html.j2")).render(
        title=title,
        command=command,
        said=said,
        notes=outcome.plan.notes,
        made_with=made_with(outcome, origin),
        packages=origin["packages"],
        how=how_measured(outcome),
        drawn={name: (told, Markup(svg)) for name, (told, svg) in drawn.items()},
        columns=COLUMNS,
        rows=table(outcome.measured),
        refused=refusals(outcome.measured),
        missing=[str(cell) for cell in outcome.missing],
        noise=[(str(one.cell), one.others_cores, one.stolen_cores, one.throttled) for one in outcome.measured if not one.row.failure],
        plan=plan,
        colours=Markup(colours),
    )


def _data(name: str) -> str:
    return files("sdx_serving.bench").joinpath(name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path
