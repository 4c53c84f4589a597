"""sdx finetune evaluate: models side by side on rows that none of them was trained on."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sdx_ui.commands.detach import Detach, hand_over


def evaluate(
    models: Annotated[
        list[str], typer.Argument(help="GGUF files, `embedded`, or OpenAI-compatible addresses; the last one is the new one")
    ],
    data: Annotated[str, typer.Option(help="a data set, NAME@VERSION")],
    split: Annotated[str, typer.Option(help="whose rows are asked")] = "eval",
    scorer: Annotated[str, typer.Option(help="package.module:function of (row, answer); ship: sdx_domains.ship.grading:grade")] = (
        "sdx_finetune.measure.text_metrics:score"
    ),
    schema: Annotated[
        str | None,
        typer.Option(help="package.module:function of (row), the JSON schema to answer in; ship: sdx_domains.ship.grading:schema_of"),
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="keys of meta by whose values figures are also given apart; language")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="only the first so many")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="of an answer")] = 512,
    context: Annotated[int, typer.Option(min=128, help="tokens of question and answer together, for files")] = 2048,
    threads: Annotated[int, typer.Option(min=1, help="for files")] = 1,
    out: Annotated[Path | None, typer.Option(help="folder for answers, evaluation.json and report.html; used again to go on")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")] = False,
    detach: Detach = False,
) -> None:
    """Ask several models the same held-out rows, and say where the last one is better or worse, with intervals and a report.

    sdx finetune evaluate embedded own-Q8_0.gguf --data port-watch@4c2fa71d9b03

    sdx finetune evaluate old.gguf new.gguf --data ship@4c2fa71d9b03 --scorer sdx_domains.ship.grading:grade
    --schema sdx_domains.ship.grading:schema_of --by language --by task

    Answers are kept as they come: the same command goes on after a stop.
    """
    from sdx_finetune.measure.side_by_side import Measure, candidate, compare, labels_of

    folder = (out or Path("runs") / f"evaluate-{data.partition('@')[0]}").absolute()
    models = [str(Path(model).expanduser().absolute()) if model.endswith(".gguf") else model for model in models]
    how = Measure(scorer, schema, tuple(by or ["language"]), max_tokens, context, threads)
    candidates = [candidate(label, model, how) for label, model in zip(labels_of(models), models, strict=True)]
    chosen = _rows(data, split)[:rows]
    if detach:
        argv = ["sdx_ui.cli", "finetune", "evaluate", *models, "--data", data, "--split", split, "--scorer", scorer, "--out", str(folder)]
        argv += ["--max-tokens", str(max_tokens), "--context", str(context), "--threads", str(threads)]
        argv += [*(["--schema", schema] if schema else []), *(["--rows", str(rows)] if rows else [])]
        argv += [word for key in by or [] for word in ("--by", key)]
        hand_over("evaluate", argv, folder, as_json=as_json)
    folder.mkdir(parents=True, exist_ok=True)
    result = compare(chosen, candidates, how, folder, lambda line: print(line, file=sys.stderr, flush=True))
    report = _report(result, folder, data)
    print(json.dumps(result, ensure_ascii=False, indent=1)) if as_json else _show(result, report)


def _rows(data: str, split: str) -> list[Any]:
    from sdx_finetune.datasets.store import Store
    from sdx_finetune.rows import distinct, read_rows

    if "@" not in data:
        raise ValueError(f"--data {data!r} names no version; write NAME@VERSION, `sdx data show {data}` lists them")
    return distinct(read_rows([Store().split(data, split)]))[0]


def _report(result: dict[str, Any], folder: Path, data: str) -> Path:
    from sdx_finetune.datasets.store import Store
    from sdx_finetune.measure.report import write_report

    title = " against ".join(reversed([model["label"] for model in result["models"]]))
    return write_report(result, folder / "report.html", title=title, card=Store().card(data))


def _show(result: dict[str, Any], report: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{result['rows']} rows, 95 % intervals")
    labels = [model["label"] for model in result["models"]]
    for column in ("metric", *labels, *(f"difference to {label}" for label in result["differences"])):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name in result["models"][-1]["figures"]:
        figures = [model["figures"].get(name) for model in result["models"]]
        differences = [found.get(name) for found in result["differences"].values()]
        cells = [f"{f['mean']:.3f} ({f['low']:.3f} to {f['high']:.3f})" if f else "" for f in figures]
        cells += [f"{d['mean']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f}) {d['verdict']}" if d else "" for d in differences]
        table.add_row(name, *cells)
    console = Console(width=max(120, Console().width))
    console.print(table, markup=False)
    console.print(f"report: {report}", highlight=False, markup=False, soft_wrap=True)
